//! placeholder
pub mod paths;
