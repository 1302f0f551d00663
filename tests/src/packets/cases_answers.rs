//! What the program answers itself: ARP requests and echo requests.

use etherparse::Icmpv4Type;
use lb_common::Reason::{self, ArpAnswered, EchoAnswered, EchoLimited, IcmpIgnored, Truncated, VipInactive};

use super::{
    Case, Expected, case, cut_everywhere, dropped,
    frames::{Arp, IP, Packet, echo_reply, echo_request, icmp, tcp},
    ignored, sent,
    tables::{
        BROADCAST_MAC, CLIENT, LAN, NEIGHBOUR, NEIGHBOUR_MAC, NO_SERVICE, NO_VIP, OWN_MAC, ROUTER_MAC, Setup, VIP,
    },
};

pub(super) fn cases() -> Vec<Case> {
    [arp(), echo()].concat()
}

/// The neighbour asks everybody for the VIP.
fn request() -> Arp {
    Arp {
        src_mac: NEIGHBOUR_MAC,
        dst_mac: BROADCAST_MAC,
        operation: 1,
        hardware: 1,
        sender: (NEIGHBOUR_MAC, NEIGHBOUR),
        target: ([0; 6], VIP),
    }
}

/// The balancer tells the neighbour that the VIP is here.
fn reply() -> Arp {
    Arp {
        src_mac: OWN_MAC,
        dst_mac: NEIGHBOUR_MAC,
        operation: 2,
        hardware: 1,
        sender: (OWN_MAC, VIP),
        target: (NEIGHBOUR_MAC, NEIGHBOUR),
    }
}

fn answered(reason: Reason, frame: impl Into<Vec<u8>>) -> Expected {
    sent(LAN, NO_SERVICE, reason, frame)
}

fn arp() -> Vec<Case> {
    let probe = Arp { sender: (NEIGHBOUR_MAC, [0; 4]), ..request() };
    let padded = |packet: Arp| [packet.bytes(), vec![0; 18]].concat();
    let patched = |at: usize, byte: u8| {
        let mut bytes = request().bytes();
        bytes[at] = byte;
        bytes
    };
    let mut cases = vec![
        case(
            Setup::Dsr,
            "a broadcast request for the VIP is answered with the NIC's MAC address",
            request(),
            answered(ArpAnswered, reply()),
        ),
        case(
            Setup::Dsr,
            "so is a unicast request, as neighbours send to see whether an entry still holds",
            Arp { dst_mac: OWN_MAC, ..request() },
            answered(ArpAnswered, reply()),
        ),
        case(
            Setup::Dsr,
            "whatever the request says the MAC address is",
            Arp { target: (NEIGHBOUR_MAC, VIP), ..request() },
            answered(ArpAnswered, reply()),
        ),
        case(
            Setup::Dsr,
            "padding to the least length of a frame is kept",
            padded(request()),
            answered(ArpAnswered, padded(reply())),
        ),
        case(
            Setup::Dsr,
            "a probe is answered: the address is taken",
            probe,
            answered(ArpAnswered, Arp { target: (NEIGHBOUR_MAC, [0; 4]), ..reply() }),
        ),
        case(
            Setup::Dsr,
            "the answer goes to the MAC address in the packet, wherever the frame came from",
            Arp { src_mac: ROUTER_MAC, ..request() },
            answered(ArpAnswered, reply()),
        ),
        case(Setup::Nat, "in mode nat too", request(), answered(ArpAnswered, reply())),
        case(Setup::NoPath, "whether the servers can be reached or not", request(), answered(ArpAnswered, reply())),
        case(Setup::PassUnknown, "with unknown_port = \"pass\" too", request(), answered(ArpAnswered, reply())),
        case(
            Setup::Dsr,
            "an announcement is not a question",
            Arp { sender: (NEIGHBOUR_MAC, VIP), ..request() },
            ignored(),
        ),
        case(Setup::Dsr, "a request for another address", Arp { target: ([0; 6], NO_VIP), ..request() }, ignored()),
        case(
            Setup::Dsr,
            "a request that is addressed to another MAC",
            Arp { dst_mac: ROUTER_MAC, ..request() },
            ignored(),
        ),
        case(
            Setup::Dsr,
            "an ARP reply that names the VIP",
            Arp { operation: 2, dst_mac: OWN_MAC, ..request() },
            ignored(),
        ),
        case(Setup::Dsr, "a reverse ARP request", Arp { operation: 3, ..request() }, ignored()),
        case(Setup::Dsr, "hardware other than Ethernet", Arp { hardware: 6, ..request() }, ignored()),
        case(Setup::Dsr, "a protocol other than IPv4", patched(IP + 2, 0x86), ignored()),
        case(Setup::Dsr, "MAC addresses of 8 bytes", patched(IP + 4, 8), ignored()),
        case(Setup::Dsr, "protocol addresses of 16 bytes", patched(IP + 5, 16), ignored()),
        case(
            Setup::Dsr,
            "a sender with a group MAC address would have everybody answered",
            Arp { sender: (BROADCAST_MAC, NEIGHBOUR), ..request() },
            ignored(),
        ),
        case(
            Setup::Dsr,
            "a sender with our own MAC address",
            Arp { sender: (OWN_MAC, NEIGHBOUR), ..request() },
            ignored(),
        ),
        case(Setup::NotAnnounced, "a VIP that is not announced is not answered for", request(), ignored()),
        case(Setup::Withdrawn, "a VIP that is withdrawn is not answered for", request(), ignored()),
    ];
    cases.extend(cut_everywhere(Setup::Dsr, "an ARP request", request(), |_| ignored()));
    cases
}

fn echo() -> Vec<Case> {
    // Back by the way it came, with a TTL of its own.
    let back = |reply: Packet| reply.from((VIP, 0)).to((CLIENT, 0)).link(OWN_MAC, ROUTER_MAC).ttl(64);
    let mut cases = Vec::new();
    for (what, id, seq, payload) in [
        ("an echo request is answered to where it came from", 0x1234, 1, b"abcdefgh".as_slice()),
        ("a payload of odd length too", 0x1234, 2, b"abcdefg"),
        ("without payload", 0x1234, 3, b""),
        ("with the largest payload of an ordinary frame", 7, 4, &[0xee; 1472]),
        ("with the sum that the new type turns into zero", 0xffff, 0, b""),
        ("with nothing but zeroes in it, where the checksum must be 0xffff", 0, 0, &[0; 8]),
    ] {
        let reply = back(echo_reply(id, seq, payload));
        cases.push(case(Setup::Dsr, what, echo_request(id, seq, payload), answered(EchoAnswered, reply)));
    }
    cases.extend([
        case(
            Setup::Nat,
            "an echo request with IPv4 options keeps them",
            echo_request(1, 1, b"abc").options(&[1; 8]),
            answered(EchoAnswered, back(echo_reply(1, 1, b"abc")).options(&[1; 8])),
        ),
        case(
            Setup::Dsr,
            "padding is kept",
            echo_request(1, 1, b"abc").padded(15),
            answered(EchoAnswered, back(echo_reply(1, 1, b"abc")).padded(15)),
        ),
        case(
            Setup::Dsr,
            "a TTL of 1 is enough: the VIP is here",
            echo_request(1, 1, b"").ttl(1),
            answered(EchoAnswered, back(echo_reply(1, 1, b""))),
        ),
        case(
            Setup::PassUnknown,
            "echo requests are answered also where unknown ports are passed",
            echo_request(1, 1, b""),
            answered(EchoAnswered, back(echo_reply(1, 1, b""))),
        ),
        case(
            Setup::NotAnnounced,
            "a VIP that is not announced is silent",
            echo_request(1, 1, b""),
            dropped(NO_SERVICE, VipInactive),
        ),
        case(
            Setup::Withdrawn,
            "a VIP that is withdrawn is silent",
            echo_request(1, 1, b""),
            dropped(NO_SERVICE, VipInactive),
        ),
        case(
            Setup::EchoExhausted,
            "echo requests above the rate are dropped",
            echo_request(1, 1, b""),
            dropped(NO_SERVICE, EchoLimited),
        ),
        case(Setup::EchoExhausted, "ARP is not limited", request(), answered(ArpAnswered, reply())),
        case(Setup::Dsr, "an echo reply", echo_reply(1, 1, b"abc"), dropped(NO_SERVICE, IcmpIgnored)),
        case(
            Setup::Dsr,
            "an echo request with a code",
            echo_request(1, 1, b"abc").patched(IP + 21, &[1]),
            dropped(NO_SERVICE, IcmpIgnored),
        ),
        case(
            Setup::Dsr,
            "a timestamp request",
            icmp(Icmpv4Type::Unknown { type_u8: 13, code_u8: 0, bytes5to8: [0; 4] }, &[0; 12]),
            dropped(NO_SERVICE, IcmpIgnored),
        ),
        case(
            Setup::Dsr,
            "an error about a packet that the VIP sent",
            icmp(
                Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port),
                &tcp().from((VIP, 443)).to((CLIENT, 40_000)).bytes()[IP..IP + 28],
            ),
            dropped(NO_SERVICE, IcmpIgnored),
        ),
        case(
            Setup::Dsr,
            "a total length that ends within the ICMP header",
            echo_request(1, 1, b"abc").patched(IP + 2, &27u16.to_be_bytes()),
            dropped(NO_SERVICE, Truncated),
        ),
        case(Setup::Dsr, "an echo request for another address", echo_request(1, 1, b"").to((NO_VIP, 0)), ignored()),
    ]);
    cases
}
