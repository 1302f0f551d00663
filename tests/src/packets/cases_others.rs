//! Packets that are for a VIP but for no service, and everything that is none of caslb's business.

use lb_common::Reason::{UnknownPassed, UnknownPort, UnknownProtocol};

use super::{
    Case, case, dropped,
    frames::{IP, echo_request, other, tcp, udp},
    ignored, passed,
    tables::{
        BROADCAST_MAC, CLIENT, DNS_PORT, HTTPS_PORT, NEIGHBOUR, NEIGHBOUR_MAC, NO_SERVICE, NO_VIP, OWN, ROUTER_MAC,
        SERVER_HTTPS_PORT, Setup, VIP,
    },
};

pub(super) fn cases() -> Vec<Case> {
    [unknown(), not_ours()].concat()
}

fn unknown() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, frame, reason) in [
        ("a port without a service", tcp().to((VIP, 80)), UnknownPort),
        ("a SYN to a port without a service", tcp().syn().to((VIP, 25)), UnknownPort),
        ("a UDP port without a service", udp().to((VIP, 123)), UnknownPort),
        ("the port of the UDP service by TCP", tcp().to((VIP, DNS_PORT)), UnknownPort),
        ("the port of the TCP service by UDP", udp().to((VIP, HTTPS_PORT)), UnknownPort),
        ("the servers' port at the VIP", tcp().to((VIP, SERVER_HTTPS_PORT)), UnknownPort),
        ("GRE", other(47, &[0; 24]), UnknownProtocol),
        ("ESP without a byte of it", other(50, &[]), UnknownProtocol),
        ("SCTP", other(132, &[0; 12]), UnknownProtocol),
    ] {
        for setup in [Setup::Dsr, Setup::Nat, Setup::Withdrawn] {
            cases.push(case(
                setup,
                &format!("{what} is dropped, {setup:?}"),
                frame.clone(),
                dropped(NO_SERVICE, reason),
            ));
        }
        cases.push(case(
            Setup::PassUnknown,
            &format!("{what} is passed where the configuration says so"),
            frame,
            passed(NO_SERVICE, UnknownPassed),
        ));
    }
    cases
}

fn not_ours() -> Vec<Case> {
    let ether_type = |ether_type: u16| tcp().patched(12, &ether_type.to_be_bytes());
    let mut cases = Vec::new();
    for setup in [Setup::Dsr, Setup::Nat, Setup::PassUnknown] {
        for (what, frame) in [
            ("a segment to another address", tcp().to((NO_VIP, HTTPS_PORT)).bytes()),
            ("a segment to the balancer's own address", tcp().to((OWN, HTTPS_PORT)).bytes()),
            ("a datagram between others", udp().from((NEIGHBOUR, 1)).to((CLIENT, 2)).bytes()),
            ("another protocol to another address", other(47, &[0; 24]).to((NO_VIP, 0)).bytes()),
            ("a frame for another MAC address", tcp().link(ROUTER_MAC, NEIGHBOUR_MAC).bytes()),
            (
                "an echo request for another MAC address",
                echo_request(1, 1, b"").link(ROUTER_MAC, NEIGHBOUR_MAC).bytes(),
            ),
            ("a broadcast frame to the VIP", tcp().link(ROUTER_MAC, BROADCAST_MAC).bytes()),
            ("a multicast frame to the VIP", udp().link(ROUTER_MAC, [1, 0, 0x5e, 0, 0, 1]).bytes()),
            ("a broadcast echo request", echo_request(1, 1, b"").link(ROUTER_MAC, BROADCAST_MAC).bytes()),
            (
                "a malformed frame for another MAC address",
                tcp().link(ROUTER_MAC, NEIGHBOUR_MAC).patched(IP, &[0]).bytes(),
            ),
            ("IPv4 under the EtherType of IPv6", ether_type(0x86dd).bytes()),
            ("LLDP", ether_type(0x88cc).bytes()),
            ("a length instead of an EtherType", ether_type(100).bytes()),
            ("an ARP packet that is none", tcp().patched(12, &[0x08, 0x06]).bytes()),
            ("an Ethernet header alone", tcp().bytes()[..IP].to_vec()),
        ] {
            cases.push(case(setup, &format!("{what} passes, {setup:?}"), frame, ignored()));
        }
    }
    cases
}
