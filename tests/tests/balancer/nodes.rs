//! Two nodes on one host know nothing of each other.
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use caslb_tests::caslb::Caslb;
use caslb_tests::client::Client;
use caslb_tests::config::{Config, Service};
use caslb_tests::layouts::Layout;
use caslb_tests::prediction::Prediction;
use caslb_tests::site::{NAMESPACE, SOON, Site};

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn two_nodes_on_one_host_do_not_disturb_each_other() -> Result<()> {
    let layout = Layout::two_nics(2)?;
    let config = Config::dsr(&layout)?;
    let site = Site::start(layout, config)?;
    let vip = site.vip();

    // The other one is for clients on the servers' segment; the router stands in for one.
    let other_vip = IpAddr::from([10, 1, 0, 101]);
    for server in &site.layout.servers {
        server.add_address("10.1.0.101/32", "lo")?;
    }
    let mut config = site.config.clone();
    config.node = ["interfaces = [\"eth1\"]", "hash_seed = \"other\""].map(String::from).to_vec();
    config.services = vec![Service::https("https", other_vip, 443)];
    let inside = site.layout.router.as_ref().map_or(site.layout.client.namespace(), |router| router.namespace());
    let client = Client::https(inside, &site.authority, NAMESPACE)?;
    let other_vip = SocketAddr::new(other_vip, 443);

    let before = (site.caslb.plane()?, site.caslb.pins()?);
    let untouched = || -> Result<()> {
        ensure!((site.caslb.plane()?, site.caslb.pins()?) == before, "the first node's data plane changed");
        site.spread(30).map(drop)
    };
    let mut other = Caslb::start(site.layout.balancer.namespace(), |node| config.text(node))?;
    for server in &config.servers {
        other.wait_for_state(&server.name, "up", SOON)?;
    }
    untouched()?;
    let prediction = Prediction::of(other.node())?;
    let from = |port| SocketAddr::new(IpAddr::from([10, 1, 0, 1]), port);
    prediction.verify(&client.spread_from((20_000..20_040).map(from), other_vip)?, other_vip)?;
    ensure!(prediction.slots(vip).is_err() && site.prediction()?.slots(other_vip).is_err(), "they share services");

    config.servers[0].weight = 10;
    other.write_config(&config.text(other.node()))?;
    other.command(&["reload"])?.success()?;
    untouched()?;
    other.kill9()?;
    untouched()?;
    other.run(&[])?;
    other.stop()?;
    other.command(&["detach"])?.success()?;
    untouched()?;
    ensure!(other.pins()?.is_empty(), "{:?}", other.pins()?);
    Ok(())
}
