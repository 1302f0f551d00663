//! Packets for a service on their way to a server in mode `dsr`, and which server that is.

use lb_common::Reason;

use super::{
    Case, case, dropped,
    frames::{Packet, tcp, udp},
    steered,
    tables::{
        CLIENT, CLIENT_PORT, DNS, DNS_PORT, EX01, EX02, EX03, HTTPS, HTTPS_PORT, OWN_MAC, SERVER_HTTPS_PORT, Server,
        Setup, UNREACHABLE_CLIENT, VIP, WAN_MAC,
    },
};

/// Record route with room for two addresses, which is what a real option looks like.
const RECORD_ROUTE: [u8; 12] = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1];

pub(super) fn cases() -> Vec<Case> {
    let to_ex01 = |packet: Packet| packet.link(OWN_MAC, EX01.mac);
    let to_ex03 = |packet: Packet| packet.link(WAN_MAC, EX03.mac);
    let mut cases = vec![
        case(
            Setup::Dsr,
            "a TCP segment goes to the server: both MAC addresses change and nothing else",
            tcp(),
            steered(HTTPS, &EX01, to_ex01(tcp())),
        ),
        case(
            Setup::Dsr,
            "so does a SYN with options",
            tcp().syn().tcp_options(&[2, 4, 5, 0xb4, 4, 2, 1, 1]),
            steered(HTTPS, &EX01, to_ex01(tcp().syn().tcp_options(&[2, 4, 5, 0xb4, 4, 2, 1, 1]))),
        ),
        case(Setup::Dsr, "so does a datagram", udp(), steered(DNS, &EX01, to_ex01(udp()))),
        case(
            Setup::Dsr,
            "a datagram without payload and without checksum is a whole datagram",
            udp().payload(&[]).without_checksum(),
            steered(DNS, &EX01, to_ex01(udp().payload(&[]).without_checksum())),
        ),
        case(
            Setup::Dsr,
            "a full-sized segment is steered",
            tcp().payload(&[0x5a; 1460]),
            steered(HTTPS, &EX01, to_ex01(tcp().payload(&[0x5a; 1460]))),
        ),
        case(
            Setup::Dsr,
            "IPv4 options stay where they are",
            tcp().options(&RECORD_ROUTE),
            steered(HTTPS, &EX01, to_ex01(tcp().options(&RECORD_ROUTE))),
        ),
        case(
            Setup::Dsr,
            "the longest IPv4 header there is can be steered",
            udp().options(&[1; 40]),
            steered(DNS, &EX01, to_ex01(udp().options(&[1; 40]))),
        ),
        case(
            Setup::Dsr,
            "padding behind the packet is kept",
            tcp().payload(&[]).padded(6),
            steered(HTTPS, &EX01, to_ex01(tcp().payload(&[]).padded(6))),
        ),
        case(
            Setup::Dsr,
            "dsr does not route: a TTL of 0 arrives as it came",
            tcp().ttl(0),
            steered(HTTPS, &EX01, to_ex01(tcp().ttl(0))),
        ),
        case(
            Setup::Dsr,
            "the server, not caslb, judges a wrong transport checksum",
            tcp().patched(50, &[0xde, 0xad]),
            steered(HTTPS, &EX01, to_ex01(tcp().patched(50, &[0xde, 0xad]))),
        ),
        case(
            Setup::Dsr,
            "a client without a route back is steered all the same: the server answers it",
            tcp().from((UNREACHABLE_CLIENT, 1)),
            steered(HTTPS, &EX01, to_ex01(tcp().from((UNREACHABLE_CLIENT, 1)))),
        ),
        case(
            Setup::DsrOtherNic,
            "a server behind another NIC gets the packet from that NIC's MAC address",
            tcp(),
            steered(HTTPS, &EX03, to_ex03(tcp())),
        ),
        case(Setup::DsrOtherNic, "datagrams too", udp(), steered(DNS, &EX03, to_ex03(udp()))),
        case(
            Setup::PassUnknown,
            "unknown_port = \"pass\" changes nothing for a known port",
            tcp(),
            steered(HTTPS, &EX01, to_ex01(tcp())),
        ),
        case(
            Setup::NotAnnounced,
            "a VIP that is not announced is steered for",
            tcp(),
            steered(HTTPS, &EX01, to_ex01(tcp())),
        ),
    ];
    cases.extend(without_server());
    cases.extend(spread());
    cases
}

/// Tables that lead nowhere.
fn without_server() -> Vec<Case> {
    vec![
        case(Setup::Withdrawn, "a service without a table has no server", tcp(), dropped(HTTPS, Reason::NoServer)),
        case(Setup::Withdrawn, "for datagrams neither", udp(), dropped(DNS, Reason::NoServer)),
        case(Setup::EmptySlots, "a slot may name no server", tcp(), dropped(HTTPS, Reason::NoServer)),
        case(
            Setup::NoPath,
            "a server whose MAC address is not known gets nothing",
            tcp(),
            dropped(HTTPS, Reason::NoPath),
        ),
        case(
            Setup::Contradiction,
            "a table that names a server which does not exist is a defect and steers nothing",
            tcp(),
            dropped(HTTPS, Reason::Defect),
        ),
    ]
}

/// Which server a flow gets. The slots were computed apart from the engine, from the hash as it is documented with the
/// seed `contoso` and 251 slots; even ones are EX01's.
fn spread() -> Vec<Case> {
    let to = |server: &Server, packet: Packet| packet.link(OWN_MAC, server.mac);
    let mut cases = Vec::new();
    for (offset, tcp_slot, udp_slot) in
        [(0u16, 138, 240), (1, 54, 103), (2, 39, 146), (3, 52, 79), (4, 139, 238), (5, 77, 178)]
    {
        let port = CLIENT_PORT + offset;
        let server = |slot: u32| if slot.is_multiple_of(2) { EX01 } else { EX02 };
        let (tcp_server, udp_server) = (server(tcp_slot), server(udp_slot));
        let segment = tcp().from((CLIENT, port));
        cases.push(case(
            Setup::Spread,
            &format!("the TCP flow from port {port} has slot {tcp_slot}"),
            segment.clone(),
            steered(HTTPS, &tcp_server, to(&tcp_server, segment)),
        ));
        let datagram = udp().from((CLIENT, port));
        cases.push(case(
            Setup::Spread,
            &format!("the UDP flow from port {port} has slot {udp_slot}"),
            datagram.clone(),
            steered(DNS, &udp_server, to(&udp_server, datagram)),
        ));
    }
    for (last, slot) in [(50u8, 90u32), (51, 161), (52, 88), (53, 101), (54, 169), (55, 121)] {
        let server = if slot.is_multiple_of(2) { EX01 } else { EX02 };
        for port in [1, CLIENT_PORT, 65_535] {
            let segment = tcp().from(([192, 0, 2, last], port)).to((VIP, HTTPS_PORT));
            cases.push(case(
                Setup::SpreadByClient,
                &format!("every flow of the client 192.0.2.{last} has slot {slot}, that from port {port} too"),
                segment.clone(),
                steered(HTTPS, &server, to(&server, segment)),
            ));
        }
        let datagram = udp().from(([192, 0, 2, last], CLIENT_PORT)).to((VIP, DNS_PORT));
        cases.push(case(
            Setup::SpreadByClient,
            &format!("and its datagrams to another service with the same table do: 192.0.2.{last}"),
            datagram.clone(),
            steered(DNS, &server, to(&server, datagram)),
        ));
    }
    cases.push(case(
        Setup::Dsr,
        "the port of the servers in nat mode is no port of the VIP",
        tcp().to((VIP, SERVER_HTTPS_PORT)),
        dropped(super::tables::NO_SERVICE, Reason::UnknownPort),
    ));
    cases
}
