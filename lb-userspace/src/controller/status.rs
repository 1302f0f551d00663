//! What the operator is told: the shape of `caslb status --json`, whose field names are stable.

use std::{collections::HashMap, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::core::Core;
use crate::{config::deployment::Addresses, dataplane::CounterTotals, host::Link};

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub node: String,
    /// Version of caslb.
    pub version: String,
    /// Process id of the controller.
    pub pid: u32,
    /// False while the first verdicts are waited for.
    pub ready: bool,
    /// NICs the program is on.
    pub interfaces: Vec<InterfaceStatus>,
    /// What an administrator should look at.
    pub alarms: Vec<String>,
    /// The arrays.
    pub arrays: Vec<ArrayStatus>,
}

/// A NIC the program is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `driver`, `generic` or `other`; none when no XDP program is there.
    pub xdp: Option<String>,
}

/// An array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayStatus {
    /// Its name.
    pub name: String,
    /// Its DNS names.
    pub namespaces: Vec<String>,
    /// Its services.
    pub services: Vec<ServiceStatus>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The VIP, the IPv4 address of two.
    pub vip: String,
    /// All its addresses.
    #[serde(default)]
    pub vips: Vec<String>,
    /// The port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// How packets reach the server.
    pub mode: String,
    /// Whether it steers, and its VIP is answered for.
    pub active: bool,
    /// Slots of its table.
    pub slots: u32,
    /// Packets steered.
    pub packets: u64,
    /// Bytes steered.
    pub bytes: u64,
    /// Its servers.
    pub servers: Vec<ServerStatus>,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Its address, the IPv4 address of two.
    pub address: String,
    /// All its addresses.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// One of the words for states.
    pub state: String,
    /// Seconds since 1970 at which it got into that state.
    pub since: u64,
    /// Why.
    pub reason: String,
    /// Something to mend although the checks pass.
    pub warning: Option<String>,
    /// Its weight.
    pub weight: u16,
    /// Slots that lead to it.
    pub slots: u32,
    /// Packets steered to it for this service.
    pub packets: u64,
    /// Bytes steered to it for this service.
    pub bytes: u64,
}

/// The status of `core`, with counters by service id and ordinal, and with the NICs as they are now.
pub fn of(core: &Core, links: &[Link], counters: impl Fn(u32, u16) -> CounterTotals) -> Status {
    let mut alarms = Vec::new();
    let deployment = core.deployment();
    let arrays = deployment.arrays.iter().map(|array| {
        let services = array.services.iter().map(|service| {
            let id = core.ids.service(service);
            let target = core.target().and_then(|target| target.services.iter().find(|target| target.id == id));
            let table = target.and_then(|target| target.table.as_deref()).unwrap_or_default();
            let mut shares: HashMap<u16, u32> = HashMap::new();
            for &server in table {
                *shares.entry(server).or_default() += 1;
            }
            let state = core.services.get(&super::ids::endpoint(service));
            if core.target().is_some() && state.is_some_and(super::service::ServiceState::all_down) {
                let kept = if table.is_empty() { "nothing is steered" } else { "steering by the last table" };
                alarms.push(format!("{}/{}: no server is up; {kept}", array.name, service.name));
            }
            let mut total = CounterTotals::default();
            let servers = array.servers.iter().filter_map(|server| {
                let standing = state?.standing(server)?;
                let id = core.ids.server(&array.name, &server.name)?;
                let CounterTotals { packets, bytes } = counters(core.ids.service(service), id.ordinal);
                total.packets += packets;
                total.bytes += bytes;
                Some(ServerStatus {
                    name: server.name.clone(),
                    address: server.address.first().to_string(),
                    addresses: texts(server.address),
                    state: standing.state.name().to_owned(),
                    since: seconds(standing.since),
                    reason: standing.reason.clone(),
                    warning: standing.warning.clone(),
                    weight: server.weight,
                    slots: shares.get(&id.id).copied().unwrap_or(0),
                    packets,
                    bytes,
                })
            });
            let servers = servers.collect();
            ServiceStatus {
                name: service.name.clone(),
                vip: service.vip.first().to_string(),
                vips: texts(service.vip),
                port: service.port,
                protocol: service.protocol.to_string(),
                mode: service.mode.to_string(),
                active: !table.is_empty(),
                slots: u32::try_from(table.len()).unwrap_or(u32::MAX),
                packets: total.packets,
                bytes: total.bytes,
                servers,
            }
        });
        ArrayStatus { name: array.name.clone(), namespaces: array.namespaces.clone(), services: services.collect() }
    });
    let arrays = arrays.collect();
    let attached: Vec<_> = core.target().iter().flat_map(|target| &target.nics).map(|nic| nic.name.clone()).collect();
    for missing in deployment.node.interfaces.iter().filter(|name| core.target().is_some() && !attached.contains(name))
    {
        alarms.push(format!("interface {missing} does not exist; the XDP program is attached when it comes"));
    }
    let interfaces: Vec<_> = attached.iter().map(|name| interface(name, links)).collect();
    for interface in interfaces.iter().filter(|_| core.target().is_some()) {
        let InterfaceStatus { name, xdp } = interface;
        match xdp.as_deref() {
            None => alarms.push(format!("no XDP program is on interface {name}: nothing is steered there")),
            Some("generic") => alarms.push(format!(
                "interface {name} runs the program in generic mode, which costs several times as much per packet: its \
                 driver has no XDP support, or cannot use it with this MTU or these offloads"
            )),
            Some(_) => {}
        }
    }
    Status {
        node: deployment.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        ready: core.target().is_some(),
        interfaces,
        alarms,
        arrays,
    }
}

fn interface(name: &str, links: &[Link]) -> InterfaceStatus {
    let link = links.iter().find(|link| link.name == name);
    let xdp = link.and_then(|link| link.xdp).map(|attachment| attachment.name().to_owned());
    InterfaceStatus { name: name.to_owned(), xdp }
}

fn texts(addresses: Addresses) -> Vec<String> {
    addresses.iter().map(|address| address.to_string()).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
