//! Builds the BPF programs and puts the objects where the controller's build script looks for them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::{
    progress::{Step, note},
    toolchain::{TARGET, Toolchain},
    workspace::{Workspace, executables},
};

const PACKAGE: &str = "lb-ebpf";

/// Every BPF instruction has this many bytes; a 64-bit load counts as two, as the kernel counts it.
const INSTRUCTION_BYTES: u64 = 8;

/// Builds every object of the BPF crate into `<target>/bpf/NAME.o`.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<Duration> {
    let step = Step::begin("build the BPF objects");
    let built = executables(&mut command(workspace, toolchain))?;
    if built.is_empty() {
        bail!("{PACKAGE} has no program to build");
    }
    let folder = workspace.target.join("bpf");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for executable in &built {
        let name = executable.file_stem().with_context(|| format!("{} has no name", executable.display()))?;
        let object = folder.join(name).with_extension("o");
        let changed = publish(executable, &object)?;
        note(&format!("{}{}", object.display(), if changed { "" } else { " (unchanged)" }));
        for (program, instructions) in instructions(&object)? {
            note(&format!("  {program}: {instructions} instructions"));
        }
    }
    Ok(step.done("BPF objects built"))
}

fn command(workspace: &Workspace, toolchain: &Toolchain) -> std::process::Command {
    let Toolchain { rustc, linker } = toolchain;
    let mut command = workspace.cargo();
    if !rustc.has_core() {
        if let Some(cargo) = rustc.own_cargo() {
            command = std::process::Command::new(cargo);
            command.current_dir(&workspace.root);
        }
        command.arg("-Zbuild-std=core");
    }
    command.args(["build", "--package", PACKAGE, "--bins", "--release", "--target", TARGET]);
    command.arg("--target-dir").arg(workspace.target.join("bpf-build"));
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", bpf_target_arch()),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
    ];
    // This variable outranks RUSTFLAGS and every configuration file, whose flags are meant for the host.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    command.env("RUSTC", &rustc.path).env_remove("RUSTC_WORKSPACE_WRAPPER");
    // The BPF crates use features that only nightly admits openly.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// The kernel's registers differ by architecture; aya-ebpf picks its bindings by this name.
fn bpf_target_arch() -> &'static str {
    std::env::consts::ARCH
}

/// Copies an object in one step, and only when it differs: its age decides whether the controller is built again.
fn publish(built: &Path, object: &Path) -> Result<bool> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    let partial: PathBuf = object.with_extension("o.partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, object))
        .with_context(|| format!("cannot write {}", object.display()))?;
    Ok(true)
}

/// The functions of an object and their lengths, programs first, in the order of the object.
fn instructions(object: &Path) -> Result<Vec<(String, u64)>> {
    let describe = || format!("cannot read {} as an ELF object", object.display());
    let bytes = fs::read(object).with_context(describe)?;
    let file = object::File::parse(bytes.as_slice()).with_context(describe)?;
    let mut functions = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let section_name = section.name().with_context(describe)?;
        let in_section = |symbol: &object::Symbol<'_, '_>| symbol.section_index() == Some(section.index());
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && in_section(symbol)) {
            let name = symbol.name().with_context(describe)?;
            functions.push((format!("{section_name} {name}"), symbol.size() / INSTRUCTION_BYTES));
        }
    }
    // aya links the functions of `.text` into the programs that call them, and drops the others.
    functions.retain(|(name, _)| !name.starts_with(".text "));
    Ok(functions)
}
