//! Tables, services, servers and VIPs as they change.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use aya::maps::{DevMapHash, HashMap, Map, MapData};
use caslb::config::deployment::Mode;
use caslb::controller::target::Target;
use caslb::dataplane::pins::MapSet;
use caslb_tests::own_node::OwnNode;
use caslb_tests::packets::frames::{tcp, udp};
use caslb_tests::packets::tables::{
    CLIENT, CLIENT_PORT, DNS, EX01, EX02, HTTPS, OWN_MAC, SERVER_HTTPS_PORT, Setup, VIP,
};

use crate::fixture::{
    DROP, PASS, TRANSMIT, all_to, applied, grown, on_lan, program, program_on, run, service, set_numbers, steered,
    view, with_network,
};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn applying_the_same_target_again_changes_nothing() {
    with_network(|_| {
        let target = on_lan(Setup::Spread.target());
        let (node, mut data_plane) = applied(&target);
        let blocks = || view(&node).services().unwrap().iter().map(|service| service.block).collect::<Vec<_>>();
        let (program_before, blocks_before) = (program_on("lan0"), blocks());
        assert_eq!(blocks_before[0], blocks_before[1], "equal tables are held once");
        for _ in 0..50 {
            data_plane.apply(&target).unwrap();
        }
        assert_eq!((program_on("lan0"), blocks(), set_numbers(&node)), (program_before, blocks_before, vec![1]));
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn changing_one_table_leaves_the_words_of_the_others_alone() {
    with_network(|_| {
        let mut target = Setup::Spread.target();
        service(&mut target, DNS).table = Some(all_to(EX02.id));
        let (node, mut data_plane) = applied(&target);
        let look = |id| {
            let view = view(&node);
            let service = view.services().unwrap().into_iter().find(|service| service.id == id).unwrap();
            (service.block, view.table(&service))
        };
        let (https_before, dns_before) = (look(HTTPS), look(DNS));
        // More changes than there are blocks: those that were left are used again.
        for change in 0..20 {
            service(&mut target, HTTPS).table = Some(all_to(if change % 2 == 0 { EX01.id } else { EX02.id }));
            data_plane.apply(&target).unwrap();
            assert_eq!(look(DNS), dns_before);
            let expected = if change % 2 == 0 { EX01 } else { EX02 };
            assert!(look(HTTPS).1.iter().all(|slot| slot.current == expected.id && !slot.tracked));
            assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, expected.mac));
        }
        service(&mut target, HTTPS).table = Setup::Spread.target().services[0].table.clone();
        data_plane.apply(&target).unwrap();
        assert_eq!(look(HTTPS).1, https_before.1);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn services_servers_and_vips_come_and_go() {
    with_network(|_| {
        let whole = Setup::Dsr.target();
        let (node, mut data_plane) = applied(&whole);
        let names = || {
            let view = view(&node);
            let services = view.services().unwrap().into_iter().map(|service| service.name).collect::<Vec<_>>();
            let servers = view.servers().unwrap().into_iter().map(|server| server.name).collect::<Vec<_>>();
            (services, servers, view.vips().unwrap().len())
        };
        let everything = names();
        assert_eq!((everything.0.len(), everything.1.len(), everything.2), (2, 3, 2));

        let mut less = whole.clone();
        less.services.retain(|service| service.id == HTTPS);
        less.servers.retain(|server| server.id == EX01.id);
        data_plane.apply(&less).unwrap();
        assert_eq!(names(), (vec!["https".to_owned()], vec!["EX01.contoso.com".to_owned()], 2));
        assert_eq!(run(&data_plane, &udp()).0, DROP, "the VIP is still ours, the port is not");
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX01.mac));

        let nothing = Target { services: vec![], servers: vec![], vips: vec![], ..whole.clone() };
        data_plane.apply(&nothing).unwrap();
        assert_eq!(names(), (vec![], vec![], 0));
        assert_eq!(run(&data_plane, &tcp()).0, PASS, "the address is none of ours");

        data_plane.apply(&whole).unwrap();
        assert_eq!(names(), everything);
        assert_eq!(run(&data_plane, &udp()), (TRANSMIT, EX01.mac));
        assert_eq!(set_numbers(&node), [1], "all in the same maps");
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn replies_are_looked_for_while_a_service_is_in_mode_nat() {
    with_network(|_| {
        let reply = tcp().from((EX01.address, SERVER_HTTPS_PORT)).to((CLIENT, CLIENT_PORT)).link(EX01.mac, OWN_MAC);
        fs::write("/proc/sys/net/ipv4/conf/lan0/forwarding", "1").unwrap();
        let (node, mut data_plane) = applied(&Setup::Nat.target());
        assert_eq!(run(&data_plane, &reply).0, TRANSMIT);
        data_plane.apply(&Setup::Dsr.target()).unwrap();
        assert_eq!(run(&data_plane, &reply).0, PASS);
        assert_eq!(view(&node).services().unwrap()[0].mode, lb_common::layout::Mode::Dsr);
        data_plane.apply(&Setup::Nat.target()).unwrap();
        assert_eq!(run(&data_plane, &reply).0, TRANSMIT);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_behind_a_nic_that_is_gone_does_not_hold_up_the_others() {
    with_network(|network| {
        let mut target = on_lan(Setup::Dsr.target());
        network.ip("link delete wan0").unwrap();
        let (_node, mut data_plane) = applied(&target);
        service(&mut target, HTTPS).table = Some(all_to(EX02.id));
        data_plane.apply(&target).unwrap();
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX02.mac));
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn readers_are_never_disturbed_by_changes() {
    with_network(|_| {
        let mut targets = vec![Setup::Spread.target(), Setup::Dsr.target(), grown(40)];
        targets[1].services.retain(|service| service.id == HTTPS);
        // A smaller deployment goes on in large maps; another seed makes new ones each time.
        let mut other_seed = Setup::Spread.target();
        "fabrikam".clone_into(&mut other_seed.node.hash_seed);
        targets.push(other_seed);
        let (node, mut data_plane) = applied(&targets[0]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut reads = 0;
                        while !done.load(Ordering::Relaxed) || reads < 20 {
                            read_everything(&node);
                            reads += 1;
                        }
                    })
                })
                .collect();
            for round in 1..60 {
                data_plane.apply(&targets[round % targets.len()]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
    });
}

/// What `caslb dump` reads; any error fails the test.
fn read_everything(node: &OwnNode) {
    let view = view(node);
    assert!(view.vips().unwrap().len() <= 2);
    for service in view.services().unwrap() {
        assert_eq!((service.array.as_str(), service.mode), ("ams", lb_common::layout::Mode::Dsr));
        for slot in view.table(&service) {
            assert!([EX01.id, EX02.id].contains(&slot.current), "{service:?}: {slot:?}");
        }
        view.steered(service.id, 0).unwrap();
        view.reasons(service.id).unwrap();
    }
    assert!(view.servers().unwrap().len() <= 3);
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn redirects_stay_possible_to_the_nics_of_servers_and_no_others() {
    with_network(|network| {
        let (node, mut data_plane) = applied(&on_lan(Setup::DsrOtherNic.target()));
        let nics = || {
            let set: MapSet = node.pins().sets().unwrap().remove(0);
            let map = Map::DevMapHash(MapData::from_pin(set.map("nics")).unwrap());
            let map = DevMapHash::try_from(map).unwrap();
            map.keys().collect::<Result<BTreeSet<_>, _>>().unwrap()
        };
        assert_eq!(nics(), BTreeSet::from([11, 12]));
        let mut target = on_lan(Setup::Dsr.target());
        target.servers.retain(|server| server.id != 3);
        data_plane.apply(&target).unwrap();
        assert_eq!(nics(), BTreeSet::from([11]));
        // The kernel takes a NIC out by itself when it goes.
        data_plane.apply(&on_lan(Setup::DsrOtherNic.target())).unwrap();
        network.ip("link delete wan0").unwrap();
        assert_eq!(nics(), BTreeSet::from([11]));
        data_plane.apply(&target).unwrap();
        let keys = HashMap::<_, [u8; 4], u32>::try_from(Map::HashMap(
            MapData::from_pin(node.pins().sets().unwrap()[0].map("vips4")).unwrap(),
        ));
        assert!(keys.unwrap().get(&VIP, 0).is_ok());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_service_may_change_its_mode_and_port_on_the_servers() {
    with_network(|_| {
        let mut target = Setup::Dsr.target();
        let (_node, mut data_plane) = applied(&target);
        run(&data_plane, &tcp());
        let https = service(&mut target, HTTPS);
        (https.mode, https.server_port) = (Mode::Nat, SERVER_HTTPS_PORT);
        data_plane.apply(&target).unwrap();
        let (_, frame) = program(&data_plane).run(&tcp().bytes()).unwrap();
        let expected = tcp().to((EX01.address, SERVER_HTTPS_PORT)).link(OWN_MAC, EX01.mac).ttl(56);
        assert_eq!(frame, expected.bytes());
        assert_eq!(steered(&data_plane, HTTPS, 0), 2, "it is the same service, and counts on");
    });
}
