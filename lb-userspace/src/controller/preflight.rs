//! What a deployment asks of this host that the host cannot give: looked at before a start, and before a reload is
//! accepted.
//!
//! Decides from NICs and settings that were read before. A file by itself is the configuration's business, and whether
//! a server can be reached the core's: that changes while the controller runs.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

use crate::{
    config::deployment::{Deployment, Mode},
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
        vip: Ipv4Addr,
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
         daemon or keepalived wants it there, remove it with `ip address del {vip}/32 dev {interface}`"
    )]
    ConfiguredVip {
        /// The VIP.
        vip: Ipv4Addr,
        /// `array/service`.
        service: String,
        /// Where the host has it.
        interface: String,
    },
    /// A server is this host.
    #[error(
        "the address {address} of server {server} in array {array} is this host's own, on {interface}; give the server's \
         address"
    )]
    OwnServer {
        /// The address.
        address: Ipv4Addr,
        /// The server.
        server: String,
        /// Its array.
        array: String,
        /// Where the host has it.
        interface: String,
    },
    /// Replies of `nat` servers cannot be routed on.
    #[error(
        "interface {interface} does not forward IPv4, so replies to clients of service {service}, which uses nat, may be \
         lost; switch it on with `sysctl -w {}=1`, and in /etc/sysctl.d to keep it",
        forwarding_key(interface)
    )]
    NoForwarding {
        /// The interface.
        interface: String,
        /// `array/service`, the first one that uses `nat`.
        service: String,
    },
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
            | Self::NoForwarding { .. } => Severity::Warning,
        }
    }
}

/// What does not suit `deployment` about a host with these NICs.
pub fn preflight(deployment: &Deployment, links: &[Link]) -> Vec<Problem> {
    let mut problems = interfaces(deployment, links);
    problems.extend(vips(deployment, links));
    for array in &deployment.arrays {
        for server in &array.servers {
            if let Some((link, _)) = owner(links, server.address) {
                problems.push(Problem::OwnServer {
                    address: server.address,
                    server: server.name.clone(),
                    array: array.name.clone(),
                    interface: link.name.clone(),
                });
            }
        }
    }
    problems
}

/// What does not suit the `nat` services of `deployment`. `forwarding` says, by interface, whether it forwards IPv4
/// (`/proc/sys/net/ipv4/conf/NAME/forwarding`); about an interface that is not in it nothing is said.
pub fn forwarding_warnings(deployment: &Deployment, forwarding: &[(String, bool)]) -> Vec<Problem> {
    let mut services = deployment.arrays.iter().flat_map(|array| array.services.iter().map(move |of| (array, of)));
    let Some((array, service)) = services.find(|(_, service)| service.mode == Mode::Nat) else {
        return Vec::new();
    };
    let off = |interface: &&String| forwarding.iter().any(|(name, on)| name == *interface && !on);
    let problem = |interface: &String| Problem::NoForwarding {
        interface: interface.clone(),
        service: format!("{}/{}", array.name, service.name),
    };
    deployment.node.interfaces.iter().filter(off).map(problem).collect()
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
        for service in &array.services {
            let vip = service.vip;
            if seen.contains(&vip) {
                continue;
            }
            seen.push(vip);
            let Some((link, prefix)) = owner(links, vip) else {
                continue;
            };
            let (interface, service) = (link.name.clone(), format!("{}/{}", array.name, service.name));
            problems.push(if is_extra(link, prefix) {
                Problem::ConfiguredVip { vip, service, interface }
            } else {
                Problem::OwnVip { vip, service, interface, prefix }
            });
        }
    }
    problems
}

/// The NIC that has `address`, and the length of the prefix it has it with.
fn owner(links: &[Link], address: Ipv4Addr) -> Option<(&Link, u8)> {
    links.iter().find_map(|link| {
        let own = link.addresses.iter().find(|(own, _)| *own == IpAddr::V4(address));
        own.map(|&(_, prefix)| (link, prefix))
    })
}

/// Whether an address with this prefix stands beside the host's own: a single address on the loopback interface, or on
/// a NIC that has another one with a network.
fn is_extra(link: &Link, prefix: u8) -> bool {
    prefix == 32 && (link.mac.is_none() || link.addresses.iter().any(|&(own, prefix)| own.is_ipv4() && prefix < 32))
}

fn instead(there: &[String]) -> String {
    if there.is_empty() {
        "this host has no Ethernet interface; is this the right network namespace?".to_owned()
    } else {
        format!("use one of those it has: {}", there.join(", "))
    }
}

/// Dots separate the parts of a key, so those in a name are written as slashes (sysctl(8)).
fn forwarding_key(interface: &str) -> String {
    format!("net.ipv4.conf.{}.forwarding", interface.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture;

    fn link(name: &str, mac: bool, addresses: &[(&str, u8)]) -> Link {
        Link {
            index: 1,
            name: name.to_owned(),
            mac: mac.then_some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            running: true,
            xdp: None,
            addresses: addresses.iter().map(|(address, prefix)| (address.parse().unwrap(), *prefix)).collect(),
        }
    }

    fn host() -> Vec<Link> {
        vec![
            link("lo", false, &[("127.0.0.1", 8), ("::1", 128)]),
            link("eth0", true, &[("10.1.0.2", 24), ("2001:db8:1::2", 64)]),
            link("eth1", true, &[]),
        ]
    }

    fn deployment() -> Deployment {
        fixture::deployment(&["EX01", "EX02"])
    }

    /// The problems as they are told, with `!` before errors.
    fn told(problems: &[Problem]) -> Vec<String> {
        let mark = |problem: &Problem| if problem.severity() == Severity::Error { "! " } else { "" };
        problems.iter().map(|problem| format!("{}{problem}", mark(problem))).collect()
    }

    #[test]
    fn a_host_that_suits_has_no_problems() {
        assert_eq!(preflight(&deployment(), &host()), []);
    }

    #[test]
    fn interfaces_must_exist_and_carry_ethernet() {
        let mut deployment = deployment();
        deployment.node.interfaces = vec!["eth0".to_owned(), "eth9".to_owned(), "lo".to_owned()];
        assert_eq!(
            told(&preflight(&deployment, &host())),
            [
                "! interface eth9 of `node.interfaces` does not exist on this host; use one of those it has: eth0, eth1",
                "! interface lo of `node.interfaces` is no Ethernet interface and cannot carry a VIP; use one of those it \
                 has: eth0, eth1",
            ]
        );
        deployment.node.interfaces.truncate(1);
        assert_eq!(
            told(&preflight(&deployment, &host()[..1])),
            [
                "! interface eth0 of `node.interfaces` does not exist on this host; this host has no Ethernet interface; is \
              this the right network namespace?"
            ]
        );
    }

    #[test]
    fn an_interface_that_is_down_is_only_a_warning() {
        let mut links = host();
        links[1].running = false;
        assert_eq!(
            told(&preflight(&deployment(), &links)),
            ["interface eth0 has no link and gets no traffic; check its cable and the port of the switch"]
        );
        links[1].up = false;
        assert_eq!(
            told(&preflight(&deployment(), &links)),
            ["interface eth0 is switched off and gets no traffic; switch it on with `ip link set eth0 up`"]
        );
    }

    #[test]
    fn a_vip_must_not_be_the_hosts_own_address() {
        let mut deployment = deployment();
        let vip = Ipv4Addr::new(10, 1, 0, 2);
        deployment.arrays[0].services = vec![fixture::service("https", vip, 443), fixture::service("imap", vip, 143)];
        assert_eq!(
            told(&preflight(&deployment, &host())),
            [
                "! the VIP 10.1.0.2 of service ams/https is this host's own address on eth0; give the service another VIP, \
              or remove the address with `ip address del 10.1.0.2/24 dev eth0`: caslb answers for it by itself"
            ]
        );
    }

    #[test]
    fn a_vip_that_a_daemon_configured_beside_the_hosts_own_addresses_is_only_a_warning() {
        for (index, severity) in [(0, Severity::Warning), (1, Severity::Warning), (2, Severity::Error)] {
            let mut links = host();
            links[index].addresses.push(("10.1.0.100".parse().unwrap(), 32));
            let problems = preflight(&deployment(), &links);
            assert_eq!(problems.iter().map(Problem::severity).collect::<Vec<_>>(), [severity], "{problems:?}");
        }
    }

    #[test]
    fn a_server_must_not_be_this_host() {
        let mut deployment = deployment();
        deployment.arrays[0].servers[1].address = Ipv4Addr::new(10, 1, 0, 2);
        assert_eq!(
            told(&preflight(&deployment, &host())),
            [
                "! the address 10.1.0.2 of server EX02 in array ams is this host's own, on eth0; give the server's address"
            ]
        );
    }

    #[test]
    fn nat_without_forwarding_is_warned_about() {
        let mut deployment = deployment();
        deployment.node.interfaces = vec!["eth0".to_owned(), "eth1.20".to_owned(), "eth2".to_owned()];
        let forwarding = [("eth0".to_owned(), true), ("eth1.20".to_owned(), false), ("eth7".to_owned(), false)];
        assert_eq!(forwarding_warnings(&deployment, &forwarding), [], "dsr needs none");
        deployment.arrays[0].services[0].mode = Mode::Nat;
        assert_eq!(
            told(&forwarding_warnings(&deployment, &forwarding)),
            [
                "interface eth1.20 does not forward IPv4, so replies to clients of service ams/https, which uses nat, may be \
              lost; switch it on with `sysctl -w net.ipv4.conf.eth1/20.forwarding=1`, and in /etc/sysctl.d to keep it"
            ]
        );
    }
}
