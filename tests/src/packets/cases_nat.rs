//! Mode `nat`: to the server, back to the client, and connections to the servers' own addresses.

use lb_common::Reason;

use super::{
    Case, case, cut_everywhere, dropped,
    frames::{Packet, tcp, udp},
    ignored, passed, passed_as, sent, sequence, steered, step,
    tables::{
        CLIENT, CLIENT_PORT, DNS, DNS_PORT, EX01, EX02, EX03, HTTPS, HTTPS_PORT, LAN, NARROW_CLIENT, NEIGHBOUR,
        NEIGHBOUR_MAC, OWN, OWN_MAC, ROUTER_MAC, SERVER_DNS_PORT, SERVER_HTTPS_PORT, Setup, UNREACHABLE_CLIENT,
        UNRESOLVED_CLIENT, VIP, WAN, WAN_CLIENT, WAN_MAC, WAN_ROUTER_MAC,
    },
};

/// What a packet with TTL 57 has left after one hop.
const ONE_HOP_LESS: u8 = 56;

pub(super) fn cases() -> Vec<Case> {
    [to_servers(), replies(), replies_by_route(), direct_connections()].concat()
}

/// As EX01 gets it.
fn at_ex01(packet: Packet, port: u16) -> Packet {
    packet.to((EX01.address, port)).link(OWN_MAC, EX01.mac).ttl(ONE_HOP_LESS)
}

/// A segment of EX01's TCP service to the client, as the server sends it.
fn tcp_reply() -> Packet {
    tcp().from((EX01.address, SERVER_HTTPS_PORT)).to((CLIENT, CLIENT_PORT)).link(EX01.mac, OWN_MAC)
}

/// A datagram of EX01's UDP service to the client, as the server sends it.
fn udp_reply() -> Packet {
    udp().from((EX01.address, SERVER_DNS_PORT)).to((CLIENT, CLIENT_PORT)).link(EX01.mac, OWN_MAC)
}

/// As the client gets it through the router on the LAN.
fn at_client(packet: Packet, port: u16) -> Packet {
    packet.from((VIP, port)).link(OWN_MAC, ROUTER_MAC).ttl(ONE_HOP_LESS)
}

fn to_servers() -> Vec<Case> {
    let mut cases = vec![
        case(
            Setup::Nat,
            "a segment gets the server's address and port, one hop less, and right checksums",
            tcp(),
            steered(HTTPS, &EX01, at_ex01(tcp(), SERVER_HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "so does a SYN",
            tcp().syn().tcp_options(&[2, 4, 5, 0xb4]),
            steered(HTTPS, &EX01, at_ex01(tcp().syn().tcp_options(&[2, 4, 5, 0xb4]), SERVER_HTTPS_PORT)),
        ),
        case(Setup::Nat, "so does a datagram", udp(), steered(DNS, &EX01, at_ex01(udp(), SERVER_DNS_PORT))),
        case(
            Setup::Nat,
            "a datagram of odd length too",
            udp().payload(b"seven.."),
            steered(DNS, &EX01, at_ex01(udp().payload(b"seven.."), SERVER_DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "a datagram without checksum stays without one",
            udp().without_checksum(),
            steered(DNS, &EX01, at_ex01(udp().without_checksum(), SERVER_DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "IPv4 options and the type of service are kept",
            tcp().options(&[7, 7, 4, 0, 0, 0, 0, 1]).dscp(46),
            steered(HTTPS, &EX01, at_ex01(tcp().options(&[7, 7, 4, 0, 0, 0, 0, 1]).dscp(46), SERVER_HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "padding is kept and not part of the checksum",
            tcp().payload(&[]).padded(6),
            steered(HTTPS, &EX01, at_ex01(tcp().payload(&[]).padded(6), SERVER_HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "the last hop that can be taken is taken",
            tcp().ttl(2),
            steered(HTTPS, &EX01, at_ex01(tcp(), SERVER_HTTPS_PORT).ttl(1)),
        ),
        case(Setup::Nat, "a TTL of 1 is used up", tcp().ttl(1), dropped(HTTPS, Reason::TtlExpired)),
        case(Setup::Nat, "a TTL of 0 is used up", udp().ttl(0), dropped(DNS, Reason::TtlExpired)),
        case(
            Setup::NatOtherNic,
            "a server behind another NIC is sent to by that NIC",
            tcp(),
            steered(
                HTTPS,
                &EX03,
                tcp().to((EX03.address, SERVER_HTTPS_PORT)).link(WAN_MAC, EX03.mac).ttl(ONE_HOP_LESS),
            ),
        ),
    ];
    // Among 256 payloads that differ in one byte, checksums of every low byte come by, those at the borders among them.
    for byte in 0..=255 {
        cases.push(case(
            Setup::Nat,
            &format!("the checksum of a datagram with payload byte {byte:#04x} is right"),
            udp().payload(&[0xff, byte]),
            steered(DNS, &EX01, at_ex01(udp().payload(&[0xff, byte]), SERVER_DNS_PORT)),
        ));
    }
    cases.push(zero_checksum());
    cases
}

/// A datagram whose sum becomes zero on the way: what is computed is 0, which would say "no checksum", so 0xffff must be
/// sent (RFC 768).
fn zero_checksum() -> Case {
    let datagram = |word: u16| udp().payload(&word.to_be_bytes());
    let sum = |packet: Packet| {
        let bytes = packet.bytes();
        u16::from_be_bytes([bytes[40], bytes[41]])
    };
    let word = (0..=u16::MAX).find(|&word| sum(at_ex01(datagram(word), SERVER_DNS_PORT)) == 0xffff);
    let word = word.expect("one of all words makes the sum zero");
    case(
        Setup::Nat,
        "a checksum that comes out as 0 is sent as 0xffff",
        datagram(word),
        steered(DNS, &EX01, at_ex01(datagram(word), SERVER_DNS_PORT)),
    )
}

fn replies() -> Vec<Case> {
    let mut cases = vec![
        case(
            Setup::Nat,
            "a segment from a server leaves with the VIP as its source, by the route to the client",
            tcp_reply(),
            sent(LAN, HTTPS, Reason::Replied, at_client(tcp_reply(), HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "so does the SYN that accepts a connection",
            tcp_reply().syn_ack(),
            sent(LAN, HTTPS, Reason::Replied, at_client(tcp_reply().syn_ack(), HTTPS_PORT)),
        ),
        case(
            Setup::Nat,
            "so does a datagram from a server",
            udp_reply(),
            sent(LAN, DNS, Reason::Replied, at_client(udp_reply(), DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "a datagram without checksum stays without one on the way back",
            udp_reply().without_checksum(),
            sent(LAN, DNS, Reason::Replied, at_client(udp_reply().without_checksum(), DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "IPv4 options and padding are kept on the way back",
            udp_reply().options(&[1; 8]).padded(3),
            sent(LAN, DNS, Reason::Replied, at_client(udp_reply().options(&[1; 8]).padded(3), DNS_PORT)),
        ),
        case(
            Setup::Nat,
            "another server of the array replies as well, though no slot names it",
            tcp_reply().from((EX02.address, SERVER_HTTPS_PORT)).link(EX02.mac, OWN_MAC),
            sent(LAN, HTTPS, Reason::Replied, at_client(tcp_reply(), HTTPS_PORT)),
        ),
        case(Setup::Nat, "a reply with a TTL of 1 is used up", tcp_reply().ttl(1), dropped(HTTPS, Reason::TtlExpired)),
        case(
            Setup::Nat,
            "what a server sends from a port of its own is not ours",
            tcp_reply().from((EX01.address, 55_555)),
            ignored(),
        ),
        case(
            Setup::Nat,
            "the port of the VIP is not the server's",
            tcp_reply().from((EX01.address, HTTPS_PORT)),
            ignored(),
        ),
        case(
            Setup::Nat,
            "a port of the UDP service says nothing about TCP",
            tcp_reply().from((EX01.address, SERVER_DNS_PORT)),
            ignored(),
        ),
        case(
            Setup::Nat,
            "a host that is no server does not reply for the VIP",
            tcp_reply().from((NEIGHBOUR, SERVER_HTTPS_PORT)),
            ignored(),
        ),
        case(
            Setup::Nat,
            "a reply that is addressed to another MAC is not ours",
            tcp_reply().link(EX01.mac, NEIGHBOUR_MAC),
            ignored(),
        ),
        case(Setup::Nat, "a fragment from a server is not ours", udp_reply().fragment(0, true), ignored()),
        case(Setup::Dsr, "without nat nobody looks for replies", tcp_reply(), ignored()),
    ];
    cases.extend(cut_everywhere(Setup::Nat, "a reply in mode nat", tcp_reply(), |_| ignored()));
    cases
}

fn replies_by_route() -> Vec<Case> {
    let to = |client| tcp_reply().to((client, CLIENT_PORT));
    let large = |client| udp_reply().to((client, CLIENT_PORT)).payload(&[0x33; 1001]);
    vec![
        case(
            Setup::Nat,
            "a client behind the other NIC is sent to by that NIC",
            to(WAN_CLIENT),
            sent(WAN, HTTPS, Reason::Replied, at_client(to(WAN_CLIENT), HTTPS_PORT).link(WAN_MAC, WAN_ROUTER_MAC)),
        ),
        case(
            Setup::Nat,
            "with an unknown next hop the stack gets the rewritten reply, and takes the hop from the TTL itself",
            to(UNRESOLVED_CLIENT),
            passed_as(HTTPS, Reason::ReplyNoNeighbour, to(UNRESOLVED_CLIENT).from((VIP, HTTPS_PORT))),
        ),
        case(
            Setup::Nat,
            "the stack also tells the server about a TTL that is used up",
            to(UNRESOLVED_CLIENT).ttl(1),
            passed_as(HTTPS, Reason::ReplyNoNeighbour, to(UNRESOLVED_CLIENT).from((VIP, HTTPS_PORT)).ttl(1)),
        ),
        case(
            Setup::Nat,
            "a datagram to an unknown next hop is rewritten with its checksum",
            udp_reply().to((UNRESOLVED_CLIENT, CLIENT_PORT)),
            passed_as(
                DNS,
                Reason::ReplyNoNeighbour,
                udp_reply().to((UNRESOLVED_CLIENT, CLIENT_PORT)).from((VIP, DNS_PORT)),
            ),
        ),
        case(Setup::Nat, "a reply to the balancer itself is left alone", to(OWN), passed(HTTPS, Reason::ReplyLocal)),
        case(
            Setup::Nat,
            "a client that cannot be reached is the stack's to tell about",
            to(UNREACHABLE_CLIENT),
            passed(HTTPS, Reason::ReplyLocal),
        ),
        case(
            Setup::NatForwardingOff,
            "a NIC that does not forward passes replies, with a reason of its own",
            to(CLIENT),
            passed(HTTPS, Reason::ReplyForwardingOff),
        ),
        case(
            Setup::Nat,
            "a reply that fits a narrow way is sent",
            udp_reply().to((NARROW_CLIENT, CLIENT_PORT)).payload(&[0x33; 972]),
            sent(
                LAN,
                DNS,
                Reason::Replied,
                at_client(udp_reply().to((NARROW_CLIENT, CLIENT_PORT)).payload(&[0x33; 972]), DNS_PORT),
            ),
        ),
        case(
            Setup::Nat,
            "a reply that is too large and may not be fragmented is passed as it is: the stack tells the server",
            large(NARROW_CLIENT),
            passed(DNS, Reason::ReplyTooLarge),
        ),
        case(
            Setup::Nat,
            "a reply that is too large and may be fragmented is rewritten: the stack fragments it",
            large(NARROW_CLIENT).may_be_fragmented(),
            passed_as(DNS, Reason::ReplyFragmented, large(NARROW_CLIENT).may_be_fragmented().from((VIP, DNS_PORT))),
        ),
    ]
}

/// Connections that a client makes to a server's own address, with the balancer as the router between them.
fn direct_connections() -> Vec<Case> {
    let client = |port| (CLIENT, port);
    let direct = |port| tcp().from(client(port)).to((EX01.address, SERVER_HTTPS_PORT));
    let reply = |port| tcp_reply().to(client(port));
    let replied = |port| sent(LAN, HTTPS, Reason::Replied, at_client(reply(port), HTTPS_PORT));
    let through_vip = |port| tcp().syn().from(client(port));
    let steered_on = |port| steered(HTTPS, &EX01, at_ex01(through_vip(port), SERVER_HTTPS_PORT));
    vec![
        sequence(
            Setup::Nat,
            "replies of a direct connection pass untouched until its port is used through the VIP",
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
            "only a SYN makes a direct connection",
            vec![
                step(direct(41_002), ignored()),
                step(direct(41_002).syn_ack(), ignored()),
                step(reply(41_002), replied(41_002)),
            ],
        ),
        sequence(
            Setup::Nat,
            "a direct connection to one server says nothing about another",
            vec![
                step(tcp().syn().from(client(41_003)).to((EX02.address, SERVER_HTTPS_PORT)), ignored()),
                step(reply(41_003), replied(41_003)),
            ],
        ),
        sequence(
            Setup::Nat,
            "a SYN to a server's port that no service uses is not remembered",
            vec![
                step(tcp().syn().from(client(41_004)).to((EX01.address, 22)), ignored()),
                step(reply(41_004).from((EX01.address, 22)), ignored()),
                step(reply(41_004), replied(41_004)),
            ],
        ),
    ]
}
