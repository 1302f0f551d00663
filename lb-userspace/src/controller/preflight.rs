//! What a deployment asks of this host that the host cannot give: looked at before a start, and before a reload is
//! accepted.
//!
//! Decides from NICs and settings that were read before. A file by itself is the configuration's business, and whether
//! a server can be reached the core's: that changes while the controller runs.

use std::{fmt, net::IpAddr};

use thiserror::Error;

use crate::{
    config::deployment::{Deployment, Mode, Service},
    host::Link,
};

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be meant, or pass by itself.
    Warning,
    /// It cannot work; nothing may be started or changed.
    Error,
}

/// Something about this host that does not suit the deployment: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// An interface of the configuration does not exist.
    #[error("interface {interface} of `node.interfaces` does not exist on this host; {}", instead(there))]
    NoInterface {
        /// The name in the configuration.
        interface: String,
        /// The Ethernet interfaces that exist.
        there: Vec<String>,
    },
    /// An interface carries no Ethernet frames.
    #[error(
        "interface {interface} of `node.interfaces` is no Ethernet interface and cannot carry a VIP; {}",
        instead(there)
    )]
    NotEthernet {
        /// The interface.
        interface: String,
        /// The Ethernet interfaces that exist.
        there: Vec<String>,
    },
    /// An interface is switched off.
    #[error(
        "interface {interface} is switched off and gets no traffic; switch it on with `ip link set {interface} up`"
    )]
    SwitchedOff {
        /// The interface.
        interface: String,
    },
    /// An interface is switched on and has no carrier.
    #[error("interface {interface} has no link and gets no traffic; check its cable and the port of the switch")]
    NoCarrier {
        /// The interface.
        interface: String,
    },
    /// A VIP is an address of this host.
    #[error(
        "the VIP {vip} of service {service} is this host's own address on {interface}; give the service another VIP, or \
         remove the address with `ip address del {vip}/{prefix} dev {interface}`: caslb answers for it by itself"
    )]
    OwnVip {
        /// The VIP.
        vip: IpAddr,
        /// `array/service`.
        service: String,
        /// Where the host has it.
        interface: String,
        /// Length of the address's prefix.
        prefix: u8,
    },
    /// A VIP is configured on this host beside its own addresses, as routing daemons and keepalived do it.
    #[error(
        "the VIP {vip} of service {service} is configured on {interface}, which caslb does not need; unless a routing \
         daemon or keepalived wants it there, remove it with `ip address del {vip}/{prefix} dev {interface}`"
    )]
    ConfiguredVip {
        /// The VIP.
        vip: IpAddr,
        /// `array/service`.
        service: String,
        /// Where the host has it.
        interface: String,
        /// Length of the address's prefix.
        prefix: u8,
    },
    /// A server is this host.
    #[error(
        "the address {address} of server {server} in array {array} is this host's own, on {interface}; give the server's \
         address"
    )]
    OwnServer {
        /// The address.
        address: IpAddr,
        /// The server.
        server: String,
        /// Its array.
        array: String,
        /// Where the host has it.
        interface: String,
    },
    /// Replies of `nat` servers cannot be routed on.
    #[error(
        "interface {interface} does not forward {family}, so replies to clients of service {service}, which uses nat, may be \
         lost; switch it on with {}",
        forwarding_remedy(*family, interface)
    )]
    NoForwarding {
        /// The interface.
        interface: String,
        /// `array/service`, the first one that uses `nat`.
        service: String,
        /// What is not forwarded.
        family: Family,
    },
    /// Replies of `nat` servers whose next hop must be resolved first look forged to the kernel.
    #[error(
        "interface {interface} checks sources strictly (rp_filter 1): the first replies to a client of service {service}, \
         which uses nat, are dropped when they come in there, because their source is the VIP; loosen it with \
         `sysctl -w net.ipv4.conf.{}.rp_filter=2` (and net.ipv4.conf.all.rp_filter, if that is 1), and keep it so in \
         /etc/sysctl.d",
        interface.replace('.', "/")
    )]
    StrictSources {
        /// The interface.
        interface: String,
        /// `array/service`, the first one that uses `nat`.
        service: String,
    },
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Whether packets that come in by an interface are forwarded; `None` where the kernel does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The interface.
    pub interface: String,
    /// `/proc/sys/net/ipv4/conf/NAME/forwarding`.
    pub v4: Option<bool>,
    /// `/proc/sys/net/ipv6/conf/NAME/forwarding`.
    pub v6: Option<bool>,
    /// Whether sources are checked strictly: the larger of `/proc/sys/net/ipv4/conf/{all,NAME}/rp_filter` is 1.
    pub strict_sources: bool,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Problem {
    /// Whether the deployment may be used all the same.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NoInterface { .. } | Self::NotEthernet { .. } | Self::OwnVip { .. } | Self::OwnServer { .. } => {
                Severity::Error
            }
            Self::SwitchedOff { .. }
            | Self::NoCarrier { .. }
            | Self::ConfiguredVip { .. }
            | Self::NoForwarding { .. }
            | Self::StrictSources { .. } => Severity::Warning,
        }
    }
}

/// What does not suit `deployment` about a host with these NICs.
pub fn preflight(deployment: &Deployment, links: &[Link]) -> Vec<Problem> {
    let mut problems = interfaces(deployment, links);
    problems.extend(vips(deployment, links));
    for array in &deployment.arrays {
        for server in &array.servers {
            for address in server.address.iter() {
                let Some((link, _)) = owner(links, address) else {
                    continue;
                };
                problems.push(Problem::OwnServer {
                    address,
                    server: server.name.clone(),
                    array: array.name.clone(),
                    interface: link.name.clone(),
                });
            }
        }
    }
    problems
}

/// What does not suit the `nat` services of `deployment`, family by family. About an interface that is not in `forwarding`
/// nothing is said.
pub fn forwarding_warnings(deployment: &Deployment, forwarding: &[Forwarding]) -> Vec<Problem> {
    let services = || deployment.arrays.iter().flat_map(|array| array.services.iter().map(move |of| (array, of)));
    let mut problems = Vec::new();
    for family in [Family::V4, Family::V6] {
        let concerned = |service: &Service| match family {
            Family::V4 => service.vip.v4().is_some(),
            Family::V6 => service.vip.v6().is_some(),
        };
        let mut services = services().filter(|(_, service)| service.mode == Mode::Nat && concerned(service));
        let Some((array, service)) = services.next() else {
            continue;
        };
        let is_off = |of: &Forwarding| match family {
            Family::V4 => of.v4 == Some(false),
            Family::V6 => of.v6 == Some(false),
        };
        let off = |interface: &&String| forwarding.iter().any(|of| of.interface == **interface && is_off(of));
        let problem = |interface: &String| Problem::NoForwarding {
            interface: interface.clone(),
            service: format!("{}/{}", array.name, service.name),
            family,
        };
        problems.extend(deployment.node.interfaces.iter().filter(off).map(problem));
        if family == Family::V4 {
            let strict =
                |interface: &&String| forwarding.iter().any(|of| of.interface == **interface && of.strict_sources);
            let problem = |interface: &String| Problem::StrictSources {
                interface: interface.clone(),
                service: format!("{}/{}", array.name, service.name),
            };
            problems.extend(deployment.node.interfaces.iter().filter(strict).map(problem));
        }
    }
    problems
}

fn interfaces(deployment: &Deployment, links: &[Link]) -> Vec<Problem> {
    let there = || links.iter().filter(|link| link.mac.is_some()).map(|link| link.name.clone()).collect();
    let problem = |name: &String| {
        let interface = name.clone();
        match links.iter().find(|link| link.name == *name) {
            None => Some(Problem::NoInterface { interface, there: there() }),
            Some(link) if link.mac.is_none() => Some(Problem::NotEthernet { interface, there: there() }),
            Some(link) if !link.up => Some(Problem::SwitchedOff { interface }),
            Some(link) if !link.running => Some(Problem::NoCarrier { interface }),
            Some(_) => None,
        }
    };
    deployment.node.interfaces.iter().filter_map(problem).collect()
}

/// One problem a VIP, with the first of its services.
fn vips(deployment: &Deployment, links: &[Link]) -> Vec<Problem> {
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    for array in &deployment.arrays {
        let vips = array.services.iter().flat_map(|service| service.vip.iter().map(move |vip| (service, vip)));
        for (service, vip) in vips {
            if seen.contains(&vip) {
                continue;
            }
            seen.push(vip);
            let Some((link, prefix)) = owner(links, vip) else {
                continue;
            };
            let (interface, service) = (link.name.clone(), format!("{}/{}", array.name, service.name));
            problems.push(if is_extra(link, vip, prefix) {
                Problem::ConfiguredVip { vip, service, interface, prefix }
            } else {
                Problem::OwnVip { vip, service, interface, prefix }
            });
        }
    }
    problems
}

/// The NIC that has `address`, and the length of the prefix it has it with.
fn owner(links: &[Link], address: IpAddr) -> Option<(&Link, u8)> {
    links.iter().find_map(|link| {
        let own = link.addresses.iter().find(|(own, _)| *own == address);
        own.map(|&(_, prefix)| (link, prefix))
    })
}

/// Whether an address with this prefix stands beside the host's own: a single address on the loopback interface, or on
/// a NIC that has another one of its family with a network (every NIC has a link-local one).
fn is_extra(link: &Link, address: IpAddr, prefix: u8) -> bool {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let is_link_local = |own: IpAddr| matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
    let is_network =
        |&(own, prefix): &(IpAddr, u8)| own.is_ipv4() == address.is_ipv4() && prefix < whole && !is_link_local(own);
    prefix == whole && (link.mac.is_none() || link.addresses.iter().any(is_network))
}

fn instead(there: &[String]) -> String {
    if there.is_empty() {
        "this host has no Ethernet interface; is this the right network namespace?".to_owned()
    } else {
        format!("use one of those it has: {}", there.join(", "))
    }
}

/// Dots separate the parts of a key, so those in a name are written as slashes (sysctl(8)). The kernel forwards IPv6 only
/// when that is on for all interfaces, and then takes no routes from router advertisements unless told to.
fn forwarding_remedy(family: Family, interface: &str) -> String {
    let keep = "and in /etc/sysctl.d to keep it";
    match family {
        Family::V4 => format!("`sysctl -w net.ipv4.conf.{}.forwarding=1`, {keep}", interface.replace('.', "/")),
        Family::V6 => format!(
            "`sysctl -w net.ipv6.conf.all.forwarding=1`, {keep}; where this host gets its route by router advertisements, \
             set accept_ra=2 on that interface too"
        ),
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
