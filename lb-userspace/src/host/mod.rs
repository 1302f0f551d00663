//! The network of this host as the kernel sees it, by netlink, and how each server is reached.
//!
//! [`links`] lists the NICs, [`paths`] decides from tables that were read how an address is reached, [`watch`] keeps both
//! current. Everything happens in the network namespace of the thread that asks; `/sys` is never read, because it may
//! show another one. Reads the host's network and asks the kernel to resolve neighbours; configures nothing.

pub mod announce;
mod kernel;
pub mod links;
pub mod paths;
mod resolution;
pub mod watch;

use std::{fmt, io};

pub use self::{
    links::{Link, Mac},
    paths::{Path, PathProblem},
    watch::{HostEvent, HostWatch},
};

/// The kernel could not be asked about the host's network.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// A request failed.
    #[error("the kernel refused to {operation}: {source}")]
    Refused {
        /// What was asked for: "list the NICs".
        operation: &'static str,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// A request was not answered.
    #[error("the kernel did not answer about the host's network in time")]
    Silent,
}

/// A MAC address in its usual notation.
pub(crate) struct ShowMac(pub(crate) Mac);

impl fmt::Display for ShowMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}
