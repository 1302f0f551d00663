//! From outcomes of one check to a verdict: `rise` successes in a row bring it up, `fall` failures in a row take it down.
//!
//! The first outcome decides alone: somebody who starts a balancer does not want to wait `rise` times the interval. It
//! does not where the server is known to be up from before, so that one failure after a restart cuts no connections.

use crate::health::{FailureKind, Outcome};

/// The verdict of one check about one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Up,
    /// It fails.
    Down,
}

/// The memory of one check of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    rise: u32,
    fall: u32,
    presumed_up: bool,
    verdict: Option<Verdict>,
    against: u32,
    last: Option<Last>,
}

/// What the last outcome was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Whether it passed.
    pub passed: bool,
    /// What was found.
    pub detail: String,
    /// Something to mend although it passed.
    pub warning: Option<String>,
}

impl Judge {
    /// Nothing seen yet.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, presumed_up: false, verdict: None, against: 0, last: None }
    }

    /// Nothing seen yet, of a server that is up: as ever, it takes `fall` failures to take it down.
    #[must_use]
    pub fn presuming_up(self) -> Self {
        Self { presumed_up: true, ..self }
    }

    /// Another `rise` and `fall` with what has been seen so far.
    #[must_use]
    pub fn with(self, rise: u32, fall: u32) -> Self {
        Self { rise, fall, ..self }
    }

    /// Takes an outcome into account; a fault of this host counts for nothing.
    pub fn hear(&mut self, outcome: &Outcome) {
        let passed = match outcome {
            Ok(_) => true,
            Err(failed) if failed.kind == FailureKind::Local => return,
            Err(_) => false,
        };
        self.last = Some(match outcome {
            Ok(passed) => Last { passed: true, detail: passed.detail.clone(), warning: passed.warning.clone() },
            Err(failed) => Last { passed: false, detail: failed.detail.clone(), warning: None },
        });
        let heard = if passed { Verdict::Up } else { Verdict::Down };
        let before = *self.verdict.get_or_insert(if self.presumed_up { Verdict::Up } else { heard });
        if before == heard {
            self.against = 0;
            return;
        }
        self.against += 1;
        let enough = if passed { self.rise } else { self.fall };
        if self.against >= enough {
            self.verdict = Some(heard);
            self.against = 0;
        }
    }

    /// The verdict; none before the first outcome.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// The last outcome.
    pub fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// Outcomes in a row that contradict the verdict, and how many it takes to change it.
    pub fn doubt(&self) -> Option<(u32, u32)> {
        let enough = match self.verdict? {
            Verdict::Up => self.fall,
            Verdict::Down => self.rise,
        };
        (self.against > 0).then_some((self.against, enough))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Failed, Passed};

    fn outcome(letter: char) -> Outcome {
        match letter {
            '+' => Ok(Passed { detail: "200".into(), warning: None }),
            '-' => Err(Failed { kind: FailureKind::Refused, detail: "refused".into() }),
            _ => Err(Failed { kind: FailureKind::Local, detail: "no descriptors".into() }),
        }
    }

    /// `U`, `D` or `?` after each outcome.
    fn replay(mut judge: Judge, outcomes: &str) -> String {
        let letter = |letter| {
            judge.hear(&outcome(letter));
            match judge.verdict() {
                Some(Verdict::Up) => 'U',
                Some(Verdict::Down) => 'D',
                None => '?',
            }
        };
        outcomes.chars().map(letter).collect()
    }

    #[test]
    fn verdicts_follow_rise_and_fall() {
        for (rise, fall, outcomes, expected) in [
            (2, 3, "+---++", "UUUDDU"),
            (2, 3, "-++", "DDU"),
            (2, 3, "+--+--+---", "UUUUUUUUUD"),
            (2, 3, "---+-+-++", "DDDDDDDDU"),
            (1, 1, "+-+-", "UDUD"),
            (2, 2, "+-l-l", "UUUDD"),
            (2, 2, "ll+", "??U"),
        ] {
            assert_eq!(replay(Judge::new(rise, fall), outcomes), expected, "rise {rise}, fall {fall}: {outcomes}");
        }
    }

    #[test]
    fn a_server_that_is_up_from_before_goes_down_after_fall_failures() {
        for (fall, outcomes, expected) in
            [(3, "---", "UUD"), (3, "l--+---", "?UUUUUD"), (1, "-", "D"), (2, "+--", "UUD")]
        {
            assert_eq!(replay(Judge::new(2, fall).presuming_up(), outcomes), expected, "fall {fall}: {outcomes}");
        }
    }

    #[test]
    fn doubt_counts_outcomes_against_the_verdict() {
        let mut judge = Judge::new(2, 3);
        assert_eq!(judge.doubt(), None);
        for (letter, doubt) in [('+', None), ('-', Some((1, 3))), ('-', Some((2, 3))), ('+', None)] {
            judge.hear(&outcome(letter));
            assert_eq!(judge.doubt(), doubt);
        }
    }
}
