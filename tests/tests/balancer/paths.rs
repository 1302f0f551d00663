//! `dsr` beyond one segment: out of another NIC, and with clients behind a router.
use anyhow::{Result, ensure};
use caslb_tests::config::Config;
use caslb_tests::layouts::Layout;
use caslb_tests::site::{Site, lines};
use caslb_tests::view::{Net, View};

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
