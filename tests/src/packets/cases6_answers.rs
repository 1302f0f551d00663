//! What the program answers itself in IPv6: neighbour solicitations and echo requests.

use lb_common::Reason::{self, EchoAnswered, EchoLimited, IcmpIgnored, NeighbourAnswered, Truncated, VipInactive};

use super::{
    Case, Expected, case, cut_everywhere, dropped,
    frames::IP,
    frames6::{
        ALL_NODES, DESTINATION, HOP_BY_HOP, Packet6, TRANSPORT6, advertisement, echo_reply6, echo_request6, icmp6,
        solicitation, source_option,
    },
    ignored, sent,
    tables::{BROADCAST_MAC, CLIENT6, LAN, NEIGHBOUR_MAC, NO_SERVICE, NO_VIP6, OWN_MAC, ROUTER_MAC, Setup, VIP6},
};

/// Flags of advertisements: override, and solicited as well.
const OVERRIDE: u8 = 0x20;
const SOLICITED: u8 = 0x60;
/// The option of RFC 7527 by which a host knows its own probe.
const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];

pub(super) fn cases() -> Vec<Case> {
    [neighbours(), questions_not_answered(), echo()].concat()
}

fn answered(reason: Reason, frame: impl Into<Vec<u8>>) -> Expected {
    sent(LAN, NO_SERVICE, reason, frame)
}

/// The neighbour asks the VIP's group.
fn request() -> Packet6 {
    solicitation(VIP6, &source_option())
}

/// As a host asks whether an address is free.
fn probe(options: &[u8]) -> Packet6 {
    solicitation(VIP6, options).from(([0; 16], 0))
}

fn told() -> Expected {
    answered(NeighbourAnswered, advertisement(SOLICITED))
}

fn neighbours() -> Vec<Case> {
    let everybody = || advertisement(OVERRIDE).to((ALL_NODES.0, 0)).link(OWN_MAC, ALL_NODES.1);
    let to_vip = |packet: Packet6| packet.to((VIP6, 0)).link(NEIGHBOUR_MAC, OWN_MAC);
    vec![
        case(Setup::Dsr, "a solicitation to the VIP's group is answered with the NIC's MAC address", request(), told()),
        case(
            Setup::Dsr,
            "so is a unicast one, as neighbours send to see whether an entry holds",
            to_vip(request()),
            told(),
        ),
        case(
            Setup::Dsr,
            "one without a link-layer option is answered to its sender",
            to_vip(solicitation(VIP6, &[])),
            told(),
        ),
        case(Setup::Dsr, "also when it is multicast", solicitation(VIP6, &[]), told()),
        case(
            Setup::Dsr,
            "the answer goes to the MAC address that the frame came from",
            request().link(ROUTER_MAC, super::frames6::VIP_GROUP.1),
            answered(NeighbourAnswered, advertisement(SOLICITED).link(OWN_MAC, ROUTER_MAC)),
        ),
        case(
            Setup::Dsr,
            "a duplicate-address probe is answered to everybody: the address is taken",
            probe(&[]),
            answered(NeighbourAnswered, everybody()),
        ),
        case(Setup::Dsr, "also one with a nonce", probe(&NONCE), answered(NeighbourAnswered, everybody())),
        case(
            Setup::Dsr,
            "more options make a longer question and the same answer",
            solicitation(VIP6, &[source_option(), NONCE.to_vec()].concat()),
            told(),
        ),
        case(
            Setup::Dsr,
            "the longest question that is answered",
            solicitation(VIP6, &[source_option(), NONCE.repeat(4)].concat()),
            told(),
        ),
        case(Setup::Dsr, "padding is left away", request().padded(10), told()),
        case(
            Setup::Dsr,
            "also where the answer is longer than the question",
            solicitation(VIP6, &[]).padded(3),
            told(),
        ),
        case(
            Setup::Dsr,
            "the traffic class is kept",
            request().class(0xc0),
            answered(NeighbourAnswered, advertisement(SOLICITED).class(0xc0)),
        ),
        case(Setup::Nat, "solicitations are answered in mode nat too", request(), told()),
        case(Setup::NoPath, "whether the servers can be reached by IPv6 or not", request(), told()),
        case(Setup::PassUnknown, "solicitations with unknown_port = \"pass\" too", request(), told()),
        case(Setup::EchoExhausted, "solicitations are not limited", request(), told()),
    ]
}

fn questions_not_answered() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, setup, frame) in [
        ("a solicitation for another address", Setup::Dsr, solicitation(NO_VIP6, &source_option())),
        ("one for a VIP that is not announced", Setup::NotAnnounced, request()),
        ("one for a VIP that is withdrawn", Setup::Withdrawn, request()),
        ("one that came through a router", Setup::Dsr, request().hops(254)),
        ("one with a code", Setup::Dsr, icmp6(135, 1, [0; 4], &VIP6).hops(255).link(NEIGHBOUR_MAC, ALL_NODES.1)),
        ("one with a wrong checksum", Setup::Dsr, request().patched(TRANSPORT6 + 2, &[0xde, 0xad])),
        ("one with a damaged target", Setup::Dsr, request().patched(TRANSPORT6 + 4, &[1])),
        ("one with an option of half a unit", Setup::Dsr, solicitation(VIP6, &[1, 1, 0, 0])),
        ("one that is too long", Setup::Dsr, solicitation(VIP6, &NONCE.repeat(6))),
        ("one behind an extension header", Setup::Dsr, request().behind(&[HOP_BY_HOP])),
        ("one from a group's MAC address", Setup::Dsr, request().link(BROADCAST_MAC, ALL_NODES.1)),
        ("one from our own MAC address", Setup::Dsr, request().link(OWN_MAC, ALL_NODES.1)),
        ("one that is addressed to another MAC", Setup::Dsr, request().link(NEIGHBOUR_MAC, ROUTER_MAC)),
        ("an advertisement", Setup::Dsr, advertisement(SOLICITED).link(NEIGHBOUR_MAC, ALL_NODES.1)),
        ("a router solicitation", Setup::Dsr, icmp6(133, 0, [0; 4], &VIP6).hops(255).link(NEIGHBOUR_MAC, ALL_NODES.1)),
    ] {
        cases.push(case(setup, &format!("{what} is not answered"), frame, ignored()));
    }
    for (what, frame) in [
        ("a unicast solicitation that came through a router", request().hops(64)),
        ("a unicast solicitation with a wrong checksum", request().patched(TRANSPORT6 + 2, &[0xde, 0xad])),
        ("an advertisement to the VIP", icmp6(136, 0, [SOLICITED, 0, 0, 0], &VIP6).hops(255)),
    ] {
        let frame = frame.to((VIP6, 0)).link(NEIGHBOUR_MAC, OWN_MAC);
        cases.push(case(Setup::Dsr, what, frame, dropped(NO_SERVICE, IcmpIgnored)));
    }
    cases.extend(cut_everywhere(Setup::Dsr, "a neighbour solicitation", request(), |_| ignored()));
    cases
}

fn echo() -> Vec<Case> {
    let back = |reply: Packet6| reply.from((VIP6, 0)).to((CLIENT6, 0)).link(OWN_MAC, ROUTER_MAC).hops(64);
    let mut cases = Vec::new();
    for (what, id, seq, payload) in [
        ("an IPv6 echo request is answered to where it came from", 0x1234, 1, b"abcdefgh".as_slice()),
        ("an IPv6 payload of odd length too", 0x1234, 2, b"abcdefg"),
        ("IPv6 without payload", 0x1234, 3, b""),
        ("with the largest IPv6 payload of an ordinary frame", 7, 4, &[0xee; 1452]),
    ] {
        let reply = back(echo_reply6(id, seq, payload));
        cases.push(case(Setup::Dsr, what, echo_request6(id, seq, payload), answered(EchoAnswered, reply)));
    }
    for word in (0..=0xffffu16).step_by(0x1111) {
        cases.push(case(
            Setup::Dsr,
            &format!("the checksum of the reply to echo request {word:#06x} is right"),
            echo_request6(word, 0, b""),
            answered(EchoAnswered, back(echo_reply6(word, 0, b""))),
        ));
    }
    let (request, reply) = (echo_request6(1, 1, b"abc"), back(echo_reply6(1, 1, b"abc")));
    cases.extend([
        case(
            Setup::Nat,
            "an IPv6 echo request behind extension headers keeps them",
            request.clone().behind(&[HOP_BY_HOP, DESTINATION]),
            answered(EchoAnswered, reply.clone().behind(&[HOP_BY_HOP, DESTINATION])),
        ),
        case(
            Setup::Dsr,
            "padding of an IPv6 echo request is kept",
            request.clone().padded(15),
            answered(EchoAnswered, reply.clone().padded(15)),
        ),
        case(
            Setup::Dsr,
            "a hop limit of 1 is enough: the IPv6 VIP is here",
            request.clone().hops(1),
            answered(EchoAnswered, reply.clone()),
        ),
        case(
            Setup::PassUnknown,
            "IPv6 echo requests are answered also where unknown ports are passed",
            request.clone(),
            answered(EchoAnswered, reply),
        ),
        case(
            Setup::NotAnnounced,
            "an IPv6 VIP that is not announced is silent",
            request.clone(),
            dropped(NO_SERVICE, VipInactive),
        ),
        case(
            Setup::Withdrawn,
            "an IPv6 VIP that is withdrawn is silent",
            request.clone(),
            dropped(NO_SERVICE, VipInactive),
        ),
        case(
            Setup::EchoExhausted,
            "IPv6 echo requests above the rate are dropped",
            request.clone(),
            dropped(NO_SERVICE, EchoLimited),
        ),
        case(Setup::Dsr, "an IPv6 echo reply", echo_reply6(1, 1, b"abc"), dropped(NO_SERVICE, IcmpIgnored)),
        case(
            Setup::Dsr,
            "an IPv6 echo request with a code",
            request.clone().patched(TRANSPORT6 + 1, &[1]),
            dropped(NO_SERVICE, IcmpIgnored),
        ),
        case(
            Setup::Dsr,
            "packet too big is not for the VIP itself",
            icmp6(2, 0, [0, 0, 5, 0], &[0x60; 48]),
            dropped(NO_SERVICE, IcmpIgnored),
        ),
        case(
            Setup::Dsr,
            "a payload length that ends within the ICMPv6 header",
            request.clone().patched(IP + 4, &[0, 7]),
            dropped(NO_SERVICE, Truncated),
        ),
        case(Setup::Dsr, "an IPv6 echo request for another address", request.to((NO_VIP6, 0)), ignored()),
    ]);
    cases
}
