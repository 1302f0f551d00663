//! `caslb status`: what the controller knows.

use std::{
    fmt::Write,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use super::output;
use crate::{
    api::client::Client,
    controller::status::{InterfaceStatus, ServiceStatus, Status},
};

pub(super) fn run(node: &str, watch: bool, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::new(node)?;
        let mut before: Option<Status> = None;
        loop {
            let status = client.status().await?;
            if json {
                output::json(&status)?;
            } else {
                let clear = if watch { "\x1b[H\x1b[2J" } else { "" };
                output::print(&format!("{clear}{}", describe(&status, before.as_ref(), SystemTime::now())))?;
            }
            if !watch {
                return Ok(ExitCode::SUCCESS);
            }
            before = Some(status);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

/// The status as text; with the status a second before, packet and byte rates instead of totals.
fn describe(status: &Status, before: Option<&Status>, now: SystemTime) -> String {
    let Status { node, version, pid, ready, interfaces, alarms, arrays } = status;
    let on = |interface: &InterfaceStatus| {
        format!("{} ({})", interface.name, interface.xdp.as_deref().unwrap_or("not attached"))
    };
    let interfaces: Vec<_> = interfaces.iter().map(on).collect();
    let mut text = format!("Node {node} · caslb {version} · pid {pid} · on {}\n", interfaces.join(", "));
    if !ready {
        text.push_str("Waiting for the first verdict of every server; what was there before goes on.\n");
    }
    for alarm in alarms {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "ALARM {alarm}");
    }
    for array in arrays {
        let names = array.namespaces.join(", ");
        let names = if names.is_empty() { names } else { format!(" ({names})") };
        let _ = writeln!(text, "\nArray {}{names}", array.name);
        for service in &array.services {
            let earlier = before.and_then(|before| {
                let array = before.arrays.iter().find(|of| of.name == array.name)?;
                array.services.iter().find(|of| of.name == service.name)
            });
            text.push_str(&describe_service(service, earlier, now));
        }
    }
    text
}

fn describe_service(service: &ServiceStatus, before: Option<&ServiceStatus>, now: SystemTime) -> String {
    let ServiceStatus { name, vip, vips, port, protocol, mode, active, slots, .. } = service;
    // Of a controller that knows one address only.
    let vips = if vips.is_empty() { std::slice::from_ref(vip) } else { vips };
    let sockets = output::sockets(vips, *port, protocol).replace('\n', ", ");
    let activity = if *active { "active" } else { "not active" };
    let mut text = format!("  Service {name} · {sockets} · {mode} · {activity}\n");
    let (packets, bytes) = if before.is_some() { ("PACKETS/S", "BYTES/S") } else { ("PACKETS", "BYTES") };
    let header = ["SERVER", "ADDRESS", "STATE", "SINCE", "WEIGHT", "SHARE", packets, bytes, "REASON"];
    let mut table = output::table(&header, &[4, 5, 6, 7]);
    for server in &service.servers {
        let earlier = before.and_then(|before| before.servers.iter().find(|of| of.name == server.name));
        let (was_packets, was_bytes) = earlier.map_or((0, 0), |was| (was.packets, was.bytes));
        let reason = match &server.warning {
            Some(warning) => format!("{} (warning: {warning})", server.reason),
            None => server.reason.clone(),
        };
        table.add_row([
            format!("  {}", server.name),
            if server.addresses.is_empty() { server.address.clone() } else { output::lines(&server.addresses) },
            server.state.clone(),
            output::ago(server.since, now),
            server.weight.to_string(),
            output::share(server.slots, *slots),
            server.packets.saturating_sub(was_packets).to_string(),
            output::bytes(server.bytes.saturating_sub(was_bytes)),
            reason,
        ]);
    }
    for line in table.lines() {
        let _ = writeln!(text, " {}", line.trim_end());
    }
    text
}
