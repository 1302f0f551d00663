//! What the data plane shall look like: the controller core's whole opinion, stated anew each time it changes.
//!
//! The owner of the data plane compares it with what is there and does what is missing, so it does not matter what was
//! there before: nothing, the tables of a controller that was killed, or the previous target.

use std::{net::IpAddr, sync::Arc};

use crate::{
    config::deployment::{Addresses, HashKind, Mode, Protocol, XdpMode},
    host::paths::Path,
};

/// Everything the data plane holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What is the same for the whole node.
    pub node: NodeTarget,
    /// NICs the program is attached to.
    pub nics: Vec<NicTarget>,
    /// Services, by id.
    pub services: Vec<ServiceTarget>,
    /// Servers, by id.
    pub servers: Vec<ServerTarget>,
    /// VIPs.
    pub vips: Vec<VipTarget>,
}

/// What is the same for the whole node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTarget {
    /// Text the key of the flow hash derives from.
    pub hash_seed: String,
    /// Slots of each table.
    pub slots: u32,
    /// How the program is attached.
    pub xdp: XdpMode,
}

/// A NIC the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicTarget {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// A service as the data plane has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTarget {
    /// Its id, 1 and up; belongs to this VIP, port and protocol for as long as one of its
    /// addresses stays in the data plane.
    pub id: u32,
    /// Its array.
    pub array: String,
    /// Its name.
    pub name: String,
    /// The VIP.
    pub vip: Addresses,
    /// The port clients connect to.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port on the servers.
    pub server_port: u16,
    /// How packets reach the server.
    pub mode: Mode,
    /// What the flow hash covers.
    pub hash: HashKind,
    /// Server ids by slot; `None` steers nothing. Services with equal tables share one.
    pub table: Option<Arc<[u16]>>,
}

/// A server as the data plane has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerTarget {
    /// Its id, 1 and up; not given to another server while any table may name it.
    pub id: u16,
    /// Position among the servers of its array; selects its counters.
    pub ordinal: u16,
    /// Its array.
    pub array: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Addresses,
    /// The way there for IPv4 packets; `None` while it is not known.
    pub path4: Option<Path>,
    /// The way there for IPv6 packets. A server of one family has the same way for both: `dsr` sends it packets of
    /// either.
    pub path6: Option<Path>,
}

/// A VIP as the data plane has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipTarget {
    /// The address.
    pub address: IpAddr,
    /// ARP, neighbour solicitations and echo requests are answered.
    pub announced: bool,
    /// Packets for a port or protocol without a service go to the stack.
    pub pass_unknown: bool,
}
