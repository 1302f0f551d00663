//! The program on its NICs.

use std::collections::BTreeSet;
use std::process::Command;

use caslb::config::deployment::XdpMode;
use caslb::controller::target::NicTarget;
use caslb::dataplane::{DataPlaneError, View};
use caslb_tests::own_node::OwnNode;
use caslb_tests::packets::frames::tcp;
use caslb_tests::packets::tables::{EX01, HTTPS, OWN_MAC, Setup, nic};

use crate::fixture::{
    TRANSMIT, applied, grown, link_id, on_lan, open, pinned, program_on, run, set_numbers, steered, with_network,
};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn detaching_removes_the_program_and_every_pin() {
    with_network(|_| {
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
    with_network(|_| {
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
    with_network(|network| {
        let mut target = on_lan(Setup::Dsr.target());
        let (node, mut data_plane) = applied(&target);
        for (index, reopened) in [(31, false), (32, true)] {
            network.ip("link delete lan0").unwrap();
            network
                .ip(&format!("link add lan0 index {index} address 02:00:00:00:01:01 type veth peer name lan1"))
                .unwrap();
            network.ip("link set lan0 up").unwrap();
            assert_eq!(program_on("lan0"), None);
            if reopened {
                data_plane = open(&node);
            }
            target.nics = vec![NicTarget { ifindex: index, ..nic() }];
            for server in &mut target.servers {
                let paths = [&mut server.path4, &mut server.path6].into_iter().filter_map(Option::as_mut);
                for path in paths.filter(|path| path.interface == "lan0") {
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
    with_network(|_| {
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
    with_network(|_| {
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
    with_network(|_| {
        let node = OwnNode::new().unwrap();
        let mut target = on_lan(Setup::Dsr.target());
        target.nics.push(NicTarget { name: "none0".to_owned(), ifindex: 4711, mac: OWN_MAC });
        open(&node).apply(&target).unwrap_err();
        assert_eq!(program_on("lan0"), None);
        assert!(!node.pins().exist());
    });
}

/// Whether the program on a NIC works with the maps that are pinned for the node.
fn runs_on_the_pinned_maps(node: &OwnNode, nic: &str) -> bool {
    let id = program_on(nic).unwrap();
    let info = aya::programs::loaded_programs().map(Result::unwrap).find(|program| program.id() == id).unwrap();
    let slots = aya::maps::MapInfo::from_pin(node.pins().sets().unwrap()[0].map("slots")).unwrap();
    info.map_ids().unwrap().unwrap().contains(&slots.id())
}
