//! The VIP on its segment: who answers for it, who says so, and which frames are none of the balancer's business.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use caslb_tests::capture::{Capture, Direction, Wire};
use caslb_tests::config::Config;
use caslb_tests::frames::{Ends, arp_request};
use caslb_tests::layouts::Layout;
use caslb_tests::site::{SOON, Site};
use caslb_tests::topology::Mac;
use caslb_tests::view::{Net, View};
use caslb_tests::wait;

fn v4(address: IpAddr) -> Result<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(v6) => bail!("{v6} in a layout for IPv4"),
    }
}

/// From the client at `port` to the VIP, by way of the balancer.
fn ends(site: &Site, port: u16) -> Result<Ends> {
    let client = site.layout.client.nic(0)?;
    Ok(Ends {
        src_mac: client.mac,
        dst_mac: site.layout.balancer.nic(0)?.mac,
        src: SocketAddr::new(client.ip()?, port),
        dst: site.vip(),
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_balancer_alone_answers_arp_for_the_vip_and_only_for_the_vip() -> Result<()> {
    let site = Site::lan(3)?;
    let client = site.layout.client.nic(0)?;
    let balancer = site.layout.balancer.nic(0)?.mac;
    let (own, vip) = (v4(client.ip()?)?, site.layout.vip);
    let servers = site.layout.servers.iter().map(|server| v4(server.ip()?)).collect::<Result<Vec<_>>>()?;
    let mut wire = Wire::open(site.layout.client.namespace(), "eth0")?;
    wire.send(&arp_request(client.mac, own, vip)?)?;
    // Every host answers for itself, and by then would have answered for the VIP, were it to.
    for server in &servers {
        wire.send(&arp_request(client.mac, own, *server)?)?;
    }
    let mut answers: Vec<(Mac, Ipv4Addr)> = Vec::new();
    while answers.len() < 1 + servers.len() {
        let reply = wire.expect(SOON, |view| matches!(view.net, Net::Arp { operation: 2, .. }))?;
        let Some(View { src_mac, net: Net::Arp { sender, target, .. }, .. }) = reply.view() else {
            bail!("unreadable");
        };
        assert_eq!((src_mac, target), (sender.0, (client.mac, own)));
        answers.push(sender);
    }
    let mut expected: Vec<_> = servers.iter().map(|server| (Mac::of((*server).into()), *server)).collect();
    expected.push((balancer, vip));
    expected.sort();
    answers.sort();
    assert_eq!(answers, expected);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_vip_that_becomes_active_is_announced_more_than_once() -> Result<()> {
    let layout = Layout::lan(1)?;
    let config = Config::dsr(&layout)?;
    let mut site = Site::prepare(layout, config)?;
    let capture = Capture::start(site.layout.client.namespace(), "eth0", Direction::Incoming)?;
    site.run()?;
    let (mac, vip) = (site.layout.balancer.nic(0)?.mac, site.layout.vip);
    capture.wait_for(2, SOON, |view| {
        view.dst_mac == Mac::BROADCAST
            && view.src_mac == mac
            && matches!(view.net, Net::Arp { sender, target, .. } if sender == (mac, vip) && target.1 == vip)
    })?;
    // Whoever had the VIP in its table under another address knows better now.
    site.client.get(site.vip(), "/whoami")?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_announcement_corrects_the_neighbours_that_know_the_vip_elsewhere() -> Result<()> {
    let layout = Layout::lan(1)?;
    let config = Config::dsr(&layout)?;
    let mut site = Site::prepare(layout, config)?;
    let client = site.layout.client.namespace();
    client.ip(&format!("neigh add {} lladdr 02:00:00:00:00:99 dev eth0 nud stale", site.layout.vip))?;
    site.run()?;
    let mac = site.layout.balancer.nic(0)?.mac.to_string();
    let vip = site.layout.vip.to_string();
    wait::until("the balancer's MAC address at the client", SOON, || {
        let neighbours = site.layout.client.namespace().run("ip", &["neigh", "show", &vip])?;
        Ok(neighbours.contains(&mac).then_some(()))
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_flood_of_echo_requests_is_answered_up_to_a_rate_and_counted() -> Result<()> {
    /// What each CPU answers at once, and then per second.
    const BURST: f64 = 200.0;
    const PER_SECOND: f64 = 1000.0;
    const FLOOD: u16 = 5000;
    let site = Site::lan(1)?;
    let ends = ends(&site, 0)?;
    let wire = Wire::open(site.layout.client.namespace(), "eth0")?;
    let frames = (0..FLOOD).map(|sequence| ends.icmp_echo(1, sequence, b"")).collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    for frame in &frames {
        wire.send(frame)?;
    }
    let count = |dump: &serde_json::Value, reason: &str| {
        let reasons = dump["counters"]["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        reasons.iter().find(|entry| entry["reason"] == reason).and_then(|entry| entry["packets"].as_u64()).unwrap_or(0)
    };
    let (answered, limited) = wait::until("all echo requests counted", SOON, || {
        let dump = site.caslb.command(&["dump", "counters", "--json"])?.json()?;
        let counts = (count(&dump, "echo-answered"), count(&dump, "echo-limited"));
        Ok((counts.0 + counts.1 == u64::from(FLOOD)).then_some(counts))
    })?;
    let cpus = u32::try_from(thread::available_parallelism()?.get())?;
    let most = f64::from(cpus) * (BURST + PER_SECOND * started.elapsed().as_secs_f64()) + 1.0;
    let (answered, limited) = (u32::try_from(answered)?, u32::try_from(limited)?);
    ensure!(f64::from(answered) >= BURST && f64::from(answered) <= most, "{answered} answered, {limited} limited");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn flooded_frames_are_not_steered() -> Result<()> {
    let site = Site::lan(2)?;
    let balancer = site.layout.balancer.nic(0)?.mac;
    let wire = Wire::open(site.layout.client.namespace(), "eth0")?;
    let captures = site.capture()?;
    // A bridge that does not know an address sends the frame everywhere.
    let elsewhere = Ends { dst_mac: Mac([2, 0, 0, 0, 0, 0x99]), ..ends(&site, 30_000)? };
    for port in 30_000..30_050 {
        let elsewhere = Ends { src: SocketAddr::new(elsewhere.src.ip(), port), ..elsewhere };
        wire.send(&elsewhere.syn()?)?;
    }
    let proper = ends(&site, 31_000)?;
    wire.send(&proper.syn()?)?;
    // The same way in the same order: what was steered before has arrived.
    wait::until("the frame that must be steered", SOON, || {
        let steered = |view: &View| view.src_mac == balancer && view.ends().is_some_and(|ends| ends.src == proper.src);
        Ok((captures.servers.iter().any(|capture| capture.count(steered) > 0)).then_some(()))
    })?;
    let seen = captures.stop()?;
    for frames in &seen.servers {
        let wrong = frames.matching(|view| {
            view.src_mac == balancer && view.ends().is_some_and(|ends| (30_000..30_050).contains(&ends.src.port()))
        });
        ensure!(wrong.is_empty(), "{wrong:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_port_without_a_service_is_dropped_unless_it_shall_pass() -> Result<()> {
    for (unknown_port, reason) in [("drop", "unknown-port"), ("pass", "unknown-passed")] {
        let layout = Layout::lan(1)?;
        let mut config = Config::dsr(&layout)?;
        config.defaults.push(format!("unknown_port = \"{unknown_port}\""));
        let site = Site::start(layout, config)?;
        let wire = Wire::open(site.layout.client.namespace(), "eth0")?;
        let ends = ends(&site, 30_000)?;
        wire.send(&Ends { dst: SocketAddr::new(ends.dst.ip(), 81), ..ends }.syn()?)?;
        wait::until(reason, SOON, || {
            let dump = site.caslb.command(&["dump", "counters", "--json"])?.json()?;
            let reasons = dump["counters"]["reasons"].as_array().cloned().unwrap_or_default();
            Ok(reasons.iter().any(|entry| entry["reason"] == reason && entry["packets"] == 1).then_some(()))
        })?;
    }
    Ok(())
}
