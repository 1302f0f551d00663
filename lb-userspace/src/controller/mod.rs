//! The controller: what is true of every server, and what the data plane shall look like because of it.
//!
//! [`core`] is the pure part: an event goes in, effects come out. [`service`], [`judge`], [`maglev`] and [`ids`] are what
//! it is made of. [`target`] is what it wants of the data plane, [`status`] what it tells the operator.

pub mod core;
#[cfg(test)]
mod core_tests;
#[cfg(test)]
mod fixture;
pub mod ids;
pub mod judge;
pub mod maglev;
pub mod service;
pub mod status;
pub mod target;
