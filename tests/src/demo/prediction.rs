//! Where every connection must go: the slot tables as they are in the kernel, and the flow hash, computed here.
//!
//! This is the claim that the demonstration holds against what really happens; nothing is asked of the controller.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use ::caslb::controller::maglev::{self, Member};
use ::caslb::dataplane::{ServiceView, View};
use anyhow::{Context, Result, bail};
use lb_common::hash;

/// IANA's number of the protocol.
const TCP: u8 = 6;
/// Weight of every server of the demonstration, the default.
const WEIGHT: u16 = 100;

/// The maps of a node, open for reading.
pub(super) struct Tables {
    view: View,
    vip: SocketAddrV4,
}

/// The table of one service at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    key: hash::Key,
    vip: SocketAddrV4,
    /// Server id by slot.
    slots: Vec<u16>,
    /// Server name by id.
    names: BTreeMap<u16, String>,
}

impl Tables {
    /// Opens the maps of `node`, for its service on `vip`.
    pub(super) fn open(node: &str, vip: SocketAddrV4) -> Result<Self> {
        let view = View::open(node)?.with_context(|| format!("nothing is loaded for node {node}"))?;
        Ok(Self { view, vip })
    }

    /// The table as it is now.
    pub(super) fn now(&self) -> Result<Table> {
        let slots = self.view.table(&self.service()?).iter().map(|slot| slot.current).collect();
        let names = self.view.servers()?.into_iter().map(|server| (server.id, server.name)).collect();
        Ok(Table { key: self.view.hash_key(), vip: self.vip, slots, names })
    }

    /// Bytes that the balancer has steered to servers so far.
    pub(super) fn steered_bytes(&self) -> Result<u64> {
        let service = self.service()?;
        let servers = self.view.servers()?.into_iter();
        servers.map(|server| Ok(self.view.steered(service.id, server.record.ordinal)?.bytes)).sum()
    }

    fn service(&self) -> Result<ServiceView> {
        let services = self.view.services()?;
        let found = services
            .into_iter()
            .find(|service| service.vip.v4() == Some(*self.vip.ip()) && service.port == self.vip.port());
        found.with_context(|| format!("no service on {} in the maps", self.vip))
    }
}

impl Table {
    /// The slot of a connection from `client`.
    pub(super) fn slot(&self, client: SocketAddr) -> Result<usize> {
        let IpAddr::V4(address) = client.ip() else { bail!("{client} is not IPv4") };
        let [src, dst] = [address, *self.vip.ip()].map(|address| u32::from_ne_bytes(address.octets()));
        let [[a, b], [c, d]] = [client.port(), self.vip.port()].map(u16::to_be_bytes);
        let flow = hash::flow4(self.key, src, dst, u32::from_ne_bytes([a, b, c, d]), TCP);
        Ok(usize::try_from(hash::slot(flow, u32::try_from(self.slots.len())?))?)
    }

    /// The server that a connection from `client` goes to.
    pub(super) fn server_of(&self, client: SocketAddr) -> Result<&str> {
        self.server_at(self.slot(client)?)
    }

    /// The server of a slot.
    pub(super) fn server_at(&self, slot: usize) -> Result<&str> {
        let name = self.slots.get(slot).and_then(|id| self.names.get(id));
        name.map(String::as_str).with_context(|| format!("slot {slot} has no server"))
    }

    /// Number of slots.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Slots of a server.
    pub(super) fn slots_of(&self, server: &str) -> usize {
        self.slots.iter().filter(|id| self.names.get(*id).is_some_and(|name| name == server)).count()
    }

    /// Slots that have the same server in both.
    pub(super) fn agreeing(&self, other: &Self) -> usize {
        self.slots.iter().zip(&other.slots).filter(|(one, other)| one == other).count()
    }

    /// The table that Maglev makes for `servers` alone, by the names and seed of the demonstration's configuration.
    pub(super) fn of(&self, servers: &[&str], seed: &str, array: &str) -> Result<Self> {
        let named = self.names.iter().filter(|(_, name)| servers.contains(&name.as_str()));
        let members: Vec<_> = named.map(|(id, name)| Member { name: name.clone(), weight: WEIGHT, id: *id }).collect();
        let slots = maglev::table(seed, array, &members, u32::try_from(self.slots.len())?);
        Ok(Self { slots, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_agrees_with_the_golden_value_of_the_flow_hash() {
        let key = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        let table = Table {
            key,
            vip: "10.1.0.100:443".parse().unwrap(),
            slots: (0..=u16::MAX).collect(),
            names: BTreeMap::new(),
        };
        // With 2^16 slots the slot is the upper half of the hash, 2,599,944,733 for this flow.
        assert_eq!(table.slot("192.0.2.1:40000".parse().unwrap()).unwrap(), 2_599_944_733 >> 16);
    }
}
