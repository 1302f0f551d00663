//! The end of a test run: a table of results, what went wrong beside them, and the exit status.

use std::{process::ExitCode, time::Duration};

use crate::{progress::seconds, tally::Rung};

/// The two passes over the test binaries, and how long each part took.
pub(crate) struct Summary {
    pub(crate) ordinary: Vec<Rung>,
    pub(crate) privileged: Vec<Rung>,
    /// False when cargo reported a failure, whatever the counts say.
    pub(crate) cargo_succeeded: bool,
    pub(crate) set_up: Duration,
    pub(crate) build: Duration,
    pub(crate) total: Duration,
    /// The user stopped the tests.
    pub(crate) interrupted: bool,
}

impl Summary {
    /// Prints the summary; its last line is `N passed, N failed`.
    pub(crate) fn print(&self) -> ExitCode {
        println!("\n==> summary");
        let names = self.ordinary.iter().chain(&self.privileged).map(|rung| rung.name.len() + ROOT_MARK.len());
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
        let failed: u32 = rungs().map(|rung| rung.failed + u32::from(!rung.finished)).sum();
        println!("{passed} passed, {failed} failed");
        if problems.is_empty() && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// What the counts do not show, in plain sentences.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let every = || self.ordinary.iter().chain(&self.privileged);
        for rung in every().filter(|rung| !rung.finished) {
            problems.push(format!("{} ended without a result", rung.name));
        }
        let left_for_root = |rung: &&Rung| rung.ignored > 0 && rung.binary.is_some();
        for rung in self.ordinary.iter().filter(left_for_root) {
            let again = self.privileged.iter().find(|other| other.binary == rung.binary);
            let ran = again.map_or(0, Rung::ran);
            if ran != rung.ignored {
                problems.push(format!("{}: {ran} of the {} tests that need root ran", rung.name, rung.ignored));
            }
        }
        if !every().any(|rung| rung.ran() > 0) {
            problems.push("no test ran".to_owned());
        }
        if self.interrupted {
            problems.push("the tests were interrupted".to_owned());
        } else if !self.cargo_succeeded {
            problems.push("cargo test reported a failure, see above".to_owned());
        }
        problems
    }
}

const ROOT_MARK: &str = " (root)";

fn print_rung(width: usize, name: &str, rung: &Rung) {
    let Rung { name: _, binary: _, passed, failed, ignored, seconds, finished } = rung;
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
        Rung { name: name.into(), binary: Some(name.into()), passed, ignored, finished: true, ..Rung::default() }
    }

    fn summary(ordinary: Vec<Rung>, privileged: Vec<Rung>) -> Summary {
        let none = Duration::ZERO;
        Summary {
            ordinary,
            privileged,
            cargo_succeeded: true,
            set_up: none,
            build: none,
            total: none,
            interrupted: false,
        }
    }

    #[test]
    fn every_test_left_for_root_must_run_as_root() {
        let complete = summary(vec![rung("verifier", 1, 2)], vec![rung("verifier", 2, 0)]);
        assert_eq!(complete.problems(), Vec::<String>::new());
        let short = summary(vec![rung("verifier", 1, 2)], vec![rung("verifier", 1, 0)]);
        assert_eq!(short.problems(), ["verifier: 1 of the 2 tests that need root ran"]);
        let absent = summary(vec![rung("verifier", 1, 2)], Vec::new());
        assert_eq!(absent.problems(), ["verifier: 0 of the 2 tests that need root ran"]);
    }

    #[test]
    fn documentation_marked_ignore_is_not_asked_for() {
        let documentation = Rung { binary: None, ..rung("caslb documentation", 1, 1) };
        assert_eq!(summary(vec![documentation], Vec::new()).problems(), Vec::<String>::new());
    }

    #[test]
    fn a_binary_without_result_is_a_problem() {
        let crashed = Rung { finished: false, ..rung("verifier", 0, 0) };
        let others = vec![crashed, rung("caslb", 1, 0)];
        assert_eq!(summary(others, Vec::new()).problems(), ["verifier ended without a result"]);
    }

    #[test]
    fn a_filter_that_matches_nothing_is_a_problem() {
        let empty = summary(vec![rung("verifier", 0, 0)], vec![rung("verifier", 0, 0)]);
        assert_eq!(empty.problems(), ["no test ran"]);
    }
}
