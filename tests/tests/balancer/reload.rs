//! A changed configuration: all of it or none of it, and nobody who is not concerned notices.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use caslb_tests::client::Client;
use caslb_tests::config::{Config, Server, Service, server_name};
use caslb_tests::exchange::Exchange;
use caslb_tests::layouts::Layout;
use caslb_tests::site::{NAMESPACE, SOON, Site};
use caslb_tests::wait;
use nix::sys::signal::Signal;

/// Three servers in the network, the first two of which are configured.
fn two_of_three() -> Result<(Site, Server)> {
    let layout = Layout::lan(3)?;
    let mut config = Config::dsr(&layout)?;
    let third = config.servers.pop().context("no third server")?;
    Ok((Site::start(layout, config)?, third))
}

/// Names of the servers that have slots, and that answer.
fn members(site: &Site) -> Result<Vec<String>> {
    let (vip, prediction) = (site.vip(), site.prediction()?);
    prediction.verify(&site.spread(40)?, vip)?;
    Ok(prediction.slots(vip)?.into_keys().map(str::to_owned).collect())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn servers_weights_and_services_change_while_it_runs() -> Result<()> {
    let (mut site, third) = two_of_three()?;
    let captures = site.capture()?;

    site.config.servers.push(third);
    site.reload()?;
    site.wait_until_all_up()?;
    assert_eq!(members(&site)?, [server_name(1), server_name(2), server_name(3)]);

    site.config.servers.remove(0);
    site.reload()?;
    assert_eq!(members(&site)?, [server_name(2), server_name(3)]);
    ensure!(site.server_status("https", &server_name(1)).is_err(), "it is gone and still shown");

    site.config.servers[0].weight = 300;
    site.reload()?;
    let prediction = site.prediction()?;
    let slots = prediction.slots(site.vip())?;
    let due: usize = 65_537 * 3 / 4;
    let has = slots.get(server_name(2).as_str()).copied().unwrap_or(0);
    ensure!(due.abs_diff(has) * 50 < due, "{slots:?}");
    members(&site)?;

    let plain = site.layout.servers.iter().enumerate();
    let _plain = plain
        .map(|(index, host)| Exchange::http(host.namespace(), &server_name(index + 1), 80))
        .collect::<Result<Vec<_>>>()?;
    site.config.services.push(Service::http("http", site.layout.vip.into(), 80));
    site.reload()?;
    site.wait_until_all_up()?;
    let vip = SocketAddr::new(site.vip().ip(), 80);
    let taken = Client::http(site.layout.client.namespace(), NAMESPACE)?.spread(vip, 40)?;
    site.prediction()?.verify(&taken, vip)?;

    site.config.services.pop();
    site.reload()?;
    ensure!(site.prediction()?.slots(vip).is_err(), "the service is gone and still there");
    members(&site)?;
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_hangup_signal_reloads_as_well() -> Result<()> {
    let (mut site, third) = two_of_three()?;
    site.config.servers.push(third);
    site.write_config()?;
    site.caslb.process()?.signal(Signal::SIGHUP)?;
    wait::until("the new server", SOON, || {
        Ok(site.server_status("https", &server_name(3)).ok().filter(|server| server["state"] == "up"))
    })?;
    assert_eq!(members(&site)?, [server_name(1), server_name(2), server_name(3)]);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_error_in_the_file_changes_nothing() -> Result<()> {
    let mut site = Site::lan(2)?;
    let node = site.caslb.node().to_owned();
    let good = site.config.text(&node);
    let (plane, pins, tables) = (site.caslb.plane()?, site.caslb.pins()?, site.prediction()?);
    let path = site.caslb.config().display().to_string();
    let unchanged = |site: &Site| -> Result<()> {
        ensure!(site.caslb.plane()? == plane, "the data plane changed");
        assert_eq!(site.caslb.pins()?, pins);
        tables.verify(&site.spread(10)?, site.vip())
    };
    let with_line = good.lines().position(|line| line.starts_with("weight")).context("no weight")? + 1;
    for (text, line, wanted) in [
        // The first change would be valid, and must not be made either.
        (good.replacen("weight = 100", "weight = 99999", 1).replace("port = 443", "port = 444"), with_line, "weight"),
        (good.replacen("weight = 100", "wieght = 100", 1), with_line, "wieght"),
        (good.replacen("weight = 100", "weight = ", 1), with_line, "weight"),
    ] {
        site.caslb.write_config(&text)?;
        let output = site.caslb.command(&["reload"])?;
        assert_eq!(output.code, Some(2), "{output:?}");
        for wanted in [&format!("{path}:{line}"), wanted, "Nothing was changed"] {
            ensure!(output.stderr.contains(wanted), "no {wanted:?} in {}", output.stderr);
        }
        unchanged(&site)?;
    }

    site.caslb.process()?.signal(Signal::SIGHUP)?;
    wait::until("the complaint in the log", SOON, || {
        Ok(site.caslb.log()?.contains("Nothing was changed").then_some(()))
    })?;
    unchanged(&site)?;

    let mut bytes = good.into_bytes();
    bytes.extend(b"# caf\xe9\n");
    std::fs::write(site.caslb.config(), bytes)?;
    let output = site.caslb.command(&["reload"])?;
    assert_eq!(output.code, Some(2), "{output:?}");
    ensure!(output.stderr.contains("UTF-8"), "{}", output.stderr);
    std::fs::remove_file(site.caslb.config())?;
    let output = site.caslb.command(&["reload"])?;
    assert_eq!(output.code, Some(2), "{output:?}");
    ensure!(output.stderr.contains(&path), "{}", output.stderr);
    unchanged(&site)?;

    // Nor has any of it spoilt the next one.
    site.config.servers[0].weight = 50;
    site.reload()?;
    members(&site)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn what_cannot_change_while_it_runs_is_refused_with_the_way_to_do_it() -> Result<()> {
    let mut site = Site::lan(2)?;
    let (plane, node) = (site.caslb.plane()?, site.caslb.node().to_owned());
    let refused = |site: &Site, wanted: &[&str]| -> Result<()> {
        let output = site.caslb.command(&["reload"])?;
        assert_eq!(output.code, Some(2), "{output:?}");
        for wanted in wanted {
            ensure!(output.stderr.contains(wanted), "no {wanted:?} in {}", output.stderr);
        }
        ensure!(site.caslb.plane()? == plane, "the data plane changed");
        Ok(())
    };
    site.caslb.write_config(&site.config.text(&format!("{node}-b")))?;
    refused(&site, &["name", "caslb detach", "nothing was changed"])?;

    site.config.node.push("hash_seed = \"another\"".into());
    site.write_config()?;
    refused(&site, &["hash_seed", "caslb reload --force", "nothing was changed"])?;

    let before = site.prediction()?;
    site.caslb.command(&["reload", "--force"])?.success()?;
    ensure!(site.prediction()? != before, "the seed has not changed");
    members(&site)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn reloads_lose_no_request_to_servers_they_do_not_concern() -> Result<()> {
    let mut site = Site::lan(3)?;
    let (vip, client) = (site.vip(), site.layout.client.ip()?);
    let one = site.prediction()?;
    site.config.servers[2].weight = 150;
    site.reload()?;
    let other = site.prediction()?;
    // Connections whose slots stay where they are in either configuration.
    let from: Vec<_> = (20_000..21_000)
        .map(|port| SocketAddr::new(client, port))
        .filter(|from| one.tcp(*from, vip).ok() == other.tcp(*from, vip).ok())
        .take(100)
        .collect();
    assert_eq!(from.len(), 100);
    let captures = site.capture()?;
    let done = AtomicBool::new(false);
    let Site { caslb, client, config, .. } = &mut site;
    let rounds = thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<u32> {
            let mut rounds = 0;
            while rounds < 3 || !done.load(Ordering::Acquire) {
                let taken = client.spread_from(from.iter().copied(), vip)?;
                one.verify(&taken, vip)?;
                rounds += 1;
            }
            Ok(rounds)
        });
        let reloaded = (0..10).try_for_each(|round| -> Result<()> {
            config.servers[2].weight = if round % 2 == 0 { 100 } else { 150 };
            caslb.write_config(&config.text(caslb.node()))?;
            caslb.command(&["reload"])?.success()?;
            Ok(())
        });
        done.store(true, Ordering::Release);
        let rounds = asking.join().map_err(|_| anyhow!("the client panicked"))??;
        reloaded.map(|()| rounds)
    })?;
    ensure!(rounds >= 3, "only {rounds} rounds");
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_reload_without_changes_changes_nothing() -> Result<()> {
    let site = Site::lan(2)?;
    let (plane, pins) = (site.caslb.plane()?, site.caslb.pins()?);
    let output = site.caslb.command(&["reload"])?;
    assert_eq!(output.success()?, "nothing has changed\n");
    ensure!(site.caslb.plane()? == plane, "the data plane changed");
    assert_eq!(site.caslb.pins()?, pins);
    Ok(())
}
