//! The controller.
pub mod target;
