//! Connections go where the slot tables say, the tables are what the weights say, and the counters count it.
use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use caslb_tests::config::{Config, server_name};
use caslb_tests::layouts::Layout;
use caslb_tests::site::{Seen, Site};
use caslb_tests::view::View;

/// Frames that arrived at server `index` for `vip`, and their bytes.
fn arrived(seen: &Seen, site: &Site, index: usize, vip: SocketAddr) -> Result<(u64, u64)> {
    let mac = site.layout.servers[index].nic(0)?.mac;
    let frames = seen.servers[index].all().iter().filter(|frame| {
        let view = frame.view();
        view.is_some_and(|view: View| view.dst_mac == mac && view.ends().is_some_and(|ends| ends.dst == vip))
    });
    let lengths: Vec<u64> = frames.map(|frame| frame.bytes.len() as u64).collect();
    Ok((lengths.len() as u64, lengths.iter().sum()))
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn every_connection_reaches_the_server_of_its_slot_and_is_counted_there() -> Result<()> {
    let layout = Layout::lan(3)?;
    let mut config = Config::dsr(&layout)?;
    for (server, weight) in config.servers.iter_mut().zip([100, 200, 50]) {
        server.weight = weight;
    }
    let site = Site::start(layout, config)?;
    let (vip, prediction) = (site.vip(), site.prediction()?);

    let slots = prediction.slots(vip)?;
    let total: usize = slots.values().sum();
    assert_eq!(total, 65_537);
    for server in &site.config.servers {
        let has = *slots.get(server.name.as_str()).context("a server without slots")?;
        let due = total * server.weight as usize / 350;
        ensure!(has.abs_diff(due) * 50 <= due, "{} has {has} slots, its weight is worth {due}", server.name);
        assert_eq!(site.server_status("https", &server.name)?["slots"], has);
    }

    let macs = site.layout.servers.iter().map(|host| Ok(host.nic(0)?.mac)).collect::<Result<Vec<_>>>()?;
    let captures = site.capture()?;
    let client = site.layout.client.ip()?;
    let taken = site.client.spread_from((20_000..20_250).map(|port| SocketAddr::new(client, port)), vip)?;
    prediction.verify(&taken, vip)?;
    // One client, and no affinity.
    let answered: BTreeSet<_> = taken.iter().map(|taken| taken.server.as_str()).collect();
    assert_eq!(answered.len(), 3, "{answered:?}");

    captures.wait_for_arrival(vip, |view, index| {
        view.dst_mac == macs[index] && view.ends().is_some_and(|ends| ends.dst == vip)
    })?;
    let seen = captures.stop()?;
    for (index, server) in site.config.servers.iter().enumerate() {
        let (packets, bytes) = arrived(&seen, &site, index, vip)?;
        let status = site.server_status("https", &server.name)?;
        assert_eq!((status["packets"].as_u64(), status["bytes"].as_u64()), (Some(packets), Some(bytes)), "{status:#}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn hash_client_keeps_all_connections_of_a_client_on_one_server() -> Result<()> {
    let layout = Layout::lan(4)?;
    let mut config = Config::dsr(&layout)?;
    config.services[0].lines.push("hash = \"client\"".into());
    let site = Site::start(layout, config)?;
    let captures = site.capture()?;
    let taken = site.spread(60)?;
    site.prediction()?.verify(&taken, site.vip())?;
    let answered: BTreeSet<_> = taken.iter().map(|taken| &taken.server).collect();
    assert_eq!(answered.len(), 1, "{answered:?}");
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_of_weight_zero_gets_nothing() -> Result<()> {
    let layout = Layout::lan(2)?;
    let mut config = Config::dsr(&layout)?;
    config.servers[0].weight = 0;
    let site = Site::start(layout, config)?;
    let taken = site.spread(60)?;
    ensure!(taken.iter().all(|taken| taken.server == server_name(2)), "{taken:?}");
    let status = site.server_status("https", &server_name(1))?;
    assert_eq!((&status["state"], &status["slots"]), (&"drained".into(), &0.into()));
    Ok(())
}
