//! The data plane as user space sees it.

pub mod sizing;
