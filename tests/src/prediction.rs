//! Which server a connection must reach, computed from the maps of a node as its controller left them.
//!
//! The one part of the harness that knows how caslb works inside, because that is what it is about: the flow hash and the
//! slot tables are a contract, and the servers that answered are what it is compared with.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use caslb::dataplane::{ServiceView, View};
use lb_common::hash::{self, Key};
use lb_common::layout::HashKind;
use lb_common::wire::Raw6;

use crate::client::Taken;

/// Protocol numbers, as in the IP header.
pub const TCP: u8 = 6;
/// See [`TCP`].
pub const UDP: u8 = 17;

/// The tables of a node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    key: Key,
    services: Vec<(ServiceView, Vec<u16>)>,
    names: BTreeMap<u16, String>,
}

impl Prediction {
    /// Reads the tables of `node` from its pins.
    pub fn of(node: &str) -> Result<Self> {
        let view = View::open(node)?.with_context(|| format!("node {node} has no maps"))?;
        let services = view.services()?.into_iter().map(|service| {
            let table = view.table(&service).iter().map(|slot| slot.current).collect();
            // Where the table is makes no difference.
            (ServiceView { block: None, ..service }, table)
        });
        Ok(Self {
            key: view.hash_key(),
            services: services.collect(),
            names: view.servers()?.into_iter().map(|server| (server.id, server.name)).collect(),
        })
    }

    /// The server that a TCP connection from `client` to `vip` must reach.
    pub fn tcp(&self, client: SocketAddr, vip: SocketAddr) -> Result<&str> {
        self.server(client, vip, TCP)
    }

    /// The server that a flow of any protocol must reach.
    pub fn server(&self, client: SocketAddr, vip: SocketAddr, protocol: u8) -> Result<&str> {
        let mut services = self.services.iter();
        let at_vip = |service: &ServiceView| service.port == vip.port() && service.protocol == protocol;
        let found = services.find(|(service, _)| at_vip(service) && service.vip.iter().any(|own| own == vip.ip()));
        let (service, table) = found.with_context(|| format!("no service at {vip}"))?;
        // Addresses and ports as they stand in the frame.
        let ports = u32::from(client.port().to_be()) | u32::from(vip.port().to_be()) << 16;
        let hash = match (client.ip(), vip.ip(), service.hash) {
            (IpAddr::V4(src), IpAddr::V4(dst), HashKind::Flow) => {
                hash::flow4(self.key, raw4(src), raw4(dst), ports, protocol)
            }
            (IpAddr::V6(src), IpAddr::V6(dst), HashKind::Flow) => {
                hash::flow6(self.key, raw6(src), raw6(dst), ports, protocol)
            }
            (IpAddr::V4(src), _, HashKind::Client) => hash::client4(self.key, raw4(src)),
            (IpAddr::V6(src), _, HashKind::Client) => hash::client6(self.key, raw6(src)),
            _ => bail!("{client} and {vip} are of two families"),
        };
        let slot = hash::slot(hash, u32::try_from(table.len())?);
        let id = table.get(slot as usize).with_context(|| format!("{vip} has no table"))?;
        self.names.get(id).map(String::as_str).with_context(|| format!("slot {slot} names an unknown server {id}"))
    }

    /// Slots of each server in the table of the service at `vip`.
    pub fn slots(&self, vip: SocketAddr) -> Result<BTreeMap<&str, usize>> {
        let mut services = self.services.iter();
        let found =
            services.find(|(service, _)| service.vip.iter().any(|own| own == vip.ip()) && service.port == vip.port());
        let (_, table) = found.with_context(|| format!("no service at {vip}"))?;
        let mut slots = BTreeMap::new();
        for id in table {
            *slots.entry(self.names.get(id).context("an unknown server")?.as_str()).or_default() += 1;
        }
        Ok(slots)
    }

    /// Compares who answered with who had to.
    ///
    /// # Errors
    ///
    /// If one of `taken` was answered by another server; the message says which.
    pub fn verify(&self, taken: &[Taken], vip: SocketAddr) -> Result<()> {
        for Taken { from, server } in taken {
            let expected = self.tcp(*from, vip)?;
            ensure!(server == expected, "{from} > {vip} was answered by {server}, but its slot belongs to {expected}");
        }
        Ok(())
    }
}

fn raw4(address: Ipv4Addr) -> u32 {
    u32::from_le_bytes(address.octets())
}

fn raw6(address: Ipv6Addr) -> Raw6 {
    let both = u128::from_le_bytes(address.octets());
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [both as u64, (both >> 64) as u64]
}
