//! Both address families through a real balancer: spread as the tables predict, neighbours and echo answered, both ways of
//! `nat`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb::dataplane::View;
use caslb_tests::capture::{Capture, Direction, Wire};
use caslb_tests::caslb::Caslb;
use caslb_tests::certificates::Authority;
use caslb_tests::client::Client;
use caslb_tests::exchange::Exchange;
use caslb_tests::frames::Ends;
use caslb_tests::layouts::Layout;
use caslb_tests::view::{Net, Transport};
use caslb_tests::wait;
use lb_common::hash;

const SOON: Duration = Duration::from_secs(15);
const TCP: u8 = 6;

fn config(node: &str, interfaces: &str, servers: u8, service: &str) -> String {
    let server = |number: u8| {
        let last = 10 + number;
        let address = format!("[\"10.1.0.{last}\", \"2001:db8:1::{last}\"]");
        format!("[[array.server]]\nname = \"EX0{number}.contoso.com\"\naddress = {address}\n")
    };
    let servers: String = (1..=servers).map(server).collect();
    format!(
        r#"
[node]
name = "{node}"
interfaces = {interfaces}
[defaults]
slots = 1009
[[array]]
name = "ams"
namespaces = ["mail.contoso.com"]
{servers}
[[array.service]]
name = "https"
{service}
[[array.service.check]]
type = "https"
path = "/owa/healthcheck.htm"
verify = "none"
interval = "500ms"
timeout = "400ms"
"#
    )
}

/// HTTPS servers that listen in both families.
fn start_servers(layout: &Layout, authority: &Authority, port: u16) -> Result<Vec<Exchange>> {
    let start = |(index, host): (usize, &caslb_tests::topology::Host)| {
        let name = format!("EX0{}.contoso.com", index + 1);
        let identity = authority.issue(&["mail.contoso.com"])?;
        Exchange::on((Ipv6Addr::UNSPECIFIED, port).into(), host.namespace(), &name, Some(&identity))
    };
    layout.servers.iter().enumerate().map(start).collect()
}

fn wait_until_up(caslb: &Caslb, servers: usize) -> Result<()> {
    for number in 1..=servers {
        let up = caslb.wait_for_state(&format!("EX0{number}.contoso.com"), "up", SOON);
        up.with_context(|| format!("the log:\n{}", caslb.log().unwrap_or_default()))?;
    }
    Ok(())
}

/// An address in frame order.
fn raw(address: Ipv6Addr) -> [u64; 2] {
    let bytes = address.octets();
    let half = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    [half(0), half(8)]
}

/// The server that each connection from these ports must reach, by the tables in the kernel.
fn predicted(node: &str, client: Ipv6Addr, ports: &[u16], vip: SocketAddr) -> Result<Vec<String>> {
    let view = View::open(node)?.context("nothing is loaded")?;
    let IpAddr::V6(to) = vip.ip() else { unreachable!("the VIP is IPv6") };
    let services = view.services()?;
    let service = services.iter().find(|service| service.vip.v6() == Some(to)).context("no such service")?;
    let names: BTreeMap<_, _> = view.servers()?.into_iter().map(|server| (server.id, server.name)).collect();
    let table = view.table(service);
    let server = |port: &u16| {
        let ports = u32::from(port.to_be()) | u32::from(vip.port().to_be()) << 16;
        let flow = hash::flow6(view.hash_key(), raw(client), raw(to), ports, TCP);
        let slot = table[hash::slot(flow, view.slots_per_table()) as usize];
        names[&slot.current].clone()
    };
    Ok(ports.iter().map(server).collect())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_service_of_both_families_spreads_as_its_table_predicts_and_is_found_by_its_neighbours() -> Result<()> {
    let layout = Layout::dual_lan(3)?;
    let vip = SocketAddr::new(layout.vip6.context("no IPv6 VIP")?.into(), 443);
    let authority = Authority::new()?;
    let servers = start_servers(&layout, &authority, 443)?;
    let heard = Capture::start(layout.client.namespace(), "eth0", Direction::Incoming)?;
    let service = format!("vip = [\"{}\", \"{}\"]\nport = 443", layout.vip, vip.ip());
    let caslb = Caslb::start(layout.balancer.namespace(), |node| config(node, "[\"eth0\"]", 3, &service))?;
    wait_until_up(&caslb, servers.len())?;
    // The VIP is announced without being asked for, as an advertisement (136).
    heard.wait_for(1, SOON, |view| {
        matches!(view.net, Net::Ip { src, transport: Transport::Icmp { kind: (136, 0) }, .. } if src == vip.ip())
    })?;

    let client = Client::https(layout.client.namespace(), &authority, "mail.contoso.com")?;
    let own: Ipv6Addr = "2001:db8:1::50".parse()?;
    let ports: Vec<u16> = (40_000..40_090).collect();
    let expected = predicted(caslb.node(), own, &ports, vip)?;
    let taken = client.spread_from(ports.iter().map(|&port| SocketAddr::new(own.into(), port)), vip)?;
    let reached: Vec<_> = taken.iter().map(|taken| taken.server.clone()).collect();
    assert_eq!(reached, expected);
    for number in 1..=3 {
        let name = format!("EX0{number}.contoso.com");
        assert!(reached.contains(&name), "{name} got none of {} connections", ports.len());
    }
    // The same table serves IPv4.
    assert_eq!(client.get(SocketAddr::new(layout.vip.into(), 443), "/whoami")?.status, 200);

    // The client found the balancer, and none of the servers, by neighbour discovery.
    let balancer = layout.balancer.nic(0)?.mac;
    let neighbour = layout.client.namespace().run("ip", &["-6", "neighbour", "show", &vip.ip().to_string()])?;
    assert!(neighbour.contains(&balancer.to_string()), "{neighbour}");
    let resolved = layout.client.namespace().run("ip", &["-6", "neighbour", "flush", "dev", "eth0"]);
    resolved.context("the neighbours cannot be flushed")?;
    assert_eq!(client.get(vip, "/whoami")?.status, 200, "found again");

    let mut wire = Wire::open(layout.client.namespace(), "eth0")?;
    let (src_mac, src) = (layout.client.nic(0)?.mac, SocketAddr::new(own.into(), 0));
    wire.send(&Ends { src_mac, dst_mac: balancer, src, dst: vip }.icmp_echo(7, 1, b"are you there")?)?;
    wire.expect(SOON, |view| {
        matches!(view.net, Net::Ip { src, transport: Transport::Icmp { kind: (129, 0) }, .. } if src == vip.ip())
    })?;

    let frames = heard.stop()?;
    frames.verify_checksums().map_err(|error| error.context("what the client received"))?;
    let status = caslb.status()?;
    let shown = &status["arrays"][0]["services"][0];
    assert_eq!(shown["vip"], "10.1.0.100");
    assert_eq!(shown["vips"], serde_json::json!(["10.1.0.100", "2001:db8:1::100"]));
    assert_eq!(shown["servers"][0]["addresses"], serde_json::json!(["10.1.0.11", "2001:db8:1::11"]));
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nat_of_ipv6_goes_both_ways_and_a_server_that_fails_in_ipv6_is_left_out() -> Result<()> {
    let layout = Layout::dual_nat(2)?;
    let vip = SocketAddr::new(layout.vip6.context("no IPv6 VIP")?.into(), 443);
    let authority = Authority::new()?;
    let mut servers = start_servers(&layout, &authority, 8443)?;
    let service = format!("vip = \"{}\"\nport = 443\nserver_port = 8443\nmode = \"nat\"", vip.ip());
    let caslb = Caslb::start(layout.balancer.namespace(), |node| config(node, "[\"eth0\", \"eth1\"]", 2, &service))?;
    wait_until_up(&caslb, servers.len())?;

    let client = Client::https(layout.client.namespace(), &authority, "mail.contoso.com")?;
    let heard = Capture::start(layout.client.namespace(), "eth0", Direction::Incoming)?;
    let own: Ipv6Addr = "2001:db8:ff::50".parse()?;
    let ports: Vec<u16> = (40_000..40_040).collect();
    let expected = predicted(caslb.node(), own, &ports, vip)?;
    let taken = client.spread_from(ports.iter().map(|&port| SocketAddr::new(own.into(), port)), vip)?;
    assert_eq!(taken.iter().map(|taken| taken.server.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(client.download(vip, 3_000_000, None)?.finish()?, 3_000_000);

    let frames = heard.stop()?;
    ensure!(frames.verify_checksums()? > 0, "no checksum was seen");
    let from_servers = frames
        .matching(|view| view.ends().is_some_and(|ends| matches!(ends.src, SocketAddr::V6(src) if src.port() == 8443)));
    ensure!(from_servers.is_empty(), "a reply left without the VIP as its source: {}", from_servers[0]);

    // A connection to a server's own address passes untouched.
    let direct = SocketAddr::new("2001:db8:1::11".parse()?, 8443);
    assert_eq!(client.get(direct, "/whoami")?.body, "EX01.contoso.com");

    servers[0].stop();
    caslb.wait_for_state("EX01.contoso.com", "down", SOON)?;
    wait::until("all connections at EX02", SOON, || {
        let taken = client.spread(vip, 10)?;
        Ok(taken.iter().all(|taken| taken.server == "EX02.contoso.com").then_some(()))
    })?;
    Ok(())
}
