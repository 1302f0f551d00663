//! The commands of `caslb`: each is a function from its arguments to an exit status.

pub mod check;
