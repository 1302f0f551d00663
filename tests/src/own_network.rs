//! A network namespace for the length of a closure, and the pins of a node for the length of a scope.

use std::{
    process::{Command, id},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use caslb::dataplane::pins::{self, Pins};
use nix::sched::{CloneFlags, unshare};

/// Runs `act` on a thread in a new network namespace, which is gone afterwards with everything in it. Files, and so the
/// pins, are the host's.
///
/// # Errors
///
/// Without root, or if `act` panics.
pub fn in_own_network<T: Send>(act: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace; is this root?")?;
            Ok(act())
        });
        inside.join().map_err(|_| anyhow!("a thread in a network namespace panicked"))?
    })
}

/// Runs `ip` with these arguments in the network namespace of this thread.
///
/// # Errors
///
/// What `ip` says.
pub fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().context("cannot run ip")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A node of its own, whose pins go with it.
#[derive(Debug)]
pub struct OwnNode(String);

impl OwnNode {
    /// A node that does not exist yet; mounts the BPF file system if need be.
    ///
    /// # Errors
    ///
    /// If the BPF file system cannot be mounted.
    pub fn new() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        static MOUNTED: Once = Once::new();
        // Once, so that two threads do not mount it over each other.
        let mut mounted = Ok(());
        MOUNTED.call_once(|| mounted = pins::mount_bpffs());
        mounted.with_context(|| format!("cannot mount {}", pins::BPFFS))?;
        Ok(Self(format!("t{}-d{}", id(), COUNTER.fetch_add(1, Ordering::Relaxed))))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its pins.
    pub fn pins(&self) -> Pins {
        Pins::new(&self.0)
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        if let Err(error) = self.pins().remove_all() {
            eprintln!("the pins of {} are left: {error}", self.0);
        }
    }
}
