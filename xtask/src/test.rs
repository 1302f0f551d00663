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
    progress::{Step, seconds},
    tally::{Rung, Tally},
    toolchain,
    workspace::{Workspace, require_root, stream},
};

/// The two passes over the test binaries, and how long each part took.
struct Report {
    ordinary: Vec<Rung>,
    privileged: Vec<Rung>,
    /// False when cargo reported a failure, whatever the counts say.
    cargo_succeeded: bool,
    set_up: Duration,
    build: Duration,
    total: Duration,
}

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
    stream(workspace.cargo().args(["test", "--no-run", "--quiet"]))?;
    step.done("built");
    let build = started.elapsed().saturating_sub(set_up);

    ctrlc::set_handler(interrupt).context("cannot handle signals")?;
    let step = Step::begin("run the tests that any user can run");
    let (ordinary, ordinary_succeeded) = cargo_test(workspace, &[], &[], arguments)?;
    step.done("the first part of the ladder is over");
    let mut report = Report {
        ordinary,
        privileged: Vec::new(),
        cargo_succeeded: ordinary_succeeded,
        set_up,
        build,
        total: Duration::ZERO,
    };

    if !INTERRUPTED.load(Ordering::Relaxed) {
        let step = Step::begin("run the tests that need root and the BPF object");
        // Documentation marked `ignore` is not meant to run: leave it out.
        let targets = ["--lib", "--bins", "--tests"];
        let (privileged, succeeded) = cargo_test(workspace, &targets, &["--ignored"], arguments)?;
        step.done("the second part of the ladder is over");
        report.privileged = privileged;
        report.cargo_succeeded &= succeeded;
    }
    report.total = started.elapsed();
    Ok(report.print())
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
    command
        .args(["test", "--no-fail-fast", "--color=never"])
        .args(targets)
        .arg("--")
        .args(options)
        .args(arguments);
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

impl Report {
    /// Prints the summary; its last line is `N passed, N failed`.
    fn print(&self) -> ExitCode {
        println!("\n==> summary");
        let names = self
            .ordinary
            .iter()
            .chain(&self.privileged)
            .map(|rung| rung.name.len() + ROOT_MARK.len());
        let width = names.max().unwrap_or_default();
        println!("    {:width$}  passed  failed   ignored     time", "rung");
        for rung in &self.ordinary {
            print_rung(width, &rung.name, rung);
        }
        for rung in &self.privileged {
            print_rung(width, &format!("{}{ROOT_MARK}", rung.name), rung);
        }
        println!(
            "    set-up {}, build {}, tests {}, in all {}",
            seconds(self.set_up),
            seconds(self.build),
            seconds(self.total.saturating_sub(self.set_up + self.build)),
            seconds(self.total)
        );
        let problems = self.problems();
        for problem in &problems {
            println!("    {problem}");
        }
        let rungs = || self.ordinary.iter().chain(&self.privileged);
        let passed: u32 = rungs().map(|rung| rung.passed).sum();
        // A binary that died took a test with it.
        let failed: u32 = rungs()
            .map(|rung| rung.failed + u32::from(!rung.finished))
            .sum();
        println!("{passed} passed, {failed} failed");
        if problems.is_empty() && failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// What the counts do not show, in plain sentences.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for rung in self
            .ordinary
            .iter()
            .chain(&self.privileged)
            .filter(|rung| !rung.finished)
        {
            problems.push(format!("{} ended without a result", rung.name));
        }
        for rung in self
            .ordinary
            .iter()
            .filter(|rung| rung.ignored > 0 && !rung.name.ends_with("documentation"))
        {
            let ran = self
                .privileged
                .iter()
                .find(|other| other.name == rung.name)
                .map_or(0, Rung::ran);
            if ran != rung.ignored {
                problems.push(format!(
                    "{}: {ran} of the {} tests that need root ran",
                    rung.name, rung.ignored
                ));
            }
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            problems.push("the tests were interrupted".to_owned());
        } else if !self.cargo_succeeded {
            problems.push("cargo test reported a failure, see above".to_owned());
        }
        problems
    }
}

const ROOT_MARK: &str = " (root)";

fn print_rung(width: usize, name: &str, rung: &Rung) {
    let Rung {
        name: _,
        passed,
        failed,
        ignored,
        seconds,
        finished,
    } = rung;
    if !finished {
        println!("    {name:width$}  ended without a result");
    } else if passed + failed + ignored > 0 {
        println!("    {name:width$}  {passed:6}  {failed:6}  {ignored:8}  {seconds:6.2}s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(name: &str, passed: u32, ignored: u32) -> Rung {
        Rung {
            name: name.into(),
            passed,
            ignored,
            finished: true,
            ..Rung::default()
        }
    }

    fn report(ordinary: Vec<Rung>, privileged: Vec<Rung>) -> Report {
        let none = Duration::ZERO;
        Report {
            ordinary,
            privileged,
            cargo_succeeded: true,
            set_up: none,
            build: none,
            total: none,
        }
    }

    #[test]
    fn every_test_left_for_root_must_run_as_root() {
        let complete = report(vec![rung("verifier", 1, 2)], vec![rung("verifier", 2, 0)]);
        assert_eq!(complete.problems(), Vec::<String>::new());
        let short = report(vec![rung("verifier", 1, 2)], vec![rung("verifier", 1, 0)]);
        assert_eq!(
            short.problems(),
            ["verifier: 1 of the 2 tests that need root ran"]
        );
        let absent = report(vec![rung("verifier", 1, 2)], Vec::new());
        assert_eq!(
            absent.problems(),
            ["verifier: 0 of the 2 tests that need root ran"]
        );
    }

    #[test]
    fn documentation_marked_ignore_is_not_asked_for() {
        assert_eq!(
            report(vec![rung("caslb documentation", 1, 1)], Vec::new()).problems(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_binary_without_result_is_a_problem() {
        let crashed = Rung {
            finished: false,
            ..rung("verifier", 0, 0)
        };
        assert_eq!(
            report(vec![crashed], Vec::new()).problems(),
            ["verifier ended without a result"]
        );
    }
}
