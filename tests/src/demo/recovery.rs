//! The step in which the server comes back.

use std::time::Instant;

use anyhow::Result;

use super::failover::VICTIM;
use super::screen::Screen;
use super::spread;
use super::stage::{ARRAY, INTERVAL, RISE, SEED, SERVERS, Stage, TIMEOUT};
use super::units::{number, time};

/// Starts the server again; shows when it takes part again, and its share.
pub(super) fn it_comes_back(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    screen.step("Start EX02 again", &format!("{RISE} good checks bring a server back."))?;
    let begun = Instant::now();
    stage.server(VICTIM)?.start()?;
    spread::wait_for_slots(stage, VICTIM, true, || Ok(()))?;
    let took = begun.elapsed();
    let (least, most) = (INTERVAL * (RISE - 1) * 9 / 10, (INTERVAL + TIMEOUT) * RISE);
    let claim = format!(
        "EX02 was back after {}: {RISE} good checks, due between {} and {}",
        time(took),
        time(least),
        time(most)
    );
    screen.check((least..=most).contains(&took), &claim)?;
    let table = stage.table()?;
    let same = table.agreeing(&table.of(&SERVERS, SEED, ARRAY)?);
    let claim = format!("the table is the one from before: {} of {} slots", number(same), number(table.len()));
    screen.check(same == table.len(), &claim)?;
    spread::look(stage, screen)
}
