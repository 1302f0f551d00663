//! A node in a network of its own, and looks into the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use aya::programs::links::{FdLink, PinnedLink};
use caslb::controller::target::{ServiceTarget, Target};
use caslb::dataplane::{DataPlane, Program, View};
use caslb_tests::netns::Namespace;
use caslb_tests::own_node::OwnNode;
use caslb_tests::packets::frames::Packet;
use caslb_tests::packets::tables::{NETWORK, SLOTS, Setup, nic};
use lb_common::Reason;

// XDP actions (include/uapi/linux/bpf.h).
pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;
pub(crate) const TRANSMIT: u32 = 3;

/// Runs `test` in a network namespace with the NICs and routes of the packet table.
pub(crate) fn with_network(test: impl FnOnce(&Namespace) + Send) {
    let network = Namespace::new("dataplane").unwrap();
    network.ip(NETWORK).unwrap();
    network.enter(|| test(&network)).unwrap();
}

/// A node and its data plane, brought to `target`.
pub(crate) fn applied(target: &Target) -> (OwnNode, DataPlane) {
    let node = OwnNode::new().unwrap();
    let mut data_plane = open(&node);
    data_plane.apply(target).unwrap();
    (node, data_plane)
}

pub(crate) fn open(node: &OwnNode) -> DataPlane {
    DataPlane::open(node.name(), false).unwrap()
}

pub(crate) fn view(node: &OwnNode) -> View {
    View::open(node.name()).unwrap().unwrap()
}

pub(crate) fn program(data_plane: &DataPlane) -> Program {
    data_plane.load_program(&nic()).unwrap().unwrap()
}

/// The action for `packet` and where the frame then goes.
pub(crate) fn run(data_plane: &DataPlane, packet: &Packet) -> (u32, [u8; 6]) {
    let (action, frame) = program(data_plane).run(&packet.bytes()).unwrap();
    (action, frame[..6].try_into().unwrap())
}

/// Every slot is this server's.
pub(crate) fn all_to(server: u16) -> Arc<[u16]> {
    (0..SLOTS).map(|_| server).collect()
}

pub(crate) fn service(target: &mut Target, id: u32) -> &mut ServiceTarget {
    target.services.iter_mut().find(|service| service.id == id).unwrap()
}

/// `Setup::Dsr` with `count` services of the array, more than the maps for two have room for.
pub(crate) fn grown(count: u32) -> Target {
    let mut target = Setup::Dsr.target();
    for id in 3..=count {
        let port = u16::try_from(1000 + id).unwrap();
        let name = format!("s{id}");
        let more = ServiceTarget { id, name, port, server_port: port, ..target.services[0].clone() };
        target.services.push(more);
    }
    target
}

pub(crate) fn on_lan(mut target: Target) -> Target {
    target.nics = vec![nic()];
    target
}

/// Names under the node's folder.
pub(crate) fn pinned(node: &OwnNode) -> BTreeSet<String> {
    let entries = fs::read_dir(node.pins().root()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Id of the XDP program on a NIC, from what `ip` says: `... prog/xdp id 42 ...`.
pub(crate) fn program_on(nic: &str) -> Option<u32> {
    let output = Command::new("ip").args(["link", "show", "dev", nic]).output().unwrap();
    assert!(output.status.success(), "no NIC {nic}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("prog/xdp id ")?;
    Some(rest.split_whitespace().next().unwrap().parse().unwrap())
}

/// Id of the link pinned for a NIC.
pub(crate) fn link_id(node: &OwnNode, nic: &str) -> u32 {
    let link = FdLink::from(PinnedLink::from_pin(node.pins().link(nic)).unwrap());
    link.info().unwrap().id()
}

pub(crate) fn steered(data_plane: &DataPlane, service: u32, ordinal: u16) -> u64 {
    data_plane.steered(service, ordinal).packets
}

/// How often `reason` was counted for `service`.
pub(crate) fn counted(data_plane: &DataPlane, service: u32, reason: Reason) -> u64 {
    data_plane.reasons(service).iter().find(|count| count.reason == reason).map_or(0, |count| count.packets)
}

pub(crate) fn set_numbers(node: &OwnNode) -> Vec<u32> {
    node.pins().sets().unwrap().iter().map(|set| set.number).collect()
}
