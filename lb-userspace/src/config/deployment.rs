//! A validated deployment: what the controller works from once a configuration has been read and found consistent.
//!
//! Nothing here knows the shape of the file. Every value is in range, every name is unique where it must be, defaults
//! are filled in. Order of arrays, services, servers and checks is the order of the file.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Everything one configuration file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The balancer node itself.
    pub node: Node,
    /// The arrays, in the order of the file.
    pub arrays: Vec<Array>,
}

/// The balancer node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Names the pins, the socket and the state; letters, digits, `-` and `_`, at most 32.
    pub name: String,
    /// NICs that receive traffic for the VIPs; at least one, no duplicates.
    pub interfaces: Vec<String>,
    /// How the program is attached.
    pub xdp: XdpMode,
    /// Text that the key of the flow hash and of the slot tables derives from.
    pub hash_seed: String,
    /// Slots of each table: a prime, 251 to 65,537.
    pub slots: u32,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Driver mode, with a loud fall-back to generic mode.
    Auto,
    /// Driver mode or an error.
    Driver,
    /// Generic mode.
    Generic,
}

/// A CAS array: servers of one site behind one set of namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Unique in the deployment; at most 63 bytes.
    pub name: String,
    /// DNS names that clients use.
    pub namespaces: Vec<String>,
    /// The real servers.
    pub servers: Vec<Server>,
    /// The services.
    pub services: Vec<Service>,
}

/// One real server of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Unique in its array, compared without case; at most 253 bytes.
    pub name: String,
    /// Its own address, one per family.
    pub address: Addresses,
    /// Share of the slots relative to the other servers, 0 to 1000; 0 has no part in the tables.
    pub weight: u16,
}

/// VIP, protocol and port, with the checks that decide which servers may have its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique in its array; at most 63 bytes.
    pub name: String,
    /// The virtual address, one per family.
    pub vip: Addresses,
    /// The port clients connect to.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port on the servers; differs from `port` in `nat` mode only.
    pub server_port: u16,
    /// How a packet reaches the server.
    pub mode: Mode,
    /// What the flow hash covers.
    pub hash: HashKind,
    /// What happens when no server is up.
    pub all_down: AllDown,
    /// Whether ARP requests and neighbour solicitations for the VIP are answered.
    pub announce: bool,
    /// What happens to packets for the VIP on a port without a service. The same for all services of one VIP.
    pub unknown_port: UnknownPort,
    /// The checks; a service always has at least one.
    pub checks: Vec<Check>,
}

/// Transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
}

/// How a packet reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Direct server return: the MAC addresses are rewritten, IP is untouched.
    Dsr,
    /// The destination is rewritten; replies come back through the balancer.
    Nat,
}

/// What the flow hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Both addresses, both ports and the protocol: no affinity.
    Flow,
    /// The client's address only: all its connections reach one server.
    Client,
}

/// What happens when no server of a service is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// Keep steering by the last table.
    KeepLast,
    /// Answer neither ARP, neighbour solicitations nor echo requests for the VIP, and do not steer.
    Withdraw,
}

/// What happens to packets for a VIP on a port without a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPort {
    /// Dropped and counted.
    Drop,
    /// Handed to the network stack of the host.
    Pass,
}

/// One health check of a service; runs against every server of the array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked and what counts as an answer.
    pub kind: CheckKind,
    /// The port on the server.
    pub port: u16,
    /// Start of one check to the start of the next; 100 ms to 1 h.
    pub interval: Duration,
    /// Longest time one check may take; at most `interval`.
    pub timeout: Duration,
    /// Successes in a row that bring a server up, 1 to 100.
    pub rise: u32,
    /// Failures in a row that take a server down, 1 to 100.
    pub fall: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A TCP connection is accepted.
    Tcp,
    /// An HTTP request is answered as expected.
    Http(HttpCheck),
    /// The same over TLS.
    Https(HttpCheck, Verify),
}

/// What an `http` or `https` check asks and expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Host header and SNI; without it the server's address (and no SNI).
    pub host: Option<String>,
    /// Begins with `/`.
    pub path: String,
    /// Accepted status codes; not empty.
    pub status: BTreeSet<u16>,
    /// Text that the body must contain within its first 64 KiB.
    pub body: Option<String>,
}

/// How the certificate of a server is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Chain and name must verify against the host's trust store.
    Full,
    /// Problems are reported and do not fail the check.
    Warn,
    /// Not looked at.
    None,
    /// SHA-256 of the certificate in DER form must be equal.
    Fingerprint([u8; 32]),
}

impl Server {
    /// The addresses at which it must be fit for `service`: its own of the VIP's families, and where the VIP has a
    /// family that it lacks, the one it has (`dsr` sends such packets to the same MAC address).
    pub fn addresses_for(&self, service: &Service) -> Vec<IpAddr> {
        let of_family = |vip: IpAddr| self.address.of_family(vip).unwrap_or(self.address.first());
        let mut addresses: Vec<_> = service.vip.iter().map(of_family).collect();
        addresses.dedup();
        addresses
    }
}

/// The addresses of one server or one VIP: one of either family, or one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addresses {
    /// IPv4 only.
    V4(Ipv4Addr),
    /// IPv6 only.
    V6(Ipv6Addr),
    /// Both.
    Both(Ipv4Addr, Ipv6Addr),
}

impl Addresses {
    /// `None` without any.
    pub fn new(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> Option<Self> {
        match (v4, v6) {
            (Some(v4), Some(v6)) => Some(Self::Both(v4, v6)),
            (Some(v4), None) => Some(Self::V4(v4)),
            (None, Some(v6)) => Some(Self::V6(v6)),
            (None, None) => None,
        }
    }

    /// The IPv4 address.
    pub fn v4(self) -> Option<Ipv4Addr> {
        match self {
            Self::V4(v4) | Self::Both(v4, _) => Some(v4),
            Self::V6(_) => None,
        }
    }

    /// The IPv6 address.
    pub fn v6(self) -> Option<Ipv6Addr> {
        match self {
            Self::V6(v6) | Self::Both(_, v6) => Some(v6),
            Self::V4(_) => None,
        }
    }

    /// The IPv4 address, else the IPv6 address: where one stands for all.
    pub fn first(self) -> IpAddr {
        match self {
            Self::V4(v4) | Self::Both(v4, _) => IpAddr::V4(v4),
            Self::V6(v6) => IpAddr::V6(v6),
        }
    }

    /// The address of the family that `other` has.
    pub fn of_family(self, other: IpAddr) -> Option<IpAddr> {
        self.iter().find(|address| address.is_ipv4() == other.is_ipv4())
    }

    /// IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4().map(IpAddr::V4).into_iter().chain(self.v6().map(IpAddr::V6))
    }
}

impl From<Ipv4Addr> for Addresses {
    fn from(address: Ipv4Addr) -> Self {
        Self::V4(address)
    }
}

impl From<Ipv6Addr> for Addresses {
    fn from(address: Ipv6Addr) -> Self {
        Self::V6(address)
    }
}

impl From<IpAddr> for Addresses {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(v6),
        }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => v6.fmt(f),
            Self::Both(v4, v6) => write!(f, "{v4}, {v6}"),
        }
    }
}

impl Protocol {
    /// The IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dsr => "dsr",
            Self::Nat => "nat",
        })
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Http(_) => "http",
            Self::Https(..) => "https",
        })
    }
}
