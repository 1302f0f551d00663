//! Climbs the ladder of tests: what any user can run, then what needs root and the BPF object; one summary.

use std::{
    io::{self, Read, Write},
    process::{ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    ebpf, needs,
    progress::Step,
    summary::Summary,
    tally::{Rung, Tally},
    toolchain,
    workspace::{Workspace, quiet, require_root, stream},
};

/// Set by the first signal: the tests clean up and end, then the summary says so.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Sets up, builds and runs every test; `arguments` go to each test binary.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    require_root("test")?;
    let started = Instant::now();
    needs::ensure()?;
    let toolchain = toolchain::find_or_install()?;
    let set_up = started.elapsed();
    ebpf::build(workspace, &toolchain)?;

    let step = Step::begin("build the controller and the tests");
    let mut compile = workspace.cargo();
    stream(compile.args(["test", "--no-run"]).args(quiet()))?;
    step.done("built");
    let build = started.elapsed().saturating_sub(set_up);

    ctrlc::set_handler(interrupt).context("cannot handle signals")?;
    let step = Step::begin("run the tests that any user can run");
    let (ordinary, ordinary_succeeded) = cargo_test(workspace, &[], &[], arguments)?;
    step.done("the first part of the ladder is over");
    let mut summary = Summary {
        ordinary,
        privileged: Vec::new(),
        cargo_succeeded: ordinary_succeeded,
        set_up,
        build,
        total: Duration::ZERO,
        interrupted: false,
    };

    if !INTERRUPTED.load(Ordering::Relaxed) {
        let step = Step::begin("run the tests that need root and the BPF object");
        // All but documentation: what that marks `ignore` is not meant to run.
        let targets = ["--lib", "--bins", "--tests"];
        let (privileged, succeeded) = cargo_test(workspace, &targets, &["--ignored"], arguments)?;
        step.done("the second part of the ladder is over");
        summary.privileged = privileged;
        summary.cargo_succeeded &= succeeded;
    }
    summary.total = started.elapsed();
    summary.interrupted = INTERRUPTED.load(Ordering::Relaxed);
    Ok(summary.print())
}

/// The terminal sends the signal to the tests too. Their output is still read, so that they can say what they clean up.
fn interrupt() {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    eprintln!("\nxtask: interrupted; waiting for the tests to clean up, once more to stop at once");
}

/// Runs `cargo test`, shows its output as it comes and counts it.
fn cargo_test(
    workspace: &Workspace,
    targets: &[&str],
    options: &[&str],
    arguments: &[String],
) -> Result<(Vec<Rung>, bool)> {
    let (mut reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut command = workspace.cargo();
    command.args(["test", "--no-fail-fast", "--color=never"]).args(targets).arg("--").args(options).args(arguments);
    // One pipe for both: cargo names the binary on one and the binary its results on the other.
    let errors = writer.try_clone().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(errors);
    let mut child = command.spawn().context("cannot run cargo test")?;
    // It keeps the write ends of the pipe, which would never end.
    drop(command);

    let mut tally = Tally::default();
    let mut buffer = [0; 8192];
    let mut screen = io::stdout().lock();
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read the output of cargo test"),
        };
        let piece = buffer.get(..length).unwrap_or_default();
        tally.feed(piece);
        // A closed screen is no reason to leave the tests alone.
        let _ = screen.write_all(piece).and_then(|()| screen.flush());
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    Ok((tally.rungs(), status.success()))
}
