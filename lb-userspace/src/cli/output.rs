//! Printing: tables, numbers, times, JSON.

use std::{
    fmt::Display,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// A table with a header and nothing drawn but spaces. Columns whose number is in `numbers` are aligned to the right.
pub(super) fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    for &number in numbers {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints a document.
pub(super) fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(document).context("cannot write the result as JSON")?;
    print(&(text + "\n"))
}

/// Prints text to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether an error is only that nobody reads the output any more.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `3m 12s`: how long ago a number of seconds since 1970 was.
pub(super) fn ago(seconds: u64, now: SystemTime) -> String {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let age = now.duration_since(since).unwrap_or_default().as_secs();
    match age {
        0..60 => format!("{age}s"),
        60..3600 => format!("{}m {}s", age / 60, age % 60),
        3600..86_400 => format!("{}h {}m", age / 3600, age / 60 % 60),
        _ => format!("{}d {}h", age / 86_400, age / 3600 % 24),
    }
}

/// `12.3 MB`: bytes in powers of a thousand, as network people count.
pub(super) fn bytes(count: u64) -> String {
    let mut unit = 1;
    for name in ["B", "kB", "MB", "GB", "TB"] {
        if count < unit * 1000 || name == "TB" {
            let (whole, tenth) = (count / unit, count % unit * 10 / unit);
            return if unit == 1 { format!("{whole} B") } else { format!("{whole}.{tenth} {name}") };
        }
        unit *= 1000;
    }
    format!("{count} B")
}

/// One a line: two addresses side by side would make tables too wide.
pub(super) fn lines(addresses: &[impl Display]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// `10.1.0.100:443/tcp` or `[2001:db8:1::100]:443/tcp`, one a line.
pub(super) fn sockets(addresses: &[impl Display], port: u16, protocol: &str) -> String {
    let socket = |address: &_| {
        let text = format!("{address}");
        let text = if text.contains(':') { format!("[{text}]") } else { text };
        format!("{text}:{port}/{protocol}")
    };
    let texts: Vec<_> = addresses.iter().map(socket).collect();
    texts.join("\n")
}

/// `33.4 %`: a part of a whole.
pub(super) fn share(part: u32, whole: u32) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let tenths = u64::from(part) * 1000 / u64::from(whole);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([bytes(0), bytes(999), bytes(1234), bytes(5_000_000_000)], ["0 B", "999 B", "1.2 kB", "5.0 GB"]);
        assert_eq!([share(1, 3), share(3, 3), share(0, 0)], ["33.3 %", "100.0 %", "-"]);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(ago(100, at(100)), "0s");
        assert_eq!(ago(100, at(192)), "1m 32s");
        assert_eq!(ago(100, at(100 + 86_400 * 2 + 3600)), "2d 1h");
        assert_eq!(ago(100, at(50)), "0s", "a clock that was set back");
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets_before_a_port() {
        assert_eq!(sockets(&["10.1.0.100", "2001:db8::1"], 443, "tcp"), "10.1.0.100:443/tcp\n[2001:db8::1]:443/tcp");
    }
}
