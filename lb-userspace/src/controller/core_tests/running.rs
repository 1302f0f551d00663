//! Servers, paths and NICs that come and go.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::replay::{Replay, check_id, outcome, service_of};
use crate::{
    config::deployment::{AllDown, Deployment, Mode},
    controller::{
        core::{Effect, Event},
        fixture,
    },
};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
const EX01: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 11));

/// Three servers and two services on one VIP.
fn two_services() -> Deployment {
    let mut deployment = fixture::deployment(&["EX01", "EX02", "EX03"]);
    deployment.arrays[0].services.push(fixture::service("imap", VIP, 143));
    deployment
}

#[test]
fn a_server_goes_down_after_fall_failures_and_comes_back_after_rise_successes() {
    Replay::settled(fixture::deployment(&["EX01", "EX02"])).run(
        "10s EX02 -  =>
             EX02 is up: connection refused (1 of 3 failures that take it down)
         15s EX02 -  =>
         20s EX02 -  => EX02 up>down, apply
             table https is EX01
         25s EX02 -  =>
         30s EX02 +  =>
             EX02 is down: answered (1 of 2 successes that bring it up)
         35s EX02 +  => EX02 down>up, apply
             table https is EX01 EX02",
    );
}

#[test]
fn one_failure_among_successes_changes_nothing() {
    Replay::settled(fixture::deployment(&["EX01", "EX02"])).run(
        "10s EX02 --+--+-+--+ =>
         60s EX02 ---+-+-+--- => EX02 up>down, apply",
    );
}

#[test]
fn a_check_that_this_host_could_not_run_counts_for_nothing() {
    Replay::settled(fixture::deployment(&["EX01", "EX02"])).run(
        "10s EX02 !!!!!!    =>
         20s EX02 --!!+!!-- =>
         30s EX02 !-!!      => EX02 up>down, apply",
    );
}

#[test]
fn one_failing_check_of_several_takes_a_server_down() {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    let https = service_of(&mut deployment, "https");
    https.checks.push(https.checks[0].clone());
    https.checks[1].port = 444;
    Replay::settled(deployment).run(
        "10s https/EX02/1 ---  => EX02 up>down, apply
             EX02 is down: tcp check on port 444
         20s https/EX02/0 ++++ =>
         30s https/EX02/1 ++   => EX02 down>up, apply",
    );
}

#[test]
fn a_server_whose_neighbour_does_not_answer_is_down_until_it_does() {
    Replay::settled(fixture::deployment(&["EX01", "EX02"])).run(
        "10s path EX02 lost => EX02 up>down, apply
             EX02 is down: no ARP answer from 10.1.0.12 on eth0
             table https is EX01
         11s EX02 +         =>
         12s path EX02 ok   => EX02 down>up, apply
             table https is EX01 EX02",
    );
}

#[test]
fn behind_a_gateway_dsr_does_not_reach_a_server_and_nat_does() {
    let mut deployment = two_services();
    service_of(&mut deployment, "imap").mode = Mode::Nat;
    Replay::settled(deployment).run(
        "10s path EX02 gateway => EX02 up>down, apply
             https/EX02 is down: it is behind the gateway 10.1.0.1
             imap/EX02 is up
             table https is EX01 EX03
             table imap is EX01 EX02 EX03
         20s path EX02 ok      => EX02 down>up, apply",
    );
}

#[test]
fn a_server_with_another_mac_address_keeps_its_slots() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01", "EX02"]));
    let before = replay.service("https").table.clone();
    let path = replay.core.target().unwrap().servers[1].path4.clone().unwrap();
    let address = path.next_hop;
    let moved = crate::host::Path { next_hop_mac: [2, 0, 0, 0, 9, 9], ..path };
    let effects = replay.step(Event::Path { address, path: Ok(moved.clone()) });
    assert!(matches!(effects[..], [Effect::Apply(_)]), "{effects:?}");
    assert_eq!(replay.core.target().unwrap().servers[1].path4, Some(moved));
    assert_eq!(replay.service("https").table, before);
}

#[test]
fn without_any_server_the_last_table_is_kept_or_the_vip_withdrawn() {
    Replay::settled(fixture::deployment(&["EX01", "EX02"])).run(
        "10s EX02 ---  => EX02 up>down, apply
         20s EX01 ---  => EX01 up>down
             table https is EX01
             vip 10.1.0.100 is announced
         30s EX02 ++   => EX02 down>up, apply
             table https is EX02",
    );
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    service_of(&mut deployment, "https").all_down = AllDown::Withdraw;
    Replay::settled(deployment).run(
        "10s EX02 ---  => EX02 up>down, apply
         20s EX01 ---  => EX01 up>down, apply
             table https is none
             vip 10.1.0.100 is silent
         30s EX02 ++   => EX02 down>up, apply, announce 10.1.0.100
             table https is EX02",
    );
}

#[test]
fn a_kept_table_still_has_the_ways_that_worked_last() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01"]));
    let before = replay.core.target().unwrap().clone();
    replay.run("10s path EX01 lost => EX01 up>down\nEX01 is down: no ARP answer");
    assert_eq!(replay.core.target(), Some(&before));
}

#[test]
fn a_vip_is_announced_as_long_as_one_of_its_services_has_a_table() {
    let mut deployment = two_services();
    for service in &mut deployment.arrays[0].services {
        service.all_down = AllDown::Withdraw;
    }
    Replay::settled(deployment).run(
        "10s https/EX01 ---
         10s https/EX02 ---
         10s https/EX03 --- => EX03 up>down, apply
             table https is none
             table imap is EX01 EX02 EX03
             vip 10.1.0.100 is announced
         20s imap/EX01 ---
         20s imap/EX02 ---
         20s imap/EX03 ---  => EX03 up>down, apply
             vip 10.1.0.100 is silent
         30s https/EX01 ++  => EX01 down>up, apply, announce 10.1.0.100
         40s imap/EX01 ++   => EX01 down>up, apply",
    );
}

#[test]
fn a_vip_whose_announcement_is_off_is_steered_and_silent() {
    let mut deployment = fixture::deployment(&["EX01"]);
    service_of(&mut deployment, "https").announce = false;
    let mut replay = Replay::new(deployment);
    replay
        .run("links eth0\npaths ok\nEX01 + => EX01 checking>up, apply\ntable https is EX01\nvip 10.1.0.100 is silent");
}

#[test]
fn services_of_an_array_share_a_table_while_their_members_are_equal() {
    let mut replay = Replay::settled(two_services());
    let same = |replay: &Replay| match (&replay.service("https").table, &replay.service("imap").table) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        tables => panic!("{tables:?}"),
    };
    assert!(same(&replay));
    replay.run("imap/EX02 ---\ntable imap is EX01 EX03\ntable https is EX01 EX02 EX03");
    assert!(!same(&replay));
    let before = replay.service("https").table.clone().unwrap();
    replay.run("imap/EX02 ++");
    assert!(same(&replay));
    assert!(Arc::ptr_eq(&before, replay.service("imap").table.as_ref().unwrap()), "the table was made twice");
}

#[test]
fn vips_are_announced_again_when_the_way_to_them_changes() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01"]));
    replay.run(
        "10s links eth0         =>
         11s links eth0 eth7#7  =>
         20s links eth0#3       => apply, announce 10.1.0.100
         30s links lo#1         => apply
         40s links eth0#4       => apply, announce 10.1.0.100
         50s links eth0#4!      =>
         51s links eth0#4       => announce 10.1.0.100",
    );
    let effects = replay.reload(|new| new.node.interfaces.push("eth1".to_owned()));
    assert!(matches!(effects[..], [Effect::Schedule(_), Effect::Watch(_)]), "{effects:?}");
    replay.run("60s links eth0#4 eth1#5 => apply, announce 10.1.0.100");
    assert_eq!(replay.core.target().unwrap().nics.len(), 2);
}

#[test]
fn a_nic_that_a_reload_adds_is_announced_on() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01"]));
    replay.run("links eth0 eth1#5 =>");
    let effects = replay.reload(|new| new.node.interfaces.push("eth1".to_owned()));
    assert!(matches!(effects[2..], [Effect::Apply(_), Effect::Announce(_)]), "{effects:?}");
}

#[test]
fn a_way_through_a_nic_that_is_gone_is_forgotten() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01"]));
    replay.run("10s links eth0#3 => apply, announce 10.1.0.100");
    assert_eq!(replay.core.target().unwrap().servers[0].path4, None);
}

#[test]
fn a_change_of_nothing_reaches_nothing() {
    let mut replay = Replay::settled(two_services());
    replay.run("10s paths ok =>\n10s links eth0 =>\n10s EX01 + =>\n10s time =>");
    let effects = replay.reload(|_| ());
    assert!(matches!(effects[..], [Effect::Schedule(_), Effect::Watch(_)]), "{effects:?}");
}

#[test]
fn checks_that_do_not_exist_are_ignored() {
    let mut replay = Replay::settled(fixture::deployment(&["EX01"]));
    let before = replay.core.target().cloned();
    for id in [
        check_id("ams", "https", "EX01", EX01, 1),
        check_id("ams", "https", "EX02", EX01, 0),
        check_id("ams", "https", "EX01", IpAddr::V4(VIP), 0),
        check_id("ams", "smtp", "EX01", EX01, 0),
        check_id("fra", "https", "EX01", EX01, 0),
    ] {
        for _ in 0..3 {
            assert_eq!(replay.step(Event::Check { id: id.clone(), outcome: outcome('-') }), []);
        }
    }
    assert_eq!(replay.core.target(), before.as_ref());
}
