//! A server that fails is left out after exactly `fall` failed checks, and comes back after `rise`; nobody else notices.
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::client::Downloading;
use caslb_tests::config::{Config, server_name};
use caslb_tests::layouts::Layout;
use caslb_tests::pages::Health;
use caslb_tests::prediction::Prediction;
use caslb_tests::site::{SOON, Site};
use caslb_tests::wait;

/// More than any test takes.
const ENDLESS: u64 = 1 << 40;
/// Bytes a second.
const SLOW: u64 = 50_000;

/// Slow downloads through the VIP, with the server of each.
fn downloads(site: &Site, prediction: &Prediction) -> Result<Vec<(Downloading, String)>> {
    let download = |_| {
        let download = site.client.download(site.vip(), ENDLESS, Some(SLOW))?;
        let server = prediction.tcp(download.from(), site.vip())?.to_owned();
        Ok((download, server))
    };
    (0..12).map(download).collect()
}

/// Waits until each has got, and verified, more than it has now.
fn go_on<'a>(downloads: impl Iterator<Item = &'a Downloading>) -> Result<usize> {
    let wanted: Vec<_> = downloads.map(|download| (download, download.received() + SLOW / 2)).collect();
    for (download, wanted) in &wanted {
        wait::until(&format!("more of the download from {}", download.from()), SOON, || {
            Ok((download.received() >= *wanted).then_some(()))
        })?;
    }
    Ok(wanted.len())
}

/// Breaks server 3 of three, and says what must follow; then mends it.
fn fail_over(
    break_it: impl FnOnce(&mut Site) -> Result<()>,
    reason: &str,
    mend: impl FnOnce(&mut Site) -> Result<()>,
) -> Result<()> {
    let mut site = Site::lan(3)?;
    let (vip, victim) = (site.vip(), server_name(3));
    let captures = site.capture()?;
    let before = site.prediction()?;
    let downloads = downloads(&site, &before)?;

    break_it(&mut site)?;
    site.caslb.wait_for_state(&victim, "down", SOON)?;
    let status = site.server_status("https", &victim)?;
    let text = status["reason"].as_str().unwrap_or_default();
    ensure!(text.contains(reason), "{text:?} does not say {reason:?}");
    assert_eq!(status["slots"], 0);

    // From here on nothing is lost.
    let after = site.prediction()?;
    ensure!(!after.slots(vip)?.contains_key(victim.as_str()), "it still has slots");
    after.verify(&site.spread(120)?, vip)?;
    // Slots that Maglev moves from one living server to another are transitions, which is another story.
    let stay = |(download, server): &&(Downloading, String)| {
        *server != victim && after.tcp(download.from(), vip).is_ok_and(|now| now == server)
    };
    let went_on = go_on(downloads.iter().filter(stay).map(|(download, _)| download))?;
    ensure!(went_on > 0, "no download was on another server");

    mend(&mut site)?;
    site.caslb.wait_for_state(&victim, "up", SOON)?;
    assert_eq!(site.prediction()?, before, "the tables are not what they were");
    before.verify(&site.spread(60)?, vip)?;
    captures.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_stopped_service_is_left_out_and_comes_back() -> Result<()> {
    fail_over(
        |site| {
            site.exchange[2].stop();
            Ok(())
        },
        "connection refused",
        |site| site.exchange[2].start(),
    )
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn an_unplugged_server_is_left_out_and_comes_back() -> Result<()> {
    fail_over(
        |site| site.layout.servers[2].plug(&site.layout.lan, 0, false),
        "within 400ms",
        |site| site.layout.servers[2].plug(&site.layout.lan, 0, true),
    )
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_health_page_that_is_off_takes_its_server_out_until_it_is_on_again() -> Result<()> {
    fail_over(
        |site| site.exchange[2].set_health("owa", Health::Status(503)),
        "GET /owa/healthcheck.htm answered 503",
        |site| site.exchange[2].set_health("owa", Health::Healthy),
    )
}

/// Waits until server 2 has been asked once more. The next check is an interval away.
fn wait_for_check(site: &Site) -> Result<u64> {
    let before = site.exchange[1].requests();
    wait::until("another check", SOON, || {
        let now = site.exchange[1].requests();
        Ok((now > before).then_some(now))
    })
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn exactly_fall_failures_take_a_server_out_and_exactly_rise_successes_bring_it_back() -> Result<()> {
    let layout = Layout::lan(2)?;
    let mut config = Config::dsr(&layout)?;
    let check = &mut config.services[0].check;
    check.retain(|line| !line.contains("interval") && !line.contains("timeout"));
    // Long, so that no further check comes between a change of state and the look at it.
    check.extend(["interval = \"1s\"", "timeout = \"1s\"", "fall = 3", "rise = 2"].map(String::from));
    let site = Site::start(layout, config)?;
    let (name, page) = (server_name(2), &site.exchange[1]);
    let tables = site.prediction()?;

    // One failure less than it takes, and then all is well again: no flapping.
    wait_for_check(&site)?;
    page.set_health("owa", Health::Status(503))?;
    let status = site.wait_for_server(&name, "in doubt", |status| {
        status["reason"].as_str().is_some_and(|reason| reason.contains("answered 503 (2 of 3 failures"))
    })?;
    assert_eq!(status["state"], "up");
    page.set_health("owa", Health::Healthy)?;
    let status = site.wait_for_server(&name, "beyond doubt", |status| {
        status["reason"].as_str().is_some_and(|reason| reason.ends_with("answered 200"))
    })?;
    assert_eq!(status["state"], "up");
    assert_eq!(site.prediction()?, tables);

    let before = wait_for_check(&site)?;
    page.set_health("owa", Health::Status(503))?;
    site.caslb.wait_for_state(&name, "down", SOON)?;
    assert_eq!(page.requests() - before, 3, "failed checks until it was taken out");

    let before = wait_for_check(&site)?;
    page.set_health("owa", Health::Healthy)?;
    site.caslb.wait_for_state(&name, "up", SOON)?;
    assert_eq!(page.requests() - before, 2, "successful checks until it was back");
    let log = site.caslb.log()?;
    let changes = log.lines().filter(|line| line.contains(&name) && line.contains("(was ")).count();
    assert_eq!(changes, 3, "up, down, up:\n{log}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_that_does_not_answer_arp_is_named_as_such_and_the_others_work() -> Result<()> {
    let layout = Layout::lan(2)?;
    layout.servers[1].plug(&layout.lan, 0, false)?;
    let config = Config::dsr(&layout)?;
    let mut site = Site::prepare(layout, config)?;
    site.caslb.run(&[])?;
    site.caslb.wait_for_state(&server_name(1), "up", SOON)?;
    site.caslb.wait_for_state(&server_name(2), "down", SOON)?;
    let status = site.wait_for_server(&server_name(2), "the reason", |status| {
        status["reason"].as_str().is_some_and(|reason| reason.contains("ARP"))
    })?;
    let reason = status["reason"].as_str().context("no reason")?;
    assert_eq!(reason, "no ARP answer from 10.1.0.12 on eth0; is the server on and in this segment?");
    let taken = site.spread(40)?;
    ensure!(taken.iter().all(|taken| taken.server == server_name(1)), "{taken:?}");

    site.layout.servers[1].plug(&site.layout.lan, 0, true)?;
    site.caslb.wait_for_state(&server_name(2), "up", SOON)?;
    site.spread(40)?;
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_silent_health_page_fails_by_time() -> Result<()> {
    let site = Site::lan(2)?;
    site.exchange[0].set_health("owa", Health::Silent)?;
    site.caslb.wait_for_state(&server_name(1), "down", SOON)?;
    let status = site.server_status("https", &server_name(1))?;
    ensure!(status["reason"].as_str().is_some_and(|reason| reason.contains("no answer within 400ms")), "{status:#}");
    // Nobody who is connected to the other server notices; requests there are quick.
    let started = std::time::Instant::now();
    let taken = site.spread(20)?;
    ensure!(taken.iter().all(|taken| taken.server == server_name(2)), "{taken:?}");
    ensure!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}
