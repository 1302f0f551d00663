//! Two address families: what is checked, who is up, which way packets go, and what keeps its id.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::replay::{Replay, applied, server_of, service_of};
use crate::{
    config::deployment::{Addresses, Deployment, Mode},
    controller::{core::Effect, fixture, service::ServerState},
};

const VIP4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);

fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last)
}

fn both(last4: u8, last6: u16) -> Addresses {
    Addresses::Both(Ipv4Addr::new(10, 1, 0, last4), v6(last6))
}

/// EX01 and EX02 and the VIP have both families.
fn dual() -> Deployment {
    let mut deployment = fixture::deployment(&["EX01", "EX02"]);
    let array = &mut deployment.arrays[0];
    array.services[0].vip = Addresses::Both(VIP4, v6(0x100));
    array.servers[0].address = both(11, 0x11);
    array.servers[1].address = both(12, 0x12);
    deployment
}

/// The addresses that are checked, as text.
fn checked(effects: &[Effect]) -> BTreeSet<String> {
    let mut addresses = BTreeSet::new();
    for effect in effects {
        if let Effect::Schedule(checks) = effect {
            addresses.extend(checks.iter().map(|check| check.server.to_string()));
            assert!(checks.iter().all(|check| check.id.address == check.server.ip()));
        }
    }
    addresses
}

#[test]
fn a_server_is_up_when_it_is_fit_in_both_families() {
    let mut replay = Replay::new(dual());
    replay.run(
        "0.1s links eth0       =>
         paths ok              =>
         EX01@4 +              =>
              EX01 is checking: not checked yet
         EX01@6 +              => EX01 checking>up
         EX02 +                => EX02 checking>up, apply, announce 10.1.0.100 2001:db8:1::100
              table https is EX01 EX02
         EX01@6 ---            => EX01 up>down, apply
              EX01 is down: tcp check on port 443 of 2001:db8:1::11: connection refused
              table https is EX02
         EX01@6 ++             => EX01 down>up, apply
         path EX02@6 lost      => EX02 up>down, apply
              EX02 is down: 2001:db8:1::12: no neighbour advertisement from 2001:db8:1::12
         path EX02@6 ok        => EX02 down>up, apply
              table https is EX01 EX02",
    );
    let target = replay.core.target().unwrap();
    let vips: Vec<_> = target.vips.iter().map(|vip| (vip.address, vip.announced)).collect();
    assert_eq!(vips, [(IpAddr::V4(VIP4), true), (IpAddr::V6(v6(0x100)), true)]);
    let next_hop = |path: &Option<crate::host::Path>| path.as_ref().unwrap().next_hop;
    assert_eq!(next_hop(&target.servers[0].path4), IpAddr::from([10, 1, 0, 11]));
    assert_eq!(next_hop(&target.servers[0].path6), IpAddr::V6(v6(0x11)));
}

#[test]
fn only_the_families_of_the_vip_count() {
    let mut deployment = dual();
    deployment.arrays[0].services[0].vip = v6(0x100).into();
    let mut replay = Replay::new(deployment);
    replay.run(
        "links eth0
         path EX01@6 ok
         path EX02@6 ok
         EX01 +            => EX01 checking>up
         EX02 +            => EX02 checking>up, apply, announce 2001:db8:1::100
         path EX01@4 lost  =>",
    );
    assert_eq!(replay.state("EX01").0, ServerState::Up.name());
}

#[test]
fn dsr_sends_packets_of_a_family_that_the_server_lacks_the_way_of_the_other() {
    let mut deployment = dual();
    deployment.arrays[0].servers[0].address = v6(0x11).into();
    deployment.arrays[0].servers[1].address = Ipv4Addr::new(10, 1, 0, 12).into();
    let replay = Replay::settled(deployment);
    let servers = &replay.core.target().unwrap().servers;
    for server in servers {
        assert!(server.path4.is_some() && server.path4 == server.path6, "{server:?}");
    }
    let mut replay = replay;
    replay.run(
        "EX02 --- => EX02 up>down, apply
              EX02 is down: tcp check on port 443: connection refused",
    );
}

#[test]
fn each_address_that_counts_is_checked_once() {
    let mut replay = Replay::settled(dual());
    let effects = replay.reload(|new| server_of(new, "EX02").address = Ipv4Addr::new(10, 1, 0, 12).into());
    let expected = ["10.1.0.11:443", "[2001:db8:1::11]:443", "10.1.0.12:443"];
    assert_eq!(checked(&effects), expected.map(str::to_owned).into());
    let effects = replay.reload(|new| service_of(new, "https").vip = VIP4.into());
    assert_eq!(checked(&effects), ["10.1.0.11:443", "10.1.0.12:443"].map(str::to_owned).into());
}

#[test]
fn a_server_that_gets_a_second_address_stays_up_until_that_fails() {
    let mut deployment = dual();
    deployment.arrays[0].servers[0].address = Ipv4Addr::new(10, 1, 0, 11).into();
    let mut replay = Replay::settled(deployment);
    replay.reload(|new| server_of(new, "EX01").address = both(11, 0x11));
    replay.run(
        "EX01 is up
         path EX01@6 ok    => apply
         EX01@6 --         =>
         EX01@6 -          => EX01 up>down, apply",
    );
}

#[test]
fn what_was_found_at_another_address_of_a_family_says_nothing() {
    let mut replay = Replay::settled(dual());
    replay.reload(|new| server_of(new, "EX01").address = both(11, 0x21));
    replay.run(
        "EX01 is checking
         path EX01@6 ok  => apply
         EX01@6 +        => EX01 checking>up, apply",
    );
}

#[test]
fn a_service_keeps_its_id_and_its_servers_while_one_of_its_addresses_stays() {
    let mut replay = Replay::settled(dual());
    let id = replay.service("https").id;
    for vip in [v6(0x100).into(), both(101, 0x100), Ipv4Addr::new(10, 1, 0, 101).into(), both(101, 0x101)] {
        let effects = replay.reload(|new| service_of(new, "https").vip = vip);
        assert_eq!(applied(&effects).len(), 1, "{vip}");
        assert_eq!(replay.service("https").id, id, "{vip}");
        replay.run("table https is EX01 EX02");
        let mut found = Replay::adopting(replay.core.deployment().clone(), &replay.left());
        found.run("links eth0\npaths ok\nEX01 +\nEX02 +");
        assert_eq!(found.service("https").id, id, "{vip}, found by another controller");
    }
}

#[test]
fn of_two_services_that_share_out_the_addresses_of_one_only_one_keeps_the_id() {
    let mut replay = Replay::settled(dual());
    let id = replay.service("https").id;
    replay.reload(|new| {
        let services = &mut new.arrays[0].services;
        services[0].vip = v6(0x100).into();
        services.push(fixture::service("https4", VIP4, 443));
    });
    assert_eq!(replay.service("https").id, id);
    assert_ne!(replay.service("https4").id, id);
    // And back together.
    let other = replay.service("https4").id;
    replay.reload(|new| {
        new.arrays[0].services.truncate(1);
        new.arrays[0].services[0].vip = Addresses::Both(VIP4, v6(0x100));
    });
    assert!([id, other].contains(&replay.service("https").id));
}

#[test]
fn nat_keeps_the_way_of_each_family() {
    let mut deployment = dual();
    deployment.arrays[0].services[0].mode = Mode::Nat;
    let mut replay = Replay::settled(deployment);
    replay.run("path EX01@6 gateway => apply");
    let target = replay.core.target().unwrap();
    assert_ne!(target.servers[0].path4, target.servers[0].path6);
    assert_eq!(replay.state("EX01").0, "up");
}
