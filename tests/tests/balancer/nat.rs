//! `nat`: the server's address and port in place of the VIP's on the way there, the VIP in place of the server's on the way
//! back, and everything else as it was.
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use caslb_tests::config::{Config, Service, server_name};
use caslb_tests::exchange::Exchange;
use caslb_tests::layouts::Layout;
use caslb_tests::pages::Health;
use caslb_tests::plain::{UdpEcho, ask_udp};
use caslb_tests::prediction::UDP;
use caslb_tests::site::{Captures, SOON, Seen, Site, lines};
use caslb_tests::view::{Net, Transport, View};

/// What Linux sends, less one for the router on the way.
const ONE_HOP: u8 = 63;

fn ttl(view: &View) -> Option<u8> {
    match view.net {
        Net::Ip { ttl, .. } => Some(ttl),
        _ => None,
    }
}

/// Every frame between the client and a server on `server_port` carries the right addresses at both ends and one less TTL.
fn verify_translation(captures: Captures, site: &Site, vip: SocketAddr, server_port: u16) -> Result<Seen> {
    let client = site.layout.client.ip()?;
    captures.wait_for_arrival(vip, |view, _| {
        view.ends().is_some_and(|ends| ends.dst.port() == server_port && ends.src.ip() == client)
    })?;
    let seen = captures.stop()?;
    let replies = seen.received_from(vip);
    ensure!(!replies.is_empty(), "no reply from {vip}");
    ensure!(replies.iter().all(|view| ttl(view) == Some(ONE_HOP)), "{}", lines(&replies));
    for (host, frames) in site.layout.servers.iter().zip(&seen.servers) {
        let (own, balancer) = (SocketAddr::new(host.ip()?, server_port), site.layout.balancer.nic(1)?.mac);
        let requests =
            frames.matching(|view| view.ends().is_some_and(|ends| ends.dst == own && ends.src.ip() == client));
        ensure!(
            requests.iter().all(|view| ttl(view) == Some(ONE_HOP) && view.src_mac == balancer),
            "{}",
            lines(&requests)
        );
        // The VIP is nowhere beyond the balancer.
        let wrong =
            frames.matching(|view| matches!(view.net, Net::Ip { src, dst, .. } if src == vip.ip() || dst == vip.ip()));
        ensure!(wrong.is_empty(), "{}", lines(&wrong));
    }
    Ok(seen)
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn https_reaches_another_port_and_the_servers_see_the_client() -> Result<()> {
    let site = Site::nat(3)?;
    let vip = site.vip();
    let captures = site.capture()?;
    let kept = site.client.connect(vip)?;
    let answer = kept.get("/whoami")?;
    assert_eq!((answer.status, answer.seen_as), (200, Some(kept.local())));
    drop(kept);
    site.prediction()?.verify(&site.client.spread(vip, 120)?, vip)?;
    assert_eq!(site.client.download(vip, 3_000_000, None)?.finish()?, 3_000_000);
    let body = "Grüße ".repeat(20_000);
    assert_eq!(site.client.post(vip, "/echo", &body)?.body, body);
    verify_translation(captures, &site, vip, 8443)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn connections_to_a_servers_own_address_stay_what_they_are() -> Result<()> {
    let site = Site::nat(2)?;
    let direct = SocketAddr::new(site.layout.servers[0].ip()?, 8443);
    let captures = site.capture()?;
    let kept = site.client.connect(direct)?;
    // To and fro between both ways, on connections of their own.
    for _ in 0..5 {
        let answer = kept.get("/whoami")?;
        assert_eq!((answer.body, answer.seen_as), (server_name(1), Some(kept.local())));
        site.prediction()?.verify(&site.client.spread(site.vip(), 20)?, site.vip())?;
    }
    let flows = site.caslb.command(&["dump", "flows", "--json"])?.json()?;
    let listed = flows["flows"].as_array().context("no flows")?;
    let is_kept = |flow: &serde_json::Value| {
        flow["client"] == kept.local().to_string() && flow["server"] == direct.to_string() && flow["kind"] == "direct"
    };
    ensure!(listed.iter().any(is_kept), "{flows:#}");
    let seen = captures.stop()?;
    let from_server = seen.received_from(direct);
    ensure!(
        from_server.len() > 6 && from_server.iter().all(|view| ttl(view) == Some(ONE_HOP)),
        "{}",
        lines(&from_server)
    );
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_port_that_was_used_directly_works_through_the_vip_afterwards() -> Result<()> {
    let site = Site::nat(1)?;
    let client = site.layout.client.ip()?;
    let direct = SocketAddr::new(site.layout.servers[0].ip()?, 8443);
    for round in 0..3 {
        for to in [direct, site.vip()] {
            let from = SocketAddr::new(client, 20_000 + round);
            let taken = site.client.spread_from([from], to).with_context(|| format!("{from} > {to}"))?;
            assert_eq!(taken[0].server, server_name(1));
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_first_reply_to_a_neighbour_that_must_be_resolved_is_not_lost() -> Result<()> {
    let site = Site::nat(1)?;
    let (vip, client) = (site.vip(), site.layout.client.ip()?.to_string());
    site.client.get(vip, "/whoami")?;
    let captures = site.capture()?;
    site.layout.balancer.namespace().run("ip", &["neigh", "flush", "to", &client])?;
    assert_eq!(site.client.get(vip, "/whoami")?.body, server_name(1));
    let seen = verify_translation(captures, &site, vip, 8443)?;
    let is_syn =
        |view: &View| matches!(&view.net, Net::Ip { transport: Transport::Tcp { header, .. }, .. } if header.syn);
    let syns = seen.sent_to(vip).into_iter().filter(is_syn).count();
    assert_eq!(syns, 1, "the client had to ask again");
    assert_eq!(seen.received_from(vip).into_iter().filter(is_syn).count(), 1);
    let asked = seen
        .client
        .matching(|view| matches!(view.net, Net::Arp { operation: 1, target, .. } if target.1.to_string() == client));
    ensure!(!asked.is_empty(), "the neighbour was not unresolved");
    let dump = site.caslb.command(&["dump", "counters", "--json"])?.json()?;
    let reasons = dump["counters"]["services"][0]["reasons"].as_array().cloned().unwrap_or_default();
    ensure!(reasons.iter().any(|entry| entry["reason"] == "reply-no-neighbour"), "{dump:#}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn datagrams_are_translated_both_ways() -> Result<()> {
    let layout = Layout::nat(3)?;
    let mut config = Config::nat(&layout)?;
    let udp = Service::udp("echo", layout.vip.into(), 53).with(&["mode = \"nat\"", "server_port = 5353"]);
    config.services.push(Service { check: caslb_tests::config::check(&["type = \"tcp\"", "port = 8443"]), ..udp });
    let mut site = Site::prepare_on(8443, layout, config)?;
    let mut echoes = Vec::new();
    for (index, host) in site.layout.servers.iter().enumerate() {
        let std::net::IpAddr::V4(own) = host.ip()? else { continue };
        echoes.push(UdpEcho::start(host.namespace(), &server_name(index + 1), own, 5353)?);
    }
    site.run()?;
    let vip = SocketAddr::new(site.layout.vip.into(), 53);
    let prediction = site.prediction()?;
    let captures = site.capture()?;
    let mut answered = std::collections::BTreeSet::new();
    for port in 20_000..20_040 {
        let from = SocketAddr::new(site.layout.client.ip()?, port);
        // Odd lengths, and one without data, which has a checksum all the same.
        let text = "x".repeat(usize::from(port - 20_000) * 31);
        let answer = ask_udp(site.layout.client.namespace(), from, vip, &text, SOON)?;
        assert_eq!(answer, format!("{} {text}", prediction.server(from, vip, UDP)?));
        answered.insert(prediction.server(from, vip, UDP)?);
    }
    assert_eq!(answered.len(), 3, "{answered:?}");
    verify_translation(captures, &site, vip, 5353)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn health_checks_reach_the_servers_from_the_balancer_itself() -> Result<()> {
    let site = Site::nat(2)?;
    site.exchange[1].set_health("owa", Health::Status(503))?;
    site.caslb.wait_for_state(&server_name(2), "down", SOON)?;
    let status = site.server_status("https", &server_name(2))?;
    assert_eq!(status["reason"], "https check on port 8443: GET /owa/healthcheck.htm answered 503");
    let taken = site.spread(40)?;
    ensure!(taken.iter().all(|taken| taken.server == server_name(1)), "{taken:?}");
    site.exchange[1].set_health("owa", Health::Healthy)?;
    site.caslb.wait_for_state(&server_name(2), "up", SOON)?;
    site.spread(40)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_dsr_and_a_nat_service_work_beside_each_other() -> Result<()> {
    let layout = Layout::nat(2)?;
    let mut config = Config::nat(&layout)?;
    let other = std::net::IpAddr::from([192, 0, 2, 101]);
    config.services.push(Service::https("direct", other, 443));
    let mut site = Site::prepare_on(8443, layout, config)?;
    let mut direct = Vec::new();
    for (index, host) in site.layout.servers.iter().enumerate() {
        host.keep_quiet_about_loopback()?;
        host.add_address("192.0.2.101/32", "lo")?;
        direct.push(Exchange::https(host.namespace(), &server_name(index + 1), &site.identity)?);
    }
    site.run()?;
    let prediction = site.prediction()?;
    let captures = site.capture()?;
    let dsr = SocketAddr::new(other, 443);
    for vip in [site.vip(), dsr] {
        prediction.verify(&site.client.spread(vip, 60)?, vip)?;
    }
    let seen = verify_translation(captures, &site, site.vip(), 8443)?;
    // The servers of dsr see the VIP, and a TTL that nobody has touched.
    for frames in &seen.servers {
        let requests = frames.matching(|view| view.ends().is_some_and(|ends| ends.dst == dsr));
        ensure!(requests.iter().all(|view| ttl(view) == Some(64)), "{}", lines(&requests));
    }
    Ok(())
}
