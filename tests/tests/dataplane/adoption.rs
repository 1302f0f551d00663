//! What a new owner makes of the pins it finds.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use aya::maps::{Array, Map, MapData};
use caslb::dataplane::{DataPlane, View};
use caslb_tests::own_node::OwnNode;
use caslb_tests::packets::frames::tcp;
use caslb_tests::packets::tables::{DNS, EX01, HTTPS, Setup};

use crate::fixture::{TRANSMIT, applied, on_lan, open, pinned, program_on, run, service, with_network};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_new_owner_adopts_the_ids_and_tables_it_finds() {
    with_network(|_| {
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
fn a_set_of_maps_that_was_never_finished_is_thrown_away() {
    with_network(|_| {
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
            assert_eq!(node.pins().sets().unwrap(), std::slice::from_ref(&complete), "{names:?}");
        }
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn maps_of_another_layout_are_replaced_by_the_first_apply() {
    with_network(|_| {
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
    with_network(|_| {
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
            assert_eq!(fs::read_dir(&set.path).unwrap().count(), 19, "{name}");
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
