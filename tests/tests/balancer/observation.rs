//! What an operator can see: `status`, `dump` with and without a controller, and the log of decisions.
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use caslb_tests::capture::Wire;
use caslb_tests::config::server_name;
use caslb_tests::frames::Ends;
use caslb_tests::site::{SOON, Site};
use caslb_tests::wait;
use serde_json::Value;

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn status_has_its_stable_fields() -> Result<()> {
    let site = Site::lan(2)?;
    site.spread(10)?;
    let status = site.caslb.status()?;
    let array = &status["arrays"][0];
    assert_eq!((&array["name"], &array["namespaces"][0]), (&"ams".into(), &"mail.contoso.com".into()));
    let service = &array["services"][0];
    for (field, value) in [
        ("name", Value::from("https")),
        ("vip", site.layout.vip.to_string().into()),
        ("port", 443.into()),
        ("protocol", "tcp".into()),
        ("mode", "dsr".into()),
        ("active", true.into()),
        ("slots", 65_537.into()),
    ] {
        assert_eq!(service[field], value, "{field}");
    }
    let servers = service["servers"].as_array().context("no servers")?;
    assert_eq!(servers.len(), 2);
    for (index, server) in servers.iter().enumerate() {
        assert_eq!(server["name"], server_name(index + 1));
        assert_eq!(server["address"], site.layout.servers[index].ip()?.to_string());
        assert_eq!((&server["state"], &server["weight"]), (&"up".into(), &100.into()));
        assert_eq!(server["reason"], "https check on port 443: GET /owa/healthcheck.htm answered 200");
        for number in ["slots", "packets", "bytes", "since"] {
            ensure!(server[number].is_u64(), "{number}: {}", server[number]);
        }
    }
    let sum = |field: &str| servers.iter().filter_map(|server| server[field].as_u64()).sum::<u64>();
    assert_eq!((sum("slots"), Value::from(sum("packets"))), (65_537, service["packets"].clone()));

    let text = site.caslb.command(&["status"])?.success()?.to_owned();
    for wanted in ["Array ams (mail.contoso.com)", "Service https", "10.1.0.100:443/tcp", "EX02.contoso.com", "up"] {
        ensure!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn dump_shows_the_maps_with_the_controller_dead_and_status_says_that_it_is() -> Result<()> {
    let mut site = Site::lan(2)?;
    site.spread(10)?;
    let status = site.caslb.status()?;
    site.caslb.kill9()?;
    let dump = |what: &str| site.caslb.command(&["dump", what, "--json"])?.json();
    let all = dump("all")?;
    assert_eq!(all["slots_per_table"], 65_537);
    for (what, fields) in [
        ("vips", ["services", "vips"].as_slice()),
        ("servers", &["servers"]),
        ("slots", &["slots"]),
        ("flows", &["flows"]),
        ("counters", &["counters"]),
    ] {
        let part = dump(what)?;
        let has: Vec<_> =
            part.as_object().context("no object")?.keys().filter(|key| *key != "slots_per_table").collect();
        assert_eq!(has, fields, "{what}");
        ensure!(fields.iter().all(|field| part[field] == all[field]), "{what} is not what all says");
    }
    assert_eq!((&all["vips"][0]["address"], &all["vips"][0]["announced"]), (&"10.1.0.100".into(), &true.into()));
    assert_eq!((&all["services"][0]["name"], &all["services"][0]["port"]), (&"https".into(), &443.into()));
    assert_eq!(all["servers"][1]["path"]["destination_mac"], "02:00:0a:01:00:0c");
    assert_eq!(all["flows"], Value::Array(Vec::new()));
    for (index, server) in site.config.servers.iter().enumerate() {
        let counted = &all["counters"]["services"][0]["servers"][index];
        let expected = caslb_tests::site::server_status(&status, "https", &server.name)?;
        assert_eq!((&counted["name"], &counted["packets"]), (&expected["name"], &expected["packets"]));
    }
    the_dumped_table_is_the_one_that_steers(&site, &all)?;

    for (what, wanted) in [
        ("vips", ["10.1.0.100", "ams"].as_slice()),
        ("servers", &["EX02.contoso.com", "02:00:0a:01:00:0c"]),
        ("slots", &["65537", "50.0 %"]),
        ("flows", &["Remembered flows"]),
        ("counters", &["ams/https", "EX01.contoso.com"]),
        ("all", &["VIPs", "Servers", "65537", "Remembered flows", "Steered"]),
    ] {
        let output = site.caslb.command(&["dump", what])?;
        let text = output.success()?;
        ensure!(wanted.iter().all(|wanted| text.contains(wanted)), "{what}: {wanted:?} are not all in\n{text}");
    }

    let output = site.caslb.command(&["status"])?;
    assert_eq!(output.code, Some(1));
    let said = format!("error: no controller is running for node {}: start it with `caslb run`", site.caslb.node());
    ensure!(output.stderr.starts_with(&said) && output.stderr.lines().count() == 1, "{}", output.stderr);
    let output = site.caslb.command(&["reload"])?;
    assert_eq!(output.code, Some(1));
    ensure!(output.stderr.starts_with(&said), "{}", output.stderr);
    Ok(())
}

/// `dump slots --json`, read without any of caslb's own code.
fn the_dumped_table_is_the_one_that_steers(site: &Site, all: &Value) -> Result<()> {
    let table = all["slots"][0]["slots"].as_array().context("no slots")?;
    assert_eq!(table.len(), 65_537);
    ensure!(table.iter().all(|slot| slot["tracked"] == false), "a slot in transition");
    let mut slots = std::collections::BTreeMap::new();
    for slot in table {
        let mut servers = all["servers"].as_array().into_iter().flatten();
        let server = servers.find(|server| server["id"] == slot["current"]).context("an unknown server")?;
        *slots.entry(server["name"].as_str().context("no name")?).or_insert(0) += 1;
    }
    assert_eq!(slots, site.prediction()?.slots(site.vip())?);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn dump_of_a_node_without_maps_says_so() -> Result<()> {
    let layout = caslb_tests::layouts::Layout::lan(1)?;
    let config = caslb_tests::config::Config::dsr(&layout)?;
    let site = Site::prepare(layout, config)?;
    let output = site.caslb.command(&["dump", "all"])?;
    assert_eq!(output.code, Some(1), "{output:?}");
    ensure!(output.stderr.starts_with("error: ") && output.stderr.contains(site.caslb.node()), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_debug_log_shows_each_decision_and_stops_with_the_next_start() -> Result<()> {
    let mut site = Site::lan(2)?;
    let balancer = site.layout.balancer.nic(0)?.mac;
    let client = site.layout.client.nic(0)?.clone();
    let ends = |port, to| -> Result<Ends> {
        let dst = SocketAddr::new(site.layout.vip.into(), to);
        Ok(Ends { src_mac: client.mac, dst_mac: balancer, src: SocketAddr::new(client.ip()?, port), dst })
    };
    let frames = [ends(30_001, 443)?.syn()?, ends(30_002, 81)?.syn()?, ends(30_003, 443)?.icmp_echo(1, 1, b"")?];
    let quiet = ends(30_004, 443)?.syn()?;
    let wire = Wire::open(site.layout.client.namespace(), "eth0")?;

    site.caslb.stop()?;
    site.caslb.run(&["--bpf-log", "debug"])?;
    site.wait_until_all_up()?;
    for frame in &frames {
        wire.send(frame)?;
    }
    for wanted in [
        ["10.1.0.50:30001 > 10.1.0.100:443 transmit", "server="],
        ["10.1.0.50:30002 > 10.1.0.100:81 drop", "reason=unknown-port"],
        ["10.1.0.50", "reason=echo-answered"],
    ] {
        let shown = wait::until(&format!("{wanted:?} in the log"), SOON, || {
            let log = site.caslb.log()?;
            Ok(log.lines().any(|line| wanted.iter().all(|wanted| line.contains(wanted))).then_some(()))
        });
        shown.with_context(|| site.caslb.log().unwrap_or_default())?;
    }

    // The next start swaps the program for one without a log.
    site.caslb.restart()?;
    site.wait_until_all_up()?;
    let before = site.caslb.status()?["arrays"][0]["services"][0]["packets"].as_u64().context("no packets")?;
    wire.send(&quiet)?;
    wait::until("the packet counted", SOON, || {
        let now = site.caslb.status()?["arrays"][0]["services"][0]["packets"].as_u64();
        Ok((now > Some(before)).then_some(()))
    })?;
    ensure!(!site.caslb.log()?.contains("10.1.0.50:30004"), "the log goes on");
    Ok(())
}
