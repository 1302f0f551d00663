//! What building and testing need from the machine besides Rust and the BPF toolchain.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    apt::Apt,
    progress::Step,
    workspace::{find_command, output},
};

/// Something that must be there, and the Debian package that brings it.
struct Need {
    package: &'static str,
    /// What it is for, as a user would ask.
    purpose: &'static str,
    /// Finds it whether or not a package put it there.
    present: fn() -> bool,
}

const NEEDS: [Need; 4] = [
    Need { package: "make", purpose: "building OpenSSL", present: || find_command("make").is_some() },
    Need { package: "perl", purpose: "configuring OpenSSL", present: has_perl_modules },
    Need { package: "iproute2", purpose: "laying out test networks", present: || find_command("ip").is_some() },
    Need { package: "ethtool", purpose: "setting up test NICs", present: || find_command("ethtool").is_some() },
];

/// Debian's `perl-base`, which is always installed, has a `perl` without the modules that OpenSSL's `Configure` uses.
fn has_perl_modules() -> bool {
    output(Command::new("perl").args(["-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-e", "1"])).is_ok()
}

/// Installs what is missing.
pub(crate) fn ensure() -> Result<()> {
    let step = Step::begin("look for the programs that building and testing need");
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        step.done("all there");
        return Ok(());
    }
    let list: Vec<_> = missing.iter().map(|need| format!("{} ({})", need.package, need.purpose)).collect();
    let list = list.join(", ");
    let Some(apt) = Apt::find() else {
        bail!("missing: {list}; this machine has no apt-get, install them with its own package manager");
    };
    apt.ensure(&missing.iter().map(|need| need.package).collect::<Vec<_>>())?;
    step.done(&format!("installed {list}"));
    Ok(())
}
