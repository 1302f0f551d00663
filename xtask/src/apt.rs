//! Debian packages: which are there, and installing or fetching those that are not.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    progress::note,
    workspace::{find_command, is_root, output},
};

/// The package manager of a Debian machine.
pub(crate) struct Apt {
    apt_get: PathBuf,
    apt_cache: PathBuf,
}

impl Apt {
    /// None on machines without `apt-get` and `apt-cache`.
    pub(crate) fn find() -> Option<Self> {
        Some(Self { apt_get: find_command("apt-get")?, apt_cache: find_command("apt-cache")? })
    }

    /// Installs those of `packages` that are missing. Without root it says what to run instead.
    pub(crate) fn ensure(&self, packages: &[&str]) -> Result<()> {
        let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.join(" ");
        if !is_root() {
            bail!(
                "Debian packages are missing; as root run `apt-get update && apt-get install --no-install-recommends \
                 {names}`, then repeat this command"
            );
        }
        if !missing.iter().all(|package| self.knows(package)) {
            self.update();
        }
        note(&format!("installing Debian packages: {names}"));
        let install = || {
            let mut command = self.command();
            command.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
            output(&mut command)
        };
        install().or_else(|_| {
            self.update();
            install()
        })?;
        Ok(())
    }

    /// Downloads packages into a folder without installing them.
    pub(crate) fn download(&self, packages: &[&str], folder: &Path) -> Result<()> {
        let fetch = || {
            let mut command = self.command();
            // Apt's own user may not write to a private folder; saying so avoids a warning.
            command.current_dir(folder).args(["-o", "APT::Sandbox::User=root", "download"]).args(packages);
            output(&mut command)
        };
        fetch().or_else(|error| {
            if is_root() {
                self.update();
                fetch()
            } else {
                Err(error)
            }
        })?;
        Ok(())
    }

    /// True when the package lists name a version of `package` that could be installed.
    pub(crate) fn knows(&self, package: &str) -> bool {
        let policy = self.ask("policy", package);
        policy.is_ok_and(|policy| has_candidate(&policy))
    }

    /// The packages that `package` depends on.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let text = self.ask("depends", package)?;
        Ok(dependencies_in(&text).map(str::to_owned).collect())
    }

    fn ask(&self, question: &str, package: &str) -> Result<String> {
        output(Command::new(&self.apt_cache).env("LC_ALL", "C").args([question, package]))
    }

    /// Refreshes the package lists. One broken source of many is no reason to stop: the step that follows will tell.
    pub(crate) fn update(&self) {
        note("refreshing the Debian package lists");
        if let Err(error) = output(self.command().arg("update")) {
            note(&format!("warning: {error:#}"));
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.apt_get);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command.args(["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]);
        command
    }
}

/// Unpacks a package file into a folder; runs none of its scripts.
pub(crate) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder))
        .with_context(|| format!("cannot unpack {}", package.display()))?;
    Ok(())
}

/// True when dpkg has `package` fully installed.
pub(crate) fn is_installed(package: &str) -> bool {
    let status = output(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status} ", package]));
    status.is_ok_and(|status| status.split_whitespace().any(|word| word == "installed"))
}

fn has_candidate(policy: &str) -> bool {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
    candidate.is_some_and(|version| version.trim() != "(none)")
}

fn dependencies_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("Depends:")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_apt_cache() {
        let text = "libstd-rust-web-1.96\n  Depends: libc6\n  Depends: libllvm22\n  Conflicts: <rustup>\n";
        assert_eq!(dependencies_in(text).collect::<Vec<_>>(), ["libc6", "libllvm22"]);
    }

    #[test]
    fn a_package_without_candidate_is_unknown() {
        assert!(has_candidate("rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n"));
        assert!(!has_candidate("rustc-web:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }
}
