//! The harness' own XDP programs, attached to devices in namespaces.
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{Xdp, XdpMode};

use crate::netns::Namespace;

/// One of the harness' programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Passes every frame: for the peer of a veth device that sends by `XDP_TX` or redirect.
    Pass,
    /// Sends every frame back where it came from.
    Bounce,
}

/// An attached program. It detaches when dropped.
#[derive(Debug)]
pub struct Attached {
    _link: FdLink,
}

impl Attached {
    /// Attaches `program` in driver mode to `device` in `namespace`.
    ///
    /// # Errors
    ///
    /// Without the harness' BPF object, or if the kernel does not take the program.
    pub fn new(namespace: &Namespace, device: &str, program: Program) -> Result<Self> {
        let index = namespace.device_index(device)?;
        let name = match program {
            Program::Pass => "pass",
            Program::Bounce => "bounce",
        };
        let object = object()?;
        let mut loaded = Ebpf::load_file(&object).with_context(|| format!("cannot load {}", object.display()))?;
        let found = loaded.program_mut(name).with_context(|| format!("no program {name} in {}", object.display()))?;
        let xdp: &mut Xdp = found.try_into()?;
        xdp.load()?;
        // Inside, because the kernel looks the index up in the namespace of the calling thread.
        let link = namespace
            .enter(|| xdp.attach_to_if_index(index, XdpMode::Driver))?
            .and_then(|id| xdp.take_link(id))
            .with_context(|| format!("cannot attach {name} to {device} in {}", namespace.name()))?;
        // aya quietly attaches by netlink where the kernel refuses a link; that would stay attached.
        let link = FdLink::try_from(link).with_context(|| format!("no BPF link for {device}"))?;
        Ok(Self { _link: link })
    }
}

/// `bpf/harness.o` in the target folder that this program was built into.
pub(crate) fn object() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors()
        .map(|folder| folder.join("bpf/harness.o"))
        .find(|object| object.is_file())
        .ok_or_else(|| anyhow!("no bpf/harness.o above {}: run cargo xtask build-ebpf", own.display()))
}
