//! The controller ends, in order or not, and starts again: the data plane forwards all the while, and nothing is lost.
use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use caslb_tests::config::server_name;
use caslb_tests::site::{Captures, SOON, Site};
use caslb_tests::view::View;
use caslb_tests::wait;

/// Packets steered to each server, by `status`.
fn packets(site: &Site) -> Result<BTreeMap<String, u64>> {
    let servers = site.config.servers.iter().map(|server| {
        let status = site.server_status("https", &server.name)?;
        Ok((server.name.clone(), status["packets"].as_u64().context("no packets")?))
    });
    servers.collect()
}

/// Waits until as many frames have arrived at the servers as the client has sent to the VIP, and returns their number. Both
/// ways are counted at both ends, so that no retransmission makes up for a loss.
fn nothing_lost(site: &Site, captures: &Captures) -> Result<usize> {
    let vip = site.vip();
    let macs = site.layout.servers.iter().map(|server| Ok(server.nic(0)?.mac)).collect::<Result<Vec<_>>>()?;
    let to_vip = |view: &View| view.ends().is_some_and(|ends| ends.dst == vip);
    let from_vip = |view: &View| view.ends().is_some_and(|ends| ends.src == vip);
    let client = site.layout.client.nic(0)?.mac;
    let at_servers = |wanted: &dyn Fn(&View, usize) -> bool| -> usize {
        let counts = captures.servers.iter().enumerate();
        counts.map(|(index, capture)| capture.count(|view| wanted(view, index))).sum()
    };
    let mut counts = Vec::new();
    wait::until("all frames at their ends", SOON, || {
        counts = vec![
            captures.client.count(to_vip),
            at_servers(&|view, index| to_vip(view) && view.dst_mac == macs[index]),
            captures.client.count(|view| from_vip(view) && view.dst_mac == client),
            at_servers(&|view, index| from_vip(view) && view.src_mac == macs[index]),
        ];
        Ok((counts[0] == counts[1] && counts[2] == counts[3]).then_some(counts[0]))
    })
    .with_context(|| format!("sent to the VIP, received there, received from the VIP, sent there: {counts:?}"))
}

/// Ends the controller by `end` and starts it again, over and over while a download runs.
fn survive(end: impl Fn(&mut Site) -> Result<()>) -> Result<()> {
    const BYTES: u64 = 400_000;
    let mut site = Site::lan(3)?;
    let (vip, tables, plane) = (site.vip(), site.prediction()?, site.caslb.plane()?);
    let captures = site.capture()?;
    let download = site.client.download(vip, BYTES, Some(100_000))?;
    let mut from = 20_000..;
    loop {
        wait::until("a piece of the download", SOON, || Ok((download.received() > 0).then_some(())))?;
        let counted = packets(&site)?;
        end(&mut site)?;

        // New connections while the controller is dead.
        let ports = from.by_ref().take(40).map(|port| Ok(SocketAddr::new(site.layout.client.ip()?, port)));
        tables.verify(&site.client.spread_from(ports.collect::<Result<Vec<_>>>()?, vip)?, vip)?;
        ensure!(site.caslb.plane()? == plane, "the data plane changed when the controller ended");

        site.caslb.run(&[])?;
        site.wait_until_all_up()?;
        ensure!(site.caslb.plane()? == plane, "ids, services, servers or tables changed");
        for (server, before) in counted {
            let now = packets(&site)?.remove(&server).context("the server is gone")?;
            ensure!(now >= before, "{server}: counters went from {before} to {now}");
        }
        if download.received() == BYTES {
            break;
        }
    }
    assert_eq!(download.finish()?, BYTES);
    let sent = nothing_lost(&site, &captures)?;
    let counted: u64 = packets(&site)?.values().sum();
    assert_eq!(counted, sent as u64, "counters do not say what was sent");
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_download_survives_sigterm_and_restart_without_losing_a_frame() -> Result<()> {
    survive(|site| {
        let ended = site.caslb.stop()?;
        ensure!(ended.success(), "it ended with {ended}");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_download_survives_kill_9_and_restart_without_losing_a_frame() -> Result<()> {
    survive(|site| site.caslb.kill9().map(drop))
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_that_failed_meanwhile_is_left_out_after_the_restart() -> Result<()> {
    let mut site = Site::lan(3)?;
    site.caslb.kill9()?;
    site.exchange[1].stop();
    site.caslb.run(&[])?;
    site.caslb.wait_for_state(&server_name(2), "down", SOON)?;
    let (vip, tables) = (site.vip(), site.prediction()?);
    assert_eq!(tables.slots(vip)?.into_keys().collect::<Vec<_>>(), [server_name(1), server_name(3)]);
    tables.verify(&site.spread(60)?, vip)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_start_with_a_changed_configuration_keeps_the_ids_of_those_who_stay() -> Result<()> {
    let mut site = Site::lan(3)?;
    let ids = |site: &Site| -> Result<BTreeMap<String, u64>> {
        let dump = site.caslb.command(&["dump", "servers", "--json"])?.json()?;
        let servers = dump["servers"].as_array().context("no servers")?.iter();
        let id = |server: &serde_json::Value| Some((server["name"].as_str()?.to_owned(), server["id"].as_u64()?));
        servers.map(|server| id(server).context("no id")).collect()
    };
    let before = ids(&site)?;
    site.caslb.stop()?;
    site.config.servers.remove(0);
    site.write_config()?;
    site.run()?;
    let after = ids(&site)?;
    assert_eq!(after.keys().cloned().collect::<Vec<_>>(), [server_name(2), server_name(3)]);
    ensure!(after.iter().all(|(name, id)| before.get(name) == Some(id)), "{before:?} became {after:?}");
    site.spread(40)?;
    Ok(())
}

/// Whether an XDP program is on the balancer's NIC.
fn has_program(site: &Site) -> Result<bool> {
    Ok(site.layout.balancer.namespace().run("ip", &["-details", "link", "show", "eth0"])?.contains("xdp"))
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn detach_on_exit_leaves_nothing() -> Result<()> {
    let mut site = Site::lan(1)?;
    site.caslb.stop()?;
    site.caslb.run(&["--detach-on-exit"])?;
    ensure!(has_program(&site)? && !site.caslb.pins()?.is_empty(), "nothing to remove");
    let ended = site.caslb.stop()?;
    ensure!(ended.success(), "it ended with {ended}");
    assert_eq!(site.caslb.pins()?, [""; 0].map(std::path::PathBuf::from));
    ensure!(!has_program(&site)?, "the program is still there");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn detach_is_refused_while_a_controller_runs_and_removes_everything_afterwards() -> Result<()> {
    let mut site = Site::lan(2)?;
    let (plane, tables) = (site.caslb.plane()?, site.prediction()?);
    let output = site.caslb.command(&["detach"])?;
    assert_eq!(output.code, Some(1), "{output:?}");
    ensure!(output.stderr.contains("stop it first"), "{}", output.stderr);
    ensure!(site.caslb.plane()? == plane, "the data plane changed");

    site.caslb.stop()?;
    let output = site.caslb.command(&["detach"])?;
    ensure!(output.success()?.contains("detached from eth0"), "{}", output.stdout);
    ensure!(site.caslb.pins()?.is_empty() && !has_program(&site)?, "something is left");
    let again = site.caslb.command(&["detach", "--json"])?.json()?;
    assert_eq!(again["found"], false);

    site.run()?;
    assert_eq!(site.prediction()?, tables);
    tables.verify(&site.spread(40)?, site.vip())?;
    Ok(())
}
