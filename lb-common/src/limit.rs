//! A rate limit that needs one number of state.
//!
//! The generic cell rate algorithm: `due` is the time at which the next event would be due if events came evenly. An
//! event is admitted while `due` is at most a burst ahead of the clock. Times are nanoseconds of a clock that never
//! goes back.

/// Echo requests answered per second and CPU.
pub const ECHO_PER_SECOND: u64 = 1000;
/// Echo requests answered at once after a pause, per CPU.
pub const ECHO_BURST: u64 = 200;

/// The new `due` when an event at `now` is admitted, `None` when it is not.
#[inline(always)]
pub const fn admit(due: u64, now: u64, per_second: u64, burst: u64) -> Option<u64> {
    let interval = 1_000_000_000 / per_second;
    let due = if due > now { due } else { now };
    if due - now >= interval * burst { None } else { Some(due + interval) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(due: &mut u64, times: impl Iterator<Item = u64>) -> usize {
        times.filter(|&now| admit(*due, now, 100, 20).inspect(|&next| *due = next).is_some()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut due = 0;
        assert_eq!(admitted(&mut due, (0..1000).map(|_| 5_000_000_000)), 20);
        // Ten seconds at ten times the rate: 100 a second pass.
        let passed = admitted(&mut due, (0..10_000).map(|event| 5_000_000_000 + event * 1_000_000));
        assert!((990..=1001).contains(&passed), "{passed}");
        // After a pause the burst is there again, and no more than that.
        assert_eq!(admitted(&mut due, (0..1000).map(|_| 99_000_000_000)), 20);
    }
}
