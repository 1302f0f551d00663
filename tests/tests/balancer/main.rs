//! The real binary in real networks: what clients, servers and operators see of it. A module for each theme, one program,
//! so that they run beside each other.

mod failover;
mod spread;
mod all_down;
mod vips;
mod observation;
mod reload;
mod restart;
mod nat;
mod paths;
mod protocols;
