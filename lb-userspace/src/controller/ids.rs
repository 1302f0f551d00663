//! Ids of services and servers in the data plane.
//!
//! A service keeps its id as long as one address of its VIP stays with its port and protocol, a server as long as its name
//! exists in its array, across reloads and restarts. The id of one that is gone is not given to another while it may still be in use: ids are
//! handed out in a circle, and never one that the data plane was last told to hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::layout::MAX_SERVER_ID;

use crate::{
    config::deployment::{Addresses, Deployment, Service},
    dataplane::Adopted,
};

/// One address of a VIP, port and protocol number.
pub type Endpoint = (IpAddr, u16, u8);

/// Array and server name, in lower case.
type ServerKey = (String, String);

/// A server's id and its position in its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerId {
    /// Its id, 1 and up.
    pub id: u16,
    /// Selects its counters.
    pub ordinal: u16,
}

/// All ids that are in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ids {
    given: Given,
    /// What the data plane was last told.
    applied: Given,
    last_service: u32,
    last_server: u16,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Given {
    /// A service of two families is there twice.
    services: BTreeMap<Endpoint, u32>,
    servers: BTreeMap<ServerKey, ServerId>,
}

/// Service ids wrap around here; the maps are far smaller, but grow with the highest id.
const SERVICE_IDS: u32 = 1 << 16;

/// The endpoints of a service, one per address of its VIP.
pub fn endpoints(service: &Service) -> impl Iterator<Item = Endpoint> {
    endpoints_of(service.vip, service.port, service.protocol.number())
}

/// The first endpoint of a service, which tells it from all others of a deployment.
pub fn endpoint(service: &Service) -> Endpoint {
    (service.vip.first(), service.port, service.protocol.number())
}

/// The endpoints of a VIP, port and protocol number.
pub(super) fn endpoints_of(vip: Addresses, port: u16, protocol: u8) -> impl Iterator<Item = Endpoint> {
    vip.iter().map(move |address| (address, port, protocol))
}

fn key(array: &str, server: &str) -> ServerKey {
    (array.to_owned(), server.to_ascii_lowercase())
}

impl Ids {
    /// The ids that a controller before this one gave.
    pub fn adopt(adopted: &Adopted) -> Self {
        let services: BTreeMap<_, _> = adopted
            .services
            .iter()
            .flat_map(|service| {
                endpoints_of(service.vip, service.port, service.protocol).map(|endpoint| (endpoint, service.id))
            })
            .collect();
        let server = |server: &crate::dataplane::AdoptedServer| {
            (key(&server.array, &server.name), ServerId { id: server.id, ordinal: server.ordinal })
        };
        let servers: BTreeMap<_, _> = adopted.servers.iter().map(server).collect();
        Self {
            last_service: services.values().copied().max().unwrap_or(0),
            last_server: servers.values().map(|server| server.id).max().unwrap_or(0),
            given: Given { services: services.clone(), servers: servers.clone() },
            applied: Given { services, servers },
        }
    }

    /// The data plane was told to hold these ids and no others.
    pub fn applied(&mut self) {
        self.applied = self.given.clone();
    }

    /// Gives everything in `deployment` an id and forgets what is not in it.
    pub fn update(&mut self, deployment: &Deployment) {
        let Self { given: Given { services, servers }, applied, last_service, last_server } = self;
        // What left the configuration, but not yet the data plane, is still in use and may come back.
        services.extend(applied.services.iter().map(|(&endpoint, &id)| (endpoint, id)));
        servers.extend(applied.servers.iter().map(|(key, &id)| (key.clone(), id)));
        let mut new_services = BTreeMap::new();
        let mut used: BTreeSet<_> = services.values().copied().collect();
        let mut given = BTreeSet::new();
        for service in deployment.arrays.iter().flat_map(|array| &array.services) {
            // When the addresses of one service are now those of two, the first of them goes on as that service.
            let mut before = endpoints(service).filter_map(|endpoint| services.get(&endpoint).copied());
            let id = before.find(|id| !given.contains(id)).unwrap_or_else(|| {
                // Lowest first: the maps are sized by the number of services.
                let limit = u32::try_from(used.len()).unwrap_or(SERVICE_IDS) + 2;
                *last_service = circle(*last_service, limit, |id| used.contains(&id));
                *last_service
            });
            used.insert(id);
            given.insert(id);
            new_services.extend(endpoints(service).map(|endpoint| (endpoint, id)));
        }
        let mut new_servers = BTreeMap::new();
        let mut used: BTreeSet<_> = servers.values().map(|server| u32::from(server.id)).collect();
        for array in &deployment.arrays {
            let of_array =
                |((name, _), server): (&ServerKey, &ServerId)| (*name == array.name).then_some(server.ordinal);
            let mut ordinals: BTreeSet<_> = servers.iter().filter_map(of_array).collect();
            for server in &array.servers {
                let key = key(&array.name, &server.name);
                let id = servers.get(&key).copied().unwrap_or_else(|| {
                    let limit = (u32::try_from(used.len()).unwrap_or(u32::MAX) + 2).min(MAX_SERVER_ID.into());
                    let id = circle((*last_server).into(), limit, |id| used.contains(&id));
                    *last_server = u16::try_from(id).unwrap_or(MAX_SERVER_ID);
                    let ordinal = (0..=u16::MAX).find(|ordinal| !ordinals.contains(ordinal)).unwrap_or(u16::MAX);
                    ServerId { id: *last_server, ordinal }
                });
                used.insert(id.id.into());
                ordinals.insert(id.ordinal);
                new_servers.insert(key, id);
            }
        }
        *services = new_services;
        *servers = new_servers;
    }

    /// The id of a service; 0 when it has none.
    pub fn service(&self, service: &Service) -> u32 {
        self.given.services.get(&endpoint(service)).copied().unwrap_or(0)
    }

    /// The id of a server.
    pub fn server(&self, array: &str, server: &str) -> Option<ServerId> {
        self.given.servers.get(&key(array, server)).copied()
    }
}

/// The first id after `last` that is not used, in the circle 1, 2, …, `limit`. One is free there whenever fewer than
/// `limit` are used.
fn circle(last: u32, limit: u32, used: impl Fn(u32) -> bool) -> u32 {
    (last + 1..=limit).chain(1..=last).find(|&id| !used(id)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture;

    #[test]
    fn ids_stay_with_what_they_were_given_to() {
        let mut ids = Ids::default();
        let mut deployment = fixture::deployment(&["EX01", "EX02", "EX03"]);
        ids.update(&deployment);
        let before = ids.clone();
        assert_eq!(ids.server("ams", "EX02").map(|id| (id.id, id.ordinal)), Some((2, 1)));
        deployment.arrays[0].servers.reverse();
        deployment.arrays[0].servers[0].name.make_ascii_lowercase();
        ids.update(&deployment);
        assert_eq!(ids, before);
    }

    #[test]
    fn an_id_that_became_free_is_not_given_away_in_the_same_step() {
        let mut ids = Ids::default();
        ids.update(&fixture::deployment(&["EX01", "EX02"]));
        ids.update(&fixture::deployment(&["EX01", "EX09"]));
        let old = ServerId { id: 2, ordinal: 1 };
        let new = ids.server("ams", "EX09").unwrap();
        assert!(new.id != old.id && new.ordinal != old.ordinal);
        assert_eq!(ids.server("ams", "EX02"), None);
    }

    #[test]
    fn an_id_that_the_data_plane_still_holds_is_not_given_away_and_is_found_again() {
        let mut ids = Ids::default();
        ids.update(&fixture::deployment(&["EX01", "EX02"]));
        let held = ids.server("ams", "EX02");
        ids.applied();
        for name in ["EX07", "EX08", "EX09"] {
            ids.update(&fixture::deployment(&["EX01", name]));
            assert_ne!(ids.server("ams", name), held);
        }
        ids.update(&fixture::deployment(&["EX01", "EX02"]));
        assert_eq!(ids.server("ams", "EX02"), held);
    }

    #[test]
    fn ids_stay_low_however_often_servers_change() {
        let mut ids = Ids::default();
        for round in 0..500 {
            let (kept, changing) = ("EX01".to_owned(), format!("NEW{round}"));
            ids.update(&fixture::deployment(&[&kept, &changing]));
            let id = ids.server("ams", &changing).unwrap();
            assert!(id.id <= 4 && id.ordinal <= 2, "{id:?}");
        }
    }
}
