//! IPv6 packets to a service: which server gets them, and what their headers may look like.

use lb_common::Reason::{self, BadHeader, BadLength, Extensions, Fragment, Martian, Truncated};

use super::{
    Case, case, cut_everywhere, dropped,
    frames::IP,
    frames6::{
        ATOMIC, AUTHENTICATION, DESTINATION, DESTINATION6, Extension, HOP_BY_HOP, Packet6, ROUTING, TRANSPORT6,
        echo_request6, icmp6, other6, tcp6, udp6,
    },
    ignored, passed, steered,
    tables::{
        BROADCAST_MAC, CLIENT_PORT, CLIENT6, DNS, DNS_PORT, EX01, EX02, EX03, HTTPS, HTTPS_PORT, NEIGHBOUR_MAC,
        NO_SERVICE, NO_VIP6, OWN_MAC, OWN6, ROUTER_MAC, SERVER_HTTPS_PORT, Setup, VIP6, WAN_MAC,
    },
};

/// Each kind of extension header that is looked through.
const KINDS: [(&str, Extension); 5] = [
    ("hop-by-hop options", HOP_BY_HOP),
    ("a routing header without stops left", ROUTING),
    ("an atomic fragment header", ATOMIC),
    ("an authentication header", AUTHENTICATION),
    ("destination options", DESTINATION),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = [dsr(), spread(), extensions(), unknown()].concat();
    for (what, frame, reason) in flawed() {
        cases.push(case(Setup::Dsr, &what, frame.clone(), dropped(NO_SERVICE, reason)));
        cases.push(case(Setup::Nat, &format!("{what}, in mode nat"), frame.clone(), dropped(NO_SERVICE, reason)));
        let passing = dropped(NO_SERVICE, reason);
        cases.push(case(
            Setup::PassUnknown,
            &format!("{what}, whatever happens to unknown ports"),
            frame.clone(),
            passing,
        ));
        let elsewhere = frame.patched(DESTINATION6, &NO_VIP6);
        cases.push(case(Setup::Dsr, &format!("{what}, but for no VIP"), elsewhere.clone(), ignored()));
        cases.push(case(Setup::Nat, &format!("{what}, but for no VIP, in mode nat"), elsewhere, ignored()));
    }
    let for_vip = |length| if length < TRANSPORT6 { ignored() } else { dropped(NO_SERVICE, Truncated) };
    for setup in [Setup::Dsr, Setup::Nat] {
        for (what, frame) in [
            ("an IPv6 segment", tcp6()),
            ("an IPv6 datagram", udp6()),
            ("an IPv6 segment behind extension headers", tcp6().behind(&[HOP_BY_HOP, DESTINATION])),
            ("an IPv6 echo request", echo_request6(1, 1, b"abc")),
        ] {
            cases.extend(cut_everywhere(setup, &format!("{what}, {setup:?}"), frame, for_vip));
        }
    }
    cases
}

fn to_ex01(packet: Packet6) -> Packet6 {
    packet.link(OWN_MAC, EX01.mac)
}

/// Steered to EX01 as it is but for the MAC addresses.
fn good(what: &str, service: u32, frame: Packet6) -> Case {
    case(Setup::Dsr, what, frame.clone(), steered(service, &EX01, to_ex01(frame)))
}

fn dsr() -> Vec<Case> {
    vec![
        good("an IPv6 segment gets the server's MAC address and nothing else", HTTPS, tcp6()),
        good("so does an IPv6 SYN", HTTPS, tcp6().syn()),
        good("so does an IPv6 datagram", DNS, udp6()),
        good("a hop limit of 1 does for dsr", HTTPS, tcp6().hops(1)),
        good("an IPv6 datagram without a checksum is the server's to judge", DNS, udp6().without_checksum()),
        good("an IPv6 packet that ends before the frame does", DNS, udp6().padded(9)),
        good("any traffic class", HTTPS, tcp6().class(0xff)),
        good("fe80::1 is an ordinary source", HTTPS, tcp6().from((link_local(), 1))),
        case(
            Setup::DsrOtherNic,
            "an IPv6 packet to a server behind another NIC is sent by that NIC",
            tcp6(),
            steered(HTTPS, &EX03, tcp6().link(WAN_MAC, EX03.mac)),
        ),
        case(Setup::Withdrawn, "IPv6 to a service without a table", tcp6(), dropped(HTTPS, Reason::NoServer)),
        case(Setup::EmptySlots, "IPv6 to an empty slot", tcp6(), dropped(HTTPS, Reason::NoServer)),
        case(Setup::NoPath, "IPv6 to a server without a known way", tcp6(), dropped(HTTPS, Reason::NoPath)),
        case(Setup::Contradiction, "IPv6 to a server that does not exist", tcp6(), dropped(HTTPS, Reason::Defect)),
        case(
            Setup::NotAnnounced,
            "IPv6 is steered where routers send the VIP here",
            tcp6(),
            steered(HTTPS, &EX01, to_ex01(tcp6())),
        ),
    ]
}

/// Which server an IPv6 flow gets; the slots were computed apart from the engine, as in `cases_steering`.
fn spread() -> Vec<Case> {
    let to = |slot: u32| if slot.is_multiple_of(2) { EX01 } else { EX02 };
    let mut cases = Vec::new();
    for (offset, tcp_slot, udp_slot) in
        [(0u16, 224, 141), (1, 108, 62), (2, 180, 119), (3, 136, 121), (4, 174, 170), (5, 13, 245), (6, 115, 61)]
    {
        let port = CLIENT_PORT + offset;
        for (service, slot, packet) in [(HTTPS, tcp_slot, tcp6()), (DNS, udp_slot, udp6())] {
            let (server, packet) = (to(slot), packet.from((CLIENT6, port)));
            cases.push(case(
                Setup::Spread,
                &format!("the IPv6 flow from port {port} to service {service} has slot {slot}"),
                packet.clone(),
                steered(service, &server, packet.link(OWN_MAC, server.mac)),
            ));
        }
    }
    for (last, slot) in [(0x50u8, 241u32), (0x51, 122), (0x52, 211), (0x53, 224), (0x54, 7), (0x55, 49), (0x56, 208)] {
        let mut client = CLIENT6;
        client[15] = last;
        let server = to(slot);
        for (service, packet) in [(HTTPS, tcp6()), (DNS, udp6())] {
            for port in [1, CLIENT_PORT, 65_535] {
                let packet = packet.clone().from((client, port));
                cases.push(case(
                    Setup::SpreadByClient,
                    &format!("service {service}: the client 2001:db8:ff:1::{last:x} has slot {slot}, from {port} too"),
                    packet.clone(),
                    steered(service, &server, packet.link(OWN_MAC, server.mac)),
                ));
            }
        }
    }
    cases
}

fn extensions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, extension) in KINDS {
        cases.push(good(&format!("a segment behind {what}"), HTTPS, tcp6().behind(&[extension])));
        cases.push(good(&format!("a datagram behind {what}"), DNS, udp6().behind(&[extension])));
        cases.push(good(&format!("a segment behind {what}, twice"), HTTPS, tcp6().behind(&[extension, extension])));
    }
    let all = KINDS.map(|(_, extension)| extension);
    cases.push(good("a segment behind one of each kind", HTTPS, tcp6().behind(&all)));
    cases.push(good("five are looked through", DNS, udp6().behind(&[DESTINATION; 5])));
    cases
}

fn flawed() -> Vec<(String, Packet6, Reason)> {
    const LONG: Extension = (60, &[9, 1, 4, 0, 0, 0, 0]);
    const LONGEST: Extension = (0, &[255, 1, 4, 0, 0, 0, 0]);
    const LONG_AUTHENTICATION: Extension = (51, &[200, 0, 0, 0, 0, 0, 0]);
    const STOPS_LEFT: Extension = (43, &[0, 0, 1, 0, 0, 0, 0]);
    const FIRST: Extension = (44, &[0, 0, 1, 0, 0, 0, 1]);
    const MIDDLE: Extension = (44, &[0, 5, 0xa9, 0, 0, 0, 1]);
    const LAST: Extension = (44, &[0, 5, 0xa8, 0, 0, 0, 1]);
    let mut flawed = vec![
        ("IP version 4 under the EtherType of IPv6", tcp6().patched(IP, &[0x45]), BadHeader),
        ("IP version 15 under the EtherType of IPv6", tcp6().patched(IP, &[0xf0]), BadHeader),
        ("a payload length beyond the frame", tcp6().patched(IP + 4, &[0, 26]), Truncated),
        ("the longest payload length", tcp6().patched(IP + 4, &[0xff, 0xff]), Truncated),
        ("a payload length that ends within the TCP header", tcp6().patched(IP + 4, &[0, 19]), Truncated),
        ("a payload length that ends within the UDP header", udp6().patched(IP + 4, &[0, 7]), Truncated),
        ("an IPv6 packet without payload", tcp6().patched(IP + 4, &[0, 0]), Truncated),
        ("a TCP offset within its header in IPv6", tcp6().patched(TRANSPORT6 + 12, &[0x40]), BadLength),
        ("a TCP offset beyond the IPv6 packet", tcp6().patched(TRANSPORT6 + 12, &[0xf0]), BadLength),
        ("a UDP length below 8 in IPv6", udp6().patched(TRANSPORT6 + 4, &[0, 7]), BadLength),
        ("a UDP length beyond the IPv6 packet", udp6().patched(TRANSPORT6 + 4, &[0, 14]), BadLength),
        ("six extension headers", tcp6().behind(&[DESTINATION; 6]), Extensions),
        ("seven extension headers", tcp6().behind(&[HOP_BY_HOP; 7]), Extensions),
        ("an extension header that is longer than the packet", tcp6().behind(&[LONG]), BadLength),
        ("the longest extension header", tcp6().behind(&[LONGEST]), BadLength),
        ("an authentication header that is longer than the packet", tcp6().behind(&[LONG_AUTHENTICATION]), BadLength),
        ("an extension header that only the padding could hold", other6(60, &[]).padded(16), BadLength),
        ("an extension header without a byte of it", other6(0, &[]), Truncated),
        ("half an extension header", other6(60, &[6, 0, 1, 4]), Truncated),
        ("a routing header with stops left", tcp6().behind(&[STOPS_LEFT]), BadHeader),
        ("the first fragment of an IPv6 packet", tcp6().behind(&[FIRST]), Fragment),
        ("a fragment in the middle of an IPv6 packet", udp6().behind(&[MIDDLE]), Fragment),
        ("the last fragment of an IPv6 packet", udp6().behind(&[LAST]), Fragment),
        ("a fragment behind hop-by-hop options", udp6().behind(&[HOP_BY_HOP, FIRST]), Fragment),
        ("an IPv6 source that is the destination", tcp6().from((VIP6, 443)), Martian),
    ]
    .into_iter()
    .map(|(what, frame, reason)| (what.to_owned(), frame, reason))
    .collect::<Vec<_>>();
    for source in ["::", "::1", "ff02::1", "ff0e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
        let address = source.parse::<std::net::Ipv6Addr>().expect("an address").octets();
        flawed.push((format!("a packet from {source}"), tcp6().from((address, 40_000)), Martian));
        flawed.push((format!("an echo request from {source}"), echo_request6(1, 1, b"").from((address, 0)), Martian));
    }
    flawed
}

fn unknown() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, frame, reason) in [
        ("an IPv6 port without a service", tcp6().to((VIP6, 80)), Reason::UnknownPort),
        ("the port of the UDP service by TCP in IPv6", tcp6().to((VIP6, DNS_PORT)), Reason::UnknownPort),
        ("the servers' port at the IPv6 VIP", tcp6().to((VIP6, SERVER_HTTPS_PORT)), Reason::UnknownPort),
        ("GRE in IPv6", other6(47, &[0; 24]), Reason::UnknownProtocol),
        ("ESP in IPv6", other6(50, &[0; 8]), Reason::UnknownProtocol),
        ("IPv6 without a next header", other6(59, &[]), Reason::UnknownProtocol),
        ("ICMP of IPv4 in IPv6", other6(1, &[8, 0, 0, 0, 0, 0, 0, 0]), Reason::UnknownProtocol),
        (
            "an unknown protocol behind an extension header",
            other6(99, &[1]).behind(&[DESTINATION]),
            Reason::UnknownProtocol,
        ),
    ] {
        for setup in [Setup::Dsr, Setup::Nat, Setup::Withdrawn] {
            let what = format!("{what} is dropped, {setup:?}");
            cases.push(case(setup, &what, frame.clone(), dropped(NO_SERVICE, reason)));
        }
        let what = format!("{what} is passed where the configuration says so");
        cases.push(case(Setup::PassUnknown, &what, frame, passed(NO_SERVICE, Reason::UnknownPassed)));
    }
    for setup in [Setup::Dsr, Setup::Nat] {
        for (what, frame) in [
            ("an IPv6 segment to another address", tcp6().to((NO_VIP6, HTTPS_PORT))),
            ("an IPv6 segment to the balancer's own address", tcp6().to((OWN6, HTTPS_PORT))),
            ("an IPv6 frame for another MAC address", tcp6().link(ROUTER_MAC, NEIGHBOUR_MAC)),
            ("a broadcast IPv6 frame to the VIP", tcp6().link(ROUTER_MAC, BROADCAST_MAC)),
            ("a multicast IPv6 frame to the VIP", tcp6().link(ROUTER_MAC, [0x33, 0x33, 0, 0, 0, 1])),
            ("a multicast echo request", echo_request6(1, 1, b"").link(ROUTER_MAC, [0x33, 0x33, 0, 0, 0, 1])),
            (
                "a router advertisement",
                icmp6(134, 0, [64, 0, 0, 0], &[0; 8]).link(ROUTER_MAC, [0x33, 0x33, 0, 0, 0, 1]),
            ),
        ] {
            cases.push(case(setup, &format!("{what} passes, {setup:?}"), frame, ignored()));
        }
    }
    cases
}

fn link_local() -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[1], address[15]) = (0xfe, 0x80, 1);
    address
}
