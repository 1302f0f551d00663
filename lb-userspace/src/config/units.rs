//! Durations as the file writes them: `250ms`, `5s`, `60m`, `1h30m`.

use std::{fmt::Write as _, time::Duration};

/// Units with their length in milliseconds, the longest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing but white space, or nothing at all.
    #[error("is empty")]
    Empty,
    /// A number without a unit.
    #[error("has a number without a unit")]
    NoUnit,
    /// A unit without a number, or something that is neither.
    #[error("is not a duration")]
    Malformed,
    /// A unit other than `ms`, `s`, `m` and `h`.
    #[error("has an unknown unit")]
    UnknownUnit,
    /// A unit twice, or a longer unit after a shorter one.
    #[error("has its units out of order or twice")]
    OutOfOrder,
    /// More than 64 bits of milliseconds.
    #[error("is too long")]
    TooLong,
}

/// Reads a duration: whole numbers with the units `h`, `m`, `s`, `ms`, in this order, each at most once.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.trim().is_empty() {
        return Err(DurationError::Empty);
    }
    let mut milliseconds: u64 = 0;
    let mut next_unit = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit);
        }
        if !unit.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(DurationError::Malformed);
        }
        let index = UNITS.iter().position(|(name, _)| *name == unit).ok_or(DurationError::UnknownUnit)?;
        if index < next_unit {
            return Err(DurationError::OutOfOrder);
        }
        next_unit = index + 1;
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        milliseconds = number
            .checked_mul(UNITS[index].1)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_millis(milliseconds))
}

/// Writes a duration the way [`parse_duration`] reads it; what is below a millisecond is left out.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in UNITS {
        let length = u128::from(length);
        if rest >= length {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{name}", rest / length);
            rest %= length;
        }
    }
    text
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in
            [("5s", 5_000), ("250ms", 250), ("60m", 3_600_000), ("1h30m", 5_400_000), ("0s", 0), ("1m0s5ms", 60_005)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        use DurationError::*;
        for (text, error) in [
            ("", Empty),
            ("  ", Empty),
            ("5", NoUnit),
            ("1h30", NoUnit),
            ("s", Malformed),
            ("-5s", Malformed),
            ("1.5s", Malformed),
            ("5 s", Malformed),
            (" 5s", Malformed),
            ("5s ", Malformed),
            ("5sec", UnknownUnit),
            ("5S", UnknownUnit),
            ("5d", UnknownUnit),
            ("5s1m", OutOfOrder),
            ("5s5s", OutOfOrder),
            ("99999999999999999999s", TooLong),
            ("9999999999999999999h", TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
