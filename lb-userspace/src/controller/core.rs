//! The core: state, an event and the time go in, the new state and what is to be done come out.
//!
//! It touches nothing: no clock, no socket, no map. So a day of flapping can be replayed in milliseconds, and a reload
//! can be tried on a copy and thrown away when the data plane refuses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    ids::{Endpoint, Ids, endpoint, endpoints, endpoints_of},
    maglev::{self, Member},
    service::{ServiceState, StateChange},
    target::{NicTarget, NodeTarget, ServerTarget, ServiceTarget, Target, VipTarget},
};
use crate::{
    config::deployment::{Array, Check, Deployment, Node, Server, Service, UnknownPort},
    dataplane::{Adopted, AdoptedService},
    health::{
        Outcome,
        scheduler::{CheckId, ScheduledCheck},
    },
    host::{Link, Path, PathProblem},
};

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since the controller started, of a clock that never goes back.
    pub elapsed: Duration,
    /// What a clock on the wall says.
    pub wall: SystemTime,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A check ran.
    Check {
        /// Which one.
        id: CheckId,
        /// What it found.
        outcome: Outcome,
    },
    /// The way to a server became known or changed.
    Path {
        /// The server's address.
        address: IpAddr,
        /// The way, or why there is none.
        path: Result<Path, PathProblem>,
    },
    /// The NICs of the host became known or changed.
    Links(Vec<Link>),
    /// The configuration was read again.
    Reload(Deployment),
    /// The time of [`Core::deadline`] has come.
    Time,
}

/// Something that is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say that a server changed its state.
    Report(StateChange),
    /// Run exactly these checks.
    Schedule(Vec<ScheduledCheck>),
    /// Tell the way to exactly these addresses.
    Watch(Vec<IpAddr>),
    /// Bring the data plane to this.
    Apply(Box<Target>),
    /// Tell the network that these VIPs are here.
    Announce(Vec<IpAddr>),
}

/// How long the first tables wait for the first verdict of every server, at the least and at the most. Between the two,
/// as long as the slowest check may take.
const FIRST_WAIT: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(15));

/// Tables by array and members, which is what they are made from beside the node's seed and number of slots.
type Tables = BTreeMap<(String, Vec<Member>), Arc<[u16]>>;

/// Everything the controller knows.
#[derive(Clone, Debug)]
pub struct Core {
    pub(super) deployment: Deployment,
    pub(super) ids: Ids,
    links: Option<BTreeMap<String, Link>>,
    paths: BTreeMap<IpAddr, Result<Path, PathProblem>>,
    /// The last way that worked: better than none while a neighbour does not answer and there is nobody else.
    last_paths: BTreeMap<IpAddr, Path>,
    /// By the first endpoint of each.
    pub(super) services: BTreeMap<Endpoint, ServiceState>,
    pub(super) target: Option<Target>,
    /// The NICs that could carry traffic when the last target was made.
    carried: Vec<NicTarget>,
    /// The present tables: services with equal ones share them, and none is made twice.
    tables: Tables,
    /// Until when the first tables wait; `None` when they have been made.
    waiting: Option<Duration>,
}

impl Core {
    /// The state at the start, with what was found in the data plane, and what is to be done first.
    pub fn new(deployment: Deployment, adopted: &Adopted, now: Moment) -> (Self, Vec<Effect>) {
        let mut ids = Ids::adopt(adopted);
        let names: BTreeMap<_, _> =
            adopted.servers.iter().map(|server| (server.id, (&server.array, &server.name))).collect();
        let mut services = BTreeMap::new();
        for (array, service) in pairs(&deployment) {
            let endpoint = endpoint(service);
            let has = |of: Endpoint| {
                move |found: &&AdoptedService| {
                    endpoints_of(found.vip, found.port, found.protocol).any(|found| found == of)
                }
            };
            let found = endpoints(service).find_map(|of| adopted.services.iter().find(has(of)));
            let table = found.and_then(|found| found.table.as_deref()).unwrap_or_default();
            let used: BTreeSet<_> = table.iter().collect();
            let servers = used.iter().filter_map(|id| Some((**id, names.get(id)?)));
            let of_array = servers.filter(|(_, (of, _))| **of == array.name);
            let members: Vec<_> = of_array.map(|(id, (_, name))| (name.as_str(), id)).collect();
            services.insert(endpoint, ServiceState::adopted(&members, now.wall));
        }
        ids.update(&deployment);
        let slowest = pairs(&deployment).flat_map(|(_, service)| &service.checks).map(|check| check.timeout).max();
        let wait = (slowest.unwrap_or_default() + Duration::from_secs(1)).clamp(FIRST_WAIT.0, FIRST_WAIT.1);
        let mut core = Self {
            deployment,
            ids,
            links: None,
            paths: BTreeMap::new(),
            last_paths: BTreeMap::new(),
            services,
            target: None,
            carried: Vec::new(),
            tables: Tables::new(),
            waiting: Some(now.elapsed + wait),
        };
        core.configure(None, now);
        let effects = core.duties();
        (core, effects.into())
    }

    /// Takes an event into account.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Check { id, outcome } => {
                let change = self.hear(&id, &outcome, now);
                // Thousands of checks a second end here: tables follow from states alone.
                if change.is_none() && self.waiting.is_none() {
                    return effects;
                }
                effects.extend(change.map(Effect::Report));
            }
            Event::Path { address, path } => {
                // It may have been under way while a reload removed the server.
                if !self.addresses().contains(&address) {
                    return effects;
                }
                if let Ok(path) = &path {
                    self.last_paths.insert(address, path.clone());
                }
                self.paths.insert(address, path);
            }
            Event::Links(links) => {
                self.links = Some(links.into_iter().map(|link| (link.name.clone(), link)).collect());
            }
            Event::Reload(deployment) => {
                let made_for = |node: &Node| (node.slots, node.hash_seed.clone());
                if made_for(&self.deployment.node) != made_for(&deployment.node) {
                    self.tables.clear();
                }
                let before = std::mem::replace(&mut self.deployment, deployment);
                self.ids.update(&self.deployment);
                self.configure(Some(&before), now);
                effects.extend(self.duties());
            }
            Event::Time => {}
        }
        effects.extend(self.conclude(now).into_iter().map(Effect::Report));
        if self.may_make_tables(now) {
            effects.extend(self.retarget());
        }
        effects
    }

    /// When [`Event::Time`] is due, if ever. The first tables wait for the NICs however long it takes.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.filter(|_| self.links.is_some())
    }

    /// What the data plane was last told to be.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The configuration in force.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Services and servers as the configuration has them, with what is known of them. A service is the one that had an
    /// address of its VIP with its port and protocol, whatever its name was; if none had, the one that had its name and
    /// moved here.
    fn configure(&mut self, before: Option<&Deployment>, now: Moment) {
        let mut known = std::mem::take(&mut self.services);
        let taken: BTreeSet<_> = pairs(&self.deployment).flat_map(|(_, service)| endpoints(service)).collect();
        // Where the state of each endpoint is kept.
        let old = before.into_iter().flat_map(pairs);
        let mut kept_at: BTreeMap<_, _> =
            old.flat_map(|(_, old)| endpoints(old).map(|of| (of, endpoint(old)))).collect();
        kept_at.extend(known.keys().map(|&of| (of, of)));
        for (array, service) in pairs(&self.deployment) {
            let moved_from = || {
                let namesake = pairs(before?).find(|(of, old)| of.name == array.name && old.name == service.name)?.1;
                let stays = endpoints(namesake).any(|endpoint| taken.contains(&endpoint));
                (!stays).then(|| endpoint(namesake))
            };
            let endpoint = endpoint(service);
            let stayed = endpoints(service).find_map(|of| known.remove(kept_at.get(&of)?));
            let state = stayed.or_else(|| known.remove(&moved_from()?));
            let mut state = state.unwrap_or_default();
            state.configure(array, service, now.wall);
            self.services.insert(endpoint, state);
        }
        let addresses: BTreeSet<_> = self.addresses().into_iter().collect();
        self.paths.retain(|address, _| addresses.contains(address));
        self.last_paths.retain(|address, _| addresses.contains(address));
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let servers = self.deployment.arrays.iter().flat_map(|array| &array.servers);
        let addresses: BTreeSet<_> = servers.flat_map(|server| server.address.iter()).collect();
        addresses.into_iter().collect()
    }

    /// The checks to run and the addresses to watch.
    fn duties(&self) -> [Effect; 2] {
        let mut checks = Vec::new();
        for (array, service) in pairs(&self.deployment) {
            for server in &array.servers {
                for address in server.addresses_for(service) {
                    let scheduled = |(index, check): (usize, &Check)| ScheduledCheck {
                        id: CheckId {
                            array: array.name.as_str().into(),
                            service: service.name.as_str().into(),
                            server: server.name.as_str().into(),
                            address,
                            index,
                        },
                        server: SocketAddr::new(address, check.port),
                        check: check.clone(),
                    };
                    checks.extend(service.checks.iter().enumerate().map(scheduled));
                }
            }
        }
        [Effect::Schedule(checks), Effect::Watch(self.addresses())]
    }

    /// Takes the outcome of a check into account, and concludes what it means for its server. `None` when that changes
    /// nothing, or there is no such check any more.
    fn hear(&mut self, id: &CheckId, outcome: &Outcome, now: Moment) -> Option<StateChange> {
        let Self { deployment, paths, services, .. } = self;
        let named = |(array, service): &(&Array, &Service)| *array.name == *id.array && *service.name == *id.service;
        let (array, service) = pairs(deployment).find(named)?;
        let server = array.servers.iter().find(|server| *server.name == *id.server)?;
        let state = services.get_mut(&endpoint(service))?;
        state.hear(server, id.address, id.index, outcome);
        state.conclude(array, service, server, |address| paths.get(&address), now.wall)
    }

    fn conclude(&mut self, now: Moment) -> Vec<StateChange> {
        let Self { deployment, paths, services, .. } = self;
        let mut changes = Vec::new();
        for (array, service) in pairs(deployment) {
            if let Some(state) = services.get_mut(&endpoint(service)) {
                let conclude = |server| state.conclude(array, service, server, |address| paths.get(&address), now.wall);
                changes.extend(array.servers.iter().filter_map(conclude));
            }
        }
        changes
    }

    /// The first tables are made when there is nothing more to learn, or when it took too long.
    fn may_make_tables(&mut self, now: Moment) -> bool {
        let Some(until) = self.waiting else {
            return true;
        };
        let all_known = pairs(&self.deployment).all(|(array, service)| {
            let state = self.services.get(&endpoint(service));
            state.is_some_and(|state| state.is_known(array, service, |address| self.paths.get(&address)))
        });
        if self.links.is_none() || (!all_known && now.elapsed < until) {
            return false;
        }
        self.waiting = None;
        true
    }

    fn retarget(&mut self) -> Vec<Effect> {
        let target = self.make_target();
        let announced = |target: &Target| -> BTreeSet<IpAddr> {
            target.vips.iter().filter(|vip| vip.announced).map(|vip| vip.address).collect()
        };
        // Neighbours must hear of a VIP that becomes active, and of all of them when there is another NIC to reach them
        // by, another MAC address, or a cable that was unplugged: perhaps from another port of the switch.
        let carrying = self.carrying();
        let same_ways = carrying.iter().all(|nic| self.carried.contains(nic));
        let before = self.target.as_ref().filter(|_| same_ways).map(announced).unwrap_or_default();
        self.carried = carrying;
        let new: Vec<_> = announced(&target).difference(&before).copied().collect();
        let mut effects = Vec::new();
        if self.target.as_ref() != Some(&target) {
            effects.push(Effect::Apply(Box::new(target.clone())));
            self.ids.applied();
        }
        if !new.is_empty() {
            effects.push(Effect::Announce(new));
        }
        self.target = Some(target);
        effects
    }

    fn make_target(&mut self) -> Target {
        let before = std::mem::take(&mut self.tables);
        let mut tables = Tables::new();
        let Node { slots, hash_seed, .. } = &self.deployment.node;
        let mut services: Vec<ServiceTarget> = Vec::new();
        let mut vips: BTreeMap<IpAddr, VipTarget> = BTreeMap::new();
        for (array, service) in pairs(&self.deployment) {
            let state = self.services.get_mut(&endpoint(service));
            let members = state.map(|state| state.choose(array, service, &self.ids)).unwrap_or_default();
            let table = (!members.is_empty()).then(|| {
                let made_from = (array.name.clone(), members.to_vec());
                let make = || maglev::table(hash_seed, &array.name, members, *slots).into();
                let there = before.get(&made_from).cloned();
                tables.entry(made_from).or_insert_with(|| there.unwrap_or_else(make)).clone()
            });
            for address in service.vip.iter() {
                let vip = vips.entry(address).or_insert(VipTarget {
                    address,
                    announced: false,
                    pass_unknown: service.unknown_port == UnknownPort::Pass,
                });
                vip.announced |= service.announce && table.is_some();
            }
            services.push(ServiceTarget {
                id: self.ids.service(service),
                array: array.name.clone(),
                name: service.name.clone(),
                vip: service.vip,
                port: service.port,
                protocol: service.protocol,
                server_port: service.server_port,
                mode: service.mode,
                hash: service.hash,
                table,
            });
        }
        services.sort_by_key(|service| service.id);
        self.tables = tables;
        let node = &self.deployment.node;
        Target {
            node: NodeTarget { hash_seed: node.hash_seed.clone(), slots: node.slots, xdp: node.xdp },
            nics: self.nics(),
            services,
            servers: self.server_targets(),
            vips: vips.into_values().collect(),
        }
    }

    /// The NICs of the configuration that exist.
    fn nics(&self) -> Vec<NicTarget> {
        self.own_links().filter_map(nic).collect()
    }

    /// Those that can carry traffic.
    fn carrying(&self) -> Vec<NicTarget> {
        self.own_links().filter(|link| link.usable()).filter_map(nic).collect()
    }

    fn own_links(&self) -> impl Iterator<Item = &Link> {
        let links = self.links.as_ref();
        self.deployment.node.interfaces.iter().filter_map(move |name| links?.get(name))
    }

    fn server_targets(&self) -> Vec<ServerTarget> {
        // A way through a NIC that is gone leads nowhere, and its index may become another's.
        let indexes: BTreeSet<_> = self.links.iter().flatten().map(|(_, link)| link.index).collect();
        let server = |array: &Array, server: &Server| {
            let id = self.ids.server(&array.name, &server.name)?;
            let way = |address: Option<IpAddr>| {
                // To a server that lacks the family, packets go the way of the other.
                let last = self.last_paths.get(&address.unwrap_or(server.address.first()));
                last.filter(|path| indexes.contains(&path.ifindex)).cloned()
            };
            Some(ServerTarget {
                id: id.id,
                ordinal: id.ordinal,
                array: array.name.clone(),
                name: server.name.clone(),
                address: server.address,
                path4: way(server.address.v4().map(IpAddr::V4)),
                path6: way(server.address.v6().map(IpAddr::V6)),
            })
        };
        let arrays = self.deployment.arrays.iter();
        let mut servers: Vec<_> =
            arrays.flat_map(|array| array.servers.iter().filter_map(|of| server(array, of))).collect();
        servers.sort_by_key(|server| server.id);
        servers
    }
}

fn pairs(deployment: &Deployment) -> impl Iterator<Item = (&Array, &Service)> {
    deployment.arrays.iter().flat_map(|array| array.services.iter().map(move |service| (array, service)))
}

fn nic(link: &Link) -> Option<NicTarget> {
    Some(NicTarget { name: link.name.clone(), ifindex: link.index, mac: link.mac? })
}
