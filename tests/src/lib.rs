//! The harness of caslb's end-to-end tests and of its demo: network namespaces, raw frames, simulated Exchange servers,
//! clients, and the `caslb` binary itself as a process.
//!
//! Nothing here but [`prediction`] and [`demo`] knows how caslb works inside; the tests see what a client, a server and an
//! operator see. All of it needs root. Whatever is made on the host carries the process id in its name and is taken away again
//! on drop, on panic, on interrupt, and, if the process was killed, by the next process that uses the harness.
//!
//! From the bottom up: [`netns`] and [`process`], then [`topology`] with [`xdp`] and the ready-made [`layouts`], [`frames`] with
//! [`view`], [`capture`] and [`checksum`], the simulator in [`exchange`] with [`certificates`], [`client`], and [`caslb`].
//! [`site`] puts all of it together, with a configuration from [`config`]. On top of them [`demo`].
//!
//! Two modules stand apart, because they are about the inside: [`packets`], the table that the engine and the loaded program
//! are held to, and [`own_node`], a node without a process.

pub mod capture;
pub mod caslb;
pub mod certificates;
pub mod checksum;
pub mod client;
pub mod config;
mod connection;
pub mod demo;
pub mod download;
pub mod exchange;
pub mod frames;
pub mod layouts;
mod leftovers;
pub mod netns;
pub mod own_node;
pub mod packets;
pub mod pages;
pub mod plain;
pub mod prediction;
pub mod process;
pub mod runtime;
pub mod site;
mod sys;
pub mod topology;
pub mod view;
pub mod wait;
pub mod xdp;

pub use leftovers::sweep;
