//! Packets that are wrong in themselves: dropped with the reason when they are for a VIP, else left to the stack.

use lb_common::Reason::{self, BadHeader, BadLength, Fragment, Martian, Truncated};

use super::{
    Case, case, cut_everywhere, dropped,
    frames::{IP, Packet, TRANSPORT, echo_request, tcp, udp},
    ignored, steered,
    tables::{DNS, EX01, EX02, HTTPS, NO_SERVICE, NO_VIP, OWN_MAC, SERVER_HTTPS_PORT, Setup, VIP},
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, frame, reason) in flawed() {
        cases.push(case(Setup::Dsr, &what, frame.clone(), dropped(NO_SERVICE, reason)));
        cases.push(case(Setup::Nat, &format!("{what}, in mode nat"), frame.clone(), dropped(NO_SERVICE, reason)));
        cases.push(case(
            Setup::PassUnknown,
            &format!("{what}, whatever happens to unknown ports"),
            frame.clone(),
            dropped(NO_SERVICE, reason),
        ));
        // The destination address is the last word of the header.
        let elsewhere = frame.patched(IP + 16, &NO_VIP);
        cases.push(case(Setup::Dsr, &format!("{what}, but for no VIP"), elsewhere.clone(), ignored()));
        cases.push(case(Setup::Nat, &format!("{what}, but for no VIP, in mode nat"), elsewhere, ignored()));
    }
    cases.push(case(
        Setup::Nat,
        "a flawed packet from a server to a client is the stack's",
        tcp().from((EX02.address, SERVER_HTTPS_PORT)).to((super::tables::CLIENT, 1)).patched(IP, &[0x65]),
        ignored(),
    ));
    cases.extend(just_right());
    cases.extend(cut());
    cases
}

fn flawed() -> Vec<(String, Packet, Reason)> {
    let mut flawed = vec![
        ("IP version 6 under the EtherType of IPv4", tcp().patched(IP, &[0x65]), BadHeader),
        ("IP version 0", tcp().patched(IP, &[0x05]), BadHeader),
        ("an IPv4 header of 4 words", tcp().patched(IP, &[0x44]), BadHeader),
        ("an IPv4 header of no words", tcp().patched(IP, &[0x40]), BadHeader),
        ("a total length shorter than the header", tcp().patched(IP + 2, &19u16.to_be_bytes()), BadLength),
        ("a total length of 0", tcp().patched(IP + 2, &[0, 0]), BadLength),
        ("options that go beyond the total length", tcp().payload(&[]).patched(IP, &[0x4b]), BadLength),
        ("a total length beyond the frame", tcp().patched(IP + 2, &46u16.to_be_bytes()), Truncated),
        ("the largest total length", tcp().patched(IP + 2, &[0xff, 0xff]), Truncated),
        ("a total length that ends within the TCP header", tcp().patched(IP + 2, &39u16.to_be_bytes()), Truncated),
        ("a total length that ends with the IPv4 header", tcp().patched(IP + 2, &20u16.to_be_bytes()), Truncated),
        ("a total length that ends within the UDP header", udp().patched(IP + 2, &27u16.to_be_bytes()), Truncated),
        ("options that push the TCP header out of the packet", tcp().payload(&[]).patched(IP, &[0x46]), Truncated),
        ("a TCP header of 4 words", tcp().patched(TRANSPORT + 12, &[0x40]), BadLength),
        ("a TCP header of no words", tcp().patched(TRANSPORT + 12, &[0x00]), BadLength),
        ("a TCP header that goes beyond the packet", tcp().patched(TRANSPORT + 12, &[0x70]), BadLength),
        ("the longest TCP header without room for it", tcp().payload(&[]).patched(TRANSPORT + 12, &[0xf0]), BadLength),
        ("a UDP length of 0", udp().patched(TRANSPORT + 4, &[0, 0]), BadLength),
        ("a UDP length shorter than its header", udp().patched(TRANSPORT + 4, &7u16.to_be_bytes()), BadLength),
        ("a UDP length beyond the packet", udp().patched(TRANSPORT + 4, &14u16.to_be_bytes()), BadLength),
        ("a UDP length that only the padding could hold", udp().padded(9).patched(TRANSPORT + 4, &[0, 22]), BadLength),
        ("the first fragment", tcp().fragment(0, true), Fragment),
        ("a fragment in the middle", udp().fragment(185, true), Fragment),
        ("the last fragment", udp().fragment(370, false), Fragment),
        ("the last possible fragment", udp().fragment(8191, false), Fragment),
        ("a fragment of an echo request", echo_request(1, 1, b"part").fragment(0, true), Fragment),
        ("a source that is the destination", tcp().from((VIP, 443)), Martian),
    ]
    .into_iter()
    .map(|(what, frame, reason)| (what.to_owned(), frame, reason))
    .collect::<Vec<_>>();
    for source in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [127, 255, 255, 255],
        [224, 0, 0, 1],
        [239, 255, 255, 250],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        let name = std::net::Ipv4Addr::from(source);
        flawed.push((format!("a packet from {name}"), tcp().from((source, 40_000)), Martian));
        flawed.push((format!("an echo request from {name}"), echo_request(1, 1, b"").from((source, 0)), Martian));
    }
    flawed
}

/// The nearest to each flaw that is none.
fn just_right() -> Vec<Case> {
    let to_ex01 = |packet: Packet| packet.link(OWN_MAC, EX01.mac);
    let good = |what: &str, service, frame: Packet| {
        case(Setup::Dsr, what, frame.clone(), steered(service, &EX01, to_ex01(frame)))
    };
    vec![
        good("a packet that may be fragmented and is not", HTTPS, tcp().may_be_fragmented()),
        good("the reserved bit beside the fragment bits means nothing", HTTPS, tcp().patched(IP + 6, &[0xc0, 0])),
        good("a UDP length that ends before the packet does", DNS, udp().patched(TRANSPORT + 4, &12u16.to_be_bytes())),
        good("the longest TCP header", HTTPS, tcp().tcp_options(&[1; 40])),
        good("a packet that ends before the frame does", DNS, udp().padded(1)),
        good("a wrong IPv4 checksum is the server's to judge", HTTPS, tcp().patched(IP + 10, &[0xde, 0xad])),
        good("126.255.255.255 is an ordinary source", HTTPS, tcp().from(([126, 255, 255, 255], 1))),
        good("128.0.0.1 is an ordinary source", HTTPS, tcp().from(([128, 0, 0, 1], 1))),
        good("1.0.0.1 is an ordinary source", HTTPS, tcp().from(([1, 0, 0, 1], 1))),
        good("223.255.255.254 is an ordinary source", HTTPS, tcp().from(([223, 255, 255, 254], 1))),
        good("port 0 is a port", HTTPS, tcp().from((super::tables::CLIENT, 0))),
        good("a nonsense mix of TCP flags is the server's to judge", HTTPS, tcp().patched(TRANSPORT + 13, &[0xff])),
    ]
}

fn cut() -> Vec<Case> {
    let for_vip = |length| if length < TRANSPORT { ignored() } else { dropped(NO_SERVICE, Truncated) };
    [
        cut_everywhere(Setup::Dsr, "a TCP segment", tcp(), for_vip),
        cut_everywhere(Setup::Dsr, "a datagram", udp(), for_vip),
        cut_everywhere(Setup::Dsr, "a segment with IPv4 options", tcp().options(&[1; 40]), for_vip),
        cut_everywhere(Setup::Dsr, "an echo request", echo_request(1, 1, b"abc"), for_vip),
        cut_everywhere(Setup::Nat, "a TCP segment in mode nat", tcp(), for_vip),
        cut_everywhere(Setup::Nat, "a datagram in mode nat", udp(), for_vip),
    ]
    .concat()
}
