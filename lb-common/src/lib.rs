//! The packet engine of caslb.
//!
//! Everything that decides what happens to a packet lives here, in plain functions that know neither the kernel nor
//! its maps: the XDP program calls them through the two traits [`Frame`] (the bytes) and [`Environment`] (tables,
//! counters, routes), and so do the tests on the host. There is one implementation.
//!
//! A packet's way is one file each, in this order: [`engine`] (entry) -> [`parse`] -> [`service`] -> [`slot`] ->
//! [`server`] -> [`rewrite`] -> [`verdict`]. Beside it lie the answers the program gives itself ([`answer`]), the way
//! back of `nat` ([`reply`]), and what all of them use: [`frame`], [`wire`], [`checksum`], [`hash`], [`environment`].
//!
//! Not here: allocation, I/O, aya, and anything about how tables come to be.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod answer;
pub mod checksum;
pub mod engine;
pub mod environment;
pub mod family;
pub mod frame;
pub mod hash;
pub mod layout;
pub mod limit;
pub mod parse;
pub mod reply;
pub mod rewrite;
pub mod server;
pub mod service;
pub mod slot;
pub mod verdict;
pub mod wire;

pub use engine::{Decision, Node, process};
pub use environment::Environment;
pub use frame::Frame;
pub use verdict::{Action, Reason, Verdict};
