//! A compiler, and what it says about itself.

use std::{
    fmt::{self, Display},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::TARGET;
use crate::workspace::output;

/// A compiler that was asked about itself and answered.
pub(crate) struct Rustc {
    pub(crate) path: PathBuf,
    pub(crate) sysroot: PathBuf,
    /// The release, such as `1.96.0`.
    version: String,
    /// The first number of the LLVM it writes bitcode with; the linker must have the same.
    pub(super) llvm: u32,
}

impl Rustc {
    /// Runs a compiler to learn its version and sysroot; fails when it does not run.
    pub(super) fn ask(path: &Path) -> Result<Self> {
        let about = output(Command::new(path).arg("--version").arg("--verbose"))?;
        let version = field(&about, "release:").unwrap_or("of unknown release").to_owned();
        let llvm = llvm_major(&about).with_context(|| format!("{} does not name its LLVM", path.display()))?;
        let sysroot = output(Command::new(path).args(["--print", "sysroot"]))?;
        Ok(Self { path: path.to_owned(), sysroot: sysroot.trim().into(), version, llvm })
    }

    /// True when `core` for BPF comes compiled with it.
    pub(crate) fn has_core(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// True when `core` is there or can be built from source.
    pub(super) fn can_build_core(&self) -> bool {
        self.has_core() || self.sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
    }

    /// The cargo of the same toolchain, which `-Z build-std` needs; None when it came without one.
    pub(crate) fn own_cargo(&self) -> Option<PathBuf> {
        let cargo = self.sysroot.join("bin/cargo");
        cargo.is_file().then_some(cargo)
    }
}

impl Display for Rustc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, sysroot: _, version, llvm } = self;
        let core = if self.has_core() { "comes with" } else { "builds" };
        write!(f, "{} (rustc {version}, LLVM {llvm}, {core} core for {TARGET})", path.display())
    }
}

fn llvm_major(about: &str) -> Option<u32> {
    field(about, "LLVM version:")?.split('.').next()?.parse().ok()
}

fn field<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    about.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_version_is_read_from_the_verbose_version() {
        assert_eq!(llvm_major("rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
