//! The harness of caslb's tests.

pub mod own_network;
pub mod packets;
