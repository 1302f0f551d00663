//! caslb: the controller of an XDP load balancer.

#![deny(unsafe_code)]

pub mod config;
pub mod controller;
pub mod dataplane;
pub mod health;
pub mod host;
#[expect(unsafe_code, reason = "the one module that talks to the kernel where no library does")]
pub mod sys;
