//! A `bpf-linker` that somebody else installed, and whether it fits a compiler.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{TARGET, rustc::Rustc};
use crate::workspace::{find_command, output};

/// The least that links: a program without code.
const EMPTY_PROGRAM: &str = "#![no_std]\n#![no_main]\n\
    #[panic_handler]\nfn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }\n";

/// A `bpf-linker` in PATH, whatever its LLVM.
pub(super) fn in_path() -> Option<PathBuf> {
    find_command("bpf-linker")
}

/// A `bpf-linker` in PATH that links what `rustc` compiles. Its version does not name its LLVM, so it is tried.
pub(super) fn in_path_for(rustc: &Rustc) -> Option<PathBuf> {
    in_path().filter(|linker| links(rustc, linker).is_ok())
}

/// Compiles and links an empty program; the error has what compiler and linker said.
pub(super) fn links(rustc: &Rustc, linker: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("caslb-linker-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcome = link_empty_program(rustc, linker, &folder);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    outcome
}

fn link_empty_program(rustc: &Rustc, linker: &Path, folder: &Path) -> Result<()> {
    let source = folder.join("empty.rs");
    fs::write(&source, EMPTY_PROGRAM).with_context(|| format!("cannot write {}", source.display()))?;
    let mut command = Command::new(&rustc.path);
    command.args(["--edition=2024", "--crate-type=bin", "-Copt-level=3", "--target", TARGET]);
    command.arg(format!("-Clinker={}", linker.display())).arg("-o").arg(folder.join("empty.o")).arg(&source);
    output(&mut command)?;
    Ok(())
}
