//! The step in which the controller is killed: the data plane does not need it to forward.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::load::{self, Load};
use super::screen::Screen;
use super::stage::{PATIENCE, SERVERS, Stage};
use super::timeline::Timeline;
use super::units::{bytes, number, time};
use crate::wait;

/// Requests in each phase.
const CALM: usize = 30;
const DEAD: usize = 80;
/// The download that goes on meanwhile: some 3 s.
const DOWNLOAD: u64 = 2_500_000;
const RATE: u64 = 800_000;

/// Kills the controller under load and starts it again: nothing is lost, nothing moves.
pub(super) fn controller_is_killed(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let how = "Programs and maps are pinned in the kernel, which goes on forwarding; the next controller takes over what it \
               finds. Requests and a download go on all the time.";
    screen.step("Kill the controller (kill -9), then start it again", how)?;
    let before = stage.table()?;
    let download = stage.client.download(stage.vip().into(), DOWNLOAD, Some(RATE))?;
    let on = before.server_of(download.from())?.to_owned();

    let load = Load::start(stage)?;
    let mut line = Timeline::begin(screen)?;
    load.wait_for(CALM, Instant::now(), |asked| line.go_on(asked))?;
    let killed = Instant::now();
    stage.caslb.kill9()?;
    line.label("killed", &load.asked())?;
    load.wait_for(DEAD, killed, |asked| line.go_on(asked))?;
    let dumped = stage.caslb.command(&["dump", "servers"])?;
    let during = stage.table()?;
    line.label("started", &load.asked())?;
    let dead = killed.elapsed();
    let begun = Instant::now();
    stage.caslb.run(&[])?;
    wait::until("the controller ready", PATIENCE, || {
        line.go_on(&load.asked())?;
        Ok((stage.caslb.status()?["ready"] == Value::Bool(true)).then_some(()))
    })?;
    let took = begun.elapsed();
    line.label("ready", &load.asked())?;
    load.wait_for(CALM, Instant::now(), |asked| line.go_on(asked))?;
    let asked = load.stop()?;
    line.end()?;

    screen.figure(&format!("no controller for {}; the next one was ready after {}", time(dead), time(took)))?;
    let (all, failed) = load::count(&asked);
    screen.check(failed == 0, &format!("no request was lost: {} of {} answered", number(all - failed), number(all)))?;
    let listed = SERVERS.iter().all(|server| dumped.stdout.contains(server));
    screen.check(dumped.code == Some(0) && listed, "`caslb dump` showed the maps without a controller")?;
    let same = before.agreeing(&during).min(before.agreeing(&stage.table()?));
    let claim = format!("no slot moved: {} of {} are where they were", number(same), number(before.len()));
    screen.check(same == before.len(), &claim)?;
    let finished = download.finish();
    let claim = match &finished {
        Ok(got) => format!("the download on {on} went on: {}, every byte verified", bytes(*got)),
        Err(error) => format!("the download on {on} went on: {error:#}"),
    };
    screen.check(finished.is_ok(), &claim)
}
