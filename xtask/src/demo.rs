//! Builds everything and turns into the demonstration.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result};

use crate::{
    ebpf, needs,
    progress::{Step, note, seconds},
    toolchain,
    workspace::{Workspace, executables, require_root},
};

const PACKAGE: &str = "caslb-tests";
const PROGRAM: &str = "caslb-demo";

/// Sets up, builds and runs the demonstration with `arguments`. Returns only when something fails before it starts:
/// this process becomes the demonstration, so that signals reach it and its exit status is the caller's.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    require_root("demo")?;
    let started = Instant::now();
    needs::ensure()?;
    let toolchain = toolchain::find_or_install()?;
    ebpf::build(workspace, &toolchain)?;

    let step = Step::begin("build the controller and the demonstration");
    let mut build = workspace.cargo();
    build.args(["build", "--package", "lb-userspace", "--package", PACKAGE, "--bins"]);
    let built = executables(&mut build)?;
    let program = built.into_iter().find(|path| path.file_name().is_some_and(|name| name == PROGRAM));
    let program = program.with_context(|| format!("{PACKAGE} has no program {PROGRAM}"))?;
    step.done("built");

    note(&format!("ready to run after {}", seconds(started.elapsed())));
    let error = Command::new(&program).args(arguments).current_dir(&workspace.root).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
