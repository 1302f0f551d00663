//! When no server is left: `keep-last` goes on with the last table, `withdraw` makes the VIP vanish until one is back.
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use caslb_tests::capture::{Capture, Direction, Wire};
use caslb_tests::config::Config;
use caslb_tests::frames::{Ends, arp_request};
use caslb_tests::layouts::Layout;
use caslb_tests::pages::Health;
use caslb_tests::site::{SOON, Site};
use caslb_tests::view::{Net, Transport, View};

fn set_health(site: &Site, health: Health) -> Result<()> {
    site.exchange.iter().try_for_each(|server| server.set_health("owa", health))
}

fn wait_until_all_down(site: &Site) -> Result<()> {
    site.config.servers.iter().try_for_each(|server| {
        site.caslb.wait_for_state(&server.name, "down", SOON)?;
        Ok(())
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn keep_last_goes_on_steering_and_raises_an_alarm() -> Result<()> {
    let site = Site::lan(2)?;
    let (vip, tables) = (site.vip(), site.prediction()?);
    assert_eq!(site.caslb.status()?["alarms"].as_array().map(Vec::len), Some(0));

    set_health(&site, Health::Status(503))?;
    wait_until_all_down(&site)?;
    let status = site.caslb.status()?;
    let alarms = status["alarms"].to_string();
    ensure!(alarms.contains("ams/https: no server is up; steering by the last table"), "{status:#}");
    let text = site.caslb.command(&["status"])?;
    ensure!(text.success()?.contains("ALARM ams/https: no server is up"), "{}", text.stdout);
    // Whether the last table has both servers or the one that failed last is a matter of milliseconds.
    site.spread(40)?;

    set_health(&site, Health::Healthy)?;
    site.wait_until_all_up()?;
    assert_eq!(site.caslb.status()?["alarms"].as_array().map(Vec::len), Some(0));
    assert_eq!(site.prediction()?, tables);
    tables.verify(&site.spread(40)?, vip)?;
    Ok(())
}

fn is_arp_reply(view: &View, of: IpAddr) -> bool {
    matches!(view.net, Net::Arp { operation: 2, sender, .. } if IpAddr::V4(sender.1) == of)
}

fn is_echo_reply(view: &View, of: IpAddr) -> bool {
    matches!(view.net, Net::Ip { src, transport: Transport::Icmp { kind: (0, 0) }, .. } if src == of)
}

/// Asks for the VIP by ARP, echo and SYN, then for the balancer's own address by ARP; returns whether anything from the VIP
/// came before the answer to the last question.
fn vip_answers(site: &Site) -> Result<bool> {
    let client = site.layout.client.nic(0)?;
    let balancer = site.layout.balancer.nic(0)?;
    let (IpAddr::V4(own), IpAddr::V4(other)) = (client.ip()?, balancer.ip()?) else {
        unreachable!("the layout has IPv4 addresses")
    };
    let vip = site.layout.vip;
    let ends = Ends {
        src_mac: client.mac,
        dst_mac: balancer.mac,
        src: SocketAddr::new(own.into(), 33_333),
        dst: SocketAddr::new(vip.into(), 443),
    };
    let mut wire = Wire::open(site.layout.client.namespace(), "eth0")?;
    for frame in [
        arp_request(client.mac, own, vip)?,
        ends.icmp_echo(1, 1, b"hello")?,
        ends.syn()?,
        arp_request(client.mac, own, other)?,
    ] {
        wire.send(&frame)?;
    }
    let mut answered = false;
    wire.expect(SOON, |view| {
        let from_vip = matches!(view.net, Net::Ip { src, .. } if src == IpAddr::V4(vip));
        answered |= from_vip || is_arp_reply(view, vip.into());
        is_arp_reply(view, other.into())
    })?;
    Ok(answered)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn withdraw_stops_all_answers_and_announces_the_vip_when_it_is_back() -> Result<()> {
    let layout = Layout::lan(2)?;
    let mut config = Config::dsr(&layout)?;
    config.defaults.push("all_down = \"withdraw\"".into());
    let site = Site::start(layout, config)?;
    let (vip, tables) = (site.vip(), site.prediction()?);
    assert!(vip_answers(&site)?);
    tables.verify(&site.spread(20)?, vip)?;

    set_health(&site, Health::Status(503))?;
    wait_until_all_down(&site)?;
    let status = site.caslb.status()?;
    ensure!(status["alarms"].to_string().contains("no server is up; nothing is steered"), "{status:#}");
    assert_eq!(status["arrays"][0]["services"][0]["active"], false);
    assert!(!vip_answers(&site)?, "the VIP still answers");

    let capture = Capture::start(site.layout.client.namespace(), "eth0", Direction::Incoming)?;
    set_health(&site, Health::Healthy)?;
    site.wait_until_all_up()?;
    let mac = site.layout.balancer.nic(0)?.mac;
    let address = site.layout.vip;
    capture.wait_for(
        1,
        SOON,
        |view| matches!(view.net, Net::Arp { sender, target, .. } if sender == (mac, address) && target.1 == address),
    )?;
    assert!(vip_answers(&site)?);
    assert_eq!(site.prediction()?, tables);
    tables.verify(&site.spread(40)?, vip)?;
    capture.stop()?.verify_checksums()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_active_vip_answers_echo_requests_with_their_payload() -> Result<()> {
    let site = Site::lan(1)?;
    let client = site.layout.client.nic(0)?;
    let ends = Ends {
        src_mac: client.mac,
        dst_mac: site.layout.balancer.nic(0)?.mac,
        src: SocketAddr::new(client.ip()?, 0),
        dst: SocketAddr::new(site.layout.vip.into(), 0),
    };
    let mut wire = Wire::open(site.layout.client.namespace(), "eth0")?;
    for (sequence, payload) in [(1, vec![]), (2, vec![7; 1]), (3, vec![9; 1400])] {
        let request = ends.icmp_echo(77, sequence, &payload)?;
        wire.send(&request)?;
        let reply = wire.expect(SOON, |view| is_echo_reply(view, site.layout.vip.into()))?;
        assert_eq!(caslb_tests::checksum::verify(&reply.bytes).map_err(anyhow::Error::msg)?, 2);
        // Ethernet, IPv4, and the first four bytes of ICMP; the rest is as it was sent.
        assert_eq!(reply.bytes.get(38..), request.get(38..));
    }
    Ok(())
}
