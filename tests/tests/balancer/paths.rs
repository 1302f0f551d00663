//! The way to the servers: out of another NIC, with clients behind a router, and when NICs come, go and change.
use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use caslb_tests::capture::Wire;
use caslb_tests::config::{Config, Server, server_name};
use caslb_tests::frames::arp_announcement;
use caslb_tests::layouts::Layout;
use caslb_tests::site::{SOON, Site, lines};
use caslb_tests::topology::Mac;
use caslb_tests::view::{Net, View};
use caslb_tests::wait;
use serde_json::Value;

fn ttl_is(view: &View, wanted: u8) -> bool {
    matches!(view.net, Net::Ip { ttl, .. } if ttl == wanted)
}

/// Requests reach the servers with the VIP as destination and `there` as TTL, from the balancer's NIC number `nic`; answers
/// come from the VIP past the balancer with `back` as TTL.
fn requests_arrive(layout: Layout, nic: usize, there: u8, back: u8) -> Result<()> {
    let config = Config::dsr(&layout)?;
    let site = Site::start(layout, config)?;
    let (vip, prediction) = (site.vip(), site.prediction()?);
    let captures = site.capture()?;
    prediction.verify(&site.client.spread(vip, 120)?, vip)?;
    assert_eq!(site.client.download(vip, 2_000_000, None)?.finish()?, 2_000_000);
    let macs = site.layout.servers.iter().map(|host| Ok(host.nic(0)?.mac)).collect::<Result<Vec<_>>>()?;
    captures.wait_for_arrival(vip, |view, index| {
        view.dst_mac == macs[index] && view.ends().is_some_and(|ends| ends.dst == vip)
    })?;
    let seen = captures.stop()?;
    let balancer = site.layout.balancer.nic(nic)?.mac;
    for (mac, frames) in macs.iter().zip(&seen.servers) {
        let requests = frames.matching(|view| view.dst_mac == *mac && view.ends().is_some_and(|ends| ends.dst == vip));
        ensure!(requests.iter().all(|view| view.src_mac == balancer && ttl_is(view, there)), "{}", lines(&requests));
        let answers =
            frames.matching(|view| view.ends().is_some_and(|ends| ends.src == vip) && view.dst_mac == balancer);
        ensure!(answers.is_empty(), "answers through the balancer: {}", lines(&answers));
    }
    ensure!(seen.received_from(vip).iter().all(|view| ttl_is(view, back)), "a reply took another way");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn dsr_redirects_to_servers_behind_another_nic() -> Result<()> {
    requests_arrive(Layout::two_nics(3)?, 1, 64, 63)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn dsr_serves_clients_behind_a_router() -> Result<()> {
    requests_arrive(Layout::routed_client(3)?, 0, 63, 63)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_that_got_another_nic_is_found_again() -> Result<()> {
    let layout = Layout::lan(1)?;
    let config = Config::dsr(&layout)?;
    let site = Site::start(layout, config)?;
    let server = &site.layout.servers[0];
    let IpAddr::V4(own) = server.ip()? else { bail!("the layout has IPv4 addresses") };
    let mac = Mac([2, 0, 0, 0, 0, 0x77]);
    server.namespace().ip(&format!("link set eth0 address {mac}"))?;
    let wire = Wire::open(server.namespace(), "eth0")?;
    wait::until("the new MAC address in the maps", SOON, || {
        // Hosts say so themselves when they come up with another one.
        wire.send(&arp_announcement(mac, own)?)?;
        let dump = site.caslb.command(&["dump", "servers", "--json"])?.json()?;
        Ok((dump["servers"][0]["path"]["destination_mac"] == mac.to_string()).then_some(()))
    })?;
    site.caslb.wait_for_state(&server_name(1), "up", SOON)?;
    site.spread(20)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_nic_that_goes_and_comes_back_gets_its_program_again() -> Result<()> {
    let layout = Layout::lan(2)?;
    let config = Config::dsr(&layout)?;
    let mut site = Site::start(layout, config)?;
    site.layout.balancer.namespace().ip("link del eth0")?;
    let alarm = "interface eth0 does not exist";
    wait::until(alarm, SOON, || Ok(site.caslb.status()?["alarms"].to_string().contains(alarm).then_some(())))?;

    let Layout { balancer, lan, .. } = &mut site.layout;
    balancer.join(lan, &["10.1.0.2/24"])?;
    balancer.namespace().ip("link set eth1 down\nlink set eth1 name eth0\nlink set eth0 up")?;
    lan.take_xdp_from(balancer.nic(1)?)?;
    site.wait_until_all_up()?;
    wait::until("the end of the alarm", SOON, || {
        Ok((site.caslb.status()?["alarms"] == Value::Array(vec![])).then_some(()))
    })?;
    site.spread(40)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_dsr_server_behind_a_gateway_is_down_and_says_why() -> Result<()> {
    let layout = Layout::routed_client(1)?;
    let mut config = Config::dsr(&layout)?;
    // The client's host stands in for a server in another segment.
    config.servers.push(Server { name: server_name(2), address: layout.client.ip()?, weight: 100 });
    let mut site = Site::prepare(layout, config)?;
    site.caslb.run(&[])?;
    site.caslb.wait_for_state(&server_name(1), "up", SOON)?;
    site.caslb.wait_for_state(&server_name(2), "down", SOON)?;
    let reason = site.server_status("https", &server_name(2))?["reason"].to_string();
    ensure!(reason.contains("behind the gateway 10.1.0.1") && reason.contains("use nat"), "{reason}");
    site.spread(20)?;
    Ok(())
}
