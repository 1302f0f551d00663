//! `caslb detach`: removes everything a node has in the kernel.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use super::output;
use crate::{
    controller::lock::{LockError, NodeLock},
    dataplane::pins::{self, Pins},
};

pub(super) fn run(node: &str, json: bool) -> anyhow::Result<ExitCode> {
    // Held while this works, so that no controller starts meanwhile.
    let _lock = match NodeLock::acquire(node) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => {
            bail!("the controller of node {node} is running and would put everything back: stop it first")
        }
        Err(error) => return Err(error.into()),
    };
    let pins = Pins::new(node);
    let found = pins.exist();
    let nics =
        pins.linked_nics().with_context(|| format!("{} cannot be read: is this root?", pins.root().display()))?;
    pins.remove_all().with_context(|| {
        format!(
            "the pins under {} cannot be removed: is this root, and is {} a BPF file system?",
            pins.root().display(),
            pins::BPFFS
        )
    })?;
    if json {
        output::json(&json!({ "node": node, "found": found, "interfaces": nics }))?;
    } else if found {
        output::print(&format!("node {node}: detached from {}; maps removed\n", nics.join(", ")))?;
    } else {
        output::print(&format!("node {node}: nothing to detach\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
