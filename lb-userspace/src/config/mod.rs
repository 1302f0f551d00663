//! The configuration file: raw shape, validation, and the deployment that comes out.

pub mod deployment;
