//! Steps that show how connections spread over the servers, against what the slot table says.

use anyhow::Result;

use super::load::{self, Asked};
use super::prediction::Table;
use super::screen::Screen;
use super::stage::{PATIENCE, SERVERS, Stage};
use super::units::{bytes, number, percent};
use crate::wait;

/// Connections of one look at the spread.
const CONNECTIONS: u16 = 300;
/// Size of the download that shows which way answers take.
const DOWNLOAD: u64 = 4_000_000;

/// Requests from one client go to all servers, each to the one predicted, and answers go past the balancer.
pub(super) fn over_all(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let title = format!("{CONNECTIONS} HTTPS requests from one client, each on a connection of its own");
    let how = "The flow hash of addresses and ports picks a slot, the slot table names the server. The same is computed \
               here from the maps and each source port, and compared with who answered.";
    screen.step(&title, how)?;
    look(stage, screen)?;

    let before = stage.tables()?.steered_bytes()?;
    let answer = stage.client.get(stage.vip().into(), "/whoami")?;
    let seen_as = answer.seen_as.map_or_else(|| "nobody".to_owned(), |client| client.to_string());
    screen.check(answer.seen_as == Some(answer.local), &format!("servers see the client itself: {seen_as}"))?;
    let got = stage.client.download(stage.vip().into(), DOWNLOAD, None)?.finish()?;
    let steered = stage.tables()?.steered_bytes()?.saturating_sub(before);
    let claim = format!(
        "answers go past the balancer: of a download of {} it handled {}, the requests and ACKs",
        bytes(got),
        bytes(steered)
    );
    // Its handshake and request alone are more than this; a quarter would be far more than one ACK for each segment.
    let plausible = (500..got / 4).contains(&steered);
    screen.check(got == DOWNLOAD && plausible, &claim)
}

/// Asks from [`CONNECTIONS`] ports and compares.
pub(super) fn look(stage: &Stage, screen: &mut Screen) -> Result<()> {
    let table = stage.table()?;
    let asked = stage.ports(CONNECTIONS)?.into_iter().map(|from| load::ask(&stage.client, from, stage.vip()));
    let asked: Vec<_> = asked.collect();
    compare(&table, &asked, screen)
}

fn compare(table: &Table, asked: &[Asked], screen: &mut Screen) -> Result<()> {
    let predicted = asked.iter().map(|one| table.server_of(one.from)).collect::<Result<Vec<_>>>()?;
    screen.figure(&format!("{:<18} {:>9} {:>9} {:>12}", "server", "predicted", "answered", "due share"))?;
    let got_by = |server| asked.iter().filter(|one| one.server.as_deref() == Some(server)).count();
    let most = SERVERS.map(got_by).into_iter().max().unwrap_or(0);
    for server in SERVERS {
        let due = predicted.iter().filter(|name| **name == server).count();
        let got = got_by(server);
        let share = percent(table.slots_of(server), table.len());
        let bar = screen.bar(got, most);
        screen.figure(format!("{server:<18} {due:>9} {got:>9} {share:>12}  {bar}").trim_end())?;
    }
    let (all, failed) = load::count(asked);
    screen.check(failed == 0, &format!("every request answered: {} of {}", number(all - failed), number(all)))?;
    let right = asked.iter().zip(&predicted).filter(|(one, name)| one.server.as_deref() == Some(**name)).count();
    let claim = format!("each by the server that its slot says: {} of {}", number(right), number(all));
    screen.check(right == all, &claim)
}

/// Waits until `server` has slots, or has none, looking on with `meanwhile`.
pub(super) fn wait_for_slots(
    stage: &Stage,
    server: &str,
    some: bool,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<()> {
    let what = format!("{server} {} the slot table", if some { "in" } else { "out of" });
    let tables = stage.tables()?;
    wait::until(&what, PATIENCE, || {
        meanwhile()?;
        Ok(((tables.now()?.slots_of(server) > 0) == some).then_some(()))
    })
}
