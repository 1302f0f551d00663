//! caslb: the controller of an XDP load balancer.

pub mod cli;
pub mod config;
pub mod dataplane;
