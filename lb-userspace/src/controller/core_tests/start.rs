//! The start: the first tables, with nothing found and with what another controller left.

use std::{net::Ipv4Addr, time::Duration};

use super::replay::{Replay, applied, named_slots, path_event, service_of};
use crate::{
    config::deployment::AllDown,
    controller::{
        core::{Effect, Event},
        fixture,
    },
};

#[test]
fn the_first_tables_wait_for_the_first_verdict_of_every_server() {
    let mut replay = Replay::new(fixture::deployment(&["EX01", "EX02", "EX03"]));
    replay.run(
        "0.1s links eth0        =>
              EX01 is checking: looking for it
         0.1s path EX01 ok      =>
              EX01 is checking: not checked yet
         0.2s EX01 +            => EX01 checking>up
         0.3s path EX02 ok      =>
         0.3s EX02 -            => EX02 checking>down
              EX02 is down: tcp check on port 443: connection refused
         3.0s path EX03 lost    => EX03 checking>down, apply, announce 10.1.0.100
              EX03 is down: no ARP answer from 10.1.0.13 on eth0
              table https is EX01",
    );
    assert_eq!(replay.core.deadline(), None);
}

#[test]
fn the_first_tables_do_not_wait_longer_than_a_check_may_take() {
    let mut replay = Replay::new(fixture::deployment(&["EX01", "EX02"]));
    assert_eq!(replay.core.deadline(), None, "without NICs there is nothing to wait for but them");
    replay.run("0.1s links eth0\npaths ok\nEX01 + => EX01 checking>up");
    assert_eq!(replay.core.deadline(), Some(Duration::from_secs(5)), "the check's timeout and a second");
    replay.run(
        "4.9s time    =>
         5.0s time    => apply, announce 10.1.0.100
              table https is EX01
              EX02 is checking
         5.1s EX02 +  => EX02 checking>up, apply
              table https is EX01 EX02",
    );
}

#[test]
fn the_first_tables_wait_for_the_nics_however_long_it_takes() {
    let mut replay = Replay::new(fixture::deployment(&["EX01"]));
    replay.run(
        " 0.1s paths ok
          0.1s EX01 +      => EX01 checking>up
         60.0s time        =>
         61.0s links eth0  => apply, announce 10.1.0.100",
    );
}

#[test]
fn a_server_with_weight_zero_is_not_waited_for() {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    deployment.arrays[0].servers[1].weight = 0;
    let mut replay = Replay::new(deployment);
    replay.run(
        "links eth0\npath EX01 ok\nEX01 + => EX01 checking>up, apply, announce 10.1.0.100\nEX02 is drained: weight 0",
    );
}

#[test]
fn with_nothing_found_there_is_no_table_until_a_server_is_up() {
    let mut replay = Replay::new(fixture::deployment(&["EX01", "EX02"]));
    replay.run(
        "0.1s links eth0
         0.1s paths ok
         0.2s EX01 -       => EX01 checking>down
         0.2s EX02 -       => EX02 checking>down, apply
              table https is none
              vip 10.1.0.100 is silent
         5.2s EX02 +       =>
        10.2s EX02 +       => EX02 down>up, apply, announce 10.1.0.100
              table https is EX02
              vip 10.1.0.100 is announced",
    );
}

#[test]
fn a_controller_that_takes_over_keeps_ids_whatever_the_order_in_the_file() {
    let mut deployment = fixture::deployment(&["EX01", "EX02", "EX03"]);
    let first = Replay::settled(deployment.clone());
    deployment.arrays[0].servers.reverse();
    let mut second = Replay::adopting(deployment, &first.left());
    second.run("EX01 is up: kept from before, not checked yet\nlinks eth0\npaths ok\nEX01 +\nEX02 +\nEX03 +");
    assert_eq!(second.core.target(), first.core.target());
}

#[test]
fn the_first_target_after_a_take_over_is_what_was_there_and_nothing_follows() {
    let deployment = fixture::deployment(&["EX01", "EX02", "EX03"]);
    let mut first = Replay::settled(deployment.clone());
    first.run("EX02 ---");
    let mut second = Replay::adopting(deployment, &first.left());
    second.run(
        "0.1s links eth0   =>
         0.1s paths ok     =>
         0.2s EX01 +       =>
         0.3s EX02 -       => EX02 checking>down
         0.4s EX03 +       => apply, announce 10.1.0.100
         5.0s EX01 +       =>
         5.0s EX02 -       =>",
    );
    assert_eq!(second.core.target(), first.core.target());
}

#[test]
fn servers_in_adopted_tables_stay_there_while_nothing_is_known() {
    let deployment = fixture::deployment(&["EX01", "EX02"]);
    let first = Replay::settled(deployment.clone());
    let mut second = Replay::adopting(deployment, &first.left());
    second.run(
        "0.1s links eth0  =>
         5.0s time        => apply, announce 10.1.0.100
              table https is EX01 EX02",
    );
}

#[test]
fn one_failure_after_a_take_over_takes_no_server_down() {
    let deployment = fixture::deployment(&["EX01", "EX02"]);
    let first = Replay::settled(deployment.clone());
    let mut second = Replay::adopting(deployment, &first.left());
    second.run(
        "0.1s links eth0
         0.1s paths ok
         0.2s EX01 +   =>
         0.2s EX02 -   => apply, announce 10.1.0.100
              EX02 is up: connection refused (1 of 3 failures that take it down)
              table https is EX01 EX02
         5.2s EX02 -   =>
        10.2s EX02 -   => EX02 up>down, apply",
    );
}

#[test]
fn adopted_tables_are_kept_when_all_servers_fail_or_withdrawn() {
    for (all_down, table) in [(AllDown::KeepLast, "EX01 EX02"), (AllDown::Withdraw, "none")] {
        let mut deployment = fixture::deployment(&["EX01", "EX02"]);
        service_of(&mut deployment, "https").all_down = all_down;
        let first = Replay::settled(deployment.clone());
        let mut second = Replay::adopting(deployment, &first.left());
        second.run(&format!("links eth0\npaths lost\ntable https is {table}\nEX01 is down"));
    }
}

#[test]
fn an_id_of_the_adopted_tables_is_not_given_away_before_the_first_tables() {
    let deployment = fixture::deployment(&["EX01", "EX02"]);
    let first = Replay::settled(deployment);
    let mut second = Replay::adopting(fixture::deployment(&["EX01"]), &first.left());
    second.reload(|new| new.arrays[0].servers.push(fixture::server("EX03", [10, 1, 0, 13])));
    second.run("links eth0\npaths ok\nEX01 +\nEX03 + => EX03 checking>up, apply, announce 10.1.0.100");
    let ids: Vec<_> = second.left().servers.iter().map(|server| (server.name.clone(), server.id)).collect();
    assert_eq!(ids, [("EX01".to_owned(), 1), ("EX03".to_owned(), 3)]);
}

#[test]
fn a_start_with_another_configuration_adds_and_removes() {
    let first = Replay::settled(fixture::deployment(&["EX01", "EX02"]));
    let mut deployment = fixture::deployment(&["EX01"]);
    deployment.arrays[0].servers.push(fixture::server("EX03", [10, 1, 0, 13]));
    deployment.arrays[0].services.push(fixture::service("imap", Ipv4Addr::new(10, 1, 0, 100), 143));
    let mut second = Replay::adopting(deployment, &first.left());
    second.run(
        "0.1s links eth0
         0.1s paths ok
         0.2s EX01 +  => EX01 checking>up
         0.2s EX03 +  => EX03 checking>up, EX03 checking>up, apply, announce 10.1.0.100
              table https is EX01 EX03
              table imap is EX01 EX03",
    );
}

#[test]
fn two_nodes_make_the_same_tables_whatever_the_order_in_their_files() {
    let mut one = fixture::deployment(&["EX01", "EX02", "EX03", "EX04"]);
    one.arrays[0].servers[2].weight = 50;
    let mut other = one.clone();
    other.arrays[0].servers.rotate_left(1);
    other.arrays[0].servers[0].name.make_ascii_lowercase();
    let (one, other) = (Replay::settled(one), Replay::settled(other));
    let slots = |replay: &Replay| -> Vec<String> {
        let target = replay.core.target().unwrap();
        named_slots(target, &target.services[0]).iter().map(|name| name.to_ascii_lowercase()).collect()
    };
    let ids = |replay: &Replay| replay.service("https").table.clone();
    assert_eq!(slots(&one), slots(&other));
    assert_ne!(ids(&one), ids(&other), "the ids differ, or this test shows little");
}

#[test]
fn a_path_that_is_not_asked_for_is_not_remembered() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01", "EX02"]));
    let gone = replay.core.deployment().arrays[0].servers[1].clone();
    replay.reload(|new| drop(new.arrays[0].servers.pop()));
    assert_eq!(replay.step(path_event(&gone, "ok")), []);
    replay.reload(|new| new.arrays[0].servers.push(gone));
    replay.run("EX02 is checking: looking for it");
}

#[test]
fn the_checks_and_addresses_of_the_configuration_are_asked_for() {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    deployment.arrays[0].services.push(fixture::service("imap", Ipv4Addr::new(10, 1, 0, 100), 143));
    let mut replay = Replay::new(deployment);
    let effects = replay.reload(|new| drop(new.arrays[0].servers.pop()));
    let [Effect::Schedule(checks), Effect::Watch(addresses)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let checks: Vec<_> = checks.iter().map(|check| format!("{} at {}", check.id, check.server)).collect();
    assert_eq!(
        checks,
        ["ams/https/EX01 check 1 of 10.1.0.11 at 10.1.0.11:443", "ams/imap/EX01 check 1 of 10.1.0.11 at 10.1.0.11:143"]
    );
    assert_eq!(addresses, &[Ipv4Addr::new(10, 1, 0, 11)]);
    assert!(applied(&replay.step(Event::Time)).is_empty(), "still waiting for the NICs");
}
