//! Counts the results that `cargo test` prints, for each test binary.
//!
//! Only what stable Rust prints is available: its JSON output is unstable.

/// The results of one test binary, or of one library's documentation tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rung {
    /// The binary's crate and its source file, or the library with "documentation".
    pub(crate) name: String,
    /// The binary's file, the same in every run of one build; none for documentation.
    pub(crate) binary: Option<String>,
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
    pub(crate) seconds: f64,
    /// False when the binary ended without a result, for example by a signal.
    pub(crate) finished: bool,
}

impl Rung {
    /// Tests that came to an end.
    pub(crate) fn ran(&self) -> u32 {
        self.passed + self.failed
    }

    fn starting(name: String, binary: Option<&str>) -> Self {
        Self { name, binary: binary.map(str::to_owned), ..Self::default() }
    }
}

/// Takes the output as it comes, in pieces of any size.
#[derive(Default)]
pub(crate) struct Tally {
    unfinished_line: Vec<u8>,
    rungs: Vec<Rung>,
}

impl Tally {
    /// Counts a piece of output.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.unfinished_line.extend_from_slice(piece);
        while let Some(end) = self.unfinished_line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished_line.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim_end());
        }
    }

    /// The results, in the order in which the binaries ran.
    pub(crate) fn rungs(self) -> Vec<Rung> {
        self.rungs
    }

    fn line(&mut self, line: &str) {
        if let Some(rung) = starting(line) {
            self.rungs.push(rung);
        } else if let Some((passed, failed, ignored, seconds)) = result(line)
            && let Some(rung) = self.rungs.last_mut()
        {
            // Documentation tests of one library may run as several groups, each with its own result.
            rung.passed += passed;
            rung.failed += failed;
            rung.ignored += ignored;
            rung.seconds += seconds;
            rung.finished = true;
        }
    }
}

/// Cargo's announcement of a test binary: `     Running unittests src/lib.rs (target/debug/deps/caslb-0123456789abcdef)`
/// or `   Doc-tests caslb`.
fn starting(line: &str) -> Option<Rung> {
    if let Some(library) = line.strip_prefix("   Doc-tests ") {
        return Some(Rung::starting(format!("{library} documentation"), None));
    }
    let (source, binary) = line.strip_prefix("     Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    let file = binary.rsplit('/').next()?;
    let crate_name = file.rsplit_once('-').map_or(file, |(name, _hash)| name);
    Some(Rung::starting(format!("{crate_name} {source}"), Some(binary)))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn result(line: &str) -> Option<(u32, u32, u32, f64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut fields = counts.split("; ");
    let mut count = |what: &str| fields.next()?.strip_suffix(what)?.trim_end().parse().ok();
    let (passed, failed, ignored) = (count("passed")?, count("failed")?, count("ignored")?);
    let seconds = fields.last()?.strip_prefix("finished in ")?.strip_suffix('s')?.parse().ok()?;
    Some((passed, failed, ignored, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "   Compiling lb-common v0.1.0
     Running unittests src/lib.rs (target/debug/deps/lb_common-0123456789abcdef)

running 3 tests
test checksum::incremental_equals_full ... ok
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.25s

     Running tests/verifier.rs (target/debug/deps/verifier-0123456789abcdef)

running 1 test
   Doc-tests caslb

running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s

running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.25s
";

    fn expected() -> Vec<Rung> {
        let unit = Rung {
            name: "lb_common src/lib.rs".into(),
            binary: Some("target/debug/deps/lb_common-0123456789abcdef".into()),
            passed: 1,
            failed: 1,
            ignored: 1,
            seconds: 0.25,
            finished: true,
        };
        let crashed =
            Rung::starting("verifier tests/verifier.rs".into(), Some("target/debug/deps/verifier-0123456789abcdef"));
        let documentation =
            Rung { name: "caslb documentation".into(), passed: 2, seconds: 0.75, finished: true, ..Rung::default() };
        vec![unit, crashed, documentation]
    }

    #[test]
    fn each_binary_gets_its_own_results_and_a_crashed_one_is_unfinished() {
        let mut tally = Tally::default();
        tally.feed(OUTPUT.as_bytes());
        assert_eq!(tally.rungs(), expected());
    }

    #[test]
    fn output_may_come_in_pieces_of_any_size() {
        for size in 1..20 {
            let mut tally = Tally::default();
            OUTPUT.as_bytes().chunks(size).for_each(|piece| tally.feed(piece));
            assert_eq!(tally.rungs(), expected(), "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_test_that_prints_a_half_result_changes_nothing() {
        assert_eq!(result("test result: ok. many passed; 0 failed; 0 ignored"), None);
        assert_eq!(starting("Running something (else)"), None);
    }
}
