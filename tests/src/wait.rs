//! Waiting for a condition with a deadline, for tests that must not sleep and hope.
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Time between two looks at the condition. Short against anything the tests wait for, long against a look.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `look` until it finds something, and returns that.
///
/// # Errors
///
/// The first error of `look`, or that `what` was not seen within `within`.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not seen within {within:?}");
        }
        thread::sleep(PAUSE);
    }
}
