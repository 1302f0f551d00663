//! Where the workspace and its build output are, and how other programs are run from it.

use std::{
    env,
    ffi::OsStr,
    io::IsTerminal,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The checked-out workspace.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's output folder, wherever configuration or `CARGO_TARGET_DIR` put it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo for the workspace this program was built from.
    pub(crate) fn locate() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let metadata = output(cargo().current_dir(package).args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&metadata).context("cannot read the answer of `cargo metadata`")?;
        let folder = |key: &str| {
            let path = metadata.get(key).and_then(Value::as_str);
            path.map(PathBuf::from).with_context(|| format!("`cargo metadata` names no {key}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// Cargo, run in the workspace's root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root);
        command
    }
}

/// The cargo that runs this task, without what it set for this program alone: build scripts that watch such variables
/// would run again whenever `cargo xtask` and plain `cargo` take turns.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    command
}

/// Variables `cargo run` sets for the program it runs; see "Environment variables Cargo sets" in the Cargo book.
fn set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
}

/// Runs a command that says on its own what it does.
pub(crate) fn stream(command: &mut Command) -> Result<()> {
    let program = name(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{} failed ({status})", spelled(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; what it wrote is shown only when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = name(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}):\n{text}{complaint}", spelled(command), output.status);
    }
    Ok(text)
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn spelled(command: &Command) -> String {
    let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    format!("`{} {}`", name(command), words.join(" "))
}

/// A command's path, searched like a shell does, and in the system folders that an ordinary user's PATH lacks.
pub(crate) fn find_command(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// True when this process has the rights of root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Refuses a task that needs root, before anything is built.
pub(crate) fn require_root(task: &str) -> Result<()> {
    if !is_root() {
        bail!(
            "`cargo xtask {task}` loads BPF programs and makes network namespaces: run it as root, for example \
             `sudo -E env \"PATH=$PATH\" cargo xtask {task}`"
        );
    }
    Ok(())
}

/// Options for a build: on a terminal cargo shows how far it is, elsewhere its hundreds of lines would hide the rest.
pub(crate) fn quiet() -> &'static [&'static str] {
    if std::io::stderr().is_terminal() { &[] } else { &["--quiet"] }
}

/// Runs a `cargo build` and returns the programs it made; compiler messages are streamed.
pub(crate) fn executables(command: &mut Command) -> Result<Vec<PathBuf>> {
    command.args(quiet()).arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    let program = name(command);
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{} failed ({})", spelled(command), output.status);
    }
    Ok(executables_in(&String::from_utf8_lossy(&output.stdout)))
}

fn executables_in(messages: &str) -> Vec<PathBuf> {
    let artifact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(artifact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_the_messages_of_cargo() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"executable\":null}\n",
            "{\"reason\":\"compiler-artifact\",\"executable\":\"/target/debug/caslb\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(executables_in(messages), [PathBuf::from("/target/debug/caslb")]);
    }
}
