//! One set of maps brought to a target, in an order that no packet can notice.
//!
//! New rows are written before anything points to them; a service is switched to its new table by one store; keys are
//! removed before what they point to; and whatever a packet may still be looking at is reused only after
//! [`wait_for_running_programs`]. A removed element of a hash table is reused by the next insertion into that table, so
//! insertions come first and removals last.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use aya::maps::{MapError, xdp::XdpMapError};
use lb_common::{
    layout::{self, Label, Method, NO_BLOCK, Server, Service, Vip},
    slot::SlotWord,
    wire::Mac,
};
use thiserror::Error;
use tracing::warn;

use super::{
    blocks::Blocks,
    keys::{self, Key4, Key6, Keys},
    maps::Maps,
};
use crate::{
    config::deployment::{Addresses, HashKind, Mode},
    controller::target::{ServerTarget, ServiceTarget, Target},
    host::paths::Path,
    sys::wait_for_running_programs,
};

/// Why a set of maps could not be brought to a target.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The kernel refused.
    #[error("the map {map} cannot be written: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An id or block beyond the map.
    #[error("the map {map} is too small: a defect of caslb")]
    TooSmall {
        /// Its name.
        map: &'static str,
    },
}

/// One set of maps and what is in it.
pub(super) struct Tables {
    pub(super) maps: Maps,
    blocks: Blocks,
    services4: Keys<Key4>,
    services6: Keys<Key6>,
    nat4: Keys<Key4>,
    nat6: Keys<Key6>,
    vips4: Keys<[u8; 4]>,
    vips6: Keys<[u8; 16]>,
    service_labels: Keys<u32, [u8; Label::SIZE]>,
    server_labels: Keys<u32, [u8; Label::SIZE]>,
    nics: BTreeSet<u32>,
}

impl Tables {
    /// Reads what is in `maps`.
    pub(super) fn read(maps: Maps) -> Result<Self, WriteError> {
        let services4 = Keys::read("services4", &maps.services4)?;
        let services6 = Keys::read("services6", &maps.services6)?;
        let ids = services4.values().chain(services6.values());
        let used = ids.filter_map(|id| Some(maps.services.rows().get(id as usize)?.block()));
        let nics = maps.nics.keys().collect::<Result<_, _>>().map_err(failed("nics"))?;
        Ok(Self {
            blocks: Blocks::new(maps.sizes.blocks, used),
            nat4: Keys::read("nat4", &maps.nat4)?,
            nat6: Keys::read("nat6", &maps.nat6)?,
            vips4: Keys::read("vips4", &maps.vips4)?,
            vips6: Keys::read("vips6", &maps.vips6)?,
            service_labels: Keys::read("service_labels", &maps.service_labels)?,
            server_labels: Keys::read("server_labels", &maps.server_labels)?,
            nics,
            services4,
            services6,
            maps,
        })
    }

    /// Whether replies of `nat` servers must be looked for as things stand.
    pub(super) fn has_nat(&self) -> bool {
        !self.nat4.is_empty() || !self.nat6.is_empty()
    }

    /// Makes the maps be what `target` says.
    pub(super) fn write(&mut self, target: &Target) -> Result<(), WriteError> {
        for server in &target.servers {
            self.write_server(server, target)?;
        }
        self.allow_nics(target)?;
        let left = self.switch_tables(target)?;
        self.write_vips(target)?;

        let services = target.services.iter();
        let services4: BTreeMap<_, _> = services.clone().filter_map(|of| Some((keys::service4(of)?, of.id))).collect();
        let services6: BTreeMap<_, _> = services.filter_map(|of| Some((keys::service6(of)?, of.id))).collect();
        let (nat4, nat6) = (keys::nat4(target), keys::nat6(target));
        let vips: BTreeSet<_> = target.vips.iter().map(|vip| vip.address).collect();
        let maps = &mut self.maps;
        self.nat4.insert(&mut maps.nat4, &nat4)?;
        self.nat6.insert(&mut maps.nat6, &nat6)?;
        self.services4.insert(&mut maps.services4, &services4)?;
        self.services6.insert(&mut maps.services6, &services6)?;

        let mut removed = self.services4.remove(&mut maps.services4, |key| services4.contains_key(key))?;
        removed |= self.services6.remove(&mut maps.services6, |key| services6.contains_key(key))?;
        removed |= self.nat4.remove(&mut maps.nat4, |key| nat4.contains_key(key))?;
        removed |= self.nat6.remove(&mut maps.nat6, |key| nat6.contains_key(key))?;
        removed |= self.vips4.remove(&mut maps.vips4, |key| vips.contains(&IpAddr::from(*key)))?;
        removed |= self.vips6.remove(&mut maps.vips6, |key| vips.contains(&IpAddr::from(*key)))?;
        let (services, servers): (BTreeSet<_>, BTreeSet<_>) = (
            target.services.iter().map(|service| service.id).collect(),
            target.servers.iter().map(|server| u32::from(server.id)).collect(),
        );
        self.service_labels.remove(&mut maps.service_labels, |id| services.contains(id))?;
        self.server_labels.remove(&mut maps.server_labels, |id| servers.contains(id))?;
        let forbidden: Vec<_> = self.nics.difference(&wanted_nics(target)).copied().collect();
        if removed || !left.is_empty() || !forbidden.is_empty() {
            wait_for_running_programs();
        }
        for block in left {
            self.blocks.release(block);
        }
        self.forbid_nics(&forbidden)
    }

    fn write_server(&mut self, server: &ServerTarget, target: &Target) -> Result<(), WriteError> {
        let id = u32::from(server.id);
        let label = Label::new(&server.array, &server.name).to_bytes();
        if self.server_labels.get(&id) != Some(&label) {
            // A server that was not here before: what is counted under its ordinal was another's.
            for service in target.services.iter().filter(|service| service.array == server.array) {
                self.maps.clear_steered(service.id, server.ordinal).map_err(failed("counters"))?;
            }
            self.server_labels.set(&mut self.maps.server_labels, id, label)?;
        }
        let record = Server {
            ordinal: server.ordinal,
            address4: word(server.address),
            address6: bytes(server.address),
            path4: server.path4.as_ref().map_or(layout::Path::NONE, path),
            path6: server.path6.as_ref().map_or(layout::Path::NONE, path),
        };
        let row = self.maps.servers.rows().get(id as usize).ok_or(WriteError::TooSmall { map: "servers" })?;
        if row.load() != record {
            row.store(&record);
        }
        Ok(())
    }

    /// Lets packets be redirected to every NIC that a server is behind, and to those that clients are behind.
    fn allow_nics(&mut self, target: &Target) -> Result<(), WriteError> {
        let missing: Vec<_> = wanted_nics(target).difference(&self.nics).copied().collect();
        for nic in missing {
            match self.maps.nics.insert(nic, nic, None, 0) {
                Ok(()) => drop(self.nics.insert(nic)),
                // The NIC has gone meanwhile. The rest must not wait until the target says so too.
                Err(error) if is_no_nic(&error) => warn!(ifindex = nic, "a NIC is gone; packets for it are dropped"),
                Err(error) => return Err(failed("nics")(error)),
            }
        }
        Ok(())
    }

    /// Takes back what [`Self::allow_nics`] allowed for an earlier target. No packet may be on its way to them any more.
    fn forbid_nics(&mut self, nics: &[u32]) -> Result<(), WriteError> {
        for nic in nics {
            // Entries of NICs that are gone have been removed by the kernel.
            match self.maps.nics.remove(*nic) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(failed("nics")(error)),
            }
            self.nics.remove(nic);
        }
        Ok(())
    }

    /// Writes tables that are not there yet beside those in use and switches the services to them. Returns the blocks
    /// that no service uses any more.
    fn switch_tables(&mut self, target: &Target) -> Result<BTreeSet<u32>, WriteError> {
        let blocks = |tables: &Self| -> BTreeSet<u32> {
            let rows = tables.maps.services.rows();
            tables.service_ids().filter_map(|id| Some(rows.get(id as usize)?.block())).collect()
        };
        let before = blocks(self);
        let mut written: Vec<(*const u16, u32)> = Vec::new();
        for service in &target.services {
            let block = match &service.table {
                None => NO_BLOCK,
                Some(table) => {
                    if let Some(&(_, block)) = written.iter().find(|(at, _)| *at == table.as_ptr()) {
                        block
                    } else {
                        let block = self.block_with(table, &before)?;
                        written.push((table.as_ptr(), block));
                        block
                    }
                }
            };
            self.write_service(service, block, target)?;
        }
        let ids: BTreeSet<_> = target.services.iter().map(|service| service.id).collect();
        let rows = self.maps.services.rows();
        let after: BTreeSet<_> = ids.iter().filter_map(|&id| Some(rows.get(id as usize)?.block())).collect();
        Ok(before.difference(&after).copied().filter(|&block| block != NO_BLOCK).collect())
    }

    /// A block that holds `table`: one in use that does already, or a free one that it is written to.
    fn block_with(&mut self, table: &Arc<[u16]>, in_use: &BTreeSet<u32>) -> Result<u32, WriteError> {
        let wanted = || table.iter().map(|&server| SlotWord::steady(server).raw());
        let holds = |block: &u32| {
            let slots = self.maps.table(*block);
            slots.is_some_and(|slots| slots.iter().map(|slot| slot.load(Ordering::Relaxed)).eq(wanted()))
        };
        if let Some(&block) = in_use.iter().find(|block| holds(block)) {
            return Ok(block);
        }
        let block = self.blocks.take().ok_or(WriteError::TooSmall { map: "slots" })?;
        let slots = self.maps.table(block).ok_or(WriteError::TooSmall { map: "slots" })?;
        for (slot, word) in slots.iter().zip(wanted()) {
            slot.store(word, Ordering::Relaxed);
        }
        Ok(block)
    }

    fn write_service(&mut self, service: &ServiceTarget, block: u32, target: &Target) -> Result<(), WriteError> {
        let label = Label::new(&service.array, &service.name).to_bytes();
        if !self.has(service) {
            // A service that was not here before: what is counted under its id was another's.
            self.maps.clear_reasons(service.id).map_err(failed("reasons"))?;
            for server in target.servers.iter().filter(|server| server.array == service.array) {
                self.maps.clear_steered(service.id, server.ordinal).map_err(failed("counters"))?;
            }
        }
        if self.service_labels.get(&service.id) != Some(&label) {
            self.service_labels.set(&mut self.maps.service_labels, service.id, label)?;
        }
        let method = Method {
            mode: match service.mode {
                Mode::Dsr => layout::Mode::Dsr,
                Mode::Nat => layout::Mode::Nat,
            },
            hash: match service.hash {
                HashKind::Flow => layout::HashKind::Flow,
                HashKind::Client => layout::HashKind::Client,
            },
            port: service.port.to_be(),
            server_port: service.server_port.to_be(),
        };
        let record = Service { block, method, vip4: word(service.vip), vip6: bytes(service.vip) };
        let row = self.maps.services.rows().get(service.id as usize).ok_or(WriteError::TooSmall { map: "services" })?;
        let old = row.load();
        if (Service { block, ..old }) != record {
            row.store(&record);
        } else if old.block != block {
            row.set_block(block);
        }
        Ok(())
    }

    /// Takes over what `old` counted for services and servers of `target` that it had already.
    pub(super) fn take_counters(&mut self, old: &Self, target: &Target) -> Result<(), WriteError> {
        for service in target.services.iter().filter(|service| old.has(service)) {
            let servers = target.servers.iter().filter(|server| server.array == service.array);
            let stayed = servers.filter(|server| {
                let id = u32::from(server.id);
                old.server_labels.get(&id) == self.server_labels.get(&id)
            });
            let ordinals = stayed.map(|server| server.ordinal);
            self.maps.copy_counters(&old.maps, service.id, ordinals).map_err(failed("counters"))?;
        }
        Ok(())
    }

    fn write_vips(&mut self, target: &Target) -> Result<(), WriteError> {
        for vip in &target.vips {
            let known = match vip.address {
                IpAddr::V4(address) => self.vips4.get(&address.octets()),
                IpAddr::V6(address) => self.vips6.get(&address.octets()),
            };
            let id = match known {
                Some(&id) => id,
                None => free_id(self.vips4.values().chain(self.vips6.values()), self.maps.sizes.vips)?,
            };
            let is_new = known.is_none();
            let row = self.maps.vips.rows().get(id as usize).ok_or(WriteError::TooSmall { map: "vips" })?;
            row.store(Vip { announced: vip.announced, pass_unknown: vip.pass_unknown });
            match vip.address {
                IpAddr::V4(address) if is_new => self.vips4.set(&mut self.maps.vips4, address.octets(), id)?,
                IpAddr::V6(address) if is_new => self.vips6.set(&mut self.maps.vips6, address.octets(), id)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Ids of the services that packets are steered to; those with two addresses come twice.
    fn service_ids(&self) -> impl Iterator<Item = u32> {
        self.services4.values().chain(self.services6.values())
    }

    /// Whether the service was here before, with an address at least.
    fn has(&self, service: &ServiceTarget) -> bool {
        let v4 = keys::service4(service).and_then(|key| self.services4.get(&key));
        let v6 = keys::service6(service).and_then(|key| self.services6.get(&key));
        v4 == Some(&service.id) || v6 == Some(&service.id)
    }
}

/// The lowest id below `limit` that is not in `used`.
fn free_id(used: impl Iterator<Item = u32>, limit: u32) -> Result<u32, WriteError> {
    let used: BTreeSet<_> = used.collect();
    (0..limit).find(|id| !used.contains(id)).ok_or(WriteError::TooSmall { map: "vips" })
}

/// The IPv4 address in frame order, 0 without one.
fn word(addresses: Addresses) -> u32 {
    addresses.v4().map_or(0, |address| u32::from_le_bytes(address.octets()))
}

/// The IPv6 address, zero without one.
fn bytes(addresses: Addresses) -> [u8; 16] {
    addresses.v6().map_or([0; 16], |address| address.octets())
}

fn wanted_nics(target: &Target) -> BTreeSet<u32> {
    let paths = target.servers.iter().flat_map(|server| [&server.path4, &server.path6]);
    let servers = paths.filter_map(|path| Some(path.as_ref()?.ifindex));
    target.nics.iter().map(|nic| nic.ifindex).chain(servers).collect()
}

fn path(path: &Path) -> layout::Path {
    layout::Path {
        ifindex: path.ifindex,
        dst: Mac::new(path.next_hop_mac),
        src: Mac::new(path.source_mac),
        mtu: u16::try_from(path.mtu).unwrap_or(u16::MAX),
    }
}

/// What inserting a NIC that does not exist gives (kernel/bpf/devmap.c, `__dev_map_alloc_node`).
fn is_no_nic(error: &XdpMapError) -> bool {
    matches!(error, XdpMapError::MapError(MapError::SyscallError(error))
        if error.io_error.raw_os_error() == Some(libc::EINVAL))
}

fn is_not_found(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::ENOENT))
}

pub(super) fn failed<E: std::error::Error + Send + Sync + 'static>(map: &'static str) -> impl Fn(E) -> WriteError {
    move |source| WriteError::Map { map, source: Box::new(source) }
}
