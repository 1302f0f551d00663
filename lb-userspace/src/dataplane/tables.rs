//! One set of maps brought to a target, in an order that no packet can notice.
//!
//! New rows are written before anything points to them; a service is switched to its new table by one store; keys are
//! removed before what they point to; and whatever a packet may still be looking at is reused only after
//! [`wait_for_running_programs`]. A removed element of a hash table is reused by the next insertion into that table, so
//! insertions come first and removals last.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use aya::maps::{HashMap, MapData, MapError, xdp::XdpMapError};
use lb_common::{
    layout::{self, Endpoint4, Label, Method, NO_BLOCK, Server, Service, Vip},
    slot::SlotWord,
    wire::Mac,
};
use thiserror::Error;
use tracing::warn;

use super::{blocks::Blocks, maps::Maps};
use crate::{
    config::deployment::{HashKind, Mode},
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
    services: BTreeMap<[u8; 8], u32>,
    nat: BTreeMap<[u8; 8], u32>,
    vips: BTreeMap<[u8; 4], u32>,
    service_labels: BTreeMap<u32, [u8; Label::SIZE]>,
    server_labels: BTreeMap<u32, [u8; Label::SIZE]>,
    nics: BTreeSet<u32>,
}

impl Tables {
    /// Reads what is in `maps`.
    pub(super) fn read(maps: Maps) -> Result<Self, WriteError> {
        let services = keys("services4", &maps.services4)?;
        let used = services.values().filter_map(|&id| Some(maps.services.rows().get(id as usize)?.block()));
        let nics = maps.nics.keys().collect::<Result<_, _>>().map_err(failed("nics"))?;
        Ok(Self {
            blocks: Blocks::new(maps.sizes.blocks, used),
            nat: keys("nat4", &maps.nat4)?,
            vips: keys("vips4", &maps.vips4)?,
            service_labels: keys("service_labels", &maps.service_labels)?,
            server_labels: keys("server_labels", &maps.server_labels)?,
            nics,
            services,
            maps,
        })
    }

    /// Whether replies of `nat` servers must be looked for as things stand.
    pub(super) fn has_nat(&self) -> bool {
        !self.nat.is_empty()
    }

    /// Makes the maps be what `target` says.
    pub(super) fn write(&mut self, target: &Target) -> Result<(), WriteError> {
        for server in &target.servers {
            self.write_server(server, target)?;
        }
        self.allow_nics(target)?;
        let left = self.switch_tables(target)?;
        self.write_vips(target)?;

        let services: BTreeMap<_, _> = target.services.iter().map(|service| (endpoint(service), service.id)).collect();
        let nat = nat_endpoints(target);
        let vips: BTreeSet<_> = target.vips.iter().map(|vip| vip.address.octets()).collect();
        insert_keys("nat4", &mut self.maps.nat4, &mut self.nat, &nat)?;
        insert_keys("services4", &mut self.maps.services4, &mut self.services, &services)?;

        let mut removed =
            remove_keys("services4", &mut self.maps.services4, &mut self.services, |key| services.contains_key(key))?;
        removed |= remove_keys("nat4", &mut self.maps.nat4, &mut self.nat, |key| nat.contains_key(key))?;
        removed |= remove_keys("vips4", &mut self.maps.vips4, &mut self.vips, |key| vips.contains(key))?;
        let (services, servers): (BTreeSet<_>, BTreeSet<_>) = (
            target.services.iter().map(|service| service.id).collect(),
            target.servers.iter().map(|server| u32::from(server.id)).collect(),
        );
        remove_keys("service_labels", &mut self.maps.service_labels, &mut self.service_labels, |id| {
            services.contains(id)
        })?;
        remove_keys("server_labels", &mut self.maps.server_labels, &mut self.server_labels, |id| servers.contains(id))?;
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
            self.maps.server_labels.insert(id, label, 0).map_err(failed("server_labels"))?;
            self.server_labels.insert(id, label);
        }
        let path4 = server.path.as_ref().map_or(layout::Path::NONE, path);
        let record = Server {
            ordinal: server.ordinal,
            address4: u32::from_le_bytes(server.address.octets()),
            address6: [0; 16],
            path4,
            path6: layout::Path::NONE,
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
            tables.services.values().filter_map(|&id| Some(rows.get(id as usize)?.block())).collect()
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
        if self.services.get(&endpoint(service)) != Some(&service.id) {
            // A service that was not here before: what is counted under its id was another's.
            self.maps.clear_reasons(service.id).map_err(failed("reasons"))?;
            for server in target.servers.iter().filter(|server| server.array == service.array) {
                self.maps.clear_steered(service.id, server.ordinal).map_err(failed("counters"))?;
            }
        }
        if self.service_labels.get(&service.id) != Some(&label) {
            self.maps.service_labels.insert(service.id, label, 0).map_err(failed("service_labels"))?;
            self.service_labels.insert(service.id, label);
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
        let record = Service { block, method, vip4: u32::from_le_bytes(service.vip.octets()), vip6: [0; 16] };
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
        for service in
            target.services.iter().filter(|service| old.services.get(&endpoint(service)) == Some(&service.id))
        {
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
            let key = vip.address.octets();
            let id = match self.vips.get(&key) {
                Some(&id) => id,
                None => free_id(self.vips.values().copied(), self.maps.sizes.vips)?,
            };
            let row = self.maps.vips.rows().get(id as usize).ok_or(WriteError::TooSmall { map: "vips" })?;
            row.store(Vip { announced: vip.announced, pass_unknown: vip.pass_unknown });
            if self.vips.insert(key, id).is_none() {
                self.maps.vips4.insert(key, id, 0).map_err(failed("vips4"))?;
            }
        }
        Ok(())
    }
}

/// The lowest id below `limit` that is not in `used`.
fn free_id(used: impl Iterator<Item = u32>, limit: u32) -> Result<u32, WriteError> {
    let used: BTreeSet<_> = used.collect();
    (0..limit).find(|id| !used.contains(id)).ok_or(WriteError::TooSmall { map: "vips" })
}

fn endpoint(service: &ServiceTarget) -> [u8; 8] {
    Endpoint4::new(service.vip.octets(), service.port, service.protocol.number()).to_bytes()
}

/// Where replies of `nat` servers come from, and the service they belong to.
fn nat_endpoints(target: &Target) -> BTreeMap<[u8; 8], u32> {
    let nat = target.services.iter().filter(|service| service.mode == Mode::Nat);
    nat.flat_map(|service| {
        let servers = target.servers.iter().filter(|server| server.array == service.array);
        servers.map(|server| {
            let key = Endpoint4::new(server.address.octets(), service.server_port, service.protocol.number());
            (key.to_bytes(), service.id)
        })
    })
    .collect()
}

fn wanted_nics(target: &Target) -> BTreeSet<u32> {
    let servers = target.servers.iter().filter_map(|server| Some(server.path.as_ref()?.ifindex));
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

fn keys<K: aya::Pod + Ord, V: aya::Pod>(
    name: &'static str,
    map: &HashMap<MapData, K, V>,
) -> Result<BTreeMap<K, V>, WriteError> {
    map.iter().collect::<Result<_, _>>().map_err(failed(name))
}

/// Inserts what is missing and changes what points elsewhere.
fn insert_keys<K: aya::Pod + Ord>(
    name: &'static str,
    map: &mut HashMap<MapData, K, u32>,
    present: &mut BTreeMap<K, u32>,
    wanted: &BTreeMap<K, u32>,
) -> Result<(), WriteError> {
    let missing: Vec<_> = wanted.iter().filter(|(key, _)| !present.contains_key(key)).collect();
    let moved: Vec<_> = wanted.iter().filter(|(key, id)| present.get(key).is_some_and(|old| old != *id)).collect();
    for (key, id) in missing {
        map.insert(*key, *id, 0).map_err(failed(name))?;
        present.insert(*key, *id);
    }
    for (key, id) in moved {
        // A changed element is a new one; the old one must be out of sight before it is used again.
        map.insert(*key, *id, 0).map_err(failed(name))?;
        present.insert(*key, *id);
        wait_for_running_programs();
    }
    Ok(())
}

fn remove_keys<K: aya::Pod + Ord, V: aya::Pod>(
    name: &'static str,
    map: &mut HashMap<MapData, K, V>,
    present: &mut BTreeMap<K, V>,
    keep: impl Fn(&K) -> bool,
) -> Result<bool, WriteError> {
    let gone: Vec<_> = present.keys().filter(|key| !keep(key)).copied().collect();
    for key in &gone {
        map.remove(key).map_err(failed(name))?;
        present.remove(key);
    }
    Ok(!gone.is_empty())
}

/// What inserting a NIC that does not exist gives (kernel/bpf/devmap.c, `__dev_map_alloc_node`).
fn is_no_nic(error: &XdpMapError) -> bool {
    matches!(error, XdpMapError::MapError(MapError::SyscallError(error))
        if error.io_error.raw_os_error() == Some(libc::EINVAL))
}

fn is_not_found(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::ENOENT))
}

fn failed<E: std::error::Error + Send + Sync + 'static>(map: &'static str) -> impl Fn(E) -> WriteError {
    move |source| WriteError::Map { map, source: Box::new(source) }
}
