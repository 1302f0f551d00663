//! Finds a compiler and a linker for BPF, in a fixed order, and says which ones it uses.
//!
//! The rest of the workspace builds with the stable toolchain and never needs either. Nothing here changes a toolchain
//! that the user installed.

mod debian;
mod linker;
mod rustc;

use std::{env, ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use self::{debian::Folder, rustc::Rustc};
use crate::{
    progress::{Step, note},
    workspace::{find_command, output},
};

/// The target of all BPF programs: little-endian, as every host this project supports.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

const RUSTC_VARIABLE: &str = "CASLB_BPF_RUSTC";
const LINKER_VARIABLE: &str = "CASLB_BPF_LINKER";

/// What compiles and links BPF programs.
pub(crate) struct Toolchain {
    pub(crate) rustc: Rustc,
    /// A `bpf-linker`.
    pub(crate) linker: PathBuf,
}

/// The first of these that is complete: what the environment names; Debian's compiler, installed or in the private
/// folder; rustup's nightly with `rust-src`. When there is none, Debian's compiler is put into the private folder.
pub(crate) fn find_or_install() -> Result<Toolchain> {
    let step = Step::begin("look for a BPF toolchain");
    let toolchain = match overridden()? {
        Some(toolchain) => toolchain,
        None => found_or_installed()?,
    };
    let Toolchain { rustc, linker } = &toolchain;
    note(&format!("compiler: {rustc}"));
    note(&format!("linker: {}", linker.display()));
    step.done("BPF toolchain ready");
    Ok(toolchain)
}

fn overridden() -> Result<Option<Toolchain>> {
    let path = |variable: &str| env::var_os(variable).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let linker = path(LINKER_VARIABLE);
    if let Some(linker) = linker.as_ref().filter(|linker| !linker.is_file()) {
        bail!("{LINKER_VARIABLE} names {}, which is not a file; name a bpf-linker or unset it", linker.display());
    }
    match (path(RUSTC_VARIABLE), linker) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            bail!("{LINKER_VARIABLE} is set without {RUSTC_VARIABLE}; set both or neither, they must share one LLVM")
        }
        (Some(rustc), linker) => {
            let rustc = Rustc::ask(&rustc).with_context(|| format!("{RUSTC_VARIABLE} names no usable compiler"))?;
            if !rustc.can_build_core() {
                bail!(
                    "{RUSTC_VARIABLE} names {}, whose sysroot {} has neither `core` for {TARGET} nor the standard \
                     library's source (rust-src)",
                    rustc.path.display(),
                    rustc.sysroot.display()
                );
            }
            let linker = linker.or_else(linker::in_path).with_context(|| {
                format!("{RUSTC_VARIABLE} is set but no bpf-linker is in PATH; name one in {LINKER_VARIABLE}")
            })?;
            Ok(Some(Toolchain { rustc, linker }))
        }
    }
}

fn found_or_installed() -> Result<Toolchain> {
    let folder = Folder::locate()?;
    let debian = debian::installed().or_else(|| folder.rustc());
    if let Some(rustc) = debian
        && let Some(linker) = folder.linker(&rustc).or_else(|| linker::in_path_for(&rustc))
    {
        return Ok(Toolchain { rustc, linker });
    }
    if let Some(toolchain) = nightly() {
        return Ok(toolchain);
    }
    // Looks again before each part: another process may have installed it while this one waited for the lock.
    let _lock = folder.lock()?;
    let rustc = match debian::installed().or_else(|| folder.rustc()) {
        Some(rustc) => rustc,
        None => folder.install_rustc()?,
    };
    let linker = match folder.linker(&rustc) {
        Some(linker) => linker,
        None => folder.install_linker(&rustc)?,
    };
    Ok(Toolchain { rustc, linker })
}

/// rustup's nightly, when it has the standard library's source and a `bpf-linker` is in PATH. Never downloads it.
fn nightly() -> Option<Toolchain> {
    let linker = linker::in_path()?;
    let mut which = Command::new(find_command("rustup")?);
    which.args(["which", "--toolchain=nightly", "rustc"]).env("RUSTUP_AUTO_INSTALL", "0");
    let path = output(&mut which).ok()?;
    let rustc = Rustc::ask(path.trim().as_ref()).ok()?;
    rustc.can_build_core().then_some(Toolchain { rustc, linker })
}
