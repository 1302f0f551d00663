//! The demonstration: a balancer, a client and three simulated Exchange servers, what they do on a good day and on a bad
//! one, every claim checked as it is made.
//!
//! A scenario is a list of steps; a step is a function that acts on the [`Stage`](stage::Stage) and tells the
//! [`Screen`](screen::Screen) what it did, what it measured and which checks held. Unlike the tests, the demo also looks
//! into the slot tables, to say beforehand where every connection must go.

mod failover;
mod load;
mod operator;
mod prediction;
mod recovery;
mod restart;
mod screen;
mod spread;
mod stage;
mod timeline;
mod topology;
mod units;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use self::screen::Screen;
use self::stage::{Network, Stage};
use crate::leftovers;

const USAGE: &str = "\
Shows caslb at work in network namespaces; nothing of it touches this host's own network. Needs root.

Usage: cargo xtask demo

Exit status: 0 when everything held, 1 when something did not, 2 for bad usage, 130 after Ctrl-C.
Colour is off when standard output is not a terminal, or when NO_COLOR is set.";

/// Runs the demonstration that `arguments` ask for and returns the exit status of the process.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    if let Some(argument) = arguments.next() {
        if matches!(argument.as_str(), "-h" | "--help") {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        eprintln!("error: the demonstration does not know {argument:?}: run it without arguments, or with --help");
        return ExitCode::from(2);
    }
    let shown = ready().and_then(|()| show());
    match leftovers::leave().and(shown) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that the demonstration needs is there.
fn ready() -> Result<()> {
    ensure!(geteuid().is_root(), "the demonstration makes network namespaces and loads BPF programs: run it as root");
    let caslb = crate::caslb::binary()?;
    ensure!(caslb.is_file(), "{} is not there: run cargo xtask demo, which builds it", caslb.display());
    if ::caslb::dataplane::object::object().is_none() {
        bail!("this was built without the BPF object: run cargo xtask demo, which builds it");
    }
    crate::xdp::object()?;
    Ok(())
}

/// Plays the scenario and sums up; `false` if a check failed.
fn show() -> Result<bool> {
    let started = Instant::now();
    let mut screen = Screen::on_stdout(8);
    leftovers::on_signal(screen::farewell);
    leftovers::prepare()?;
    topology::title(&screen)?;
    // Whatever goes wrong, the stage has been cleared away when this is over.
    if let Err(error) = play(&mut screen) {
        screen.broke_off(&error)?;
    }
    screen.summary(
        started.elapsed(),
        &[
            "README.md                    what caslb does, and a first real deployment",
            "dist/caslb.toml              a commented configuration",
            "caslb check --config FILE    what a configuration comes to, on any machine",
            "caslb run --config FILE      the balancer itself",
        ],
    )
}

fn play(screen: &mut Screen) -> Result<()> {
    let network = Network::lay_out(screen).context("the network could not be laid out")?;
    let mut stage = Stage::start(network, screen).context("the balancer did not start")?;
    let acted = acts(&mut stage, screen);
    let cleared = stage.clear_away(screen).context("the stage could not be cleared");
    acted.and(cleared)
}

fn acts(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    spread::over_all(stage, screen).context("the spread could not be shown")?;
    failover::one_server_dies(stage, screen).context("the fail-over could not be shown")?;
    recovery::it_comes_back(stage, screen).context("the recovery could not be shown")?;
    restart::controller_is_killed(stage, screen).context("the restart could not be shown")?;
    operator::the_same_by_caslb(stage, screen).context("caslb could not be asked")
}
