//! Services other than HTTPS, and checks other than HTTPS.
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use caslb_tests::client::Client;
use caslb_tests::config::{Config, Service, check, server_name};
use caslb_tests::exchange::Exchange;
use caslb_tests::layouts::Layout;
use caslb_tests::pages::Health;
use caslb_tests::plain::{TcpEcho, UdpEcho, ask_udp};
use caslb_tests::prediction::UDP;
use caslb_tests::site::{NAMESPACE, SOON, Site};
use caslb_tests::view::Net;

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn datagrams_reach_the_servers_of_their_slots_and_are_answered_directly() -> Result<()> {
    let layout = Layout::lan(3)?;
    let mut config = Config::dsr(&layout)?;
    config.services.push(Service::udp("echo", layout.vip.into(), 5353));
    let site = Site::start(layout, config)?;
    let hosts = site.layout.servers.iter().enumerate();
    let _echoes = hosts
        .map(|(index, host)| UdpEcho::start(host.namespace(), &server_name(index + 1), site.layout.vip, 5353))
        .collect::<Result<Vec<_>>>()?;
    let vip = SocketAddr::new(site.layout.vip.into(), 5353);
    let prediction = site.prediction()?;
    let captures = site.capture()?;
    let mut answered = BTreeSet::new();
    for port in 20_000..20_060 {
        let from = SocketAddr::new(site.layout.client.ip()?, port);
        let answer = ask_udp(site.layout.client.namespace(), from, vip, "hello", SOON)?;
        let expected = prediction.server(from, vip, UDP)?;
        assert_eq!(answer, format!("{expected} hello"));
        answered.insert(expected);
    }
    assert_eq!(answered.len(), 3, "{answered:?}");
    let balancer = site.layout.balancer.nic(0)?.mac;
    let seen = captures.stop()?;
    assert_eq!(seen.received_from(vip).len(), 60);
    ensure!(seen.received_from(vip).iter().all(|view| view.src_mac != balancer), "an answer through the balancer");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_plain_http_check_decides_about_a_plain_http_service() -> Result<()> {
    let layout = Layout::lan(2)?;
    let mut config = Config::dsr(&layout)?;
    let mut service = Service::http("https", layout.vip.into(), 80);
    service.check.extend(["body = \"200 OK\"", "host = \"mail.contoso.com\""].map(String::from));
    config.services = vec![service];
    let mut site = Site::prepare(layout, config)?;
    let hosts = site.layout.servers.iter().enumerate();
    let plain = hosts
        .map(|(index, host)| Exchange::http(host.namespace(), &server_name(index + 1), 80))
        .collect::<Result<Vec<_>>>()?;
    site.run()?;
    let client = Client::http(site.layout.client.namespace(), NAMESPACE)?;
    let vip = SocketAddr::new(site.layout.vip.into(), 80);
    let captures = site.capture()?;
    site.prediction()?.verify(&client.spread(vip, 60)?, vip)?;
    // Anything but what is configured will not do: not 302, not 200 without the text.
    plain[0].set_health("owa", Health::Status(302))?;
    site.caslb.wait_for_state(&server_name(1), "down", SOON)?;
    let reason =
        |site: &Site| Ok::<_, anyhow::Error>(site.server_status("https", &server_name(1))?["reason"].to_string());
    ensure!(
        reason(&site)?.contains("http check on port 80: GET /owa/healthcheck.htm answered 302"),
        "{}",
        reason(&site)?
    );
    plain[0].set_health("owa", Health::Status(200))?;
    site.wait_for_server(&server_name(1), "the missing text", |status| {
        status["reason"].as_str().is_some_and(|reason| reason.contains("the body does not contain \"200 OK\""))
    })?;
    assert_eq!(site.server_status("https", &server_name(1))?["state"], "down");
    site.prediction()?.verify(&client.spread(vip, 40)?, vip)?;
    plain[0].set_health("owa", Health::Healthy)?;
    site.caslb.wait_for_state(&server_name(1), "up", SOON)?;
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_tcp_check_asks_no_more_than_that_somebody_listens() -> Result<()> {
    let layout = Layout::lan(2)?;
    let mut config = Config::dsr(&layout)?;
    config.services[0] =
        Service { check: check(&["type = \"tcp\"", "port = 7"]), ..Service::https("https", layout.vip.into(), 443) };
    let mut site = Site::prepare(layout, config)?;
    let hosts = site.layout.servers.iter();
    let mut echoes = hosts.map(|host| TcpEcho::start(host.namespace(), 7)).collect::<Result<Vec<_>>>()?;
    site.run()?;
    // What the pages say is not asked.
    site.exchange[0].set_all_health(Health::Status(503))?;
    site.spread(40)?;
    echoes.pop();
    site.caslb.wait_for_state(&server_name(2), "down", SOON)?;
    let status = site.server_status("https", &server_name(2))?;
    assert_eq!(status["reason"], "tcp check on port 7: connection refused");
    let taken = site.spread(40)?;
    ensure!(taken.iter().all(|taken| taken.server == server_name(1)), "{taken:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn checks_go_to_the_servers_own_address_and_not_through_the_balancer() -> Result<()> {
    let site = Site::lan(1)?;
    let captures = site.capture()?;
    let before = site.exchange[0].requests();
    caslb_tests::wait::until("two checks", SOON, || Ok((site.exchange[0].requests() >= before + 2).then_some(())))?;
    let seen = captures.stop()?;
    let (own, balancer) = (site.layout.servers[0].ip()?, site.layout.balancer.ip()?);
    let to = |wanted: IpAddr| {
        seen.servers[0]
            .matching(|view| matches!(view.net, Net::Ip { src, dst, .. } if src == balancer && dst == wanted))
            .len()
    };
    ensure!(to(own) > 0 && to(site.layout.vip.into()) == 0, "a check went to the VIP");
    Ok(())
}
