//! Debian's BPF-capable compiler, installed by an administrator or unpacked into a private folder, and a `bpf-linker`
//! built for it.
//!
//! Debian's `rustc-web` packages carry `core` for BPF, so neither nightly nor `-Z build-std` is needed. Installing them
//! would remove Debian's `rustup` package, which they conflict with; unpacking them into a folder touches nothing else
//! and needs no root.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{linker, rustc::Rustc};
use crate::{
    apt::{self, Apt},
    progress::note,
    workspace::{cargo, output, stream},
};

const BPF_LINKER_VERSION: &str = "0.13.0";

/// The LLVM versions that this bpf-linker has features for.
const BPF_LINKER_LLVMS: [u32; 3] = [21, 22, 23];

/// The compiler, its standard library (for build scripts and procedural macros) and `core` for BPF. The package with
/// the compiler proper has the version in its name and is found as a dependency.
const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev-bpf"];

const COMPILER_PREFIX: &str = "libstd-rust-web-";
const LLVM_PREFIX: &str = "libllvm";

const WITHOUT_DEBIAN: &str = "no BPF toolchain found, and Debian's `rustc-web` packages are not available here; install \
    one with `rustup toolchain install nightly --component rust-src` and a bpf-linker in PATH, or name them in \
    CASLB_BPF_RUSTC and CASLB_BPF_LINKER";

/// Debian's packages, installed for the whole machine.
pub(super) fn installed() -> Option<Rustc> {
    Rustc::ask(Path::new("/usr/bin/rustc")).ok().filter(Rustc::has_core)
}

/// The private folder. A part of it that is there is complete: each is made under another name and then renamed.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// `caslb/bpf-toolchain` in the user's cache folder.
    pub(super) fn locate() -> Result<Self> {
        let variable = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        let cache =
            cache.context("neither XDG_CACHE_HOME nor HOME is set; set one, the BPF toolchain is kept there")?;
        Ok(Self { path: cache.join("caslb/bpf-toolchain") })
    }

    /// The unpacked compiler, when it is there and runs.
    pub(super) fn rustc(&self) -> Option<Rustc> {
        Rustc::ask(&self.rustc_wrapper()).ok().filter(Rustc::has_core)
    }

    /// The linker built for this compiler, when it is there and runs.
    pub(super) fn linker(&self, rustc: &Rustc) -> Option<PathBuf> {
        let linker = self.linker_root(rustc).join("bin/bpf-linker");
        output(Command::new(&linker).arg("--version")).is_ok().then_some(linker)
    }

    /// Waits for other processes that install into this folder. The lock is released when the file is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        let describe = || format!("cannot lock {}", self.path.display());
        fs::create_dir_all(&self.path).with_context(describe)?;
        let file = File::create(self.path.join("lock")).with_context(describe)?;
        if file.try_lock().is_err() {
            note("waiting for another set-up to finish");
            file.lock().with_context(describe)?;
        }
        Ok(file)
    }

    /// Downloads and unpacks Debian's compiler, and installs the LLVM library it is linked with.
    pub(super) fn install_rustc(&self) -> Result<Rustc> {
        let apt = Apt::find().context(WITHOUT_DEBIAN)?;
        if !PACKAGES.iter().all(|package| apt.knows(package)) {
            if crate::workspace::is_root() {
                apt.update();
            }
            if !PACKAGES.iter().all(|package| apt.knows(package)) {
                bail!("{WITHOUT_DEBIAN}; if this is Debian, `apt-get update` as root may be all that is missing");
            }
        }
        let compiler = dependency(&apt, "libstd-rust-web-dev", COMPILER_PREFIX)?;
        let llvm = dependency(&apt, &compiler, LLVM_PREFIX)?;
        apt.ensure(&[llvm.as_str()])?;

        let packages: Vec<&str> = PACKAGES.into_iter().chain([compiler.as_str()]).collect();
        let folder = self.path.join("rust");
        note(&format!("downloading {} and unpacking them into {}", packages.join(", "), folder.display()));
        let partial = fresh(&self.path.join("rust.partial"))?;
        apt.download(&packages, &partial)?;
        for file in files_ending(&partial, ".deb")? {
            apt::unpack(&file, &partial)?;
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        write_wrapper(&partial.join("rustc"), &folder)?;
        replace(&partial, &folder)?;
        Rustc::ask(&self.rustc_wrapper()).context("the compiler unpacked from Debian's packages does not run")
    }

    /// Builds bpf-linker against the LLVM library that `rustc` is linked with: both must read the same bitcode.
    pub(super) fn install_linker(&self, rustc: &Rustc) -> Result<PathBuf> {
        let llvm = rustc.llvm;
        if !BPF_LINKER_LLVMS.contains(&llvm) {
            bail!(
                "{rustc}: bpf-linker {BPF_LINKER_VERSION} supports LLVM {BPF_LINKER_LLVMS:?} only; name another \
                 compiler in CASLB_BPF_RUSTC and its linker in CASLB_BPF_LINKER"
            );
        }
        let prefix = self.llvm_prefix(llvm)?;
        let root = self.linker_root(rustc);
        note(&format!("compiling bpf-linker {BPF_LINKER_VERSION} into {} (about a minute)", root.display()));
        let partial = fresh(&self.path.join("linker.partial"))?;
        let build = fresh(&self.path.join("linker.build"))?;
        let mut command = cargo();
        command.current_dir(&self.path).args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked"]);
        command.args([
            "--quiet",
            "--no-track",
            "--no-default-features",
            "--features",
            &format!("llvm-{llvm}"),
            "--root",
        ]);
        command.arg(&partial).env("LLVM_PREFIX", prefix).env("CARGO_TARGET_DIR", &build);
        // Cargo says that the folder is not in PATH; nobody needs it there.
        command.env("PATH", with_path(&partial.join("bin"))?);
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_INSTALL_ROOT"] {
            command.env_remove(variable);
        }
        stream(&mut command)?;
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        linker::links(rustc, &partial.join("bin/bpf-linker")).context("the bpf-linker just built does not link")?;
        replace(&partial, &root)?;
        Ok(root.join("bin/bpf-linker"))
    }

    fn rustc_wrapper(&self) -> PathBuf {
        self.path.join("rust/rustc")
    }

    fn linker_root(&self, rustc: &Rustc) -> PathBuf {
        self.path.join(format!("bpf-linker-{BPF_LINKER_VERSION}-llvm-{}", rustc.llvm))
    }

    /// A folder laid out as bpf-linker's build wants LLVM: it links the shared library and needs no header, so the
    /// runtime package alone will do instead of LLVM's 700 MB of development packages.
    fn llvm_prefix(&self, major: u32) -> Result<PathBuf> {
        Apt::find().context(WITHOUT_DEBIAN)?.ensure(&[format!("{LLVM_PREFIX}{major}").as_str()])?;
        let libraries = library_folder();
        let library = files_starting(&libraries, &format!("libLLVM.so.{major}."))?.into_iter().next();
        let library =
            library.with_context(|| format!("{LLVM_PREFIX}{major} has no library in {}", libraries.display()))?;
        let prefix = fresh(&self.path.join(format!("llvm-{major}")))?;
        let link = prefix.join("lib/libLLVM.so");
        fs::create_dir(prefix.join("lib"))
            .and_then(|()| symlink(&library, &link))
            .with_context(|| format!("cannot make {}", link.display()))?;
        Ok(prefix)
    }
}

/// Debian's folder of shared libraries for this machine.
fn library_folder() -> PathBuf {
    Path::new("/usr/lib").join(format!("{}-linux-gnu", env::consts::ARCH))
}

/// The one dependency of `package` whose name is `prefix` and a version.
fn dependency(apt: &Apt, package: &str, prefix: &str) -> Result<String> {
    let versioned = |name: &String| {
        name.strip_prefix(prefix).is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
    };
    let found = apt.dependencies(package)?.into_iter().find(versioned);
    found.with_context(|| format!("Debian's {package} depends on no {prefix}*; {WITHOUT_DEBIAN}"))
}

/// Debian's compiler looks for its own library in the system's folder only.
fn write_wrapper(wrapper: &Path, folder: &Path) -> Result<()> {
    let libraries = folder.join(library_folder().strip_prefix("/").context("a library folder without root")?);
    let rustc = folder.join("usr/bin/rustc");
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let script = format!("#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n", quoted(&libraries), quoted(&rustc));
    fs::write(wrapper, script)
        .and_then(|()| fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", wrapper.display()))
}

/// PATH with one more folder at its end.
fn with_path(folder: &Path) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain([folder.to_owned()])).context("cannot extend PATH")
}

/// An empty folder, whatever an interrupted set-up left there.
fn fresh(folder: &Path) -> Result<PathBuf> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_owned())
}

/// Puts a finished folder in its place; what was there does not run any more.
fn replace(finished: &Path, place: &Path) -> Result<()> {
    remove(place)?;
    fs::rename(finished, place).with_context(|| format!("cannot move {} into place", finished.display()))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

fn files_ending(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    files(folder, |name| name.ends_with(end))
}

fn files_starting(folder: &Path, start: &str) -> Result<Vec<PathBuf>> {
    files(folder, |name| name.starts_with(start))
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
