//! caslb: the controller of an XDP load balancer.

pub mod config;
pub mod health;
pub mod host;
