//! The networks that most tests use, by name.
//!
//! Every layout has the balancer, servers at 10.1.0.11 and up, one client, and a VIP; they differ in how packets get from
//! one to the other. The balancer's NICs can send by `XDP_TX` and redirect.
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};

use crate::topology::{Host, Segment};

/// VIP of layouts with clients on the servers' segment or behind a router.
const VIP_ON_LAN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
/// VIP of layouts in which the balancer has a NIC on the clients' segment.
const VIP_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// First server; the others follow.
const FIRST_SERVER: u8 = 11;
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// A network with everything a test needs. Fields are dropped, and namespaces removed, in this order.
#[derive(Debug)]
pub struct Layout {
    /// Where connections come from.
    pub client: Host,
    /// Where `caslb` runs.
    pub balancer: Host,
    /// Real servers: 10.1.0.11, 10.1.0.12, ….
    pub servers: Vec<Host>,
    /// Between the clients' and the servers' segment, if the layout has one.
    pub router: Option<Host>,
    /// The servers' segment.
    pub lan: Segment,
    /// The clients' segment, if it is not the servers'.
    pub outside: Option<Segment>,
    /// The address clients connect to.
    pub vip: Ipv4Addr,
}

impl Layout {
    /// One segment, for `dsr`: client 10.1.0.50, balancer 10.1.0.2, VIP 10.1.0.100, which the servers hold on loopback.
    pub fn lan(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut client = Host::new("client")?;
        client.join(&mut lan, &["10.1.0.50/24"])?;
        let mut balancer = Host::new("balancer")?;
        balancer.join(&mut lan, &["10.1.0.2/24"])?;
        lan.take_xdp_from(balancer.nic(0)?)?;
        let servers = dsr_servers(&mut lan, servers, VIP_ON_LAN)?;
        Ok(Self { client, balancer, servers, router: None, lan, outside: None, vip: VIP_ON_LAN })
    }

    /// Two segments with a router (192.0.2.1 and 10.1.0.1) between them, for `dsr`: client 192.0.2.50 outside, the rest as
    /// in [`Layout::lan`].
    pub fn routed_client(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut outside = Segment::new("outside")?;
        let router = router(&mut outside, &mut lan)?;
        let mut client = Host::new("client")?;
        client.join(&mut outside, &["192.0.2.50/24"])?;
        client.default_route(IpAddr::from([192, 0, 2, 1]))?;
        let mut balancer = Host::new("balancer")?;
        balancer.join(&mut lan, &["10.1.0.2/24"])?;
        balancer.default_route(ROUTER.into())?;
        lan.take_xdp_from(balancer.nic(0)?)?;
        let servers = dsr_servers(&mut lan, servers, VIP_ON_LAN)?;
        for server in &servers {
            server.default_route(ROUTER.into())?;
        }
        Ok(Self { client, balancer, servers, router: Some(router), lan, outside: Some(outside), vip: VIP_ON_LAN })
    }

    /// Two segments with the balancer as the router between them, for `nat`: client 192.0.2.50 and VIP 192.0.2.100 on its
    /// eth0 (192.0.2.2), servers on its eth1 (10.1.0.2), which is their gateway.
    pub fn nat(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut outside = Segment::new("outside")?;
        let (client, balancer) = client_and_balancer_between(&mut outside, &mut lan)?;
        balancer.forward()?;
        // For connections to a server's own address; the VIP is on the client's segment.
        client.default_route(IpAddr::from([192, 0, 2, 2]))?;
        let servers = servers_on(&mut lan, servers)?;
        for server in &servers {
            server.default_route(BALANCER.into())?;
        }
        Ok(Self { client, balancer, servers, router: None, lan, outside: Some(outside), vip: VIP_OUTSIDE })
    }

    /// Two segments for `dsr` across two NICs: client 192.0.2.50 and VIP 192.0.2.100 on the balancer's eth0, servers on its
    /// eth1; their answers take a router (192.0.2.1 and 10.1.0.1), not the balancer.
    pub fn two_nics(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut outside = Segment::new("outside")?;
        let router = router(&mut outside, &mut lan)?;
        let (client, balancer) = client_and_balancer_between(&mut outside, &mut lan)?;
        client.default_route(IpAddr::from([192, 0, 2, 1]))?;
        let servers = dsr_servers(&mut lan, servers, VIP_OUTSIDE)?;
        for server in &servers {
            server.default_route(ROUTER.into())?;
        }
        Ok(Self { client, balancer, servers, router: Some(router), lan, outside: Some(outside), vip: VIP_OUTSIDE })
    }
}

fn router(outside: &mut Segment, lan: &mut Segment) -> Result<Host> {
    let mut router = Host::new("router")?;
    router.join(outside, &["192.0.2.1/24"])?;
    router.join(lan, &["10.1.0.1/24"])?;
    router.forward()?;
    Ok(router)
}

fn client_and_balancer_between(outside: &mut Segment, lan: &mut Segment) -> Result<(Host, Host)> {
    let mut client = Host::new("client")?;
    client.join(outside, &["192.0.2.50/24"])?;
    let mut balancer = Host::new("balancer")?;
    balancer.join(outside, &["192.0.2.2/24"])?;
    balancer.join(lan, &["10.1.0.2/24"])?;
    outside.take_xdp_from(balancer.nic(0)?)?;
    lan.take_xdp_from(balancer.nic(1)?)?;
    Ok((client, balancer))
}

fn servers_on(lan: &mut Segment, count: u8) -> Result<Vec<Host>> {
    // The client and the VIP follow at .50 and .100.
    ensure!(count <= 50 - FIRST_SERVER, "a layout holds at most {} servers", 50 - FIRST_SERVER);
    (1..=count)
        .map(|number| {
            let mut server = Host::new(&format!("server{number}"))?;
            server.join(lan, &[&format!("10.1.0.{}/24", FIRST_SERVER + number - 1)])?;
            Ok(server)
        })
        .collect()
}

fn dsr_servers(lan: &mut Segment, count: u8, vip: Ipv4Addr) -> Result<Vec<Host>> {
    let servers = servers_on(lan, count)?;
    for server in &servers {
        server.keep_quiet_about_loopback()?;
        server.add_address(&format!("{vip}/32"), "lo")?;
    }
    Ok(servers)
}
