//! The `caslb` command.

fn main() {}
