//! A node that a test drives through the library instead of the binary: its name and its pins.

use std::sync::{
    Once,
    atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use caslb::dataplane::pins::{self, Pins};

use crate::leftovers::{self, Thing};

/// A node of its own, named like those of [`Caslb`](crate::caslb::Caslb), whose pins go with it.
#[derive(Debug)]
pub struct OwnNode(String);

impl OwnNode {
    /// A node that does not exist yet; mounts the BPF file system if need be.
    ///
    /// # Errors
    ///
    /// Without root, or if the BPF file system cannot be mounted.
    pub fn new() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        static MOUNT: Once = Once::new();
        // Once, so that two threads do not mount it over each other.
        let mut mounted = Ok(());
        MOUNT.call_once(|| mounted = pins::mount_bpffs());
        mounted.with_context(|| format!("cannot mount {}", pins::BPFFS))?;
        let name = format!("t{}-own{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        leftovers::claim(Thing::Node(name.clone()))?;
        Ok(Self(name))
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
        if let Err(error) = leftovers::release(&Thing::Node(self.0.clone())) {
            eprintln!("the pins of {} are left: {error:#}", self.0);
        }
    }
}
