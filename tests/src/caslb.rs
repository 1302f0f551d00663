//! The real `caslb` binary as a process in a namespace: started, asked, stopped, killed, and cleaned up after.
//!
//! Only what an operator can do is done here; what the answers must be is for the tests to say.
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::leftovers::{self, Thing};
use crate::netns::Namespace;
use crate::process::{self, Child};
use crate::wait;

/// Time to answer `status` after a start: loading the program and building its tables included, on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Time to end after SIGTERM.
const STOP: Duration = Duration::from_secs(10);

/// A node: its config, its controller if it runs, and everything it leaves in the kernel. On drop the controller is stopped
/// and the node detached.
#[derive(Debug)]
pub struct Caslb {
    binary: PathBuf,
    namespace: Namespace,
    node: String,
    folder: TempDir,
    process: Option<Child>,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that succeeded.
    pub fn success(&self) -> Result<&str> {
        ensure!(self.code == Some(0), "exit status {:?}: {}", self.code, self.stderr.trim());
        Ok(&self.stdout)
    }

    /// The same, read as JSON.
    pub fn json(&self) -> Result<Value> {
        let text = self.success()?;
        serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
    }
}

impl Caslb {
    /// Makes a node with a name of its own in `namespace`; `config` gets that name and returns the config file's text, in
    /// which `[node]` must have it. Starts the controller and waits until it answers.
    pub fn start(namespace: &Namespace, config: impl FnOnce(&str) -> String) -> Result<Self> {
        let mut caslb = Self::prepare(namespace, config)?;
        caslb.run(&[])?;
        Ok(caslb)
    }

    /// Like [`Caslb::start`], but does not start the controller.
    pub fn prepare(namespace: &Namespace, config: impl FnOnce(&str) -> String) -> Result<Self> {
        Self::with_binary(binary()?, namespace, config)
    }

    /// Like [`Caslb::prepare`], with another binary: an older release, or one that is broken on purpose.
    pub fn with_binary(binary: PathBuf, namespace: &Namespace, config: impl FnOnce(&str) -> String) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let node =
            format!("{}{}-{}", leftovers::NODE_PREFIX, std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        leftovers::claim(Thing::Node(node.clone()))?;
        let folder = leftovers::temporary_folder()?;
        let caslb = Self { binary, namespace: namespace.clone(), node, folder, process: None };
        let config = config(&caslb.node);
        caslb.write_config(&config)?;
        Ok(caslb)
    }

    /// Name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Path of the config file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("caslb.toml")
    }

    /// Replaces the config file. The controller reads it on the next start or reload.
    pub fn write_config(&self, text: &str) -> Result<()> {
        ensure!(text.contains(&self.node), "the config does not name node {}: it would get in others' way", self.node);
        let path = self.config();
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Starts the controller, with `arguments` after `caslb run --config F`, and waits until it answers `status`.
    ///
    /// # Errors
    ///
    /// If it ends or does not answer; the message holds its log.
    pub fn run(&mut self, arguments: &[&str]) -> Result<()> {
        self.launch(arguments)?;
        wait::until("an answer to caslb status", START, || {
            if let Some(status) = self.process.as_mut().context("it does not run")?.try_wait()? {
                bail!("caslb run ended with {status}");
            }
            Ok((self.command(&["status", "--json"])?.code == Some(0)).then_some(()))
        })
        .with_context(|| format!("log of {}:\n{}", self.node, self.log().unwrap_or_default()))
    }

    /// Starts the controller and waits until it ends by itself, because it must refuse to run.
    pub fn run_to_end(&mut self, arguments: &[&str]) -> Result<ExitStatus> {
        self.launch(arguments)?;
        let mut process = self.process.take().context("it does not run")?;
        process.wait(START).with_context(|| format!("log of {}:\n{}", self.node, self.log().unwrap_or_default()))
    }

    /// Starts a controller beside whatever runs, with `arguments` after `caslb run --config F`, and returns what it says: it
    /// must end by itself.
    ///
    /// # Errors
    ///
    /// If it goes on running.
    pub fn refusal(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.namespace.command(&self.binary)?;
        command.arg("run").arg("--config").arg(self.config()).args(arguments);
        self.refusal_of(&mut command)
    }

    /// The same for a command that starts a controller in another way.
    pub fn refusal_of(&self, command: &mut Command) -> Result<Output> {
        let (stdout, stderr) = (tempfile::tempfile_in(&self.folder)?, tempfile::tempfile_in(&self.folder)?);
        let mut process = Child::spawn(command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?))?;
        let ended = process.wait(START);
        let (stdout, stderr) = (read(stdout)?, read(stderr)?);
        let code = ended.with_context(|| format!("it should refuse to run, but said:\n{stderr}"))?.code();
        Ok(Output { code, stdout, stderr })
    }

    fn launch(&mut self, arguments: &[&str]) -> Result<()> {
        ensure!(self.process.is_none(), "the controller of {} runs already", self.node);
        let log = File::options().append(true).create(true).open(self.log_path())?;
        let mut command = self.namespace.command(&self.binary)?;
        command.arg("run").arg("--config").arg(self.config()).args(arguments);
        command.stdout(log.try_clone()?).stderr(log);
        self.process = Some(Child::spawn(&mut command)?);
        Ok(())
    }

    /// Everything the controller has written to standard output and standard error, over all starts.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_path())?).into_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("caslb.log")
    }

    /// The running controller.
    ///
    /// # Errors
    ///
    /// If it was not started, or was stopped.
    pub fn process(&mut self) -> Result<&mut Child> {
        self.process.as_mut().ok_or_else(|| anyhow!("the controller of {} does not run", self.node))
    }

    /// Stops the controller by SIGTERM; the data plane goes on.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process()?.signal(Signal::SIGTERM)?;
        let ended = self.process()?.wait(STOP);
        // Should it hang, dropping it kills it.
        self.process = None;
        ended.with_context(|| format!("log of {}:\n{}", self.node, self.log().unwrap_or_default()))
    }

    /// Kills the controller, so that it has no chance to do anything; the data plane goes on.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        let ended = self.process()?.kill();
        self.process = None;
        ended
    }

    /// Stops the controller and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.run(&[])
    }

    /// Runs a command of the binary for this node, such as `["status", "--json"]`, to its end.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.namespace.command(&self.binary)?;
        command.args(["--node", &self.node]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output =
            process::apart(&mut command).output().with_context(|| format!("cannot run {}", self.binary.display()))?;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// VIPs, services, servers and tables in the kernel, as JSON: equal texts, equal data planes. Counters and remembered
    /// flows are not in it.
    pub fn plane(&self) -> Result<String> {
        let dumps = ["vips", "servers", "slots"].map(|what| self.command(&["dump", what, "--json"]));
        dumps.into_iter().map(|output| output?.success().map(str::to_owned)).collect()
    }

    /// The names of the node's pins, sorted; empty when it has none.
    pub fn pins(&self) -> Result<Vec<PathBuf>> {
        let mut pins = Vec::new();
        let mut folders = vec![Path::new("/sys/fs/bpf/caslb").join(&self.node)];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
                pins.push(entry.path());
            }
        }
        pins.sort();
        Ok(pins)
    }

    /// What `caslb status --json` says.
    pub fn status(&self) -> Result<Value> {
        self.command(&["status", "--json"])?.json()
    }

    /// Waits until every service that has `server` shows it in `state`, and returns that status.
    pub fn wait_for_state(&self, server: &str, state: &str, within: Duration) -> Result<Value> {
        let mut last = Value::Null;
        let seen = wait::until(&format!("{server} {state}"), within, || {
            last = self.status()?;
            let mut states = server_states(&last, server).peekable();
            let all = states.peek().is_some() && states.all(|seen| seen == state);
            Ok(all.then(|| last.clone()))
        });
        seen.with_context(|| format!("last status: {last:#}"))
    }
}

/// All of a file that another process wrote through another descriptor.
fn read(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The state of `server` in each service that has it, from `status --json`.
fn server_states<'a>(status: &'a Value, server: &str) -> impl Iterator<Item = &'a str> {
    let list = |value: &'a Value, key: &str| value[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list(status, "arrays")
        .iter()
        .flat_map(move |array| list(array, "services"))
        .flat_map(move |service| list(service, "servers"))
        .filter(move |entry| entry["name"] == server)
        .map(|entry| entry["state"].as_str().unwrap_or("without state"))
}

impl Drop for Caslb {
    fn drop(&mut self) {
        let stopped = if self.process.is_some() { self.stop().map(drop) } else { Ok(()) };
        let detached = self.command(&["detach"]).and_then(|output| output.success().map(drop));
        // What is left, whatever the binary did.
        let removed = leftovers::release(&Thing::Node(self.node.clone()));
        for error in [stopped.err(), detached.err(), removed.err()].into_iter().flatten() {
            eprintln!("cleaning up after {}: {error:#}", self.node);
        }
    }
}

/// The binary under test: `CASLB_BIN`, or `caslb` beside the test program or in a folder above it.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CASLB_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder: &Path| folder.join("caslb"))
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow!("no caslb beside {}: build it with cargo build -p lb-userspace", own.display()))
}
