//! The same as text. Tables are summed up by server: 65,537 lines tell nobody anything, and `--json` has them.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    super::output,
    document::{Counters, Document, Flow, Path, Server, Service, Table, Vip},
};

/// The document as text.
pub(super) fn describe(document: &Document) -> String {
    let Document { slots_per_table, vips, services, servers, slots, flows, counters } = document;
    let parts = [
        vips.as_deref().map(describe_vips),
        services.as_deref().map(describe_services),
        servers.as_deref().map(describe_servers),
        slots.as_deref().map(|tables| describe_tables(tables, *slots_per_table)),
        flows.as_deref().map(describe_flows),
        counters.as_ref().map(describe_counters),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join("\n")
}

fn section(title: &str, table: &comfy_table::Table) -> String {
    let mut text = format!("{title}\n");
    for line in table.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {}", line.trim_end());
    }
    text
}

fn describe_vips(vips: &[Vip]) -> String {
    let mut table = output::table(&["ADDRESS", "ANNOUNCED", "UNKNOWN PORTS"], &[]);
    for Vip { address, announced, unknown_port } in vips {
        let announced = if *announced { "yes" } else { "no" };
        table.add_row([address.to_string(), announced.to_owned(), (*unknown_port).to_owned()]);
    }
    section("VIPs", &table)
}

fn describe_services(services: &[Service]) -> String {
    let header = ["ID", "ARRAY", "NAME", "VIP", "MODE", "SERVER PORT", "HASH", "TABLE"];
    let mut table = output::table(&header, &[0, 5, 7]);
    for service in services {
        table.add_row([
            service.id.to_string(),
            service.array.clone(),
            service.name.clone(),
            output::sockets(&service.vips, service.port, &service.protocol),
            service.mode.to_owned(),
            service.server_port.to_string(),
            service.hash.to_owned(),
            service.block.map_or_else(|| "none".to_owned(), |block| block.to_string()),
        ]);
    }
    section("Services", &table)
}

fn describe_servers(servers: &[Server]) -> String {
    let header = ["ID", "ARRAY", "NAME", "ADDRESS", "NIC", "NEXT HOP", "OWN MAC", "MTU"];
    let mut table = output::table(&header, &[0, 4, 7]);
    for server in servers {
        // One line for each address, the way of its family beside it.
        let second = server.path6.iter().filter(|_| server.addresses.len() > 1);
        let ways: Vec<&Path> = server.path.iter().chain(second).collect();
        let column = |of: &dyn Fn(&Path) -> String| {
            let cells: Vec<_> = ways.iter().map(|way| of(way)).collect();
            if cells.is_empty() { "unknown".to_owned() } else { output::lines(&cells) }
        };
        table.add_row([
            server.id.to_string(),
            server.array.clone(),
            server.name.clone(),
            output::lines(&server.addresses),
            column(&|way| way.ifindex.to_string()),
            column(&|way| way.destination_mac.clone()),
            column(&|way| way.source_mac.clone()),
            column(&|way| way.mtu.to_string()),
        ]);
    }
    section("Servers", &table)
}

fn describe_tables(tables: &[Table], slots: u32) -> String {
    let mut table =
        output::table(&["TABLE", "SERVICES", "SERVER", "SLOTS", "SHARE", "IN TRANSITION"], &[0, 2, 3, 4, 5]);
    for Table { block, services, slots: words } in tables {
        let mut shares: BTreeMap<u16, (u32, u32)> = BTreeMap::new();
        for word in words {
            let (count, moving) = shares.entry(word.current).or_default();
            *count += 1;
            *moving += u32::from(word.tracked);
        }
        let services: Vec<_> = services.iter().map(u32::to_string).collect();
        for (server, (count, moving)) in shares {
            table.add_row([
                block.to_string(),
                services.join(", "),
                server.to_string(),
                count.to_string(),
                output::share(count, slots),
                moving.to_string(),
            ]);
        }
    }
    section(&format!("Tables of {slots} slots, by server (--json has every slot)"), &table)
}

fn describe_flows(flows: &[Flow]) -> String {
    let mut table = output::table(&["KIND", "CLIENT", "SERVER"], &[]);
    for Flow { kind, client, server } in flows {
        table.add_row([*kind, client, server]);
    }
    section("Remembered flows", &table)
}

fn describe_counters(counters: &Counters) -> String {
    let mut steered = output::table(&["SERVICE", "SERVER", "PACKETS", "BYTES"], &[2, 3]);
    let mut reasons = output::table(&["SERVICE", "REASON", "PACKETS"], &[2]);
    let Counters { services, reasons: without_service } = counters;
    for service in services {
        let name = format!("{}/{}", service.array, service.name);
        for server in &service.servers {
            let row = [name.clone(), server.name.clone(), server.packets.to_string(), output::bytes(server.bytes)];
            steered.add_row(row);
        }
        for reason in &service.reasons {
            reasons.add_row([name.clone(), reason.reason.to_owned(), reason.packets.to_string()]);
        }
    }
    for reason in without_service {
        reasons.add_row(["-".to_owned(), reason.reason.to_owned(), reason.packets.to_string()]);
    }
    section("Steered", &steered) + "\n" + &section("Not steered, answered or replied, by reason", &reasons)
}
