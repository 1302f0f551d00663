//! The capabilities the controller must have, and giving up the rest.

use anyhow::{Context, bail};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What the controller goes on using: loading programs and writing maps (`BPF`, `PERFMON`), attaching to NICs and asking
/// for neighbours (`NET_ADMIN`), announcing VIPs (`NET_RAW`).
const NEEDED: [(CapabilitySet, &str); 4] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
];

/// Fails when one is missing.
pub(super) fn demand() -> anyhow::Result<()> {
    let effective = capabilities(None).context("the rights of this process cannot be read")?.effective;
    let missing: Vec<_> =
        NEEDED.iter().filter(|(needed, _)| !effective.contains(*needed)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "caslb needs root to load BPF programs and to see the network ({} missing): run it as root, or as the systemd \
         service",
        missing.join(", ")
    )
}

/// Gives up everything else. Call it before threads are started: each thread has its own capabilities, and new ones get
/// those of the thread that starts them.
pub(super) fn give_up_others() -> anyhow::Result<()> {
    let needed = NEEDED.iter().fold(CapabilitySet::empty(), |all, (needed, _)| all | *needed);
    let sets = CapabilitySets { effective: needed, permitted: needed, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).context("capabilities cannot be given up")
}
