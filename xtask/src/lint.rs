//! Formatting, clippy, and the dependencies' licences and sources.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{
    progress::Step,
    workspace::{Workspace, find_command, quiet, stream},
};

/// Runs all lints; `deny` makes cargo-deny compulsory.
///
/// Advisories are left to `cargo deny check advisories`: they change with the day, not with the code, and need the
/// network.
pub(crate) fn run(workspace: &Workspace, deny: bool) -> Result<ExitCode> {
    let step = Step::begin("check the formatting");
    stream(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    step.done("formatted");

    let step = Step::begin("run clippy");
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--all-targets"]).args(quiet());
    stream(clippy.args(["--", "--deny=warnings"]))?;
    step.done("clippy is content");

    let step = Step::begin("check the dependencies' licences and sources");
    if find_command("cargo-deny").is_some() {
        stream(workspace.cargo().args(["deny", "--log-level=error", "check", "bans", "licenses", "sources"]))?;
        step.done("cargo-deny is content");
    } else if deny {
        bail!("cargo-deny is not installed; run `cargo install cargo-deny --locked`");
    } else {
        step.done("not checked: cargo-deny is not installed");
    }
    Ok(ExitCode::SUCCESS)
}
