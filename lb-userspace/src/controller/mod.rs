//! The controller: what is true of every server, and what the data plane shall look like because of it.
//!
//! [`core`] is the pure part: an event goes in, effects come out. [`service`], [`judge`], [`maglev`] and [`ids`] are what
//! it is made of. [`target`] is what it wants of the data plane, [`status`] what it tells the operator. [`preflight`] looks
//! at what a deployment asks of this host, and [`lock`] keeps a second controller of the same node away.

pub mod core;
#[cfg(test)]
mod core_tests;
#[cfg(test)]
mod fixture;
pub mod ids;
pub mod judge;
pub mod lock;
pub mod maglev;
pub mod preflight;
pub mod service;
pub mod status;
pub mod target;
