//! Embeds the BPF object that `cargo xtask build-ebpf` made, when there is one.
//!
//! Plain `cargo build` works without a BPF toolchain: the binary is then built without the object and says so when run.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Names the object explicitly; it must then exist.
const VARIABLE: &str = "CASLB_BPF_OBJECT";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bpf_object)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if let Err(message) = embed() {
        println!("cargo::error={message}");
    }
}

fn embed() -> Result<(), String> {
    let out_dir = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or("OUT_DIR is not set; run this by cargo")?;
    let object = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(path) => Some(named(PathBuf::from(path))?),
        None => built(&out_dir)?,
    };
    let Some(object) = object else { return Ok(()) };
    println!("cargo::rerun-if-changed={}", object.display());
    // A copy: the compiler may read it after the original has been replaced.
    let copy = out_dir.join("bpf_object");
    fs::copy(&object, &copy)
        .map_err(|error| format!("cannot copy {}: {error}", object.display()))?;
    println!("cargo::rustc-cfg=bpf_object");
    println!(
        "cargo::rustc-env=CASLB_EMBEDDED_BPF_OBJECT={}",
        copy.display()
    );
    Ok(())
}

fn named(object: PathBuf) -> Result<PathBuf, String> {
    if object.is_relative() {
        return Err(format!(
            "{VARIABLE} is `{}`; give an absolute path",
            object.display()
        ));
    }
    if !object.is_file() {
        return Err(format!(
            "{VARIABLE} names {}, which is not a file; correct or unset it",
            object.display()
        ));
    }
    Ok(object)
}

/// The object in cargo's output folder. While there is none the folder is watched, and made so that it can be: cargo
/// takes a missing file for a changed one and would build this crate again each time.
fn built(out_dir: &Path) -> Result<Option<PathBuf>, String> {
    let Some(target) = target_folder(out_dir) else {
        return Ok(None);
    };
    let folder = target.join("bpf");
    let object = folder.join("caslb.o");
    if object.is_file() {
        return Ok(Some(object));
    }
    if !folder.exists() {
        make_old(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(None)
}

/// Makes a folder that does not look newer than this build, or the next one would take it for changed.
fn make_old(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH)
}

/// `OUT_DIR` is `<target>/[TRIPLE/]PROFILE/build/…/out`.
fn target_folder(out_dir: &Path) -> Option<PathBuf> {
    let build = out_dir
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "build"))?;
    let folder = build.parent()?.parent()?;
    let cross = env::var_os("TARGET").is_some_and(|triple| folder.file_name() == Some(&triple));
    let target = if cross { folder.parent()? } else { folder };
    Some(target.to_owned())
}
