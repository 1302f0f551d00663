//! The owner: takes over what it finds, and brings it to each target.

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc};

use lb_common::hash::Key;
use thiserror::Error;
use tracing::{info, warn};

use super::{
    maps::{Maps, OpenError},
    nics::{AttachError, Nics},
    pins::{MapSet, Pins},
    program::{Constants, Program, ProgramError},
    sizing::{Need, Sizes, has_v4, has_v6},
    tables::{Tables, WriteError},
    view::{CounterTotals, ReasonCount, View},
};
use crate::{
    config::deployment::{Addresses, Mode},
    controller::target::{NicTarget, Target},
};

/// Why the data plane is not what it should be.
#[derive(Debug, Error)]
pub enum DataPlaneError {
    /// The maps found cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A map could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The program could not be loaded.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The pins cannot be read or written.
    #[error("{path} cannot be used: {source}; is the BPF file system mounted there, and is this root?")]
    Pins {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The data plane of one node.
pub struct DataPlane {
    pins: Pins,
    log: bool,
    tables: Option<Tables>,
    nics: Nics,
}

/// What happens to the rest when a NIC refuses the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnRefusal {
    Stop,
    GoOn,
}

/// What a controller before this one left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adopted {
    /// Its services.
    pub services: Vec<AdoptedService>,
    /// Its servers.
    pub servers: Vec<AdoptedServer>,
}

/// A service that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct AdoptedService {
    /// Its id.
    pub id: u32,
    /// The VIP.
    pub vip: Addresses,
    /// The port.
    pub port: u16,
    /// The protocol number.
    pub protocol: u8,
    /// Server ids by slot; `None` when it steered nothing.
    pub table: Option<Arc<[u16]>>,
}

/// A server that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedServer {
    /// Its id.
    pub id: u16,
    /// Its position in its array.
    pub ordinal: u16,
    /// Its array.
    pub array: String,
    /// Its name.
    pub name: String,
}

impl DataPlane {
    /// The data plane of `node` as it is now. With `log`, the program logs each decision.
    ///
    /// Nothing changes yet, except that maps which were never completed are thrown away.
    pub fn open(node: &str, log: bool) -> Result<Self, DataPlaneError> {
        let pins = Pins::new(node);
        let mut tables = None;
        for set in pins.sets().map_err(at(&pins))?.iter().rev() {
            if !set.is_current_layout() {
                warn!(
                    layout = set.layout,
                    "found maps of another version of caslb; building new ones, counters begin at zero"
                );
                continue;
            }
            match Maps::open(set) {
                Ok(maps) if tables.is_none() => tables = Some(Tables::read(maps)?),
                Ok(_) | Err(OpenError::Incomplete { .. }) => set.remove().map_err(at(&pins))?,
                Err(error) => return Err(error.into()),
            }
        }
        let nics = Nics::new(pins.clone());
        Ok(Self { pins, log, tables, nics })
    }

    /// Whether flows hash as they did before; also true when nothing was found.
    pub fn steers_alike(&self, hash_seed: &str, slots: u32) -> bool {
        let same = |Tables { maps, .. }: &Tables| maps.hash_key() == hash_key(hash_seed) && maps.sizes.slots == slots;
        self.tables.as_ref().is_none_or(same)
    }

    /// What was found.
    pub fn adopted(&self) -> anyhow::Result<Adopted> {
        let Some(tables) = &self.tables else {
            return Ok(Adopted::default());
        };
        let view = View::new(Maps::open(&tables.maps.set)?);
        let mut shared: BTreeMap<u32, Arc<[u16]>> = BTreeMap::new();
        let mut services = Vec::new();
        for service in view.services()? {
            let table = service.block.map(|block| {
                let table = shared.entry(block);
                table.or_insert_with(|| view.table(&service).iter().map(|slot| slot.current).collect()).clone()
            });
            services.push(AdoptedService {
                id: service.id,
                vip: service.vip,
                port: service.port,
                protocol: service.protocol,
                table,
            });
        }
        let server = |server: super::view::ServerView| AdoptedServer {
            id: server.id,
            ordinal: server.record.ordinal,
            array: server.array,
            name: server.name,
        };
        Ok(Adopted { services, servers: view.servers()?.into_iter().map(server).collect() })
    }

    /// Makes the data plane be what `target` says. When a NIC refuses the program, the tables stay as they are: for a
    /// change that somebody asks for and may be denied.
    pub fn apply(&mut self, target: &Target) -> Result<(), DataPlaneError> {
        self.bring_to(target, OnRefusal::Stop)
    }

    /// The same, but when a NIC refuses, everything else is done before the error is returned: a NIC that somebody else
    /// uses must not keep a failed server in the tables of the others.
    pub fn apply_as_far_as_possible(&mut self, target: &Target) -> Result<(), DataPlaneError> {
        self.bring_to(target, OnRefusal::GoOn)
    }

    fn bring_to(&mut self, target: &Target, refusal: OnRefusal) -> Result<(), DataPlaneError> {
        let need = need(target);
        let key = hash_key(&target.node.hash_seed);
        let usable = self.tables.take_if(|tables| tables.maps.sizes.fit(&need) && tables.maps.hash_key() == key);
        match usable {
            Some(mut tables) => {
                let result = self.update(&mut tables, target, key, refusal);
                self.tables = Some(tables);
                result
            }
            None => self.rebuild(target, &need, key),
        }
    }

    /// Brings the present maps to the target. While both old and new tables look for replies, programs do too.
    fn update(
        &mut self,
        tables: &mut Tables,
        target: &Target,
        key: Key,
        refusal: OnRefusal,
    ) -> Result<(), DataPlaneError> {
        let nat = has_nat(target);
        let (set, sizes) = (tables.maps.set.clone(), tables.maps.sizes);
        let attached = self.attach(&set, &sizes, target, key, nat || tables.has_nat());
        if refusal == OnRefusal::Stop {
            attached?;
            tables.write(target)?;
        } else {
            tables.write(target)?;
            attached?;
        }
        self.attach(&set, &sizes, target, key, nat)
    }

    /// Builds new maps beside the present ones, fills them, switches the programs over and throws the old ones away.
    fn rebuild(&mut self, target: &Target, need: &Need, key: Key) -> Result<(), DataPlaneError> {
        let set = self.pins.next_set().map_err(at(&self.pins))?;
        let sizes = Sizes::for_need(need);
        match self.build(&set, &sizes, target, key) {
            Ok(tables) => self.tables = Some(tables),
            Err(error) => {
                if let Err(error) = self.fall_back(&set, target) {
                    warn!(%error, "a NIC is left with maps that are not in use");
                }
                set.remove().map_err(at(&self.pins))?;
                self.pins.remove_empty();
                return Err(error);
            }
        }
        for old in self.pins.sets().map_err(at(&self.pins))?.iter().filter(|old| **old != set) {
            old.remove().map_err(at(&self.pins))?;
        }
        info!(maps = %set.path.display(), "built new maps");
        Ok(())
    }

    /// After new maps could not be taken into use everywhere: NICs that are on them go back to those in use, and where
    /// there are none the program is taken off. Only those NICs: the one that refused would refuse again.
    fn fall_back(&mut self, set: &MapSet, target: &Target) -> Result<(), DataPlaneError> {
        let nics = self.nics.forget(set);
        let Some(tables) = &self.tables else {
            return Ok(self.nics.detach(nics.into_iter().map(|nic| nic.name))?);
        };
        let (sizes, key, nat, log) = (tables.maps.sizes, tables.maps.hash_key(), tables.has_nat(), self.log);
        let constants = |nic: &NicTarget| constants(&sizes, key, nat, log, nic);
        Ok(self.nics.attach(&tables.maps.set, &sizes, target.node.xdp, &nics, constants)?)
    }

    fn build(&mut self, set: &MapSet, sizes: &Sizes, target: &Target, key: Key) -> Result<Tables, DataPlaneError> {
        fs::create_dir_all(&set.path).map_err(|source| DataPlaneError::Pins { path: set.path.clone(), source })?;
        // Loading the program makes the maps; which constants it has does not matter for that.
        let nowhere = NicTarget { name: String::new(), ifindex: 0, mac: [0; 6] };
        Program::load(set, sizes, &constants(sizes, key, false, false, &nowhere))?;
        let mut maps = Maps::open_unfinished(set)?;
        maps.sizes = *sizes;
        let mut tables = Tables::read(maps)?;
        tables.write(target)?;
        if let Some(old) = &self.tables {
            tables.take_counters(old, target)?;
        }
        tables.maps.finish(sizes, key);
        self.attach(set, sizes, target, key, has_nat(target))?;
        Ok(tables)
    }

    fn attach(
        &mut self,
        set: &MapSet,
        sizes: &Sizes,
        target: &Target,
        key: Key,
        nat: bool,
    ) -> Result<(), DataPlaneError> {
        let log = self.log;
        let constants = |nic: &NicTarget| constants(sizes, key, nat, log, nic);
        self.nics.attach(set, sizes, target.node.xdp, &target.nics, constants)?;
        Ok(self.nics.detach_others(&target.nics)?)
    }

    /// What a server got of a service; zero before there are maps.
    pub fn steered(&self, service: u32, ordinal: u16) -> CounterTotals {
        let counted = self.tables.as_ref().and_then(|tables| tables.maps.steered(service, ordinal).ok());
        counted.unwrap_or_default()
    }

    /// The reasons counted for a service.
    pub fn reasons(&self, service: u32) -> Vec<ReasonCount> {
        self.tables.as_ref().and_then(|tables| tables.maps.reasons_of(service).ok()).unwrap_or_default()
    }

    /// Loads the program as it would be for `nic`, against the present maps and attached to nothing, to run it on frames.
    /// `None` before there are maps.
    pub fn load_program(&self, nic: &NicTarget) -> Result<Option<Program>, DataPlaneError> {
        let Some(Tables { maps, .. }) = &self.tables else {
            return Ok(None);
        };
        let nat = self.tables.as_ref().is_some_and(Tables::has_nat);
        let constants = constants(&maps.sizes, maps.hash_key(), nat, self.log, nic);
        Ok(Some(Program::load(&maps.set, &maps.sizes, &constants)?))
    }

    /// Detaches the program and frees the maps.
    pub fn detach(self) -> Result<(), DataPlaneError> {
        self.pins.remove_all().map_err(at(&self.pins))
    }
}

fn constants(sizes: &Sizes, key: Key, nat: bool, log: bool, nic: &NicTarget) -> Constants {
    Constants { key, slots: sizes.slots, stride: sizes.stride, ifindex: nic.ifindex, mac: nic.mac, nat, log }
}

fn has_nat(target: &Target) -> bool {
    target.services.iter().any(|service| service.mode == Mode::Nat)
}

fn need(target: &Target) -> Need {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX / 4);
    let nat = |has: fn(&Addresses) -> bool| {
        let servers =
            |array: &str| target.servers.iter().filter(|server| server.array == array && has(&server.address)).count();
        let services = target.services.iter().filter(|service| service.mode == Mode::Nat && has(&service.vip));
        count(services.map(|service| servers(&service.array)).sum())
    };
    Need {
        slots: target.node.slots,
        services: target.services.iter().map(|service| service.id).max().unwrap_or(0),
        servers: target.servers.iter().map(|server| u32::from(server.id)).max().unwrap_or(0),
        // Ordinals of removed servers leave holes.
        largest_array: target.servers.iter().map(|server| u32::from(server.ordinal) + 1).max().unwrap_or(0),
        vips: count(target.vips.len()),
        nat: nat(has_v4).max(nat(has_v6)),
    }
}

/// The key of the flow hash: the first 16 bytes of the SHA-256 digest of the seed. Frozen, so that nodes agree.
pub(crate) fn hash_key(seed: &str) -> Key {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(seed.as_bytes());
    let half = |at: usize| digest[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    [half(0), half(8)]
}

fn at(pins: &Pins) -> impl Fn(io::Error) -> DataPlaneError {
    let path = pins.root().to_owned();
    move |source| DataPlaneError::Pins { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_seed_is_frozen() {
        // printf caslb | sha256sum
        assert_eq!(hash_key("caslb")[0].to_le_bytes(), GOLDEN);
    }

    const GOLDEN: [u8; 8] = [0xfa, 0x77, 0x59, 0x7e, 0x39, 0x51, 0x97, 0x38];
}
