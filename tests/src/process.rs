//! Processes that the harness starts: short ones run to their end, long ones end with their owner.
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::leftovers::{self, Thing};
use crate::wait;

/// A running process. It is killed, by its process id, when this value is dropped or the harness is interrupted.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    pid: Pid,
    status: Option<ExitStatus>,
}

impl Child {
    /// Starts `command`.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        leftovers::claim_with(|| {
            let process = apart(command).spawn().with_context(|| format!("cannot start {}", describe(command)))?;
            // Process ids fit: the kernel's limit is 2^22 (proc(5), pid_max).
            let pid = Pid::from_raw(i32::try_from(process.id())?);
            Ok((Self { process, pid, status: None }, Thing::Child(pid)))
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            // Waiting frees the process id, so it is forgotten in the same step.
            let ended = leftovers::release_if(&Thing::Child(self.pid), || self.process.try_wait().transpose());
            self.status = ended.transpose()?;
        }
        Ok(self.status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of process {}", self.pid);
        wait::until(&what, within, || self.try_wait())
    }

    /// Sends it `signal`. Without effect if it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_none() {
            kill(self.pid, signal).with_context(|| format!("cannot send {signal} to process {}", self.pid))?;
        }
        Ok(())
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
    }
}

/// Gives `command` a process group of its own: a Ctrl-C reaches this process alone, which then ends the others in the
/// right order, and does not take their end for a failure of theirs.
pub(crate) fn apart(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
///
/// If it cannot be started or fails; the message holds its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = apart(command).stdin(Stdio::null()).output();
    finish(command, output)
}

/// Like [`run`], with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut process = apart(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    let mut pipe = process.stdin.take().ok_or_else(|| anyhow!("no pipe to {}", describe(command)))?;
    // A process that fails early closes its end; its own message says more than a broken pipe.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    finish(command, process.wait_with_output())
}

fn finish(command: &Command, output: std::io::Result<Output>) -> Result<String> {
    let output = output.with_context(|| format!("cannot run {}", describe(command)))?;
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        describe(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
