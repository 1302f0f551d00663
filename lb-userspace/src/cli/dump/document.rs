//! The shape of `caslb dump --json`, whose field names are stable. What was not asked for is left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::layout::{HashKind, Mode};
use serde::Serialize;

use super::super::arguments::DumpWhat;
use crate::{
    dataplane::{ReasonCount, ServerView, ServiceView, SlotView, View},
    host::ShowMac,
};

/// Everything that was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) slots_per_table: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vips: Option<Vec<Vip>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) services: Option<Vec<Service>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) servers: Option<Vec<Server>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slots: Option<Vec<Table>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flows: Option<Vec<Flow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counters: Option<Counters>,
}

#[derive(Debug, Serialize)]
pub(super) struct Vip {
    pub(super) address: IpAddr,
    pub(super) announced: bool,
    pub(super) unknown_port: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Service {
    pub(super) id: u32,
    pub(super) array: String,
    pub(super) name: String,
    /// The IPv4 address of two.
    pub(super) vip: IpAddr,
    pub(super) vips: Vec<IpAddr>,
    pub(super) port: u16,
    pub(super) protocol: String,
    pub(super) mode: &'static str,
    pub(super) server_port: u16,
    pub(super) hash: &'static str,
    pub(super) block: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) id: u16,
    pub(super) array: String,
    pub(super) name: String,
    /// The IPv4 address of two; none when the record is being filled.
    pub(super) address: Option<IpAddr>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ordinal: u16,
    /// For IPv4 packets, or where there is no such way, for IPv6 packets.
    pub(super) path: Option<Path>,
    /// For IPv6 packets.
    pub(super) path6: Option<Path>,
}

#[derive(Debug, Serialize)]
pub(super) struct Path {
    pub(super) ifindex: u32,
    pub(super) destination_mac: String,
    pub(super) source_mac: String,
    pub(super) mtu: u16,
}

/// A table; services with the same block share it.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) block: u32,
    pub(super) services: Vec<u32>,
    pub(super) slots: Vec<Slot>,
}

#[derive(Debug, Serialize)]
pub(super) struct Slot {
    pub(super) current: u16,
    pub(super) previous: u16,
    pub(super) tracked: bool,
}

/// A connection that a client made directly to a `nat` server.
#[derive(Debug, Serialize)]
pub(super) struct Flow {
    pub(super) kind: &'static str,
    pub(super) client: String,
    pub(super) server: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Counters {
    pub(super) services: Vec<ServiceCounters>,
    /// Of packets that belong to no service.
    pub(super) reasons: Vec<Reason>,
}

#[derive(Debug, Serialize)]
pub(super) struct ServiceCounters {
    pub(super) id: u32,
    pub(super) array: String,
    pub(super) name: String,
    pub(super) servers: Vec<ServerCounters>,
    pub(super) reasons: Vec<Reason>,
}

#[derive(Debug, Serialize)]
pub(super) struct ServerCounters {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
    pub(super) packets: u64,
}

/// Reads what was asked for.
pub(super) fn read(view: &View, what: DumpWhat) -> anyhow::Result<Document> {
    let asked = |part: DumpWhat| what == part || what == DumpWhat::All;
    let (services, servers) = (view.services()?, view.servers()?);
    let vips = || -> anyhow::Result<Vec<Vip>> {
        let vip = |vip: crate::dataplane::VipView| Vip {
            address: vip.address,
            announced: vip.announced,
            unknown_port: if vip.pass_unknown { "pass" } else { "drop" },
        };
        Ok(view.vips()?.into_iter().map(vip).collect())
    };
    Ok(Document {
        slots_per_table: view.slots_per_table(),
        vips: asked(DumpWhat::Vips).then(vips).transpose()?,
        services: asked(DumpWhat::Vips).then(|| services.iter().map(service).collect()),
        servers: asked(DumpWhat::Servers).then(|| servers.iter().map(server).collect()),
        slots: asked(DumpWhat::Slots).then(|| tables(view, &services)),
        flows: asked(DumpWhat::Flows).then(|| flows(view)).transpose()?,
        counters: asked(DumpWhat::Counters).then(|| counters(view, &services, &servers)).transpose()?,
    })
}

fn service(service: &ServiceView) -> Service {
    Service {
        id: service.id,
        array: service.array.clone(),
        name: service.name.clone(),
        vip: service.vip.first(),
        vips: service.vip.iter().collect(),
        port: service.port,
        protocol: match service.protocol {
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            other => other.to_string(),
        },
        mode: match service.mode {
            Mode::Dsr => "dsr",
            Mode::Nat => "nat",
        },
        server_port: service.server_port,
        hash: match service.hash {
            HashKind::Flow => "flow",
            HashKind::Client => "client",
        },
        block: service.block,
    }
}

fn server(server: &ServerView) -> Server {
    let record = &server.record;
    let v4 = Ipv4Addr::from(record.address4.to_le_bytes());
    let v6 = Ipv6Addr::from(record.address6);
    let v4 = (!v4.is_unspecified()).then_some(IpAddr::V4(v4));
    let v6 = (!v6.is_unspecified()).then_some(IpAddr::V6(v6));
    let addresses: Vec<_> = v4.into_iter().chain(v6).collect();
    Server {
        id: server.id,
        array: server.array.clone(),
        name: server.name.clone(),
        address: addresses.first().copied(),
        addresses,
        ordinal: record.ordinal,
        path: path(&record.path4).or_else(|| path(&record.path6)),
        path6: path(&record.path6),
    }
}

fn path(path: &lb_common::layout::Path) -> Option<Path> {
    (path.ifindex != 0).then(|| Path {
        ifindex: path.ifindex,
        destination_mac: ShowMac(path.dst.bytes()).to_string(),
        source_mac: ShowMac(path.src.bytes()).to_string(),
        mtu: path.mtu,
    })
}

fn tables(view: &View, services: &[ServiceView]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for service in services {
        let Some(block) = service.block else {
            continue;
        };
        if let Some(table) = tables.iter_mut().find(|table| table.block == block) {
            table.services.push(service.id);
            continue;
        }
        let slot = |SlotView { current, previous, tracked }| Slot { current, previous, tracked };
        let slots = view.table(service).into_iter().map(slot).collect();
        tables.push(Table { block, services: vec![service.id], slots });
    }
    tables
}

fn flows(view: &View) -> anyhow::Result<Vec<Flow>> {
    let flow = |(client, server): (SocketAddr, SocketAddr)| Flow {
        kind: "direct",
        client: client.to_string(),
        server: server.to_string(),
    };
    Ok(view.direct_connections()?.into_iter().map(flow).collect())
}

fn counters(view: &View, services: &[ServiceView], servers: &[ServerView]) -> anyhow::Result<Counters> {
    let counters = |service: &ServiceView| -> anyhow::Result<ServiceCounters> {
        let of_array = servers.iter().filter(|server| server.array == service.array);
        let servers = of_array.map(|server| {
            let totals = view.steered(service.id, server.record.ordinal)?;
            let (packets, bytes) = (totals.packets, totals.bytes);
            Ok(ServerCounters { id: server.id, name: server.name.clone(), packets, bytes })
        });
        Ok(ServiceCounters {
            id: service.id,
            array: service.array.clone(),
            name: service.name.clone(),
            servers: servers.collect::<anyhow::Result<_>>()?,
            reasons: reasons(view.reasons(service.id)?),
        })
    };
    Ok(Counters {
        services: services.iter().map(counters).collect::<anyhow::Result<_>>()?,
        reasons: reasons(view.reasons_without_service()?),
    })
}

fn reasons(counts: Vec<ReasonCount>) -> Vec<Reason> {
    counts.into_iter().map(|ReasonCount { reason, packets }| Reason { reason: reason.name(), packets }).collect()
}
