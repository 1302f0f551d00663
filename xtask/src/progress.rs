//! Says what happens, one line when a step begins and one when it is over.

use std::time::{Duration, Instant};

/// One step of a task, timed from its creation.
pub(crate) struct Step {
    started: Instant,
}

impl Step {
    /// Announces a step, in the imperative: "build the BPF objects".
    pub(crate) fn begin(what: &str) -> Self {
        println!("==> {what}");
        Self { started: Instant::now() }
    }

    /// Closes the step with its outcome and duration, and returns the latter.
    pub(crate) fn done(self, outcome: &str) -> Duration {
        let took = self.started.elapsed();
        println!("    {outcome} ({})", seconds(took));
        took
    }
}

/// Says what a step is about to do or has found.
pub(crate) fn note(text: &str) {
    println!("    {text}");
}

/// A duration as people read it: tenths of a second, and minutes from one minute on.
pub(crate) fn seconds(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if whole < 60 { format!("{whole}.{tenth} s") } else { format!("{} min {} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_to_tenths_and_split_into_minutes() {
        assert_eq!(seconds(Duration::from_millis(49)), "0.0 s");
        assert_eq!(seconds(Duration::from_millis(1250)), "1.3 s");
        assert_eq!(seconds(Duration::from_millis(59_970)), "1 min 0 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }
}
