//! IPv6 in mode `nat`: to the server, back to the client, and connections to the servers' own addresses.

use lb_common::Reason;

use super::{
    Case, case, cut_everywhere, dropped,
    frames6::{ATOMIC, AUTHENTICATION, DESTINATION, HOP_BY_HOP, Packet6, ROUTING, tcp6, udp6},
    ignored, passed, passed_as, sent, sequence, steered, step,
    tables::{
        CLIENT_PORT, CLIENT6, DNS, DNS_PORT, EX01, EX02, EX03, HTTPS, HTTPS_PORT, LAN, NARROW_CLIENT6, NEIGHBOUR6,
        OWN_MAC, OWN6, ROUTER_MAC, SERVER_DNS_PORT, SERVER_HTTPS_PORT, Setup, UNREACHABLE_CLIENT6, UNRESOLVED_CLIENT6,
        VIP6, WAN, WAN_CLIENT6, WAN_MAC, WAN_ROUTER_MAC,
    },
};

/// What a packet with hop limit 57 has left after one hop.
const ONE_HOP_LESS: u8 = 56;

pub(super) fn cases() -> Vec<Case> {
    [to_servers(), replies(), replies_by_route(), direct_connections()].concat()
}

/// As EX01 gets it.
fn at_ex01(packet: Packet6, port: u16) -> Packet6 {
    packet.to((EX01.address6, port)).link(OWN_MAC, EX01.mac).hops(ONE_HOP_LESS)
}

fn tcp_reply() -> Packet6 {
    tcp6().from((EX01.address6, SERVER_HTTPS_PORT)).to((CLIENT6, CLIENT_PORT)).link(EX01.mac, OWN_MAC)
}

fn udp_reply() -> Packet6 {
    udp6().from((EX01.address6, SERVER_DNS_PORT)).to((CLIENT6, CLIENT_PORT)).link(EX01.mac, OWN_MAC)
}

/// As the client gets it through the router on the LAN.
fn at_client(packet: Packet6, port: u16) -> Packet6 {
    packet.from((VIP6, port)).link(OWN_MAC, ROUTER_MAC).hops(ONE_HOP_LESS)
}

fn to_servers() -> Vec<Case> {
    let mut cases = vec![
        case(
            Setup::Nat,
            "an IPv6 segment gets the server's address and port, one hop less, and a right checksum",
            tcp6(),
            steered(HTTPS, &EX01, at_ex01(tcp6(), SERVER_HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "so does an IPv6 SYN",
            tcp6().syn(),
            steered(HTTPS, &EX01, at_ex01(tcp6().syn(), SERVER_HTTPS_PORT)),
        ),
        case(Setup::Nat, "so does an IPv6 datagram", udp6(), steered(DNS, &EX01, at_ex01(udp6(), SERVER_DNS_PORT))),
        case(
            Setup::Nat,
            "an IPv6 datagram without checksum stays without one",
            udp6().without_checksum(),
            steered(DNS, &EX01, at_ex01(udp6().without_checksum(), SERVER_DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "the traffic class and padding are kept",
            tcp6().class(0xb8).padded(7),
            steered(HTTPS, &EX01, at_ex01(tcp6().class(0xb8).padded(7), SERVER_HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "the last IPv6 hop that can be taken is taken",
            tcp6().hops(2),
            steered(HTTPS, &EX01, at_ex01(tcp6(), SERVER_HTTPS_PORT).hops(1)),
        ),
        case(Setup::Nat, "a hop limit of 1 is used up", tcp6().hops(1), dropped(HTTPS, Reason::TtlExpired)),
        case(Setup::Nat, "a hop limit of 0 is used up", udp6().hops(0), dropped(DNS, Reason::TtlExpired)),
        case(
            Setup::NatOtherNic,
            "an IPv6 server behind another NIC is sent to by that NIC",
            tcp6(),
            steered(
                HTTPS,
                &EX03,
                tcp6().to((EX03.address6, SERVER_HTTPS_PORT)).link(WAN_MAC, EX03.mac).hops(ONE_HOP_LESS),
            ),
        ),
    ];
    for extension in [HOP_BY_HOP, ROUTING, ATOMIC, AUTHENTICATION, DESTINATION] {
        let segment = tcp6().behind(&[extension]);
        cases.push(case(
            Setup::Nat,
            &format!("a segment behind extension header {} is rewritten", extension.0),
            segment.clone(),
            steered(HTTPS, &EX01, at_ex01(segment, SERVER_HTTPS_PORT)),
        ));
    }
    for byte in 0..=255 {
        let datagram = udp6().payload(&[0xff, byte]);
        cases.push(case(
            Setup::Nat,
            &format!("the checksum of an IPv6 datagram with payload byte {byte:#04x} is right"),
            datagram.clone(),
            steered(DNS, &EX01, at_ex01(datagram, SERVER_DNS_PORT)),
        ));
    }
    cases.push(zero_checksum());
    cases
}

/// A datagram whose sum becomes zero on the way: 0xffff must be sent (RFC 8200, section 8.1).
fn zero_checksum() -> Case {
    let datagram = |word: u16| udp6().payload(&word.to_be_bytes());
    let sum = |packet: Packet6| {
        let bytes = packet.bytes();
        u16::from_be_bytes([bytes[60], bytes[61]])
    };
    let word = (0..=u16::MAX).find(|&word| sum(at_ex01(datagram(word), SERVER_DNS_PORT)) == 0xffff);
    let word = word.expect("one of all words makes the sum zero");
    case(
        Setup::Nat,
        "an IPv6 checksum that comes out as 0 is sent as 0xffff",
        datagram(word),
        steered(DNS, &EX01, at_ex01(datagram(word), SERVER_DNS_PORT)),
    )
}

fn replies() -> Vec<Case> {
    let mut cases = vec![
        case(
            Setup::Nat,
            "an IPv6 segment from a server leaves with the VIP as its source, by the route to the client",
            tcp_reply(),
            sent(LAN, HTTPS, Reason::Replied, at_client(tcp_reply(), HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "so does an IPv6 datagram from a server",
            udp_reply(),
            sent(LAN, DNS, Reason::Replied, at_client(udp_reply(), DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "extension headers and padding are kept on the way back",
            udp_reply().behind(&[HOP_BY_HOP, DESTINATION]).padded(3),
            sent(
                LAN,
                DNS,
                Reason::Replied,
                at_client(udp_reply().behind(&[HOP_BY_HOP, DESTINATION]).padded(3), DNS_PORT),
            ),
        ),
        case(
            Setup::Nat,
            "another server of the array replies by IPv6 as well",
            tcp_reply().from((EX02.address6, SERVER_HTTPS_PORT)).link(EX02.mac, OWN_MAC),
            sent(LAN, HTTPS, Reason::Replied, at_client(tcp_reply(), HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "an IPv6 reply with a hop limit of 1 is used up",
            tcp_reply().hops(1),
            dropped(HTTPS, Reason::TtlExpired),
        ),
        case(
            Setup::Nat,
            "what a server sends by IPv6 from a port of its own is not ours",
            tcp_reply().from((EX01.address6, 55_555)),
            ignored(),
        ),
        case(
            Setup::Nat,
            "an IPv6 host that is no server does not reply for the VIP",
            tcp_reply().from((NEIGHBOUR6, SERVER_HTTPS_PORT)),
            ignored(),
        ),
        case(Setup::Dsr, "without nat nobody looks for IPv6 replies", tcp_reply(), ignored()),
    ];
    cases.extend(cut_everywhere(Setup::Nat, "an IPv6 reply in mode nat", tcp_reply(), |_| ignored()));
    cases
}

fn replies_by_route() -> Vec<Case> {
    let to = |client| tcp_reply().to((client, CLIENT_PORT));
    let large = |bytes: usize| udp_reply().to((NARROW_CLIENT6, CLIENT_PORT)).payload(&vec![0x33; bytes]);
    // IPv6 and UDP headers take 48 of the 1280 bytes.
    vec![
        case(
            Setup::Nat,
            "an IPv6 client behind the other NIC is sent to by that NIC",
            to(WAN_CLIENT6),
            sent(WAN, HTTPS, Reason::Replied, at_client(to(WAN_CLIENT6), HTTPS_PORT).link(WAN_MAC, WAN_ROUTER_MAC)),
        ),
        case(
            Setup::Nat,
            "with an unknown IPv6 next hop the stack gets the rewritten reply, and takes the hop itself",
            to(UNRESOLVED_CLIENT6),
            passed_as(HTTPS, Reason::ReplyNoNeighbour, to(UNRESOLVED_CLIENT6).from((VIP6, HTTPS_PORT))),
        ),
        case(
            Setup::Nat,
            "an IPv6 reply to the balancer itself is left alone",
            to(OWN6),
            passed(HTTPS, Reason::ReplyLocal),
        ),
        case(
            Setup::Nat,
            "an IPv6 client that cannot be reached is the stack's to tell about",
            to(UNREACHABLE_CLIENT6),
            passed(HTTPS, Reason::ReplyLocal),
        ),
        case(
            Setup::NatForwardingOff,
            "a NIC that does not forward IPv6 passes replies, with a reason of its own",
            to(CLIENT6),
            passed(HTTPS, Reason::ReplyForwardingOff),
        ),
        case(
            Setup::Nat,
            "an IPv6 reply that fits a narrow way is sent",
            large(1232),
            sent(LAN, DNS, Reason::Replied, at_client(large(1232), DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "an IPv6 reply that is too large is passed as it is: the stack tells the server",
            large(1233),
            passed(DNS, Reason::ReplyTooLarge),
        ),
    ]
}

/// Connections that a client makes to a server's own address, with the balancer as the router between them.
fn direct_connections() -> Vec<Case> {
    let client = |port| (CLIENT6, port);
    let direct = |port| tcp6().from(client(port)).to((EX01.address6, SERVER_HTTPS_PORT));
    let reply = |port| tcp_reply().to(client(port));
    let replied = |port| sent(LAN, HTTPS, Reason::Replied, at_client(reply(port), HTTPS_PORT));
    let through_vip = |port| tcp6().syn().from(client(port));
    let steered_on = |port| steered(HTTPS, &EX01, at_ex01(through_vip(port), SERVER_HTTPS_PORT));
    vec![
        sequence(
            Setup::Nat,
            "replies of a direct IPv6 connection pass untouched until its port is used through the VIP",
            vec![
                step(direct(41_000).syn(), ignored()),
                step(reply(41_000).syn_ack(), passed(HTTPS, Reason::ReplyDirect)),
                step(reply(41_000), passed(HTTPS, Reason::ReplyDirect)),
                step(reply(41_001), replied(41_001)),
                step(through_vip(41_000), steered_on(41_000)),
                step(reply(41_000), replied(41_000)),
            ],
        ),
        sequence(
            Setup::Nat,
            "only a SYN makes a direct IPv6 connection",
            vec![step(direct(41_002), ignored()), step(reply(41_002), replied(41_002))],
        ),
    ]
}
