//! One set of pinned maps, opened.

use std::{
    os::fd::AsFd,
    path::PathBuf,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::{DevMapHash, HashMap, Map, MapData, MapError, MapInfo, MapType, PerCpuArray};
use lb_common::{
    layout::{Label, ServerRecord, ServiceRecord, VipRecord, meta},
    slot,
    verdict::REASONS_PER_SERVICE,
};
use thiserror::Error;

use super::{pins::MapSet, sizing::Sizes};
use crate::sys::{MappedArray, Shared};

/// Shape of a map: what the layout version promises.
struct Shape {
    name: &'static str,
    kind: MapType,
    key: u32,
    value: u32,
}

/// What one must know to read the other maps.
const META: Shape = shape("meta", MapType::Array, 4, 8);

const fn shape(name: &'static str, kind: MapType, key: u32, value: u32) -> Shape {
    Shape { name, kind, key, value }
}

/// Every map that is pinned.
const SHAPES: [Shape; 19] = [
    shape("slots", MapType::Array, 4, 8),
    shape("services4", MapType::Hash, 8, 4),
    shape("services", MapType::Array, 4, 64),
    shape("service_labels", MapType::Hash, 4, 320),
    shape("servers", MapType::Array, 4, 64),
    shape("server_labels", MapType::Hash, 4, 320),
    shape("vips4", MapType::Hash, 4, 4),
    shape("vips", MapType::Array, 4, 8),
    shape("nat4", MapType::Hash, 8, 4),
    shape("direct4", MapType::LruHash, 16, 4),
    shape("counters", MapType::PerCpuArray, 4, 16),
    shape("reasons", MapType::PerCpuArray, 4, 8),
    shape("echo_due", MapType::PerCpuArray, 4, 8),
    shape("nics", MapType::DevMapHash, 4, 8),
    META,
    shape("services6", MapType::Hash, 24, 4),
    shape("vips6", MapType::Hash, 16, 4),
    shape("nat6", MapType::Hash, 24, 4),
    shape("direct6", MapType::LruHash, 40, 4),
];

/// Names of all pinned maps.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|shape| shape.name)
}

/// Why a set of maps could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A map is missing or cannot be opened.
    #[error("the pinned map {path} cannot be opened: {source}")]
    Map {
        /// Its pin.
        path: PathBuf,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A map isn't what its layout version says.
    #[error(
        "the pinned map {path} has another shape than layout version {} demands: something else put it there, or it is \
         damaged; run `caslb detach` and start caslb again",
        lb_common::layout::VERSION
    )]
    Shape {
        /// Its pin.
        path: PathBuf,
    },
    /// A map cannot be mapped into memory.
    #[error("the map {name} cannot be mapped into memory: {source}")]
    Memory {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The set was never finished.
    #[error("the maps under {path} were never completed: the controller that made them died early; start caslb again")]
    Incomplete {
        /// Their folder.
        path: PathBuf,
    },
}

/// One set of maps.
pub(super) struct Maps {
    pub(super) set: MapSet,
    pub(super) sizes: Sizes,
    pub(super) slots: MappedArray<AtomicU32>,
    pub(super) services: MappedArray<ServiceRecord>,
    pub(super) servers: MappedArray<ServerRecord>,
    pub(super) vips: MappedArray<VipRecord>,
    pub(super) meta: MappedArray<AtomicU64>,
    pub(super) services4: HashMap<MapData, [u8; 8], u32>,
    pub(super) vips4: HashMap<MapData, [u8; 4], u32>,
    pub(super) nat4: HashMap<MapData, [u8; 8], u32>,
    pub(super) direct4: HashMap<MapData, [u8; 16], u32>,
    pub(super) services6: HashMap<MapData, [u8; 24], u32>,
    pub(super) vips6: HashMap<MapData, [u8; 16], u32>,
    pub(super) nat6: HashMap<MapData, [u8; 24], u32>,
    pub(super) direct6: HashMap<MapData, [u8; 40], u32>,
    pub(super) service_labels: HashMap<MapData, u32, [u8; Label::SIZE]>,
    pub(super) server_labels: HashMap<MapData, u32, [u8; Label::SIZE]>,
    pub(super) counters: PerCpuArray<MapData, [u64; 2]>,
    pub(super) reasons: PerCpuArray<MapData, u64>,
    pub(super) nics: DevMapHash<MapData>,
}

impl Maps {
    /// Opens a complete set; every map's shape is checked first.
    pub(super) fn open(set: &MapSet) -> Result<Self, OpenError> {
        let incomplete = || OpenError::Incomplete { path: set.path.clone() };
        // The maps are made in no particular order, so any of them may be missing from a set that is not complete.
        if !set.map("meta").exists() || !is_finished(set)? {
            return Err(incomplete());
        }
        let maps = Self::open_unfinished(set)?;
        if maps.sizes.slots == 0 || maps.sizes.stride == 0 {
            return Err(incomplete());
        }
        Ok(maps)
    }

    /// Opens a set whose `meta` map has not been filled yet.
    pub(super) fn open_unfinished(set: &MapSet) -> Result<Self, OpenError> {
        let mut entries = [0; SHAPES.len()];
        for (entries, shape) in entries.iter_mut().zip(&SHAPES) {
            *entries = checked_entries(set, shape)?;
        }
        let [
            pairs,
            services,
            services2,
            _,
            servers,
            _,
            vips,
            vips2,
            nat,
            direct,
            counters,
            reasons,
            _,
            nics,
            words,
            services6,
            vips6,
            nat6,
            direct6,
        ] = entries;

        let meta: MappedArray<AtomicU64> = mapped(set, "meta", words as usize)?;
        let word = |at: usize| {
            meta.rows().get(at).and_then(|word| u32::try_from(word.load(Ordering::Acquire)).ok()).unwrap_or(0)
        };
        let (slots, stride) = (word(meta::SLOTS), word(meta::COUNTER_STRIDE));
        let blocks = if slots == 0 { 0 } else { pairs / (slot::block_length(slots) / 2) };
        let consistent = services == services2
            && (services6, vips6, nat6, direct6) == (services, vips, nat, direct)
            && vips == vips2
            && reasons == services * REASONS_PER_SERVICE
            && (slots == 0 || counters == services * stride)
            && words == meta::WORDS;
        if !consistent {
            return Err(OpenError::Shape { path: set.path.clone() });
        }
        let sizes = Sizes { slots, blocks, services, servers, vips, stride, nat, nics, direct };
        Ok(Self {
            set: set.clone(),
            sizes,
            slots: mapped(set, "slots", pairs as usize * 2)?,
            services: mapped(set, "services", services as usize)?,
            servers: mapped(set, "servers", servers as usize)?,
            vips: mapped(set, "vips", vips as usize)?,
            meta,
            services4: typed(set, "services4", Map::HashMap)?,
            vips4: typed(set, "vips4", Map::HashMap)?,
            nat4: typed(set, "nat4", Map::HashMap)?,
            direct4: typed(set, "direct4", Map::LruHashMap)?,
            services6: typed(set, "services6", Map::HashMap)?,
            vips6: typed(set, "vips6", Map::HashMap)?,
            nat6: typed(set, "nat6", Map::HashMap)?,
            direct6: typed(set, "direct6", Map::LruHashMap)?,
            service_labels: typed(set, "service_labels", Map::HashMap)?,
            server_labels: typed(set, "server_labels", Map::HashMap)?,
            counters: typed(set, "counters", Map::PerCpuArray)?,
            reasons: typed(set, "reasons", Map::PerCpuArray)?,
            nics: typed(set, "nics", Map::DevMapHash)?,
        })
    }

    /// Notes what is needed to read the set; from then on it is complete.
    pub(super) fn finish(&mut self, sizes: &Sizes, key: lb_common::hash::Key) {
        let words = self.meta.rows();
        words[meta::HASH_KEY_0].store(key[0], Ordering::Relaxed);
        words[meta::HASH_KEY_1].store(key[1], Ordering::Relaxed);
        words[meta::COUNTER_STRIDE].store(sizes.stride.into(), Ordering::Relaxed);
        words[meta::SLOTS].store(sizes.slots.into(), Ordering::Release);
        self.sizes = *sizes;
    }

    /// The key of the flow hash that the tables were made for.
    pub(super) fn hash_key(&self) -> lb_common::hash::Key {
        let words = self.meta.rows();
        [words[meta::HASH_KEY_0].load(Ordering::Relaxed), words[meta::HASH_KEY_1].load(Ordering::Relaxed)]
    }

    /// The slots of the table in `block`; `None` when there is no such block.
    pub(super) fn table(&self, block: u32) -> Option<&[AtomicU32]> {
        let start = slot::position(block, 0, self.sizes.slots) as usize;
        (block < self.sizes.blocks).then(|| &self.slots.rows()[start..start + self.sizes.slots as usize])
    }
}

/// Entries of a map that has the shape it should have.
fn checked_entries(set: &MapSet, shape: &Shape) -> Result<u32, OpenError> {
    let Shape { name, kind, key, value } = shape;
    let path = set.map(name);
    let info =
        MapInfo::from_pin(&path).map_err(|source| OpenError::Map { path: path.clone(), source: Box::new(source) })?;
    let same_kind = info.map_type().is_ok_and(|found| found as u32 == *kind as u32);
    if !same_kind || info.key_size() != *key || info.value_size() != *value {
        return Err(OpenError::Shape { path });
    }
    Ok(info.max_entries())
}

/// Whether [`Maps::finish`] was reached.
fn is_finished(set: &MapSet) -> Result<bool, OpenError> {
    if checked_entries(set, &META)? != meta::WORDS {
        return Err(OpenError::Shape { path: set.map(META.name) });
    }
    let words: MappedArray<AtomicU64> = mapped(set, META.name, meta::WORDS as usize)?;
    Ok(words.rows()[meta::SLOTS].load(Ordering::Acquire) != 0)
}

fn data(set: &MapSet, name: &str) -> Result<MapData, OpenError> {
    let path = set.map(name);
    MapData::from_pin(&path).map_err(|source| OpenError::Map { path, source: Box::new(source) })
}

fn typed<M: TryFrom<Map, Error = MapError>>(
    set: &MapSet,
    name: &str,
    kind: impl Fn(MapData) -> Map,
) -> Result<M, OpenError> {
    M::try_from(kind(data(set, name)?))
        .map_err(|source| OpenError::Map { path: set.map(name), source: Box::new(source) })
}

fn mapped<T: Shared>(set: &MapSet, name: &'static str, length: usize) -> Result<MappedArray<T>, OpenError> {
    let data = data(set, name)?;
    MappedArray::new(data.fd().as_fd(), length).map_err(|source| OpenError::Memory { name, source })
}
