//! How large the maps of a deployment are.
//!
//! The one place that decides; nothing here creates a map.

use crate::config::deployment::Deployment;

/// Bytes of a slot: current, previous and tracked in one word.
const SLOT_BYTES: u64 = 4;

/// Bytes of the record of a server or a service.
const RECORD_BYTES: u64 = 64;

/// Bytes of a counter: packets and bytes, 64 bits each.
const COUNTER_BYTES: u64 = 16;

/// Blocks of slots, servers and services that even the smallest deployment gets, so that it can grow by a reload.
const MIN_BLOCKS: u64 = 8;
const MIN_RECORDS: u64 = 64;
const MIN_STRIDE: u64 = 16;

/// The size of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSize {
    /// The map.
    pub name: &'static str,
    /// Its entries.
    pub entries: u64,
    /// What the entries take, in bytes; for a per-CPU map on one CPU.
    pub bytes: u64,
    /// Whether every CPU has its own entries.
    pub per_cpu: bool,
}

/// The maps that `deployment` needs.
pub fn sizes(deployment: &Deployment) -> Vec<MapSize> {
    let servers = count(
        deployment
            .arrays
            .iter()
            .map(|array| array.servers.len())
            .sum(),
    );
    let services = count(
        deployment
            .arrays
            .iter()
            .map(|array| array.services.len())
            .sum(),
    );
    let largest = count(
        deployment
            .arrays
            .iter()
            .map(|array| array.servers.len())
            .max()
            .unwrap_or_default(),
    );

    // Two blocks a service, because tables are built aside while the old ones are in use.
    let blocks = services.saturating_mul(2).saturating_add(2).max(MIN_BLOCKS);
    let service_records = records(services);
    // The counters of a service are a row, with room for half as many servers again.
    let stride = power_of_two(largest.saturating_mul(3) / 2, MIN_STRIDE);
    vec![
        map(
            "slots",
            blocks.saturating_mul(u64::from(deployment.node.slots)),
            SLOT_BYTES,
            false,
        ),
        map("servers", records(servers), RECORD_BYTES, false),
        map("services", service_records, RECORD_BYTES, false),
        map(
            "counters",
            service_records.saturating_mul(stride),
            COUNTER_BYTES,
            true,
        ),
    ]
}

/// Records for `used` ids: as many again in reserve, and id 0, which means none.
fn records(used: u64) -> u64 {
    power_of_two(used.saturating_mul(2), MIN_RECORDS).saturating_add(1)
}

fn power_of_two(wanted: u64, least: u64) -> u64 {
    wanted
        .max(least)
        .checked_next_power_of_two()
        .unwrap_or(u64::MAX)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn map(name: &'static str, entries: u64, entry_bytes: u64, per_cpu: bool) -> MapSize {
    MapSize {
        name,
        entries,
        bytes: entries.saturating_mul(entry_bytes),
        per_cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn deployment(servers: usize, services: usize) -> Deployment {
        use std::fmt::Write as _;
        let mut text = "[node]\ninterfaces = [\"eth0\"]\n[[array]]\nname = \"a\"\n".to_owned();
        for i in 0..servers {
            let (high, low) = (i / 250, i % 250 + 1);
            writeln!(
                text,
                "[[array.server]]\nname = \"s{i}\"\naddress = \"10.0.{high}.{low}\""
            )
            .unwrap();
        }
        for i in 0..services {
            writeln!(
                text,
                "[[array.service]]\nname = \"s{i}\"\nvip = \"10.1.0.1\"\nport = {}",
                i + 1
            )
            .unwrap();
        }
        parse("test.toml", &text).unwrap().deployment
    }

    fn of(deployment: &Deployment) -> Vec<(&'static str, u64, u64)> {
        sizes(deployment)
            .into_iter()
            .map(|map| (map.name, map.entries, map.bytes))
            .collect()
    }

    #[test]
    fn the_smallest_deployment_has_room_to_grow() {
        assert_eq!(
            of(&deployment(1, 1)),
            [
                ("slots", 8 * 65_537, 32 * 65_537),
                ("servers", 65, 65 * 64),
                ("services", 65, 65 * 64),
                ("counters", 65 * 16, 65 * 16 * 16)
            ]
        );
    }

    #[test]
    fn larger_deployments_get_larger_maps() {
        assert_eq!(
            of(&deployment(300, 100)),
            [
                ("slots", 202 * 65_537, 202 * 65_537 * 4),
                ("servers", 1_025, 1_025 * 64),
                ("services", 257, 257 * 64),
                ("counters", 257 * 512, 257 * 512 * 16)
            ]
        );
    }
}
