//! Tests of the decision how a server is reached, on tables written by hand.

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 1];
const PEER: Mac = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn eth0() -> Link {
    Link {
        index: 2,
        name: "eth0".to_owned(),
        mac: Some(MAC),
        mtu: 1500,
        up: true,
        running: true,
        xdp: None,
        addresses: vec![(ip("10.1.0.1"), 24), (ip("2001:db8::1"), 64)],
    }
}

fn on_link() -> Route {
    Route::Unicast { ifindex: 2, gateway: None, source: Some(ip("10.1.0.1")), mtu: None }
}

fn table(entries: &[(&str, NeighbourState, Option<Mac>)]) -> Neighbours {
    entries.iter().map(|(address, state, mac)| ((2, ip(address)), Neighbour { state: *state, mac: *mac })).collect()
}

#[test]
fn a_server_in_the_segment_is_its_own_next_hop() {
    let neighbours = table(&[("10.1.0.12", NeighbourState::Reachable, Some(PEER))]);
    let path = decide(ip("10.1.0.12"), &on_link(), &[eth0()], &neighbours).unwrap();
    assert_eq!(
        path,
        Path {
            interface: "eth0".to_owned(),
            ifindex: 2,
            source_mac: MAC,
            next_hop: ip("10.1.0.12"),
            next_hop_mac: PEER,
            on_link: true,
            mtu: 1500,
            source: ip("10.1.0.1"),
        }
    );
    assert_eq!(path.to_string(), "02:00:00:00:00:02 on eth0");
}

#[test]
fn behind_a_gateway_the_gateways_mac_address_counts_and_the_smaller_mtu() {
    let route = Route::Unicast { ifindex: 2, gateway: Some(ip("10.1.0.254")), source: None, mtu: Some(1400) };
    let neighbours = table(&[("10.1.0.254", NeighbourState::Stale, Some(PEER))]);
    let path = decide(ip("192.0.2.12"), &route, &[eth0()], &neighbours).unwrap();
    assert_eq!((path.next_hop, path.on_link, path.mtu), (ip("10.1.0.254"), false, 1400));
    assert_eq!(path.source, ip("10.1.0.1"));
    let missing = decide(ip("192.0.2.12"), &route, &[eth0()], &Neighbours::new()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no ARP answer from the gateway 10.1.0.254 on eth0; is it on, and is the route right?"
    );
}

#[test]
fn an_ipv6_server_is_found_alike() {
    let route = Route::Unicast { ifindex: 2, gateway: None, source: None, mtu: None };
    let neighbours = table(&[("2001:db8::12", NeighbourState::Reachable, Some(PEER))]);
    let path = decide(ip("2001:db8::12"), &route, &[eth0()], &neighbours).unwrap();
    assert_eq!((path.next_hop_mac, path.source), (PEER, ip("2001:db8::1")));
}

#[test]
fn only_a_neighbour_that_the_kernel_would_use_is_resolved() {
    use NeighbourState as S;
    for (state, mac, resolved) in [
        (S::Reachable, Some(PEER), true),
        (S::Stale, Some(PEER), true),
        (S::Delay, Some(PEER), true),
        (S::Probe, Some(PEER), true),
        (S::Permanent, Some(PEER), true),
        (S::Noarp, Some(PEER), true),
        (S::Reachable, None, false),
        (S::Failed, Some(PEER), false),
        (S::Incomplete, None, false),
        (S::None, None, false),
    ] {
        let found = decide(ip("10.1.0.12"), &on_link(), &[eth0()], &table(&[("10.1.0.12", state, mac)]));
        assert_eq!(found.is_ok(), resolved, "{state:?}");
        if let Err(problem) = found {
            assert_eq!(
                problem.to_string(),
                "no ARP answer from 10.1.0.12 on eth0; is the server on and in this segment?"
            );
        }
    }
}

#[test]
fn a_neighbour_on_another_nic_is_not_taken() {
    let entry = Neighbour { state: NeighbourState::Reachable, mac: Some(PEER) };
    let neighbours = Neighbours::from([((3, ip("10.1.0.12")), entry)]);
    assert!(decide(ip("10.1.0.12"), &on_link(), &[eth0()], &neighbours).is_err());
}

#[test]
fn each_obstacle_has_its_name() {
    let down = Link { running: false, ..eth0() };
    let off = Link { up: false, ..eth0() };
    let tunnel = Link { mac: None, ..eth0() };
    let nobody = Neighbours::new();
    let at = |route: &Route, link: Link| decide(ip("10.1.0.12"), route, &[link], &nobody).unwrap_err();
    let interface = || "eth0".to_owned();
    assert_eq!(at(&Route::Local, eth0()), PathProblem::Local);
    assert_eq!(at(&Route::Nowhere, eth0()), PathProblem::NoRoute);
    assert_eq!(at(&on_link(), down), PathProblem::InterfaceDown { interface: interface() });
    assert_eq!(at(&on_link(), tunnel), PathProblem::NotEthernet { interface: interface() });
    // The routes went with the NIC.
    assert_eq!(at(&Route::Nowhere, off.clone()), PathProblem::InterfaceDown { interface: interface() });
    assert_eq!(decide(ip("10.2.0.1"), &Route::Nowhere, &[off], &nobody), Err(PathProblem::NoRoute));
    assert_eq!(decide(ip("10.1.0.12"), &on_link(), &[], &nobody), Err(PathProblem::NoRoute));
}

#[test]
fn a_route_is_read_from_the_kernels_answer() {
    let mut message = RouteMessage::default();
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::from(ip("192.0.2.12"))),
        RouteAttribute::Oif(2),
        RouteAttribute::Gateway(RouteAddress::from(ip("10.1.0.254"))),
        RouteAttribute::PrefSource(RouteAddress::from(ip("10.1.0.1"))),
        RouteAttribute::Metrics(vec![RouteMetric::Hoplimit(3), RouteMetric::Mtu(1400)]),
    ];
    let route =
        Route::Unicast { ifindex: 2, gateway: Some(ip("10.1.0.254")), source: Some(ip("10.1.0.1")), mtu: Some(1400) };
    assert_eq!(Route::from(&message), route);
    assert_eq!(route.hop(ip("192.0.2.12")), Some((2, ip("10.1.0.254"))));
    for (kind, expected) in [
        (RouteType::Local, Route::Local),
        (RouteType::Broadcast, Route::Nowhere),
        (RouteType::Prohibit, Route::Nowhere),
    ] {
        message.header.kind = kind;
        assert_eq!(Route::from(&message), expected);
    }
}

#[test]
fn a_neighbour_is_read_from_the_kernels_answer() {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = 2;
    message.header.state = NeighbourState::Reachable;
    assert_eq!(neighbour(&message), None, "an entry without an address");
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(Ipv4Addr::new(10, 1, 0, 12))),
        NeighbourAttribute::LinkLayerAddress(PEER.to_vec()),
    ];
    let entry = Neighbour { state: NeighbourState::Reachable, mac: Some(PEER) };
    assert_eq!(neighbour(&message), Some(((2, ip("10.1.0.12")), entry)));
    message.attributes[1] = NeighbourAttribute::LinkLayerAddress(vec![0; 6]);
    assert!(!neighbour(&message).unwrap().1.resolved());
    // InfiniBand addresses are longer.
    message.attributes[1] = NeighbourAttribute::LinkLayerAddress(vec![1; 20]);
    assert!(!neighbour(&message).unwrap().1.resolved());
}
