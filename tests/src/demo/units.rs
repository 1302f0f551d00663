//! Numbers as people read them.

use std::time::Duration;

/// `65,537`.
pub(super) fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `87 ms` below a second, `1.42 s` above.
pub(super) fn time(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{:02} s", ms / 1000, ms % 1000 / 10) }
}

/// `33.4 %`; a part of nothing is nothing.
pub(super) fn percent(part: usize, whole: usize) -> String {
    let tenths = (part * 1000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// `1.2 MB`, in steps of a thousand.
pub(super) fn bytes(bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1_000),
        _ => ("MB", 1_000_000),
    };
    format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([number(0_u64), number(999_u64), number(65_537_u64)], ["0", "999", "65,537"]);
        assert_eq!(number(1_234_567_usize), "1,234,567");
        assert_eq!([time(Duration::from_micros(87_900)), time(Duration::from_millis(1429))], ["87 ms", "1.42 s"]);
        assert_eq!(
            [percent(1, 3), percent(2, 3), percent(300, 300), percent(0, 0)],
            ["33.3 %", "66.7 %", "100.0 %", "0.0 %"]
        );
        assert_eq!([bytes(17), bytes(12_345), bytes(8_000_000)], ["17 B", "12.3 kB", "8.0 MB"]);
    }
}
