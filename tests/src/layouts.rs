//! The networks that most tests use, by name.
//!
//! Every layout has the balancer, servers at 10.1.0.11 and up, one client, and a VIP; they differ in how packets get from
//! one to the other. The balancer's NICs can send by `XDP_TX` and redirect.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// IPv6 VIP of [`Layout::lan`].
const VIP6_ON_LAN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100);
/// IPv6 VIP of [`Layout::nat`].
const VIP6_OUTSIDE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x100);

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
    /// The same for IPv6, if the layout has it.
    pub vip6: Option<Ipv6Addr>,
}

impl Layout {
    /// [`Layout::lan`] with both families: the same hosts at `2001:db8:1::50`, `::2`, `::11` and up, VIP
    /// `2001:db8:1::100`.
    pub fn dual_lan(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut client = Host::new("client")?;
        client.join(&mut lan, &["10.1.0.50/24", "2001:db8:1::50/64"])?;
        let mut balancer = Host::new("balancer")?;
        balancer.join(&mut lan, &["10.1.0.2/24", "2001:db8:1::2/64"])?;
        lan.take_xdp_from(balancer.nic(0)?)?;
        let address = |number| vec![format!("10.1.0.{number}/24"), format!("2001:db8:1::{number}/64")];
        let servers = servers_at(&mut lan, servers, address)?;
        for server in &servers {
            hold_vip(server, VIP_ON_LAN)?;
            // An address on loopback is never answered for on the segment: Linux looks at the NIC's own ones only.
            server.add_address(&format!("{VIP6_ON_LAN}/128"), "lo")?;
        }
        let vip6 = Some(VIP6_ON_LAN);
        Ok(Self { client, balancer, servers, router: None, lan, outside: None, vip: VIP_ON_LAN, vip6 })
    }

    /// [`Layout::nat`] with IPv6 alone beside it: client `2001:db8:ff::50` and VIP `2001:db8:ff::100` outside, servers
    /// at `2001:db8:1::11` and up.
    pub fn dual_nat(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut outside = Segment::new("outside")?;
        let mut client = Host::new("client")?;
        client.join(&mut outside, &["192.0.2.50/24", "2001:db8:ff::50/64"])?;
        let mut balancer = Host::new("balancer")?;
        balancer.join(&mut outside, &["192.0.2.2/24", "2001:db8:ff::2/64"])?;
        balancer.join(&mut lan, &["10.1.0.2/24", "2001:db8:1::2/64"])?;
        outside.take_xdp_from(balancer.nic(0)?)?;
        lan.take_xdp_from(balancer.nic(1)?)?;
        balancer.forward()?;
        client.default_route("2001:db8:ff::2".parse()?)?;
        let address = |number| vec![format!("10.1.0.{number}/24"), format!("2001:db8:1::{number}/64")];
        let servers = servers_at(&mut lan, servers, address)?;
        for server in &servers {
            server.default_route(BALANCER.into())?;
            server.default_route("2001:db8:1::2".parse()?)?;
        }
        let (vip, vip6) = (VIP_OUTSIDE, Some(VIP6_OUTSIDE));
        Ok(Self { client, balancer, servers, router: None, lan, outside: Some(outside), vip, vip6 })
    }

    /// One segment, for `dsr`: client 10.1.0.50, balancer 10.1.0.2, VIP 10.1.0.100, which the servers hold on loopback.
    pub fn lan(servers: u8) -> Result<Self> {
        let mut lan = Segment::new("lan")?;
        let mut client = Host::new("client")?;
        client.join(&mut lan, &["10.1.0.50/24"])?;
        let mut balancer = Host::new("balancer")?;
        balancer.join(&mut lan, &["10.1.0.2/24"])?;
        lan.take_xdp_from(balancer.nic(0)?)?;
        let servers = dsr_servers(&mut lan, servers, VIP_ON_LAN)?;
        Ok(Self { client, balancer, servers, router: None, lan, outside: None, vip: VIP_ON_LAN, vip6: None })
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
        Ok(Self {
            client,
            balancer,
            servers,
            router: Some(router),
            lan,
            outside: Some(outside),
            vip: VIP_ON_LAN,
            vip6: None,
        })
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
        Ok(Self { client, balancer, servers, router: None, lan, outside: Some(outside), vip: VIP_OUTSIDE, vip6: None })
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
        Ok(Self {
            client,
            balancer,
            servers,
            router: Some(router),
            lan,
            outside: Some(outside),
            vip: VIP_OUTSIDE,
            vip6: None,
        })
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
    servers_at(lan, count, |number| vec![format!("10.1.0.{number}/24")])
}

/// Servers whose addresses follow from the last number of each.
fn servers_at(lan: &mut Segment, count: u8, addresses: impl Fn(u8) -> Vec<String>) -> Result<Vec<Host>> {
    // The client and the VIP follow at .50 and .100.
    ensure!(count <= 50 - FIRST_SERVER, "a layout holds at most {} servers", 50 - FIRST_SERVER);
    (1..=count)
        .map(|number| {
            let mut server = Host::new(&format!("server{number}"))?;
            let addresses = addresses(FIRST_SERVER + number - 1);
            server.join(lan, &addresses.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(server)
        })
        .collect()
}

fn dsr_servers(lan: &mut Segment, count: u8, vip: Ipv4Addr) -> Result<Vec<Host>> {
    let servers = servers_on(lan, count)?;
    for server in &servers {
        hold_vip(server, vip)?;
    }
    Ok(servers)
}

/// Has a server take packets for the VIP, and keep silent about it.
fn hold_vip(server: &Host, vip: Ipv4Addr) -> Result<()> {
    server.keep_quiet_about_loopback()?;
    server.add_address(&format!("{vip}/32"), "lo")
}
