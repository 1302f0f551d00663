//! The real binary in real networks: what clients, servers and operators see of it. A module for each theme, one program,
//! so that they run beside each other.

mod all_down;
mod failover;
mod nat;
mod nodes;
mod observation;
mod paths;
mod protocols;
mod refusals;
mod reload;
mod restart;
mod spread;
mod vips;
