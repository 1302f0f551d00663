//! The result of `caslb check` as text: a table for each list, at most 100 columns wide.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use crate::{
    config::{
        deployment::{Array, Check, CheckKind, Deployment, HttpCheck, Service},
        units::duration_text,
        words::{Announce, Word as _},
    },
    dataplane::sizing::{MapSize, sizes},
};

use super::{super::output::lines, json::verify};

/// Columns of the output, less the two by which tables are set in.
const WIDTH: u16 = 98;

/// The deployment that the file shown as `file` comes to.
pub(super) fn describe(file: &str, deployment: &Deployment) -> String {
    let Deployment { node, arrays } = deployment;
    let mut out = format!("{file} is valid.\n\n");
    let facts = [
        format!("Node {}", node.name),
        format!("  interfaces  {}", node.interfaces.join(", ")),
        format!("  xdp         {}", node.xdp.word()),
        format!("  hash seed   {:?}", node.hash_seed),
        format!("  slots       {}", node.slots),
    ];
    out.push_str(&facts.join("\n"));
    out.push('\n');
    for array in arrays {
        describe_array(&mut out, array);
    }
    out.push_str("\nMaps\n");
    out.push_str(&maps(&sizes(deployment)));
    out
}

fn describe_array(out: &mut String, array: &Array) {
    let names = if array.namespaces.is_empty() { String::new() } else { format!(": {}", array.namespaces.join(", ")) };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\nArray {:?}{names}", array.name);
    out.push_str(&servers(array));
    out.push('\n');
    out.push_str(&services(array));
    out.push('\n');
    out.push_str(&checks(array));
}

fn servers(array: &Array) -> String {
    let total: u64 = array.servers.iter().map(|server| u64::from(server.weight)).sum();
    let mut table = table(&["SERVER", "ADDRESS", "WEIGHT", "SHARE"], &[2, 3]);
    for server in &array.servers {
        table.add_row([
            server.name.clone(),
            lines(&server.address.iter().collect::<Vec<_>>()),
            server.weight.to_string(),
            share(u64::from(server.weight), total),
        ]);
    }
    indented(&table)
}

/// Part of the whole in per cent, to a tenth.
fn share(part: u64, total: u64) -> String {
    match (part * 1000 + total / 2).checked_div(total) {
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
        None => "-".to_owned(),
    }
}

fn services(array: &Array) -> String {
    let header = ["SERVICE", "VIP", "PORT", "MODE", "TO PORT", "HASH", "ALL DOWN", "ANNOUNCE", "UNKNOWN PORT"];
    let mut table = table(&header, &[4]);
    for service in &array.services {
        table.add_row([
            service.name.clone(),
            lines(&service.vip.iter().collect::<Vec<_>>()),
            format!("{}/{}", service.port, service.protocol),
            service.mode.to_string(),
            service.server_port.to_string(),
            service.hash.word().to_owned(),
            service.all_down.word().to_owned(),
            Announce::from(service.announce).word().to_owned(),
            service.unknown_port.word().to_owned(),
        ]);
    }
    indented(&table)
}

fn checks(array: &Array) -> String {
    let header = ["SERVICE", "CHECK", "PORT", "INTERVAL", "TIMEOUT", "RISE", "FALL", "EXPECTS"];
    let mut table = table(&header, &[2, 3, 4, 5, 6]);
    for (service, check) in array.services.iter().flat_map(|service| service.checks.iter().map(move |c| (service, c))) {
        table.add_row(check_row(service, check));
    }
    indented(&table)
}

fn check_row(service: &Service, check: &Check) -> [String; 8] {
    [
        service.name.clone(),
        check.kind.to_string(),
        check.port.to_string(),
        duration_text(check.interval),
        duration_text(check.timeout),
        check.rise.to_string(),
        check.fall.to_string(),
        match &check.kind {
            CheckKind::Tcp => "connection accepted".to_owned(),
            CheckKind::Http(http) => expected(http),
            CheckKind::Https(http, verified) => {
                format!("{}, verify {}", expected(http), verify(verified))
            }
        },
    ]
}

fn expected(http: &HttpCheck) -> String {
    let codes: Vec<String> = http.status.iter().map(u16::to_string).collect();
    let mut text = format!("{} from {}", codes.join(" or "), http.path);
    if let Some(host) = &http.host {
        let _ = write!(text, " of {host}");
    }
    if let Some(body) = &http.body {
        let _ = write!(text, " with {body:?}");
    }
    text
}

fn maps(sizes: &[MapSize]) -> String {
    let mut table = table(&["MAP", "ENTRIES", "SIZE"], &[1, 2]);
    for map in sizes {
        let each = if map.per_cpu { " per CPU" } else { "" };
        table.add_row([map.name.to_owned(), map.entries.to_string(), format!("{}{each}", size(map.bytes))]);
    }
    indented(&table)
}

/// Bytes in the largest unit that leaves a whole part, to a tenth.
fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            let rest = bytes & ((1 << shift) - 1);
            return format!("{}.{} {unit}", bytes >> shift, (rest * 10) >> shift);
        }
    }
    format!("{bytes} B")
}

fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(header.iter().copied());
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn indented(table: &Table) -> String {
    // Every cell is padded by one column already.
    table.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, " {}", line.trim_end());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_sizes_are_rounded() {
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(2, 3), "66.7 %");
        assert_eq!(share(0, 0), "-");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(2 << 30), "2.0 GiB");
    }
}
