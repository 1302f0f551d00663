//! caslb: a layer-4 load balancer for Exchange Client Access arrays, the part in user space.
//!
//! See ARCHITECTURE.md for the map.

#![deny(unsafe_code)]

pub mod api;
pub mod cli;
pub mod config;
pub mod controller;
pub mod dataplane;
pub mod explain;
pub mod health;
pub mod host;
pub mod shell;
#[expect(unsafe_code, reason = "the one module that talks to the kernel where no library does")]
pub mod sys;
