//! How a server is reached: out of which NIC, with which MAC addresses.
//!
//! Decides from tables that were read before, so that every case can be tested without a network. Does no I/O.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use rtnetlink::packet_route::{
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia},
};

use super::{Link, Mac, ShowMac};

/// The way of a packet from this host to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The NIC it leaves through.
    pub interface: String,
    /// The kernel's number of that NIC.
    pub ifindex: u32,
    /// That NIC's MAC address.
    pub source_mac: Mac,
    /// The server, or the gateway to it.
    pub next_hop: IpAddr,
    /// MAC address of the next hop.
    pub next_hop_mac: Mac,
    /// Whether the server itself is the next hop, that is, in the same segment.
    pub on_link: bool,
    /// Largest IP packet that fits, in bytes.
    pub mtu: u32,
    /// The address that this host uses towards the server; unspecified if it has none.
    pub source: IpAddr,
}

/// Why a server cannot be reached from this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// The routing table has no way to it.
    #[error("this host has no route to the server; check the server's address and the routes of this host")]
    NoRoute,
    /// It is an address of this host itself.
    #[error("the address is this host's own; give the server's address")]
    Local,
    /// The NIC is switched off or has no carrier.
    #[error("interface {interface} is down; switch it on or check its cable")]
    InterfaceDown {
        /// The NIC.
        interface: String,
    },
    /// The NIC towards it does not carry Ethernet frames.
    #[error("the server is reached through {interface}, which is no Ethernet interface; correct the route")]
    NotEthernet {
        /// The NIC.
        interface: String,
    },
    /// The next hop's MAC address is not known, and asking for it brought no answer.
    #[error("{}", unresolved(*next_hop, interface, *gateway))]
    Unresolved {
        /// The server, or the gateway to it.
        next_hop: IpAddr,
        /// The NIC on which it was asked for.
        interface: String,
        /// Whether the next hop is a gateway rather than the server.
        gateway: bool,
    },
}

fn unresolved(next_hop: IpAddr, interface: &str, gateway: bool) -> String {
    let question = if next_hop.is_ipv4() { "ARP answer" } else { "neighbour advertisement" };
    if gateway {
        format!("no {question} from the gateway {next_hop} on {interface}; is it on, and is the route right?")
    } else {
        format!("no {question} from {next_hop} on {interface}; is the server on and in this segment?")
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = ShowMac(self.next_hop_mac);
        if self.on_link {
            write!(f, "{mac} on {}", self.interface)
        } else {
            write!(f, "{mac} (gateway {}) on {}", self.next_hop, self.interface)
        }
    }
}

/// The kernel's routing decision about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Out of a NIC.
    Unicast { ifindex: u32, gateway: Option<IpAddr>, source: Option<IpAddr>, mtu: Option<u32> },
    /// To this host itself.
    Local,
    /// Nowhere, or nowhere a server can be: broadcast, prohibited, blackhole.
    Nowhere,
}

/// A next hop: the NIC and the address on it.
pub(super) type Hop = (u32, IpAddr);

/// An entry of the kernel's neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) state: NeighbourState,
    mac: Option<Mac>,
}

/// The kernel's neighbour table.
pub(super) type Neighbours = HashMap<Hop, Neighbour>;

impl Route {
    /// The next hop on the way to `address`.
    pub(super) fn hop(&self, address: IpAddr) -> Option<Hop> {
        match self {
            Self::Unicast { ifindex, gateway, .. } => Some((*ifindex, gateway.unwrap_or(address))),
            Self::Local | Self::Nowhere => None,
        }
    }
}

impl From<&RouteMessage> for Route {
    fn from(message: &RouteMessage) -> Self {
        match message.header.kind {
            RouteType::Unicast => {}
            RouteType::Local => return Self::Local,
            _ => return Self::Nowhere,
        }
        let (mut ifindex, mut gateway, mut source, mut mtu) = (None, None, None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(value) => ifindex = Some(*value),
                RouteAttribute::Gateway(value) => gateway = route_address(value),
                // An IPv4 route through an IPv6 gateway (RFC 5549).
                RouteAttribute::Via(RouteVia::Inet(value)) => gateway = Some(IpAddr::V4(*value)),
                RouteAttribute::Via(RouteVia::Inet6(value)) => gateway = Some(IpAddr::V6(*value)),
                RouteAttribute::PrefSource(value) => source = route_address(value),
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        match ifindex {
            Some(ifindex) => Self::Unicast { ifindex, gateway, source, mtu },
            None => Self::Nowhere,
        }
    }
}

impl Neighbour {
    /// The MAC address, if the kernel would use it now.
    fn usable_mac(&self) -> Option<Mac> {
        use NeighbourState as S;
        match self.state {
            S::Reachable | S::Stale | S::Delay | S::Probe | S::Permanent | S::Noarp => self.mac,
            _ => None,
        }
    }

    pub(super) fn resolved(&self) -> bool {
        self.usable_mac().is_some()
    }
}

/// The neighbour table from what the kernel listed.
pub(super) fn neighbours(messages: &[NeighbourMessage]) -> Neighbours {
    messages.iter().filter_map(neighbour).collect()
}

/// The next hop that a message about a neighbour names, and what it says.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<(Hop, Neighbour)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => {
                address = Some(IpAddr::V4(*value));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(value)) => {
                address = Some(IpAddr::V6(*value));
            }
            NeighbourAttribute::LinkLayerAddress(value) => {
                mac = Mac::try_from(value.as_slice()).ok();
            }
            _ => {}
        }
    }
    // Interfaces without ARP list neighbours with an address of zeros.
    let mac = mac.filter(|mac| *mac != Mac::default());
    Some(((message.header.ifindex, address?), Neighbour { state: message.header.state, mac }))
}

/// The path to `address`, or why there is none.
pub(super) fn decide(
    address: IpAddr,
    route: &Route,
    links: &[Link],
    neighbours: &Neighbours,
) -> Result<Path, PathProblem> {
    let (ifindex, source, mtu) = match route {
        Route::Local => return Err(PathProblem::Local),
        Route::Nowhere => return Err(nowhere(address, links)),
        Route::Unicast { ifindex, source, mtu, .. } => (*ifindex, *source, *mtu),
    };
    let next_hop = route.hop(address).map_or(address, |(_, next_hop)| next_hop);
    // Gone between two of our questions; the next look at the tables will agree.
    let link = links.iter().find(|link| link.index == ifindex).ok_or(PathProblem::NoRoute)?;
    let interface = link.name.clone();
    let Some(source_mac) = link.mac else {
        return Err(PathProblem::NotEthernet { interface });
    };
    if !link.usable() {
        return Err(PathProblem::InterfaceDown { interface });
    }
    let on_link = next_hop == address;
    let Some(next_hop_mac) = neighbours.get(&(ifindex, next_hop)).and_then(Neighbour::usable_mac) else {
        return Err(PathProblem::Unresolved { next_hop, interface, gateway: !on_link });
    };
    Ok(Path {
        interface,
        ifindex,
        source_mac,
        next_hop,
        next_hop_mac,
        on_link,
        mtu: mtu.filter(|mtu| *mtu > 0).map_or(link.mtu, |mtu| mtu.min(link.mtu)),
        source: source.unwrap_or_else(|| own_address(link, address)),
    })
}

/// A NIC that is switched off takes its routes along: say that rather than that a route is missing.
fn nowhere(address: IpAddr, links: &[Link]) -> PathProblem {
    match links.iter().find(|link| !link.usable() && link.reaches(address)) {
        Some(link) => PathProblem::InterfaceDown { interface: link.name.clone() },
        None => PathProblem::NoRoute,
    }
}

fn own_address(link: &Link, address: IpAddr) -> IpAddr {
    let same_family = link.addresses.iter().map(|(own, _)| *own).find(|own| own.is_ipv4() == address.is_ipv4());
    same_family.unwrap_or(match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    })
}

fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
