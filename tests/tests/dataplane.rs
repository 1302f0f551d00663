//! The owner of the data plane against a real kernel: what it adopts, changes, counts, rebuilds, attaches and removes.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use aya::{
    maps::{Array, HashMap, Map, MapData, MapInfo},
    programs::links::{FdLink, PinnedLink},
};
use caslb::{
    config::deployment::{Mode, XdpMode},
    controller::target::{NicTarget, ServiceTarget, Target},
    dataplane::{CounterTotals, DataPlane, DataPlaneError, Program, View, pins::MapSet},
};
use caslb_tests::{
    own_network::{OwnNode, in_own_network, ip},
    packets::{
        frames::{Packet, tcp, udp},
        tables::{
            CLIENT, CLIENT_PORT, DNS, EX01, EX02, HTTPS, NETWORK, OWN_MAC, SERVER_HTTPS_PORT, SLOTS, Setup, VIP, nic,
        },
    },
};
use lb_common::Reason;

// XDP actions (include/uapi/linux/bpf.h).
const DROP: u32 = 1;
const PASS: u32 = 2;
const TRANSMIT: u32 = 3;

/// Runs `test` in a network namespace with the NICs and routes of the packet table.
fn with_network(test: impl FnOnce() + Send) {
    in_own_network(|| {
        NETWORK.iter().for_each(|command| ip(command).unwrap());
        test();
    })
    .unwrap();
}

/// A node and its data plane, brought to `target`.
fn applied(target: &Target) -> (OwnNode, DataPlane) {
    let node = OwnNode::new().unwrap();
    let mut data_plane = open(&node);
    data_plane.apply(target).unwrap();
    (node, data_plane)
}

fn open(node: &OwnNode) -> DataPlane {
    DataPlane::open(node.name(), false).unwrap()
}

fn view(node: &OwnNode) -> View {
    View::open(node.name()).unwrap().unwrap()
}

fn program(data_plane: &DataPlane) -> Program {
    data_plane.load_program(&nic()).unwrap().unwrap()
}

/// The action for `packet` and where the frame then goes.
fn run(data_plane: &DataPlane, packet: &Packet) -> (u32, [u8; 6]) {
    let (action, frame) = program(data_plane).run(&packet.bytes()).unwrap();
    (action, frame[..6].try_into().unwrap())
}

/// Every slot is this server's.
fn all_to(server: u16) -> Option<Arc<[u16]>> {
    Some((0..SLOTS).map(|_| server).collect())
}

fn service(target: &mut Target, id: u32) -> &mut ServiceTarget {
    target.services.iter_mut().find(|service| service.id == id).unwrap()
}

/// `Setup::Dsr` with `count` services of the array, more than the maps for two have room for.
fn grown(count: u32) -> Target {
    let mut target = Setup::Dsr.target();
    for id in 3..=count {
        let port = u16::try_from(1000 + id).unwrap();
        let name = format!("s{id}");
        let more = ServiceTarget { id, name, port, server_port: port, ..target.services[0].clone() };
        target.services.push(more);
    }
    target
}

fn on_lan(mut target: Target) -> Target {
    target.nics = vec![nic()];
    target
}

/// Names under the node's folder.
fn pinned(node: &OwnNode) -> BTreeSet<String> {
    let entries = fs::read_dir(node.pins().root()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Id of the XDP program on a NIC, from what `ip` says: `... prog/xdp id 42 ...`.
fn program_on(nic: &str) -> Option<u32> {
    let output = Command::new("ip").args(["link", "show", "dev", nic]).output().unwrap();
    assert!(output.status.success(), "no NIC {nic}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("prog/xdp id ")?;
    Some(rest.split_whitespace().next().unwrap().parse().unwrap())
}

/// Id of the link pinned for a NIC.
fn link_id(node: &OwnNode, nic: &str) -> u32 {
    let link = FdLink::from(PinnedLink::from_pin(node.pins().link(nic)).unwrap());
    link.info().unwrap().id()
}

fn steered(data_plane: &DataPlane, service: u32, ordinal: u16) -> u64 {
    data_plane.steered(service, ordinal).packets
}

/// How often `reason` was counted for `service`.
fn counted(data_plane: &DataPlane, service: u32, reason: Reason) -> u64 {
    data_plane.reasons(service).iter().find(|count| count.reason == reason).map_or(0, |count| count.packets)
}

fn set_numbers(node: &OwnNode) -> Vec<u32> {
    node.pins().sets().unwrap().iter().map(|set| set.number).collect()
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_new_owner_adopts_the_ids_and_tables_it_finds() {
    with_network(|| {
        let mut target = Setup::Spread.target();
        service(&mut target, DNS).table = None;
        let mut third = service(&mut target, HTTPS).clone();
        (third.id, third.name, third.port) = (3, "smtp".to_owned(), 25);
        target.services.push(third);
        let (node, data_plane) = applied(&target);
        drop(data_plane);

        let adopted = open(&node).adopted().unwrap();
        assert_eq!(adopted.services.len(), 3);
        for (found, wanted) in adopted.services.iter().zip(&target.services) {
            assert_eq!((found.id, found.vip, found.port), (wanted.id, wanted.vip, wanted.port));
            assert_eq!(found.protocol, wanted.protocol.number());
            assert_eq!(found.table, wanted.table);
        }
        let (https, smtp) = (&adopted.services[0].table, &adopted.services[2].table);
        assert!(Arc::ptr_eq(https.as_ref().unwrap(), smtp.as_ref().unwrap()), "services that share a table still do");
        let found: Vec<_> = adopted.servers.iter().map(|s| (s.id, s.ordinal, &*s.array, &*s.name)).collect();
        let wanted: Vec<_> = target.servers.iter().map(|s| (s.id, s.ordinal, &*s.array, &*s.name)).collect();
        assert_eq!(found, wanted);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_node_without_pins_has_nothing_to_adopt_or_view() {
    let node = OwnNode::new().unwrap();
    let adopted = open(&node).adopted().unwrap();
    assert!(adopted.services.is_empty() && adopted.servers.is_empty());
    assert!(View::open(node.name()).unwrap().is_none());
    assert!(!node.pins().exist(), "opening leaves no trace");
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn applying_the_same_target_again_changes_nothing() {
    with_network(|| {
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
    with_network(|| {
        let mut target = Setup::Spread.target();
        service(&mut target, DNS).table = all_to(EX02.id);
        let (node, mut data_plane) = applied(&target);
        let look = |id| {
            let view = view(&node);
            let service = view.services().unwrap().into_iter().find(|service| service.id == id).unwrap();
            (service.block, view.table(&service))
        };
        let (https_before, dns_before) = (look(HTTPS), look(DNS));
        // More changes than there are blocks: those that were left are used again.
        for change in 0..20 {
            service(&mut target, HTTPS).table = all_to(if change % 2 == 0 { EX01.id } else { EX02.id });
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
    with_network(|| {
        let whole = Setup::Dsr.target();
        let (node, mut data_plane) = applied(&whole);
        let names = || {
            let view = view(&node);
            let services = view.services().unwrap().into_iter().map(|service| service.name).collect::<Vec<_>>();
            let servers = view.servers().unwrap().into_iter().map(|server| server.name).collect::<Vec<_>>();
            (services, servers, view.vips().unwrap().len())
        };
        let everything = names();
        assert_eq!((everything.0.len(), everything.1.len(), everything.2), (2, 3, 1));

        let mut less = whole.clone();
        less.services.retain(|service| service.id == HTTPS);
        less.servers.retain(|server| server.id == EX01.id);
        data_plane.apply(&less).unwrap();
        assert_eq!(names(), (vec!["https".to_owned()], vec!["EX01.contoso.com".to_owned()], 1));
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
    with_network(|| {
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
fn counters_of_an_id_that_is_used_again_begin_at_zero() {
    with_network(|| {
        let mut target = Setup::Dsr.target();
        let (_node, mut data_plane) = applied(&target);
        let no_server = |data_plane: &DataPlane, service| counted(data_plane, service, Reason::NoServer);
        run(&data_plane, &tcp());
        run(&data_plane, &udp());
        service(&mut target, DNS).table = None;
        data_plane.apply(&target).unwrap();
        run(&data_plane, &udp());
        assert_eq!(
            (steered(&data_plane, HTTPS, 0), steered(&data_plane, DNS, 0), no_server(&data_plane, DNS)),
            (1, 1, 1)
        );

        // Another service takes the id, at once or after a while.
        for pause in [false, true] {
            if pause {
                run(&data_plane, &udp().to((VIP, 54)));
                let mut without = target.clone();
                without.services.retain(|service| service.id != DNS);
                data_plane.apply(&without).unwrap();
            }
            let dns = service(&mut target, DNS);
            (dns.port, dns.name, dns.table) = (dns.port + 1, format!("dns{}", dns.port), all_to(EX01.id));
            data_plane.apply(&target).unwrap();
            assert_eq!(data_plane.steered(DNS, 0), CounterTotals::default(), "pause: {pause}");
            assert_eq!(no_server(&data_plane, DNS), 0, "pause: {pause}");
        }
        // Another server takes the position of one that went.
        target.servers[0].id = 7;
        target.servers[0].name = "EX07.contoso.com".to_owned();
        service(&mut target, HTTPS).table = all_to(7);
        service(&mut target, DNS).table = all_to(7);
        data_plane.apply(&target).unwrap();
        assert_eq!(steered(&data_plane, HTTPS, 0), 0);
        run(&data_plane, &tcp());
        assert_eq!(steered(&data_plane, HTTPS, 0), 1);
        data_plane.apply(&target).unwrap();
        assert_eq!(steered(&data_plane, HTTPS, 0), 1, "a server that stays keeps its counters");
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_deployment_that_outgrows_its_maps_gets_new_ones_and_keeps_its_counters() {
    with_network(|| {
        let (node, mut data_plane) = applied(&on_lan(Setup::Dsr.target()));
        let link = link_id(&node, "lan0");
        run(&data_plane, &tcp());
        run(&data_plane, &udp());
        run(&data_plane, &udp());
        let counted_before = data_plane.steered(HTTPS, 0);

        let mut target = on_lan(grown(40));
        // An id that is given to another service on the same occasion.
        let dns = service(&mut target, DNS);
        (dns.port, dns.name) = (54, "dns2".to_owned());
        data_plane.apply(&target).unwrap();
        assert_eq!(set_numbers(&node), [2]);
        assert_eq!(data_plane.steered(HTTPS, 0), counted_before);
        assert_eq!(data_plane.steered(DNS, 0), CounterTotals::default(), "the id has another owner");
        assert_eq!(link_id(&node, "lan0"), link, "the link stays, its program is another");
        assert_eq!(run(&data_plane, &tcp().to((VIP, 1040))), (TRANSMIT, EX01.mac));

        drop(data_plane);
        let data_plane = open(&node);
        assert_eq!(data_plane.adopted().unwrap().services.len(), 40);
        assert_eq!(data_plane.steered(HTTPS, 0), counted_before);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn counters_of_a_server_that_is_replaced_while_maps_are_rebuilt_begin_at_zero() {
    with_network(|| {
        let (_node, mut data_plane) = applied(&Setup::Dsr.target());
        run(&data_plane, &tcp());
        let mut target = grown(40);
        target.servers[0].name = "EX07.contoso.com".to_owned();
        data_plane.apply(&target).unwrap();
        assert_eq!(data_plane.steered(HTTPS, 0), CounterTotals::default());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn another_hash_seed_or_table_size_gets_new_maps() {
    with_network(|| {
        let mut target = Setup::Dsr.target();
        let (node, mut data_plane) = applied(&target);
        run(&data_plane, &tcp());
        "fabrikam".clone_into(&mut target.node.hash_seed);
        data_plane.apply(&target).unwrap();
        assert_eq!((set_numbers(&node), steered(&data_plane, HTTPS, 0)), (vec![2], 1));
        target.node.slots = 1009;
        for service in &mut target.services {
            service.table = Some(vec![EX02.id; 1009].into());
        }
        data_plane.apply(&target).unwrap();
        assert_eq!((set_numbers(&node), view(&node).slots_per_table()), (vec![3], 1009));
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX02.mac));
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_set_of_maps_that_was_never_finished_is_thrown_away() {
    with_network(|| {
        let (node, data_plane) = applied(&Setup::Dsr.target());
        let complete = node.pins().sets().unwrap().remove(0);
        let adopted = data_plane.adopted().unwrap();
        drop(data_plane);

        let (other, other_plane) = applied(&Setup::Dsr.target());
        drop(other_plane);
        let donor = other.pins().sets().unwrap().remove(0);
        let meta = Map::Array(MapData::from_pin(donor.map("meta")).unwrap());
        let mut meta = Array::<_, u64>::try_from(meta).unwrap();
        meta.set(u32::try_from(lb_common::layout::meta::SLOTS).unwrap(), 0, 0).unwrap();

        let all: Vec<String> =
            fs::read_dir(&donor.path).unwrap().map(|pin| pin.unwrap().file_name().into_string().unwrap()).collect();
        // The maps are made in any order, and a controller can die between any two.
        for names in
            [vec![], vec!["slots"], vec!["meta"], vec!["meta", "slots"], all.iter().map(String::as_str).collect()]
        {
            let half = node.pins().next_set().unwrap();
            fs::create_dir(&half.path).unwrap();
            for name in &names {
                MapData::from_pin(donor.map(name)).unwrap().pin(half.map(name)).unwrap();
            }
            let data_plane = DataPlane::open(node.name(), false).unwrap_or_else(|error| panic!("{names:?}: {error}"));
            assert_eq!(data_plane.adopted().unwrap(), adopted, "{names:?}");
            assert_eq!(node.pins().sets().unwrap(), [complete.clone()], "{names:?}");
        }
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn maps_of_another_layout_are_replaced_by_the_first_apply() {
    with_network(|| {
        let node = OwnNode::new().unwrap();
        let old = node.pins().root().join("v999-4");
        fs::create_dir_all(&old).unwrap();
        let error = View::open(node.name()).err().unwrap().to_string();
        assert!(error.contains("another version of caslb") && error.contains("999"), "{error}");
        let mut data_plane = open(&node);
        assert!(old.exists(), "opening changes nothing");
        data_plane.apply(&Setup::Dsr.target()).unwrap();
        assert_eq!(pinned(&node), BTreeSet::from(["v1-5".to_owned()]));
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX01.mac));
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_pin_of_another_shape_is_refused_and_nothing_is_changed() {
    with_network(|| {
        let (node, data_plane) = applied(&on_lan(Setup::Dsr.target()));
        drop(data_plane);
        let set = node.pins().sets().unwrap().remove(0);
        let attached = program_on("lan0");
        // Another kind, another key, other entries.
        for (name, instead) in [("services", "services4"), ("services4", "vips4"), ("vips", "meta"), ("meta", "slots")]
        {
            let kept = MapData::from_pin(set.map(name)).unwrap();
            fs::remove_file(set.map(name)).unwrap();
            MapData::from_pin(set.map(instead)).unwrap().pin(set.map(name)).unwrap();

            for refusal in [DataPlane::open(node.name(), false).err().unwrap().to_string(), view_refusal(&node)] {
                assert!(refusal.contains("shape") && refusal.contains("caslb detach"), "{name}: {refusal}");
            }
            assert_eq!(fs::read_dir(&set.path).unwrap().count(), 15, "{name}");
            assert_eq!(program_on("lan0"), attached, "{name}");

            fs::remove_file(set.map(name)).unwrap();
            kept.pin(set.map(name)).unwrap();
        }
        // And a map that is gone altogether.
        fs::remove_file(set.map("vips4")).unwrap();
        let refusal = DataPlane::open(node.name(), false).err().unwrap().to_string();
        assert!(refusal.contains("vips4"), "{refusal}");
        assert_eq!(program_on("lan0"), attached);
    });
}

fn view_refusal(node: &OwnNode) -> String {
    View::open(node.name()).err().unwrap().to_string()
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn detaching_removes_the_program_and_every_pin() {
    with_network(|| {
        let other = OwnNode::new().unwrap();
        open(&other).apply(&Setup::Dsr.target()).unwrap();
        let (node, data_plane) = applied(&on_lan(Setup::Nat.target()));
        assert!(program_on("lan0").is_some());
        assert_eq!(pinned(&node), BTreeSet::from(["links".to_owned(), "v1-1".to_owned()]));
        data_plane.detach().unwrap();
        assert_eq!(program_on("lan0"), None);
        assert!(!node.pins().exist());
        assert!(View::open(node.name()).unwrap().is_none());
        assert!(other.pins().exist(), "another node's pins stay");
        open(&node).detach().unwrap();
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_program_stays_attached_without_its_owner_and_is_replaced_in_place_by_the_next() {
    with_network(|| {
        let target = on_lan(Setup::Dsr.target());
        let (node, data_plane) = applied(&target);
        let (link, first) = (link_id(&node, "lan0"), program_on("lan0").unwrap());
        drop(data_plane);
        assert_eq!(program_on("lan0"), Some(first));

        let mut data_plane = open(&node);
        assert_eq!(program_on("lan0"), Some(first), "opening changes nothing");
        data_plane.apply(&target).unwrap();
        assert_eq!(link_id(&node, "lan0"), link);
        assert_ne!(program_on("lan0"), Some(first));

        data_plane.apply(&Setup::Dsr.target()).unwrap();
        assert_eq!(program_on("lan0"), None, "a NIC that is no longer named is left");
        data_plane.apply(&target).unwrap();
        assert!(program_on("lan0").is_some());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_nic_that_was_made_anew_is_attached_to_again() {
    with_network(|| {
        let mut target = on_lan(Setup::Dsr.target());
        let (node, mut data_plane) = applied(&target);
        for (index, reopened) in [(31, false), (32, true)] {
            ip("link delete lan0").unwrap();
            ip(&format!("link add lan0 index {index} address 02:00:00:00:01:01 type veth peer name lan1")).unwrap();
            ip("link set lan0 up").unwrap();
            assert_eq!(program_on("lan0"), None);
            if reopened {
                data_plane = open(&node);
            }
            target.nics = vec![NicTarget { ifindex: index, ..nic() }];
            for server in &mut target.servers {
                if let Some(path) = server.path.as_mut().filter(|path| path.interface == "lan0") {
                    path.ifindex = index;
                }
            }
            data_plane.apply(&target).unwrap();
            assert!(program_on("lan0").is_some(), "index {index}");
            assert_eq!(set_numbers(&node), [1]);
        }
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_nic_with_another_xdp_program_is_refused_and_that_program_stays() {
    with_network(|| {
        for theirs in [XdpMode::Driver, XdpMode::Generic] {
            let mut target = on_lan(Setup::Dsr.target());
            target.node.xdp = theirs;
            let (_other, other_plane) = applied(&target);
            let attached = program_on_any_mode("lan0");
            for ours in [XdpMode::Auto, XdpMode::Driver, XdpMode::Generic] {
                target.node.xdp = ours;
                let node = OwnNode::new().unwrap();
                let error = open(&node).apply(&target).unwrap_err();
                assert!(matches!(error, DataPlaneError::Attach(_)), "{error}");
                let said = error.to_string();
                assert!(said.starts_with("another XDP program is attached to lan0"), "{theirs:?}, {ours:?}: {said}");
                assert_eq!(program_on_any_mode("lan0"), attached);
                assert!(!node.pins().link("lan0").exists());
                assert_eq!(node.pins().sets().unwrap(), []);
            }
            other_plane.detach().unwrap();
        }
    });
}

/// Like [`program_on`], whatever the mode: `xdp`, `xdpgeneric`.
fn program_on_any_mode(nic: &str) -> String {
    let output = Command::new("ip").args(["link", "show", "dev", nic]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("xdp"), "{text}");
    text
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_apply_that_fails_leaves_what_was_there() {
    with_network(|| {
        let good = on_lan(Setup::Dsr.target());
        let (node, mut data_plane) = applied(&good);
        run(&data_plane, &tcp());
        let nowhere = NicTarget { name: "none0".to_owned(), ifindex: 4711, mac: OWN_MAC };
        // With as many services as before and with more than the maps hold; before and after the NIC that is there.
        for (count, position) in [(2, 0), (2, 1), (40, 0), (40, 1)] {
            let mut bad = on_lan(grown(count));
            bad.nics.insert(position, nowhere.clone());
            let error = data_plane.apply(&bad).unwrap_err().to_string();
            assert!(error.contains("none0"), "{error}");
            assert_eq!(set_numbers(&node), [1], "{count} services");
            assert!(runs_on_the_pinned_maps(&node, "lan0"), "{count} services, NIC {position}");
            assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX01.mac));
        }
        data_plane.apply(&good).unwrap();
        assert_eq!((set_numbers(&node), steered(&data_plane, HTTPS, 0)), (vec![1], 5));
        data_plane.apply(&on_lan(grown(40))).unwrap();
        assert_eq!(set_numbers(&node), [2]);
        assert!(runs_on_the_pinned_maps(&node, "lan0"));
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_first_apply_that_fails_leaves_nothing() {
    with_network(|| {
        let node = OwnNode::new().unwrap();
        let mut target = on_lan(Setup::Dsr.target());
        target.nics.push(NicTarget { name: "none0".to_owned(), ifindex: 4711, mac: OWN_MAC });
        open(&node).apply(&target).unwrap_err();
        assert_eq!((set_numbers(&node), program_on("lan0")), (vec![], None));
        assert!(!node.pins().link("lan0").exists());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_behind_a_nic_that_is_gone_does_not_hold_up_the_others() {
    with_network(|| {
        let mut target = on_lan(Setup::Dsr.target());
        ip("link delete wan0").unwrap();
        let (_node, mut data_plane) = applied(&target);
        service(&mut target, HTTPS).table = all_to(EX02.id);
        data_plane.apply(&target).unwrap();
        assert_eq!(run(&data_plane, &tcp()), (TRANSMIT, EX02.mac));
    });
}

/// Whether the program on a NIC works with the maps that are pinned for the node.
fn runs_on_the_pinned_maps(node: &OwnNode, nic: &str) -> bool {
    let id = program_on(nic).unwrap();
    let info = aya::programs::loaded_programs().map(Result::unwrap).find(|program| program.id() == id).unwrap();
    let slots = MapInfo::from_pin(node.pins().sets().unwrap()[0].map("slots")).unwrap();
    info.map_ids().unwrap().unwrap().contains(&slots.id())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn readers_are_never_disturbed_by_changes() {
    with_network(|| {
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
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
    });
}

/// What `caslb dump` reads; any error fails the test.
fn read_everything(node: &OwnNode) {
    let view = view(node);
    assert!(view.vips().unwrap().len() <= 1);
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
    with_network(|| {
        let (node, mut data_plane) = applied(&on_lan(Setup::DsrOtherNic.target()));
        let nics = || {
            let set: MapSet = node.pins().sets().unwrap().remove(0);
            let map = Map::DevMapHash(MapData::from_pin(set.map("nics")).unwrap());
            let map = aya::maps::DevMapHash::try_from(map).unwrap();
            map.keys().collect::<Result<BTreeSet<_>, _>>().unwrap()
        };
        assert_eq!(nics(), BTreeSet::from([11, 12]));
        let mut target = on_lan(Setup::Dsr.target());
        target.servers.retain(|server| server.id != 3);
        data_plane.apply(&target).unwrap();
        assert_eq!(nics(), BTreeSet::from([11]));
        // The kernel takes a NIC out by itself when it goes.
        data_plane.apply(&on_lan(Setup::DsrOtherNic.target())).unwrap();
        ip("link delete wan0").unwrap();
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
    with_network(|| {
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
