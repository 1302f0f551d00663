//! Replays recorded events, written as one line each:
//!
//! ```text
//! 0.3s EX01 +--        => EX01 checking>up
//!      path EX02 lost  => EX02 up>down, apply
//!      EX02 is down: no ARP answer
//!      table imap is EX01
//! ```
//!
//! `EX01@4` and `EX01@6` mean one address of the server, `EX01` all of them.
//!
//! `+`, `-` and `!` are a check that passed, failed, or could not be run; they concern every check of the server, or
//! those of one service (`imap/EX01 -`), or one (`https/EX01/1 -`, counted from 0). Behind `=>` stand the effects of the
//! line, all of them and in order; without `=>` they do not matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use crate::{
    config::deployment::{Deployment, Server, Service},
    controller::{
        core::{Core, Effect, Event, Moment},
        ids::endpoint,
        target::{ServiceTarget, Target},
    },
    dataplane::{Adopted, AdoptedServer, AdoptedService},
    health::{Failed, FailureKind, Outcome, Passed, scheduler::CheckId},
    host::{Link, Path, PathProblem},
};

/// A core and the clock that stands beside it.
#[derive(Clone)]
pub(super) struct Replay {
    pub(super) core: Core,
    elapsed: Duration,
    found: Adopted,
}

impl Replay {
    /// A node that finds nothing.
    pub(super) fn new(deployment: Deployment) -> Self {
        Self::adopting(deployment, &Adopted::default())
    }

    /// A node that finds what another controller left.
    pub(super) fn adopting(deployment: Deployment, adopted: &Adopted) -> Self {
        let elapsed = Duration::ZERO;
        let (core, effects) = Core::new(deployment, adopted, moment(elapsed));
        assert!(matches!(effects[..], [Effect::Schedule(_), Effect::Watch(_)]), "{effects:?}");
        Self { core, elapsed, found: adopted.clone() }
    }

    /// A node whose NIC and servers are all there and pass their checks.
    pub(super) fn settled(deployment: Deployment) -> Self {
        let names: BTreeSet<_> = servers(&deployment).map(|server| server.name.clone()).collect();
        let mut replay = Self::new(deployment);
        replay.run("links eth0\npaths ok");
        for name in names {
            replay.run(&format!("{name} +"));
        }
        assert!(replay.core.target().is_some(), "the first tables were not made");
        replay
    }

    /// Changes the configuration.
    pub(super) fn reload(&mut self, change: impl FnOnce(&mut Deployment)) -> Vec<Effect> {
        let mut deployment = self.core.deployment().clone();
        change(&mut deployment);
        self.step(Event::Reload(deployment))
    }

    pub(super) fn step(&mut self, event: Event) -> Vec<Effect> {
        self.core.step(event, moment(self.elapsed))
    }

    /// Replays a script.
    pub(super) fn run(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let (what, expected) = line.split_once("=>").map_or((line, None), |(what, effects)| (what, Some(effects)));
        let mut words: Vec<_> = what.split_whitespace().collect();
        let time = words[0].strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = time {
            self.elapsed = Duration::from_secs_f64(seconds);
            words.remove(0);
        }
        let effects = match words[..] {
            ["time"] => self.step(Event::Time),
            ["links", ref names @ ..] => self.step(Event::Links(names.iter().map(|name| link(name)).collect())),
            ["paths", how] => {
                let servers: Vec<_> = servers(self.core.deployment()).cloned().collect();
                let events = servers.iter().flat_map(|server| path_events(server, "", how));
                events.flat_map(|event| self.step(event)).collect()
            }
            ["path", server, how] => {
                let (name, family) = server.split_once('@').unwrap_or((server, ""));
                let events = path_events(self.server(name), family, how);
                events.into_iter().flat_map(|event| self.step(event)).collect()
            }
            ["table", service, "is", ref names @ ..] => {
                assert_eq!(self.table(service), names, "{line}");
                return;
            }
            ["vip", address, "is", how] => {
                let target = self.core.target().expect("no target yet");
                let vip = target.vips.iter().find(|vip| vip.address.to_string() == address);
                let now = vip.map_or("gone", |vip| if vip.announced { "announced" } else { "silent" });
                assert_eq!(now, how, "{line}");
                return;
            }
            [server, "is", state, ..] => {
                let reason = what.split_once(": ").map_or("", |(_, reason)| reason.trim());
                let (now, why) = self.state(server);
                assert!(now == state.trim_end_matches(':') && why.contains(reason), "{line}\nbut it is {now}: {why}");
                return;
            }
            [checks, outcomes] => outcomes.chars().flat_map(|letter| self.check(checks, letter)).collect(),
            _ => panic!("what does this mean? {line}"),
        };
        if let Some(expected) = expected {
            let effects: Vec<_> = effects.iter().map(show).collect();
            assert_eq!(effects.join(", "), expected.trim(), "{line}");
        }
    }

    /// The outcome of `checks`, written `EX01`, `imap/EX01` or `imap/EX01/0`.
    fn check(&mut self, checks: &str, letter: char) -> Vec<Effect> {
        let (checks, family) = checks.split_once('@').unwrap_or((checks, ""));
        let parts: Vec<_> = checks.split('/').collect();
        let (only_service, server, only_index) = match parts[..] {
            [server] => (None, server, None),
            [service, server] => (Some(service), server, None),
            [service, server, index] => (Some(service), server, Some(index.parse::<usize>().unwrap())),
            _ => panic!("which check is {checks}?"),
        };
        let mut ids = Vec::new();
        for array in &self.core.deployment().arrays {
            let services = array.services.iter().filter(|of| only_service.is_none_or(|only| of.name == only));
            let Some(of) = array.servers.iter().find(|of| of.name == server) else {
                continue;
            };
            for service in services {
                let indexes = (0..service.checks.len()).filter(|&index| only_index.is_none_or(|only| only == index));
                let at = |address| {
                    let id = move |index| check_id(&array.name, &service.name, server, address, index);
                    indexes.clone().map(id)
                };
                ids.extend(of.addresses_for(service).into_iter().filter(|at| is_of(family, *at)).flat_map(at));
            }
        }
        assert!(!ids.is_empty(), "there is no check {checks}");
        ids.into_iter().flat_map(|id| self.step(Event::Check { id, outcome: outcome(letter) })).collect()
    }

    fn server(&self, name: &str) -> &Server {
        servers(self.core.deployment()).find(|server| server.name == name).expect(name)
    }

    /// State and reason of `EX01` in the first service of its array, or of `imap/EX01` in that service.
    pub(super) fn state(&self, server: &str) -> (&'static str, String) {
        let (service, server) = server.split_once('/').map_or((None, server), |(of, server)| (Some(of), server));
        let arrays = &self.core.deployment().arrays;
        let array = arrays.iter().find(|array| array.servers.iter().any(|of| of.name == server)).expect(server);
        let mut services = array.services.iter();
        let service = services.find(|of| service.is_none_or(|name| of.name == name)).unwrap();
        let standing = self.core.services[&endpoint(service)].standing(self.server(server)).unwrap();
        (standing.state.name(), standing.reason.clone())
    }

    /// The service as the data plane was told.
    pub(super) fn service(&self, name: &str) -> &ServiceTarget {
        let target = self.core.target().expect("no target yet");
        target.services.iter().find(|service| service.name == name).expect(name)
    }

    /// Servers that a service's table leads to, by name; `none` without a table.
    fn table(&self, service: &str) -> Vec<String> {
        let Some(target) = self.core.target() else {
            return vec!["none".to_owned()];
        };
        let slots = named_slots(target, self.service(service));
        if slots.is_empty() {
            return vec!["none".to_owned()];
        }
        slots.into_iter().collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }

    /// What a controller that starts now would find.
    pub(super) fn left(&self) -> Adopted {
        let Some(target) = self.core.target() else {
            return self.found.clone();
        };
        let service = |service: &ServiceTarget| AdoptedService {
            id: service.id,
            vip: service.vip,
            port: service.port,
            protocol: service.protocol.number(),
            table: service.table.clone(),
        };
        let servers = target.servers.iter().map(|server| AdoptedServer {
            id: server.id,
            ordinal: server.ordinal,
            array: server.array.clone(),
            name: server.name.clone(),
        });
        Adopted { services: target.services.iter().map(service).collect(), servers: servers.collect() }
    }
}

/// The table of a service with names in the place of ids; empty without one.
pub(super) fn named_slots<'a>(target: &'a Target, service: &ServiceTarget) -> Vec<&'a str> {
    let names: BTreeMap<_, _> = target.servers.iter().map(|server| (server.id, server.name.as_str())).collect();
    service.table.iter().flat_map(|table| table.iter()).map(|id| names[id]).collect()
}

/// The targets that the data plane is told.
pub(super) fn applied(effects: &[Effect]) -> Vec<&Target> {
    let mut targets = Vec::new();
    for effect in effects {
        if let Effect::Apply(target) = effect {
            targets.push(target.as_ref());
        }
    }
    targets
}

pub(super) fn show(effect: &Effect) -> String {
    match effect {
        Effect::Report(change) => format!("{} {}>{}", change.server, change.from.name(), change.to.name()),
        Effect::Schedule(_) => "schedule".to_owned(),
        Effect::Watch(_) => "watch".to_owned(),
        Effect::Apply(_) => "apply".to_owned(),
        Effect::Announce(vips) => {
            format!("announce {}", vips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
        }
    }
}

/// Whether `address` is of the family `4`, `6`, or any.
fn is_of(family: &str, address: IpAddr) -> bool {
    match family {
        "4" => address.is_ipv4(),
        "6" => address.is_ipv6(),
        _ => true,
    }
}

pub(super) fn check_id(array: &str, service: &str, server: &str, address: IpAddr, index: usize) -> CheckId {
    CheckId { array: array.into(), service: service.into(), server: server.into(), address, index }
}

pub(super) fn outcome(letter: char) -> Outcome {
    match letter {
        '+' => Ok(Passed { detail: "answered".to_owned(), warning: None }),
        '-' => Err(Failed::new(FailureKind::Refused, "connection refused")),
        '!' => Err(Failed::new(FailureKind::Local, "no free file descriptor")),
        _ => panic!("what does {letter} mean?"),
    }
}

/// The way to the server's addresses of a family: `ok`, `gateway`, or `lost`.
fn path_events(server: &Server, family: &str, how: &str) -> Vec<Event> {
    server.address.iter().filter(|address| is_of(family, *address)).map(|address| path_to(address, how)).collect()
}

/// The way to the server's first address: `ok`, `gateway`, or `lost`.
pub(super) fn path_event(server: &Server, how: &str) -> Event {
    path_to(server.address.first(), how)
}

fn path_to(address: IpAddr, how: &str) -> Event {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    let interface = "eth0".to_owned();
    let on_link = how != "gateway";
    let next_hop = if on_link { address } else { IpAddr::from([10, 1, 0, 1]) };
    let path = Path {
        interface: interface.clone(),
        ifindex: 2,
        source_mac: [2, 0, 0, 0, 0, 2],
        next_hop,
        next_hop_mac: [2, 0, 0, 0, 1, last],
        on_link,
        mtu: 1500,
        source: IpAddr::from([10, 1, 0, 2]),
    };
    let path = match how {
        "lost" => Err(PathProblem::Unresolved { next_hop: address, interface, gateway: false }),
        _ => Ok(path),
    };
    Event::Path { address, path }
}

/// `eth0`, `eth0#7` with another index than 2, `eth0!` without a carrier.
pub(super) fn link(text: &str) -> Link {
    let running = !text.ends_with('!');
    let (name, index) = text.trim_end_matches('!').split_once('#').unwrap_or((text.trim_end_matches('!'), "2"));
    let index = index.parse().unwrap();
    Link {
        index,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]),
        mtu: 1500,
        up: true,
        running,
        xdp: None,
        addresses: vec![(IpAddr::from([10, 1, 0, 2]), 24)],
    }
}

fn servers(deployment: &Deployment) -> impl Iterator<Item = &Server> {
    deployment.arrays.iter().flat_map(|array| &array.servers)
}

fn moment(elapsed: Duration) -> Moment {
    Moment { elapsed, wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + elapsed }
}

/// The service of this name.
pub(super) fn service_of<'a>(deployment: &'a mut Deployment, name: &str) -> &'a mut Service {
    let mut services = deployment.arrays.iter_mut().flat_map(|array| &mut array.services);
    services.find(|service| service.name == name).expect(name)
}

/// The server of this name.
pub(super) fn server_of<'a>(deployment: &'a mut Deployment, name: &str) -> &'a mut Server {
    let mut servers = deployment.arrays.iter_mut().flat_map(|array| &mut array.servers);
    servers.find(|server| server.name == name).expect(name)
}
