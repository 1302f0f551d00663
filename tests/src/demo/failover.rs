//! The step in which a server dies while it is used.

use std::time::Instant;

use anyhow::Result;

use super::load::{self, Asked, Load};
use super::prediction::Table;
use super::screen::Screen;
use super::spread::wait_for_slots;
use super::stage::{ARRAY, FALL, INTERVAL, SEED, SERVERS, Stage, TIMEOUT};
use super::timeline::Timeline;
use super::units::{bytes, number, time};

/// Who dies.
pub(super) const VICTIM: &str = SERVERS[1];
const SURVIVORS: [&str; 2] = [SERVERS[0], SERVERS[2]];
/// Requests before the failure, and after the server is out.
const CALM: usize = 40;
const AFTERWARDS: usize = 100;
/// The download that goes on meanwhile: some 4 s.
const DOWNLOAD: u64 = 3_000_000;
const RATE: u64 = 800_000;

/// Kills a server under load; shows what was lost until it was out, and that nothing is lost after that.
pub(super) fn one_server_dies(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let how = format!(
        "A client asks 100 times a second, and a download runs on another server. Each mark is a tenth of a second: '.' all \
         answered, 'x' a request failed. {FALL} failed checks take a server out."
    );
    screen.step("Kill EX02 while it is used", &how)?;
    let before = stage.table()?;
    let expected = before.of(&SURVIVORS, SEED, ARRAY)?;
    // In a slot that stays where it is; the slots that move between the living are counted below.
    let port = stage.port_for(|from| Ok(before.server_of(from)? == expected.server_of(from)?))?;
    let download = stage.client.download_from(port, stage.vip().into(), DOWNLOAD, Some(RATE))?;
    let on = before.server_of(port)?;

    let load = Load::start(stage)?;
    let mut line = Timeline::begin(screen)?;
    load.wait_for(CALM, Instant::now(), |asked| line.go_on(asked))?;
    let killed = Instant::now();
    stage.server(VICTIM)?.stop();
    line.label("EX02 killed", &load.asked())?;
    wait_for_slots(stage, VICTIM, false, || line.go_on(&load.asked()))?;
    let out = Instant::now();
    line.label("out", &load.asked())?;
    load.wait_for(AFTERWARDS, out, |asked| line.go_on(asked))?;
    let asked = load.stop()?;
    line.end()?;

    let after = stage.table()?;
    let (state, reason) = stage.state_of(VICTIM)?;
    screen.figure(&format!("caslb says of EX02: {state}, {reason}"))?;
    figures(&asked, killed, out, screen)?;
    let took = out.duration_since(killed);
    let (least, most) = (INTERVAL * (FALL - 1) * 9 / 10, (INTERVAL + TIMEOUT) * FALL);
    let claim = format!(
        "EX02 was out after {}: {FALL} failed checks, due between {} and {}",
        time(took),
        time(least),
        time(most)
    );
    screen.check((least..=most).contains(&took), &claim)?;
    losses(&asked, out, &before, &after, screen)?;

    let same = after.agreeing(&expected);
    let claim = format!("the new table is the one predicted: {} of {} slots", number(same), number(after.len()));
    screen.check(same == after.len(), &claim)?;
    let living = after.len() - before.slots_of(VICTIM);
    let moved = living - before.agreeing(&after);
    screen.figure(&format!("of the {} slots of the other two, {} moved", number(living), number(moved)))?;
    let finished = download.finish();
    let claim = match &finished {
        Ok(got) => format!("the download on {on} went on: {}, every byte verified", bytes(*got)),
        Err(error) => format!("the download on {on} went on: {error:#}"),
    };
    screen.check(finished.is_ok(), &claim)
}

fn figures(asked: &[Asked], killed: Instant, out: Instant, screen: &Screen) -> Result<()> {
    let phases = [
        ("before", asked.iter().filter(|one| one.ended < killed).collect::<Vec<_>>()),
        ("until it was out", asked.iter().filter(|one| one.ended >= killed && one.begun < out).collect()),
        ("after that", asked.iter().filter(|one| one.begun >= out).collect()),
    ];
    screen.figure(&format!("{:<18} {:>9} {:>9}", "", "requests", "failed"))?;
    for (phase, asked) in phases {
        let (all, failed) = load::count(asked);
        screen.figure(&format!("{phase:<18} {:>9} {:>9}", number(all), number(failed)))?;
    }
    Ok(())
}

/// Who failed: only connections whose slot had to change hands, and none after the server was out.
fn losses(asked: &[Asked], out: Instant, before: &Table, after: &Table, screen: &mut Screen) -> Result<()> {
    let (mut all, mut explained) = (0, 0);
    for one in asked.iter().filter(|one| one.server.is_none() && one.begun < out) {
        all += 1;
        // The few slots that moved between the living count too: a connection on one of them is cut.
        let slot = before.slot(one.from)?;
        explained += usize::from(before.server_at(slot)? != after.server_at(slot)?);
    }
    let claim = format!("only requests in slots that changed hands failed: {explained} of {all}");
    screen.check(explained == all, &claim)?;
    let (all, failed) = load::count(asked.iter().filter(|one| one.begun >= out));
    let claim = format!("none failed once it was out: {} of {all} answered", all - failed);
    screen.check(failed == 0, &claim)
}
