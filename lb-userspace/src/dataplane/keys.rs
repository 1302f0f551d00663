//! The hash maps of one set: what is in them, and bringing them to what they shall hold.
//!
//! A removed element is reused by the next insertion into the same map, so whoever uses this inserts first, removes last,
//! and waits for running programs behind it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use aya::maps::{HashMap, MapData};
use lb_common::layout::{Endpoint4, Endpoint6};

use super::tables::{WriteError, failed};
use crate::{
    config::deployment::{Addresses, Mode},
    controller::target::{ServiceTarget, Target},
    sys::wait_for_running_programs,
};

/// What is in one hash map.
pub(super) struct Keys<K, V = u32> {
    name: &'static str,
    present: BTreeMap<K, V>,
}

impl<K: aya::Pod + Ord, V: aya::Pod + Eq> Keys<K, V> {
    /// Reads what is in `map`.
    pub(super) fn read(name: &'static str, map: &HashMap<MapData, K, V>) -> Result<Self, WriteError> {
        let present = map.iter().collect::<Result<_, _>>().map_err(failed(name))?;
        Ok(Self { name, present })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.present.get(key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = V> {
        self.present.values().copied()
    }

    /// Inserts or changes one element.
    pub(super) fn set(&mut self, map: &mut HashMap<MapData, K, V>, key: K, value: V) -> Result<(), WriteError> {
        map.insert(key, value, 0).map_err(failed(self.name))?;
        self.present.insert(key, value);
        Ok(())
    }

    /// Inserts what is missing and changes what points elsewhere.
    pub(super) fn insert(
        &mut self,
        map: &mut HashMap<MapData, K, V>,
        wanted: &BTreeMap<K, V>,
    ) -> Result<(), WriteError> {
        let missing: Vec<_> = wanted.iter().filter(|(key, _)| !self.present.contains_key(key)).collect();
        let moved = |(key, value): &(&K, &V)| self.present.get(key).is_some_and(|old| old != *value);
        let moved: Vec<_> = wanted.iter().filter(moved).collect();
        for (&key, &value) in missing {
            self.set(map, key, value)?;
        }
        for (&key, &value) in moved {
            // A changed element is a new one; the old one must be out of sight before it is used again.
            self.set(map, key, value)?;
            wait_for_running_programs();
        }
        Ok(())
    }

    /// Removes all but those to keep; whether there were any.
    pub(super) fn remove(
        &mut self,
        map: &mut HashMap<MapData, K, V>,
        keep: impl Fn(&K) -> bool,
    ) -> Result<bool, WriteError> {
        let gone: Vec<_> = self.present.keys().filter(|key| !keep(key)).copied().collect();
        for key in &gone {
            map.remove(key).map_err(failed(self.name))?;
            self.present.remove(key);
        }
        Ok(!gone.is_empty())
    }
}

/// Key of a service of an IPv4 VIP.
pub(super) type Key4 = [u8; 8];
/// Key of a service of an IPv6 VIP.
pub(super) type Key6 = [u8; 24];

/// The key of a service's IPv4 VIP.
pub(super) fn service4(service: &ServiceTarget) -> Option<Key4> {
    service.vip.v4().map(|vip| key4(vip, service.port, service))
}

/// The key of a service's IPv6 VIP.
pub(super) fn service6(service: &ServiceTarget) -> Option<Key6> {
    service.vip.v6().map(|vip| key6(vip, service.port, service))
}

/// Where IPv4 replies of `nat` servers come from, and the service they belong to.
pub(super) fn nat4(target: &Target) -> BTreeMap<Key4, u32> {
    let pairs = nat_pairs(target).filter(|(service, _)| service.vip.v4().is_some());
    let key = |(service, server): (&ServiceTarget, &Addresses)| {
        Some((key4(server.v4()?, service.server_port, service), service.id))
    };
    pairs.filter_map(key).collect()
}

/// The same for IPv6.
pub(super) fn nat6(target: &Target) -> BTreeMap<Key6, u32> {
    let pairs = nat_pairs(target).filter(|(service, _)| service.vip.v6().is_some());
    let key = |(service, server): (&ServiceTarget, &Addresses)| {
        Some((key6(server.v6()?, service.server_port, service), service.id))
    };
    pairs.filter_map(key).collect()
}

/// The `nat` services with the addresses of each of their servers.
fn nat_pairs(target: &Target) -> impl Iterator<Item = (&ServiceTarget, &Addresses)> {
    let nat = target.services.iter().filter(|service| service.mode == Mode::Nat);
    nat.flat_map(|service| {
        let servers = target.servers.iter().filter(|server| server.array == service.array);
        servers.map(move |server| (service, &server.address))
    })
}

fn key4(address: Ipv4Addr, port: u16, service: &ServiceTarget) -> Key4 {
    Endpoint4::new(address.octets(), port, service.protocol.number()).to_bytes()
}

fn key6(address: Ipv6Addr, port: u16, service: &ServiceTarget) -> Key6 {
    Endpoint6::new(address.octets(), port, service.protocol.number()).to_bytes()
}
