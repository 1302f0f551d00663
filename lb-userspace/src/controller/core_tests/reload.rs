//! Reloads: what a new configuration changes, and what it must not.

use std::{collections::BTreeSet, net::Ipv4Addr};

use super::replay::{Replay, server_of, service_of, show};
use crate::{
    config::deployment::{CheckKind, Deployment, HttpCheck},
    controller::{core::Effect, fixture, ids::ServerId},
};

fn three() -> Replay {
    Replay::settled(fixture::deployment(&["EX01", "EX02", "EX03"]))
}

fn shown(effects: &[Effect]) -> String {
    effects.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn id(replay: &Replay, server: &str) -> Option<ServerId> {
    let target = replay.core.target().unwrap();
    let server = target.servers.iter().find(|of| of.name.eq_ignore_ascii_case(server))?;
    Some(ServerId { id: server.id, ordinal: server.ordinal })
}

fn get(path: &str) -> CheckKind {
    let status = BTreeSet::from([200]);
    CheckKind::Http(HttpCheck { host: None, path: path.to_owned(), status, body: None })
}

#[test]
fn a_reload_keeps_states_ids_and_tables() {
    let mut replay = three();
    replay.run("10s EX02 ---\n11s EX03 --");
    let (before, states) = (replay.core.target().cloned(), ["EX01", "EX02", "EX03"].map(|name| replay.state(name)));
    let effects = replay.reload(|new| {
        new.arrays[0].servers.reverse();
        new.arrays[0].namespaces.push("autodiscover.contoso.com".to_owned());
    });
    assert_eq!(shown(&effects), "schedule, watch");
    assert_eq!(replay.core.target().cloned(), before);
    assert_eq!(["EX01", "EX02", "EX03"].map(|name| replay.state(name)), states);
    replay.run("12s EX03 - => EX03 up>down, apply");
}

#[test]
fn a_server_that_is_added_gets_slots_when_it_has_been_checked_and_disturbs_nobody_before() {
    let mut replay = three();
    let table = replay.service("https").table.clone();
    let ids = ["EX01", "EX02", "EX03"].map(|name| id(&replay, name));
    let effects = replay.reload(|new| new.arrays[0].servers.insert(0, fixture::server("EX00", [10, 1, 0, 20])));
    assert_eq!(shown(&effects), "schedule, watch, apply");
    replay.run("EX00 is checking: looking for it\ntable https is EX01 EX02 EX03");
    assert_eq!(replay.service("https").table, table);
    assert_eq!(["EX01", "EX02", "EX03"].map(|name| id(&replay, name)), ids);
    replay.run(
        "10.1s path EX00 ok => apply
               EX00 is checking: not checked yet
         10.2s EX00 +       => EX00 checking>up, apply
               table https is EX00 EX01 EX02 EX03",
    );
}

#[test]
fn a_server_that_is_removed_loses_its_slots_and_its_id_is_not_given_to_the_next() {
    let mut replay = three();
    let gone = id(&replay, "EX02").unwrap();
    let effects = replay.reload(|new| {
        new.arrays[0].servers.remove(1);
        new.arrays[0].servers.push(fixture::server("EX04", [10, 1, 0, 14]));
    });
    assert_eq!(shown(&effects), "schedule, watch, apply");
    replay.run("table https is EX01 EX03");
    let new = id(&replay, "EX04").unwrap();
    assert!(new.id != gone.id && new.ordinal != gone.ordinal, "{new:?}");
    assert_eq!(id(&replay, "EX02"), None);
}

#[test]
fn the_last_servers_up_may_be_removed() {
    let mut replay = three();
    replay.run("10s EX01 ---\n10s EX02 ---");
    replay.reload(|new| drop(new.arrays[0].servers.pop()));
    replay
        .run("table https is none\nvip 10.1.0.100 is silent\n20s EX01 ++ => EX01 down>up, apply, announce 10.1.0.100");
}

#[test]
fn another_path_of_a_check_is_judged_anew_while_the_state_stays() {
    let mut replay = three();
    replay.run("10s EX02 ---");
    let effects = replay.reload(|new| service_of(new, "https").checks[0].kind = get("/new"));
    assert_eq!(shown(&effects), "schedule, watch");
    replay.run(
        "     EX01 is up: kept from before, not checked yet
              EX02 is down: down before, not checked again yet
              table https is EX01 EX03
         11s  EX01 -   =>
              EX01 is up: 1 of 3 failures
         11s  EX02 +   => EX02 down>up, apply
         16s  EX01 -   =>
         21s  EX01 -   => EX01 up>down, apply
         21s  EX03 -+- =>",
    );
}

#[test]
fn a_check_that_only_changed_its_pace_keeps_what_it_found() {
    let mut replay = three();
    replay.run("10s EX02 -- =>");
    replay.reload(|new| service_of(new, "https").checks[0].fall = 5);
    replay.run("11s EX02 -- =>\n12s EX02 - => EX02 up>down, apply");
}

#[test]
fn another_order_of_the_checks_keeps_what_they_found() {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    let checks = &mut service_of(&mut deployment, "https").checks;
    checks.push(checks[0].clone());
    checks[1].kind = get("/");
    let mut replay = Replay::settled(deployment);
    replay.run("10s https/EX02/1 --- => EX02 up>down, apply\nEX02 is down: http check");
    let effects = replay.reload(|new| service_of(new, "https").checks.reverse());
    assert_eq!(shown(&effects), "schedule, watch");
    replay.run("EX02 is down: http check\n20s https/EX02/1 + =>\n20s https/EX02/0 ++ => EX02 down>up, apply");
}

#[test]
fn a_renamed_service_keeps_its_id_its_table_and_its_states() {
    let mut replay = three();
    replay.run("10s EX02 ---");
    let before = replay.service("https").clone();
    let effects = replay.reload(|new| "owa".clone_into(&mut service_of(new, "https").name));
    assert_eq!(shown(&effects), "schedule, watch, apply");
    let after = replay.service("owa");
    assert_eq!((after.id, &after.table), (before.id, &before.table));
    replay.run("EX02 is down\n20s EX02 ++ => EX02 down>up, apply");
}

#[test]
fn services_that_swap_their_names_keep_their_states() {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    deployment.arrays[0].services.push(fixture::service("imap", Ipv4Addr::new(10, 1, 0, 100), 143));
    let mut replay = Replay::settled(deployment);
    replay.run("10s https/EX02 ---");
    let swap = |new: &mut Deployment| {
        "x".clone_into(&mut service_of(new, "https").name);
        "https".clone_into(&mut service_of(new, "imap").name);
        "imap".clone_into(&mut service_of(new, "x").name);
    };
    let effects = replay.reload(swap);
    assert_eq!(shown(&effects), "schedule, watch, apply");
    replay.run("table imap is EX01\ntable https is EX01 EX02\nimap/EX02 is down: check on port 443");
}

#[test]
fn a_service_that_moves_to_another_vip_takes_its_states_along() {
    let mut replay = three();
    replay.run("10s EX02 ---");
    let before = replay.service("https").clone();
    let effects = replay.reload(|new| service_of(new, "https").vip = Ipv4Addr::new(10, 1, 0, 101).into());
    assert_eq!(shown(&effects), "schedule, watch, apply, announce 10.1.0.101");
    replay.run("table https is EX01 EX03\nvip 10.1.0.101 is announced\nvip 10.1.0.100 is gone");
    assert_ne!(replay.service("https").id, before.id, "packets for the old VIP may still be under way");
}

#[test]
fn a_service_that_is_added_waits_for_its_own_verdicts() {
    let mut replay = three();
    replay.reload(|new| new.arrays[0].services.push(fixture::service("imap", Ipv4Addr::new(10, 1, 0, 101), 143)));
    replay.run(
        "     table imap is none
              vip 10.1.0.101 is silent
              table https is EX01 EX02 EX03
         11s  imap/EX02 +  => EX02 checking>up, apply, announce 10.1.0.101
              table imap is EX02",
    );
}

#[test]
fn a_server_with_another_address_is_checked_before_it_gets_slots_again() {
    let mut replay = three();
    let before = id(&replay, "EX02");
    let effects = replay.reload(|new| server_of(new, "EX02").address = Ipv4Addr::new(10, 1, 0, 22).into());
    assert_eq!(shown(&effects), "schedule, watch, EX02 up>checking, apply");
    replay.run(
        "      table https is EX01 EX03
         10.1s path EX02 ok => apply
               EX02 is checking: not checked yet
         10.2s EX02 +       => EX02 checking>up, apply",
    );
    assert_eq!(id(&replay, "EX02"), before);
}

#[test]
fn weight_zero_drains_a_server_and_another_weight_brings_it_back_as_it_is_by_then() {
    let mut replay = three();
    let effects = replay.reload(|new| server_of(new, "EX02").weight = 0);
    assert_eq!(shown(&effects), "schedule, watch, EX02 up>drained, apply");
    replay.run("EX02 is drained: weight 0\ntable https is EX01 EX03");
    let effects = replay.clone().reload(|new| server_of(new, "EX02").weight = 50);
    assert_eq!(shown(&effects), "schedule, watch, EX02 drained>up, apply");
    replay.run("10s EX02 --- =>");
    let effects = replay.reload(|new| {
        server_of(new, "EX02").weight = 50;
        service_of(new, "https").checks[0].kind = get("/new");
    });
    assert_eq!(shown(&effects), "schedule, watch, EX02 drained>down");
    replay.run("table https is EX01 EX03");
}

#[test]
fn a_weight_moves_slots_at_once() {
    let mut replay = three();
    let share = |replay: &Replay| {
        let table = replay.service("https").table.clone().unwrap();
        table.iter().filter(|server| **server == id(replay, "EX02").unwrap().id).count()
    };
    let before = share(&replay);
    let effects = replay.reload(|new| server_of(new, "EX02").weight = 50);
    assert_eq!(shown(&effects), "schedule, watch, apply");
    assert!((share(&replay) * 10).abs_diff(before * 6) < before, "{} of {before}", share(&replay));
}

#[test]
fn another_seed_or_number_of_slots_makes_other_tables() {
    let mut replay = three();
    let before = replay.service("https").table.clone().unwrap();
    replay.reload(|new| new.node.slots = 509);
    assert_eq!(replay.service("https").table.as_ref().unwrap().len(), 509);
    replay.reload(|new| {
        new.node.slots = 251;
        "contoso".clone_into(&mut new.node.hash_seed);
    });
    assert_ne!(replay.service("https").table.as_ref(), Some(&before));
    replay.reload(|new| "caslb".clone_into(&mut new.node.hash_seed));
    assert_eq!(replay.service("https").table.as_ref(), Some(&before));
}

#[test]
fn a_reload_on_a_copy_leaves_the_original_alone() {
    let replay = three();
    let before = format!("{:?}", replay.core);
    let mut copy = replay.clone();
    copy.reload(|new| drop(new.arrays[0].servers.pop()));
    copy.run("EX01 ---");
    assert_eq!(format!("{:?}", replay.core), before);
}
