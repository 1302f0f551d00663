//! Services and servers of two families in the maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use caslb::config::deployment::Addresses;
use caslb::dataplane::DataPlane;
use caslb_tests::packets::frames::tcp;
use caslb_tests::packets::frames6::{Packet6, tcp6};
use caslb_tests::packets::tables::{CLIENT_PORT, CLIENT6, EX01, EX02, HTTPS, SERVER_HTTPS_PORT, Setup, VIP, VIP6};

use crate::fixture::{
    DROP, PASS, TRANSMIT, all_to, applied, on_lan, open, program, run, service, steered, view, with_network,
};

fn run6(data_plane: &DataPlane, packet: &Packet6) -> u32 {
    program(data_plane).run(&packet.bytes()).unwrap().0
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_service_of_two_families_is_one_and_may_lose_and_regain_either() {
    with_network(|_| {
        let (v4, v6) = (Ipv4Addr::from(VIP), Ipv6Addr::from(VIP6));
        let mut target = on_lan(Setup::Dsr.target());
        let (node, mut data_plane) = applied(&target);
        let vip = || {
            let services = view(&node).services().unwrap();
            let mut found = services.into_iter().filter(|service| service.id == HTTPS);
            let vip = found.next().unwrap().vip;
            assert!(found.next().is_none(), "one service");
            vip
        };
        assert_eq!(vip(), Addresses::Both(v4, v6));
        assert_eq!((run(&data_plane, &tcp()).0, run6(&data_plane, &tcp6())), (TRANSMIT, TRANSMIT));
        assert_eq!(steered(&data_plane, HTTPS, EX01.ordinal), 2, "both count for the same");

        for (of, four, six, count) in [
            (Addresses::V6(v6), DROP, TRANSMIT, 3),
            (Addresses::Both(v4, v6), TRANSMIT, TRANSMIT, 5),
            (Addresses::V4(v4), TRANSMIT, DROP, 6),
        ] {
            service(&mut target, HTTPS).vip = of;
            data_plane.apply(&target).unwrap();
            assert_eq!(vip(), of);
            assert_eq!((run(&data_plane, &tcp()).0, run6(&data_plane, &tcp6())), (four, six), "{of}");
            assert_eq!(steered(&data_plane, HTTPS, EX01.ordinal), count, "{of}: it counts on");
        }

        target.vips.retain(|vip| vip.address == IpAddr::V4(v4));
        target.services.iter_mut().for_each(|service| service.vip = v4.into());
        data_plane.apply(&target).unwrap();
        assert_eq!(run6(&data_plane, &tcp6()), PASS, "the address is none of ours");
        assert_eq!(view(&node).vips().unwrap().len(), 1);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_new_owner_finds_both_addresses() {
    with_network(|_| {
        let (node, data_plane) = applied(&on_lan(Setup::Dsr.target()));
        drop(data_plane);
        let adopted = open(&node).adopted().unwrap();
        let vips: Vec<_> = adopted.services.iter().map(|service| service.vip).collect();
        assert_eq!(vips, [Addresses::Both(VIP.into(), VIP6.into()); 2]);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_table_is_shared_by_both_families() {
    with_network(|_| {
        let mut target = on_lan(Setup::Dsr.target());
        let (_node, mut data_plane) = applied(&target);
        service(&mut target, HTTPS).table = Some(all_to(EX02.id));
        data_plane.apply(&target).unwrap();
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX02.mac));
        let (_, frame) = program(&data_plane).run(&tcp6().bytes()).unwrap();
        assert_eq!(frame[..6], EX02.mac);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn direct_connections_of_both_families_are_listed() {
    with_network(|_| {
        let (node, data_plane) = applied(&on_lan(Setup::Nat.target()));
        run6(&data_plane, &tcp6().syn().to((EX01.address6, SERVER_HTTPS_PORT)));
        run(&data_plane, &tcp().syn().to((EX01.address, SERVER_HTTPS_PORT)));
        let found = view(&node).direct_connections().unwrap();
        let socket = |address: [u8; 16], port| SocketAddr::new(address.into(), port);
        assert_eq!(found.len(), 2);
        assert!(found[0].0.is_ipv4());
        assert_eq!(found[1], (socket(CLIENT6, CLIENT_PORT), socket(EX01.address6, SERVER_HTTPS_PORT)));
    });
}
