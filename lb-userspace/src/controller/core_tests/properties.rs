//! What holds after any sequence of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use proptest::prelude::*;

use super::replay::{Replay, applied, check_id, link, named_slots, outcome, path_event};
use crate::{
    config::deployment::{AllDown, Array, Deployment, Mode, Server, Service},
    controller::{
        core::{Effect, Event},
        fixture,
        ids::endpoint,
        service::ServerState,
        target::Target,
    },
};

const NAMES: [&str; 5] = ["EX01", "EX02", "EX03", "EX04", "EX05"];
const PATHS: [&str; 3] = ["ok", "gateway", "lost"];

/// What a configuration may vary in.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a file may say or not")]
struct Shape {
    servers: [bool; 5],
    weights: [u16; 5],
    moved: bool,
    keep_last: bool,
    second_service: bool,
    second_check: bool,
    other_vip: bool,
    other_array: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Check { service: usize, server: usize, index: usize, letter: char },
    Path { server: usize, how: usize },
    Links(usize),
    Reload(Shape),
    Restart,
    Time,
}

fn shape() -> impl Strategy<Value = Shape> {
    let weight = prop::sample::select(vec![0, 1, 50, 100, 100]);
    (any::<[bool; 5]>(), prop::array::uniform5(weight), any::<[bool; 6]>()).prop_map(|(servers, weights, flags)| {
        let [moved, keep_last, second_service, second_check, other_vip, other_array] = flags;
        Shape { servers, weights, moved, keep_last, second_service, second_check, other_vip, other_array }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let letter = prop::sample::select(vec!['+', '+', '-', '-', '!']);
    prop_oneof![
        12 => (0..2usize, 0..5usize, 0..2usize, letter)
            .prop_map(|(service, server, index, letter)| Step::Check { service, server, index, letter }),
        6 => (0..5usize, 0..3usize).prop_map(|(server, how)| Step::Path { server, how }),
        2 => (0..4usize).prop_map(Step::Links),
        2 => shape().prop_map(Step::Reload),
        1 => Just(Step::Restart),
        1 => Just(Step::Time),
    ]
}

impl Shape {
    fn deployment(&self) -> Deployment {
        let mut deployment = fixture::deployment(&[]);
        let present = (0..5).filter(|&index| self.servers[index]);
        let server = |index: usize| {
            let last = 11 + u8::try_from(index).unwrap() + if self.moved { 100 } else { 0 };
            Server { weight: self.weights[index], ..fixture::server(NAMES[index], [10, 1, 0, last]) }
        };
        let array = &mut deployment.arrays[0];
        array.servers = present.map(server).collect();
        let vip = Ipv4Addr::new(10, 1, 0, if self.other_vip { 101 } else { 100 });
        if self.second_service {
            array.services.push(Service { mode: Mode::Nat, ..fixture::service("imap", vip, 143) });
        }
        let https = &mut array.services[0];
        https.all_down = if self.keep_last { AllDown::KeepLast } else { AllDown::Withdraw };
        if self.second_check {
            https.checks.insert(0, https.checks[0].clone());
            https.checks[0].port = 444;
        }
        if self.other_array {
            let services = vec![fixture::service("smtp", Ipv4Addr::new(10, 1, 0, 102), 25)];
            let servers = vec![fixture::server("EX01", [10, 1, 0, 11]), fixture::server("EX06", [10, 1, 0, 16])];
            deployment.arrays.insert(0, Array { name: "fra".to_owned(), namespaces: vec![], servers, services });
        }
        deployment
    }
}

fn links(which: usize) -> Event {
    let names: &[&str] = [&["eth0"][..], &["eth0#3"], &["eth0!"], &[]][which];
    Event::Links(names.iter().map(|name| link(name)).collect())
}

fn act(replay: &mut Replay, step: &Step) -> Vec<Effect> {
    match step {
        Step::Check { service, server, index, letter } => {
            // The check of a server that is not there is at an address that nobody has.
            let array = replay.core.deployment().arrays.last().unwrap();
            let of = array.servers.iter().find(|of| of.name == NAMES[*server]);
            let address = of.map_or(Ipv4Addr::UNSPECIFIED.into(), |of| of.address.first());
            let id = check_id("ams", ["https", "imap"][*service], NAMES[*server], address, *index);
            replay.step(Event::Check { id, outcome: outcome(*letter) })
        }
        Step::Path { server, how } => {
            let servers = &replay.core.deployment().arrays.last().unwrap().servers;
            match servers.get(*server).cloned() {
                Some(server) => replay.step(path_event(&server, PATHS[*how])),
                None => Vec::new(),
            }
        }
        Step::Links(which) => replay.step(links(*which)),
        Step::Reload(shape) => replay.reload(|deployment| *deployment = shape.deployment()),
        Step::Restart => {
            *replay = Replay::adopting(replay.core.deployment().clone(), &replay.left());
            Vec::new()
        }
        Step::Time => {
            replay.run("9999s time");
            Vec::new()
        }
    }
}

/// The states of the servers of a service, by name.
fn states<'a>(replay: &'a Replay, array: &'a Array, service: &Service) -> BTreeMap<&'a str, ServerState> {
    let state = &replay.core.services[&endpoint(service)];
    array.servers.iter().map(|server| (server.name.as_str(), state.standing(server).unwrap().state)).collect()
}

fn members<'a>(target: &'a Target, service: &Service) -> BTreeSet<&'a str> {
    let found = target.services.iter().find(|found| (found.vip, found.port) == (service.vip, service.port));
    found.map(|service| named_slots(target, service).into_iter().collect()).unwrap_or_default()
}

/// What must hold of a target by itself.
fn check_target(target: &Target) {
    let owners: BTreeMap<_, _> = target.servers.iter().map(|server| (server.id, &server.array)).collect();
    assert_eq!(owners.len(), target.servers.len(), "a server id was given twice");
    let ids: BTreeSet<_> = target.services.iter().map(|service| service.id).collect();
    assert_eq!(ids.len(), target.services.len(), "a service id was given twice");
    let ordinals: BTreeSet<_> = target.servers.iter().map(|server| (&server.array, server.ordinal)).collect();
    assert_eq!(ordinals.len(), target.servers.len(), "an ordinal was given twice");
    for service in &target.services {
        let table = service.table.as_deref().unwrap_or_default();
        assert!(table.iter().all(|id| owners.get(id) == Some(&&service.array)), "a slot leads nowhere");
        assert!(service.table.is_none() || table.len() == 251);
    }
    for vip in &target.vips {
        let active = target
            .services
            .iter()
            .any(|service| service.vip.iter().any(|of| of == vip.address) && service.table.is_some());
        assert_eq!(vip.announced, active);
    }
}

/// What must hold of a target after the one before it.
fn check_succession(before: &Target, after: &Target) {
    for old in &before.servers {
        let new = after.servers.iter().find(|new| new.id == old.id);
        assert!(new.is_none_or(|new| (&new.array, &new.name) == (&old.array, &old.name)), "an id was reused at once");
        let new = after.servers.iter().find(|new| (&new.array, &new.name) == (&old.array, &old.name));
        assert!(new.is_none_or(|new| (new.id, new.ordinal) == (old.id, old.ordinal)), "a server lost its id");
    }
    for old in &before.services {
        let endpoint = (old.vip, old.port, old.protocol);
        let new = after.services.iter().find(|new| new.id == old.id);
        assert!(new.is_none_or(|new| (new.vip, new.port, new.protocol) == endpoint), "an id was reused at once");
    }
}

/// Tables have exactly the servers that are up, or those that were in it last.
fn check_members(replay: &Replay, before: Option<&Target>) {
    let Some(target) = replay.core.target() else { return };
    for array in &replay.core.deployment().arrays {
        for service in &array.services {
            let members = members(target, service);
            let states = states(replay, array, service);
            let up = states.iter().filter(|(_, state)| **state == ServerState::Up).map(|(name, _)| *name);
            let up: BTreeSet<_> = up.collect();
            if !up.is_empty() {
                assert_eq!(members, up);
            } else if service.all_down == AllDown::Withdraw {
                assert!(members.is_empty());
            } else if let Some(before) = before {
                let weights: BTreeMap<_, _> = array.servers.iter().map(|of| (of.name.as_str(), of.weight)).collect();
                let last = before.services.iter().find(|of| (of.vip, of.port) == (service.vip, service.port));
                // A service that moved to this VIP brings its own.
                if last.is_some_and(|last| last.name == service.name) {
                    let last = self::members(before, service);
                    let kept: BTreeSet<_> =
                        last.into_iter().filter(|name| weights.get(name).is_some_and(|weight| *weight > 0)).collect();
                    assert_eq!(members, kept);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn targets_follow_from_states_and_ids_stay(
        first in shape(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut replay = Replay::new(first.deployment());
        // What the data plane holds, and whether this controller brought it there.
        let mut last: Option<Target> = None;
        let mut told = false;
        for step in &steps {
            let effects = act(&mut replay, step);
            let told_before = told;
            if matches!(step, Step::Restart) {
                told = false;
            }
            let targets = applied(&effects);
            prop_assert!(targets.len() <= 1);
            if let Some(&target) = targets.first() {
                prop_assert_eq!(Some(target), replay.core.target());
                prop_assert!(!told || replay.core.target() != last.as_ref(), "applied without a change");
                told = true;
            }
            if let Some(target) = replay.core.target() {
                check_target(target);
                if let Some(last) = &last {
                    check_succession(last, target);
                }
                // Before the first tables, what leaves the configuration is forgotten.
                check_members(&replay, last.as_ref().filter(|_| told_before));
            }
            last = replay.core.target().cloned().or(last);
        }
    }

    #[test]
    fn what_happened_before_does_not_matter_once_everything_is_known(
        first in shape(),
        steps in prop::collection::vec(step(), 0..60),
        finally in shape(),
        facts in prop::array::uniform5((0..3usize, any::<[bool; 3]>())),
    ) {
        let mut replay = Replay::new(first.deployment());
        for step in &steps {
            act(&mut replay, step);
        }
        replay.reload(|deployment| *deployment = finally.deployment());
        let mut fresh = Replay::new(finally.deployment());
        for replay in [&mut replay, &mut fresh] {
            replay.step(links(0));
            let arrays = replay.core.deployment().arrays.clone();
            for (array, server) in arrays.iter().flat_map(|array| array.servers.iter().map(move |of| (array, of))) {
                let known = NAMES.iter().position(|name| *name == server.name).map(|index| facts[index]);
                let (path, passes) = known.unwrap_or((0, [true; 3]));
                // The arrays have a server in common.
                if array.name == "ams" || !arrays.iter().any(|of| of.name == "ams" && of.servers.contains(server)) {
                    replay.step(path_event(server, PATHS[path]));
                }
                for service in &array.services {
                    for check in 0..service.checks.len() {
                        let letter = if passes[usize::from(service.checks[check].port) % 3] { '+' } else { '-' };
                        for _ in 0..3 {
                            let id = check_id(&array.name, &service.name, &server.name, server.address.first(), check);
                            replay.step(Event::Check { id, outcome: outcome(letter) });
                        }
                    }
                }
            }
            replay.run("9999s time");
        }
        for array in &fresh.core.deployment().arrays {
            for service in &array.services {
                let expected = states(&fresh, array, service);
                prop_assert_eq!(states(&replay, array, service), expected.clone());
                if expected.values().any(|state| *state == ServerState::Up) {
                    let slots = |replay: &Replay| -> Vec<String> {
                        let target = replay.core.target().unwrap();
                        named_slots(target, replay.service(&service.name)).into_iter().map(str::to_owned).collect()
                    };
                    prop_assert_eq!(slots(&replay), slots(&fresh));
                }
            }
        }
    }
}
