//! What is in the maps of a node, read from their pins.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::Context;
use lb_common::{
    Reason,
    layout::{
        Direct4, Direct6, DirectParts, Endpoint4, Endpoint6, HashKind, Label, Mode, NO_BLOCK, NO_SERVICE, Server,
    },
    slot::SlotWord,
};

use super::{
    maps::{Maps, OpenError},
    pins::{MapSet, Pins},
};
use crate::config::deployment::Addresses;

/// VIP, port and protocol number, by service id.
type Endpoints = BTreeMap<u32, Vec<(IpAddr, u16, u8)>>;

/// The maps of a node, open for reading.
pub struct View {
    maps: Maps,
}

/// A VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipView {
    /// Its address.
    pub address: IpAddr,
    /// ARP, neighbour solicitations and echo requests are answered.
    pub announced: bool,
    /// Packets for an unknown port or protocol go to the stack.
    pub pass_unknown: bool,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its id.
    pub id: u32,
    /// Its array.
    pub array: String,
    /// Its name.
    pub name: String,
    /// The VIP.
    pub vip: Addresses,
    /// The port.
    pub port: u16,
    /// The protocol number.
    pub protocol: u8,
    /// The port on the servers.
    pub server_port: u16,
    /// How packets reach the server.
    pub mode: Mode,
    /// What the flow hash covers.
    pub hash: HashKind,
    /// Block of its table; `None` when it steers nothing.
    pub block: Option<u32>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// Its id.
    pub id: u16,
    /// Its array.
    pub array: String,
    /// Its name.
    pub name: String,
    /// Its record.
    pub record: Server,
}

/// One slot of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// Server of new flows; 0 is none.
    pub current: u16,
    /// Server of older flows; 0 is none.
    pub previous: u16,
    /// Whether a change is under way.
    pub tracked: bool,
}

/// Packets and bytes over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterTotals {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How often a reason applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason.
    pub reason: Reason,
    /// Packets.
    pub packets: u64,
}

impl View {
    /// Opens the maps of `node`. `Ok(None)`: there are none.
    pub fn open(node: &str) -> anyhow::Result<Option<Self>> {
        // A controller may replace the maps while they are being opened: the next attempt finds the new ones, which are
        // complete before the old ones go.
        const ATTEMPTS: usize = 5;
        let mut opened = Self::try_open(node);
        for _ in 1..ATTEMPTS {
            if opened.is_ok() {
                break;
            }
            opened = Self::try_open(node);
        }
        opened
    }

    fn try_open(node: &str) -> anyhow::Result<Option<Self>> {
        let pins = Pins::new(node);
        let sets = pins.sets().with_context(|| format!("the pins under {} cannot be read", pins.root().display()))?;
        let mut broken = None;
        for set in sets.iter().rev().filter(|set| set.is_current_layout()) {
            match Maps::open(set) {
                Ok(maps) => return Ok(Some(Self { maps })),
                Err(error @ OpenError::Incomplete { .. }) => broken = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(error) = broken {
            return Err(error.into());
        }
        match sets.last() {
            None => Ok(None),
            Some(MapSet { layout, .. }) => anyhow::bail!(
                "node {node} was loaded by another version of caslb (its maps have layout version {layout}, this \
                 program reads version {}): use that version, or let this one take over with `caslb run`",
                lb_common::layout::VERSION
            ),
        }
    }

    pub(super) fn new(maps: Maps) -> Self {
        Self { maps }
    }

    /// Slots of each table.
    pub fn slots_per_table(&self) -> u32 {
        self.maps.sizes.slots
    }

    /// The key of the flow hash.
    pub fn hash_key(&self) -> lb_common::hash::Key {
        self.maps.hash_key()
    }

    /// The VIPs, by address.
    pub fn vips(&self) -> anyhow::Result<Vec<VipView>> {
        let ids4 = self.maps.vips4.iter().map(|entry| entry.map(|(address, id)| (IpAddr::from(address), id)));
        let ids6 = self.maps.vips6.iter().map(|entry| entry.map(|(address, id)| (IpAddr::from(address), id)));
        let mut vips = Vec::new();
        for entry in ids4.chain(ids6) {
            let (address, id) = entry.context("the map vips4 or vips6 cannot be read")?;
            let record = self.maps.vips.rows().get(id as usize).context("a key names a VIP that does not exist")?;
            let lb_common::layout::Vip { announced, pass_unknown } = record.load();
            vips.push(VipView { address, announced, pass_unknown });
        }
        vips.sort_by_key(|vip| vip.address);
        Ok(vips)
    }

    /// The services, by id. A service with addresses of both families is one; when a controller died while it gave a
    /// service another address, both are seen, as two services of one id.
    pub fn services(&self) -> anyhow::Result<Vec<ServiceView>> {
        let mut services: Vec<ServiceView> = Vec::new();
        for (id, endpoints) in self.endpoints()? {
            let label = self.maps.service_labels.get(&id, 0).ok();
            if label.is_none() && !endpoints.iter().any(|&of| self.is_there(of)) {
                // It was removed meanwhile: first the keys, then the label.
                continue;
            }
            let (array, name) = Self::label(label.as_ref());
            let rows = self.maps.services.rows();
            let record = rows.get(id as usize).context("a key names a service that does not exist")?.load();
            let first_of_id = services.len();
            for (address, port, protocol) in endpoints {
                let partner = services[first_of_id..].iter_mut().find_map(|service| {
                    let both = both(service.vip, address)?;
                    ((service.port, service.protocol) == (port, protocol)).then_some((service, both))
                });
                if let Some((service, both)) = partner {
                    service.vip = both;
                    continue;
                }
                services.push(ServiceView {
                    id,
                    array: array.clone(),
                    name: name.clone(),
                    vip: address.into(),
                    port,
                    protocol,
                    server_port: u16::from_be(record.method.server_port),
                    mode: record.method.mode,
                    hash: record.method.hash,
                    block: (record.block != NO_BLOCK).then_some(record.block),
                });
            }
        }
        Ok(services)
    }

    fn is_there(&self, (address, port, protocol): (IpAddr, u16, u8)) -> bool {
        match address {
            IpAddr::V4(address) => {
                self.maps.services4.get(&Endpoint4::new(address.octets(), port, protocol).to_bytes(), 0).is_ok()
            }
            IpAddr::V6(address) => {
                self.maps.services6.get(&Endpoint6::new(address.octets(), port, protocol).to_bytes(), 0).is_ok()
            }
        }
    }

    /// Address, port and protocol number of every key, by service id; IPv4 first.
    fn endpoints(&self) -> anyhow::Result<Endpoints> {
        let mut endpoints: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for entry in &self.maps.services4 {
            let (bytes, id) = entry.context("the map services4 cannot be read")?;
            let key = Endpoint4::from_bytes(bytes);
            endpoints.entry(id).or_default().push((key.address().into(), key.port(), key.protocol()));
        }
        for entry in &self.maps.services6 {
            let (bytes, id) = entry.context("the map services6 cannot be read")?;
            let key = Endpoint6::from_bytes(bytes);
            endpoints.entry(id).or_default().push((key.address().into(), key.port(), key.protocol()));
        }
        Ok(endpoints)
    }

    /// The servers, by id.
    pub fn servers(&self) -> anyhow::Result<Vec<ServerView>> {
        let mut servers = Vec::new();
        for entry in &self.maps.server_labels {
            let (id, label) = entry.context("the map server_labels cannot be read")?;
            let record =
                self.maps.servers.rows().get(id as usize).context("a label names a server that does not exist")?;
            let (array, name) = Self::label(Some(&label));
            servers.push(ServerView { id: u16::try_from(id)?, array, name, record: record.load() });
        }
        servers.sort_by_key(|server| server.id);
        Ok(servers)
    }

    /// The table of a service; empty when it steers nothing.
    pub fn table(&self, service: &ServiceView) -> Vec<SlotView> {
        let slots = service.block.and_then(|block| self.maps.table(block)).unwrap_or_default();
        let view =
            |word: SlotWord| SlotView { current: word.current(), previous: word.previous(), tracked: word.tracked() };
        slots.iter().map(|slot| view(SlotWord::from_raw(slot.load(std::sync::atomic::Ordering::Relaxed)))).collect()
    }

    /// What a server got of a service.
    pub fn steered(&self, service: u32, ordinal: u16) -> anyhow::Result<CounterTotals> {
        self.maps.steered(service, ordinal).context("the map counters cannot be read")
    }

    /// The reasons counted for a service.
    pub fn reasons(&self, service: u32) -> anyhow::Result<Vec<ReasonCount>> {
        self.maps.reasons_of(service).context("the map reasons cannot be read")
    }

    /// Connections that clients made to `nat` servers' own addresses: client and server.
    pub fn direct_connections(&self) -> anyhow::Result<Vec<(SocketAddr, SocketAddr)>> {
        let v4 = self.maps.direct4.keys().map(|key| key.map(|key| sockets(Direct4::from_bytes(key).parts())));
        let v6 = self.maps.direct6.keys().map(|key| key.map(|key| sockets(Direct6::from_bytes(key).parts())));
        let mut connections =
            v4.chain(v6).collect::<Result<Vec<_>, _>>().context("the map direct4 or direct6 cannot be read")?;
        connections.sort();
        Ok(connections)
    }

    /// The reasons counted for packets that belong to no service.
    pub fn reasons_without_service(&self) -> anyhow::Result<Vec<ReasonCount>> {
        self.reasons(NO_SERVICE)
    }

    fn label(bytes: Option<&[u8; Label::SIZE]>) -> (String, String) {
        let label = bytes.map(Label::from_bytes);
        let text = |text: Option<&str>| text.unwrap_or("?").to_owned();
        label.map_or_else(|| (text(None), text(None)), |label| (text(label.array()), text(label.name())))
    }
}

/// A VIP with another address, when that is of the family it lacks.
fn both(vip: Addresses, address: IpAddr) -> Option<Addresses> {
    match (vip, address) {
        (Addresses::V4(v4), IpAddr::V6(v6)) | (Addresses::V6(v6), IpAddr::V4(v4)) => Some(Addresses::Both(v4, v6)),
        _ => None,
    }
}

fn sockets<A: Into<IpAddr>>(parts: DirectParts<A>) -> (SocketAddr, SocketAddr) {
    let DirectParts { client, client_port, server, server_port } = parts;
    (SocketAddr::new(client.into(), client_port), SocketAddr::new(server.into(), server_port))
}
