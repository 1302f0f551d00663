//! The program on its NICs: attached by link, the links pinned, so that they outlive the controller.

use std::{collections::BTreeMap, fs, io};

use aya::programs::{
    ProgramError as AyaError, XdpMode as AttachMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use thiserror::Error;
use tracing::{info, warn};

use super::{
    log::LogStream,
    pins::{MapSet, Pins},
    program::{Constants, Program, ProgramError},
    sizing::Sizes,
};
use crate::{config::deployment::XdpMode, controller::target::NicTarget};

/// Why the program could not be put on a NIC.
#[derive(Debug, Error)]
pub enum AttachError {
    /// Loading failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Another XDP program is there.
    #[error(
        "another XDP program is attached to {nic}: remove it (`ip link set dev {nic} xdp off`, or stop the program that \
         owns it) and start caslb again"
    )]
    Busy {
        /// The NIC.
        nic: String,
    },
    /// The kernel can't attach by link.
    #[error("the kernel cannot attach XDP programs to {nic} by link: caslb needs Linux 5.15 or later")]
    NoLinks {
        /// The NIC.
        nic: String,
    },
    /// The kernel refused.
    #[error("the XDP program cannot be attached to {nic} in {mode} mode: {reason}")]
    Attach {
        /// The NIC.
        nic: String,
        /// `driver` or `generic`.
        mode: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// Pinning or unpinning failed.
    #[error("the link of {nic} cannot be pinned under {}: {reason}", super::pins::BPFFS)]
    Pin {
        /// The NIC.
        nic: String,
        /// What went wrong.
        reason: String,
    },
}

/// What was put on a NIC.
struct Attached {
    constants: Constants,
    set: MapSet,
    _log: Option<LogStream>,
}

/// The NICs of one node.
pub(super) struct Nics {
    pins: Pins,
    attached: BTreeMap<String, Attached>,
}

impl Nics {
    pub(super) fn new(pins: Pins) -> Self {
        Self { pins, attached: BTreeMap::new() }
    }

    /// Puts the program, loaded against `set`, on these NICs. Where one is attached already, it is replaced atomically,
    /// and left alone when nothing about it changed. A NIC that refuses does not keep the others from being tried; the
    /// first refusal is returned.
    pub(super) fn attach(
        &mut self,
        set: &MapSet,
        sizes: &Sizes,
        mode: XdpMode,
        nics: &[NicTarget],
        constants: impl Fn(&NicTarget) -> Constants,
    ) -> Result<(), AttachError> {
        let mut refusal = Ok(());
        for nic in nics {
            let constants = constants(nic);
            let same = |there: &Attached| there.constants == constants && there.set == *set;
            if self.attached.get(&nic.name).is_some_and(same) {
                continue;
            }
            let attached = self.load_and_attach(set, sizes, mode, nic, constants);
            refusal = refusal.and(attached);
        }
        refusal
    }

    fn load_and_attach(
        &mut self,
        set: &MapSet,
        sizes: &Sizes,
        mode: XdpMode,
        nic: &NicTarget,
        constants: Constants,
    ) -> Result<(), AttachError> {
        let mut program = Program::load(set, sizes, &constants)?;
        let log = if constants.log { LogStream::start(program.ebpf(), &nic.name) } else { None };
        self.attach_one(&mut program, nic, mode)?;
        // The pinned link holds the program from here on.
        self.attached.insert(nic.name.clone(), Attached { constants, set: set.clone(), _log: log });
        Ok(())
    }

    /// Takes the program off all NICs but these.
    pub(super) fn detach_others(&mut self, nics: &[NicTarget]) -> Result<(), AttachError> {
        let linked = self.pins.linked_nics().map_err(|error| pin_error("the NICs", &error))?;
        self.detach(linked.into_iter().filter(|linked| nics.iter().all(|nic| nic.name != *linked)))
    }

    /// Takes the program off these NICs.
    pub(super) fn detach(&mut self, nics: impl Iterator<Item = String>) -> Result<(), AttachError> {
        for nic in nics {
            self.pins.remove_link(&nic).map_err(|error| pin_error(&nic, &error))?;
            self.attached.remove(&nic);
            info!(nic, "detached");
        }
        Ok(())
    }

    /// NICs whose program was loaded against `set`, which is forgotten: another set may come to have its name.
    pub(super) fn forget(&mut self, set: &MapSet) -> Vec<NicTarget> {
        let on_it = self.attached.extract_if(.., |_, there| there.set == *set);
        let nic = |(name, there): (String, Attached)| {
            let Constants { ifindex, mac, .. } = there.constants;
            NicTarget { name, ifindex, mac }
        };
        on_it.map(nic).collect()
    }

    fn attach_one(&self, program: &mut Program, nic: &NicTarget, mode: XdpMode) -> Result<(), AttachError> {
        let path = self.pins.link(&nic.name);
        if path.exists() {
            match replace(program, &path) {
                Ok(()) => {
                    info!(nic = nic.name, "replaced the XDP program");
                    return Ok(());
                }
                // The NIC the link belonged to is gone; one of the same name may have come since.
                Err(error) if os_error(&error) == Some(libc::ENOLINK) => {
                    fs::remove_file(&path).map_err(|error| pin_error(&nic.name, &error))?;
                    warn!(nic = nic.name, "the link belonged to a NIC that is gone; attaching anew");
                }
                Err(error) => return Err(refused(nic, "its present", &error)),
            }
        }
        let modes: &[(AttachMode, &str)] = match mode {
            XdpMode::Auto => &[(AttachMode::Driver, "driver"), (AttachMode::Skb, "generic")],
            XdpMode::Driver => &[(AttachMode::Driver, "driver")],
            XdpMode::Generic => &[(AttachMode::Skb, "generic")],
        };
        let mut refusal = None;
        for &(mode, name) in modes {
            match create(program, nic, mode) {
                Ok(link) => {
                    fs::create_dir_all(self.pins.links()).map_err(|error| pin_error(&nic.name, &error))?;
                    link.pin(&path).map_err(|error| pin_error(&nic.name, &error))?;
                    if let Some(refusal) = refusal {
                        warn!(
                            nic = nic.name,
                            "the driver cannot run XDP ({refusal}); using generic mode, which costs several times as \
                             much per packet"
                        );
                    }
                    info!(nic = nic.name, mode = name, "attached");
                    return Ok(());
                }
                // The latter when it is attached in the other mode.
                Err(Creation::Kernel(error)) if matches!(os_error(&error), Some(libc::EBUSY | libc::EEXIST)) => {
                    return Err(AttachError::Busy { nic: nic.name.clone() });
                }
                Err(Creation::Kernel(error)) => refusal = Some(refused(nic, name, &error)),
                Err(Creation::NotALink) => {
                    return Err(AttachError::NoLinks { nic: nic.name.clone() });
                }
                Err(Creation::Program(error)) => return Err(error.into()),
            }
        }
        Err(refusal.unwrap_or_else(|| AttachError::NoLinks { nic: nic.name.clone() }))
    }
}

enum Creation {
    Program(ProgramError),
    Kernel(AyaError),
    NotALink,
}

/// Attaches by a new link. aya falls back to netlink when the kernel does not take the link, and what is attached by
/// netlink dies with us: that is refused here.
fn create(program: &mut Program, nic: &NicTarget, mode: AttachMode) -> Result<FdLink, Creation> {
    let xdp = program.xdp().map_err(Creation::Program)?;
    let id = xdp.attach_to_if_index(nic.ifindex, mode).map_err(Creation::Kernel)?;
    let link = xdp.take_link(id).map_err(Creation::Kernel)?;
    FdLink::try_from(link).map_err(|_| Creation::NotALink)
}

fn replace(program: &mut Program, path: &std::path::Path) -> Result<(), AyaError> {
    let link = FdLink::from(PinnedLink::from_pin(path).map_err(link_error)?);
    let link = XdpLink::try_from(link).map_err(link_error)?;
    let xdp = program.xdp().map_err(|error| AyaError::IOError(io::Error::other(error)))?;
    xdp.attach_to_link(link).map(drop)
}

fn link_error(error: aya::programs::links::LinkError) -> AyaError {
    match error {
        aya::programs::links::LinkError::SyscallError(error) => error.into(),
        other => AyaError::IOError(io::Error::other(other)),
    }
}

fn os_error(error: &AyaError) -> Option<i32> {
    match error {
        AyaError::SyscallError(error) => error.io_error.raw_os_error(),
        AyaError::IOError(error) => error.raw_os_error(),
        _ => None,
    }
}

fn refused(nic: &NicTarget, mode: &'static str, error: &AyaError) -> AttachError {
    let reason = match os_error(error) {
        Some(libc::EOPNOTSUPP) => "its driver has no XDP support".to_owned(),
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    };
    AttachError::Attach { nic: nic.name.clone(), mode, reason }
}

fn pin_error(nic: &str, error: &impl std::fmt::Display) -> AttachError {
    AttachError::Pin { nic: nic.to_owned(), reason: error.to_string() }
}
