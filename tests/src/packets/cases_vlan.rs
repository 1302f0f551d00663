//! VLAN tags, one or two: kept, and looked behind.

use lb_common::Reason::{ArpAnswered, EchoAnswered, NeighbourAnswered, Replied, UnknownPort};

use super::{
    Case, Expected, case, cut_everywhere, dropped,
    frames::{Arp, echo_reply, echo_request, tcp, udp},
    frames6::{
        CUSTOMER_TAG, SERVICE_TAG, advertisement, echo_reply6, echo_request6, solicitation, source_option, tagged,
        tcp6, udp6,
    },
    ignored, sent, steered,
    tables::{
        BROADCAST_MAC, CLIENT, CLIENT_PORT, CLIENT6, DNS, EX01, EX03, HTTPS, HTTPS_PORT, LAN, NEIGHBOUR, NEIGHBOUR_MAC,
        NO_SERVICE, NO_VIP, OWN_MAC, ROUTER_MAC, SERVER_DNS_PORT, SERVER_HTTPS_PORT, Setup, VIP, VIP6, WAN_MAC,
    },
};

/// Ways to tag a frame that are looked behind.
const TAGS: [(&str, &[(u16, u16)]); 4] = [
    ("a VLAN tag", &[(CUSTOMER_TAG, 0x6064)]),
    ("a provider's tag", &[(SERVICE_TAG, 100)]),
    ("a provider's tag and a VLAN tag", &[(SERVICE_TAG, 100), (CUSTOMER_TAG, 0xe00a)]),
    ("two VLAN tags", &[(CUSTOMER_TAG, 4095), (CUSTOMER_TAG, 0)]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = TAGS.into_iter().flat_map(|(what, tags)| behind(what, tags)).collect();
    cases.extend(not_ours());
    cases
}

fn behind(what: &str, tags: &[(u16, u16)]) -> Vec<Case> {
    [to_servers(what, tags), replies(what, tags), answers(what, tags)].concat()
}

fn to_servers(what: &str, tags: &[(u16, u16)]) -> Vec<Case> {
    let tag = |frame: Vec<u8>| tagged(tags, frame);
    let steer = |setup, name: &str, service, server, frame: Vec<u8>, at_server: Vec<u8>| {
        case(setup, &format!("{name} behind {what}"), tag(frame), steered(service, server, tag(at_server)))
    };
    let (to_ex01, to_ex03) = ((OWN_MAC, EX01.mac), (WAN_MAC, EX03.mac));
    let at4 = (EX01.address, SERVER_HTTPS_PORT);
    let at6 = (EX01.address6, SERVER_HTTPS_PORT);
    vec![
        steer(Setup::Dsr, "IPv4 in mode dsr", HTTPS, &EX01, tcp().into(), tcp().link(to_ex01.0, to_ex01.1).into()),
        steer(Setup::Dsr, "IPv6 in mode dsr", HTTPS, &EX01, tcp6().into(), tcp6().link(to_ex01.0, to_ex01.1).into()),
        steer(
            Setup::DsrOtherNic,
            "a datagram to another NIC",
            DNS,
            &EX03,
            udp().into(),
            udp().link(to_ex03.0, to_ex03.1).into(),
        ),
        steer(
            Setup::Nat,
            "IPv4 in mode nat",
            HTTPS,
            &EX01,
            tcp().into(),
            tcp().to(at4).link(to_ex01.0, to_ex01.1).ttl(56).into(),
        ),
        steer(
            Setup::Nat,
            "IPv6 in mode nat",
            HTTPS,
            &EX01,
            tcp6().into(),
            tcp6().to(at6).link(to_ex01.0, to_ex01.1).hops(56).into(),
        ),
        steer(
            Setup::Nat,
            "an IPv6 datagram in mode nat",
            DNS,
            &EX01,
            udp6().into(),
            udp6().to((EX01.address6, SERVER_DNS_PORT)).link(to_ex01.0, to_ex01.1).hops(56).into(),
        ),
    ]
}

fn replies(what: &str, tags: &[(u16, u16)]) -> Vec<Case> {
    let tag = |frame: Vec<u8>| tagged(tags, frame);
    let reply = |setup, name: &str, expected: fn(Vec<u8>) -> Expected, frame: Vec<u8>, reply: Vec<u8>| {
        case(setup, &format!("{name} behind {what}"), tag(frame), expected(tag(reply)))
    };
    let at4 = (EX01.address, SERVER_HTTPS_PORT);
    let at6 = (EX01.address6, SERVER_HTTPS_PORT);
    let reply4 = tcp().from(at4).to((CLIENT, CLIENT_PORT)).link(EX01.mac, OWN_MAC);
    let reply6 = tcp6().from(at6).to((CLIENT6, CLIENT_PORT)).link(EX01.mac, OWN_MAC);
    vec![
        reply(
            Setup::Nat,
            "a server's IPv4 reply",
            |frame| sent(LAN, HTTPS, Replied, frame),
            reply4.clone().into(),
            reply4.from((VIP, HTTPS_PORT)).link(OWN_MAC, ROUTER_MAC).ttl(56).into(),
        ),
        reply(
            Setup::Nat,
            "a server's IPv6 reply",
            |frame| sent(LAN, HTTPS, Replied, frame),
            reply6.clone().into(),
            reply6.from((VIP6, HTTPS_PORT)).link(OWN_MAC, ROUTER_MAC).hops(56).into(),
        ),
    ]
}

fn answers(what: &str, tags: &[(u16, u16)]) -> Vec<Case> {
    let tag = |frame: Vec<u8>| tagged(tags, frame);
    let answer = |setup, name: &str, expected: fn(Vec<u8>) -> Expected, frame: Vec<u8>, reply: Vec<u8>| {
        case(setup, &format!("{name} behind {what}"), tag(frame), expected(tag(reply)))
    };
    let request = Arp {
        src_mac: NEIGHBOUR_MAC,
        dst_mac: BROADCAST_MAC,
        operation: 1,
        hardware: 1,
        sender: (NEIGHBOUR_MAC, NEIGHBOUR),
        target: ([0; 6], VIP),
    };
    let told = Arp {
        src_mac: OWN_MAC,
        dst_mac: NEIGHBOUR_MAC,
        operation: 2,
        hardware: 1,
        sender: (OWN_MAC, VIP),
        target: (NEIGHBOUR_MAC, NEIGHBOUR),
    };
    let back4 = echo_reply(1, 1, b"abc").from((VIP, 0)).to((CLIENT, 0)).link(OWN_MAC, ROUTER_MAC).ttl(64);
    let back6 = echo_reply6(1, 1, b"abc").from((VIP6, 0)).to((CLIENT6, 0)).link(OWN_MAC, ROUTER_MAC).hops(64);
    vec![
        answer(
            Setup::Dsr,
            "an ARP request",
            |frame| sent(LAN, NO_SERVICE, ArpAnswered, frame),
            request.into(),
            told.into(),
        ),
        answer(
            Setup::Dsr,
            "a neighbour solicitation",
            |frame| sent(LAN, NO_SERVICE, NeighbourAnswered, frame),
            solicitation(VIP6, &source_option()).into(),
            advertisement(0x60).into(),
        ),
        answer(
            Setup::Dsr,
            "a neighbour solicitation without an option",
            |frame| sent(LAN, NO_SERVICE, NeighbourAnswered, frame),
            solicitation(VIP6, &[]).into(),
            advertisement(0x60).into(),
        ),
        answer(
            Setup::Dsr,
            "an IPv4 echo request",
            |frame| sent(LAN, NO_SERVICE, EchoAnswered, frame),
            echo_request(1, 1, b"abc").into(),
            back4.into(),
        ),
        answer(
            Setup::Dsr,
            "an IPv6 echo request",
            |frame| sent(LAN, NO_SERVICE, EchoAnswered, frame),
            echo_request6(1, 1, b"abc").into(),
            back6.into(),
        ),
        case(
            Setup::Dsr,
            &format!("a port without a service behind {what}"),
            tag(tcp().to((VIP, 80)).into()),
            dropped(NO_SERVICE, UnknownPort),
        ),
        case(
            Setup::Dsr,
            &format!("another address behind {what}"),
            tag(tcp().to((NO_VIP, HTTPS_PORT)).into()),
            ignored(),
        ),
    ]
}

fn not_ours() -> Vec<Case> {
    let three = [(SERVICE_TAG, 1), (CUSTOMER_TAG, 2), (CUSTOMER_TAG, 3)];
    let two = &three[..2];
    let mut cases = vec![
        case(Setup::Dsr, "IPv4 behind three tags passes", tagged(&three, tcp()), ignored()),
        case(Setup::Dsr, "IPv6 behind three tags passes", tagged(&three, tcp6()), ignored()),
        case(
            Setup::Dsr,
            "a neighbour solicitation behind three tags passes",
            tagged(&three, solicitation(VIP6, &source_option())),
            ignored(),
        ),
        case(Setup::Dsr, "an obsolete provider's tag passes", tagged(&[(0x9100, 1)], tcp()), ignored()),
        case(
            Setup::Dsr,
            "a tagged frame for another MAC address passes",
            tagged(two, tcp().link(ROUTER_MAC, NEIGHBOUR_MAC)),
            ignored(),
        ),
    ];
    // Up to where a destination can be seen.
    let headers = 14 + 2 * 4;
    for (what, frame, address) in
        [("IPv4 behind two tags", tagged(two, tcp()), 20), ("IPv6 behind two tags", tagged(two, tcp6()), 40)]
    {
        cases.extend(cut_everywhere(Setup::Dsr, what, frame, |length| {
            if length < headers + address { ignored() } else { dropped(NO_SERVICE, lb_common::Reason::Truncated) }
        }));
    }
    cases
}
