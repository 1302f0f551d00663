//! What is said about hosts that suit and hosts that do not.

use super::*;
use crate::{config::deployment::Addresses, controller::fixture};

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
        ["! interface eth0 of `node.interfaces` does not exist on this host; this host has no Ethernet interface; is \
          this the right network namespace?"]
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
    let vip = std::net::Ipv4Addr::new(10, 1, 0, 2);
    deployment.arrays[0].services = vec![fixture::service("https", vip, 443), fixture::service("imap", vip, 143)];
    assert_eq!(
        told(&preflight(&deployment, &host())),
        ["! the VIP 10.1.0.2 of service ams/https is this host's own address on eth0; give the service another VIP, \
          or remove the address with `ip address del 10.1.0.2/24 dev eth0`: caslb answers for it by itself"]
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
    deployment.arrays[0].servers[1].address = std::net::Ipv4Addr::new(10, 1, 0, 2).into();
    assert_eq!(
        told(&preflight(&deployment, &host())),
        ["! the address 10.1.0.2 of server EX02 in array ams is this host's own, on eth0; give the server's address"]
    );
}

#[test]
fn nat_without_forwarding_is_warned_about() {
    let mut deployment = deployment();
    deployment.node.interfaces = vec!["eth0".to_owned(), "eth1.20".to_owned(), "eth2".to_owned()];
    let of = |interface: &str, v4, v6| Forwarding {
        interface: interface.to_owned(),
        v4: Some(v4),
        v6: Some(v6),
        strict_sources: false,
    };
    let forwarding = [of("eth0", true, false), of("eth1.20", false, true), of("eth7", false, false)];
    assert_eq!(forwarding_warnings(&deployment, &forwarding), [], "dsr needs none");
    deployment.arrays[0].services[0].mode = Mode::Nat;
    assert_eq!(
        told(&forwarding_warnings(&deployment, &forwarding)),
        [
            "interface eth1.20 does not forward IPv4, so replies to clients of service ams/https, which uses nat, may be \
          lost; switch it on with `sysctl -w net.ipv4.conf.eth1/20.forwarding=1`, and in /etc/sysctl.d to keep it"
        ]
    );
    deployment.arrays[0].services[0].vip = "2001:db8:1::100".parse::<IpAddr>().unwrap().into();
    assert_eq!(
        told(&forwarding_warnings(&deployment, &forwarding)),
        ["interface eth0 does not forward IPv6, so replies to clients of service ams/https, which uses nat, may be \
          lost; switch it on with `sysctl -w net.ipv6.conf.all.forwarding=1`, and in /etc/sysctl.d to keep it; where \
          this host gets its route by router advertisements, set accept_ra=2 on that interface too"]
    );
}

#[test]
fn both_families_are_looked_at() {
    let mut deployment = deployment();
    let both = |v4: &str, v6: &str| Addresses::Both(v4.parse().unwrap(), v6.parse().unwrap());
    deployment.arrays[0].services[0].vip = both("10.1.0.100", "2001:db8:1::100");
    deployment.arrays[0].servers[1].address = both("10.1.0.12", "2001:db8:1::2");
    let mut links = host();
    links[1].addresses.push(("2001:db8:1::100".parse().unwrap(), 128));
    links[2].addresses.push(("fe80::1".parse().unwrap(), 64));
    assert_eq!(
        told(&preflight(&deployment, &links)),
        [
            "the VIP 2001:db8:1::100 of service ams/https is configured on eth0, which caslb does not need; unless a \
          routing daemon or keepalived wants it there, remove it with `ip address del 2001:db8:1::100/128 dev eth0`",
            "! the address 2001:db8:1::2 of server EX02 in array ams is this host's own, on eth0; give the server's \
          address"
        ]
    );
    links[1].addresses.pop();
    links[2].addresses.push(("2001:db8:1::100".parse().unwrap(), 128));
    let problems = preflight(&deployment, &links);
    assert_eq!(problems[0].severity(), Severity::Error, "a link-local address is no network of its own");
}

#[test]
fn strict_source_checks_are_a_warning_where_nat_is_in_use() {
    let mut deployment = deployment();
    deployment.node.interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    let of = |interface: &str, strict_sources| Forwarding {
        interface: interface.to_owned(),
        v4: Some(true),
        v6: Some(true),
        strict_sources,
    };
    let host = [of("eth0", false), of("eth1", true), of("eth2", true)];
    assert_eq!(forwarding_warnings(&deployment, &host), [], "dsr does not mind");
    deployment.arrays[0].services[0].mode = Mode::Nat;
    let service = "ams/https".to_owned();
    let expected = [Problem::StrictSources { interface: "eth1".to_owned(), service }];
    assert_eq!(forwarding_warnings(&deployment, &host), expected);
    assert_eq!(expected[0].severity(), Severity::Warning);
}
