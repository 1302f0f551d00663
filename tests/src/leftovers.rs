//! What this process has made on the host and must take away again, however it ends.
//!
//! Owners release their things on drop. This module covers the other ways out: a signal (a thread waits for SIGINT,
//! SIGTERM and SIGHUP, takes away everything still claimed and exits), and a process that was killed (the next one sweeps
//! what carries the name of a process that is gone).
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid};
use tokio::signal::unix::{SignalKind, signal};

/// One folder for each process that uses the harness: temporary files, and `started` to tell a process id that was reused.
const STATE: &str = "/run/caslb-tests";
/// Where `ip netns` keeps names.
const NETNS: &str = "/run/netns";
/// First part of every namespace's name; the process id follows.
const NETNS_PREFIX: &str = "caslb-";
/// First part of the name of every node of the harness; the process id follows.
pub(crate) const NODE_PREFIX: &str = "t";
/// Where caslb keeps what belongs to a node, each in an entry whose name begins with the node's.
const NODE_FOLDERS: [&str; 3] = ["/sys/fs/bpf/caslb", "/run/caslb", "/var/lib/caslb"];

/// Something on the host that outlives the process unless it is taken away. The order is the order of taking away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    /// A child process that has not been waited for.
    Child(Pid),
    /// The pins, socket and state of the caslb node of this name.
    Node(String),
    /// A network namespace, by its name under [`NETNS`].
    Namespace(String),
}

/// `None` until the first claim has started the signal thread and swept.
static CLAIMED: Mutex<Option<BTreeSet<Thing>>> = Mutex::new(None);

/// What to say when a signal ends the process.
static FAREWELL: OnceLock<fn(Signal)> = OnceLock::new();

/// Has `farewell` called once when a signal (SIGINT, SIGTERM or SIGHUP) ends the process, before anything is taken away.
/// Only the first call counts.
pub(crate) fn on_signal(farewell: fn(Signal)) {
    FAREWELL.get_or_init(|| farewell);
}

fn claimed() -> MutexGuard<'static, Option<BTreeSet<Thing>>> {
    // Every change under this lock is a single call on the set, so a panic cannot leave it half done.
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the rights, starts the signal thread and sweeps, all once per process. Before the first thing is made.
///
/// # Errors
///
/// Without root, or if the state folder cannot be written.
pub(crate) fn prepare() -> Result<()> {
    let mut claimed = claimed();
    if claimed.is_none() {
        ensure!(geteuid().is_root(), "network namespaces need root: run this as root, for example by cargo xtask test");
        sweep()?;
        let own = own_folder();
        fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
        let started = start_time(process::id()).context("cannot read the start time of this process")?;
        fs::write(own.join("started"), started).with_context(|| format!("cannot write to {}", own.display()))?;
        start_signal_thread()?;
        *claimed = Some(BTreeSet::new());
    }
    Ok(())
}

/// Remembers `thing`: from now on a signal takes it away. Claim a node before it is made.
pub(crate) fn claim(thing: Thing) -> Result<()> {
    prepare()?;
    claimed().get_or_insert_default().insert(thing);
    Ok(())
}

/// Makes and claims in one step that a signal cannot split: for things whose name is known only afterwards, or that
/// another process makes, which would go on after this one has cleaned up.
pub(crate) fn claim_with<T>(make: impl FnOnce() -> Result<(T, Thing)>) -> Result<T> {
    prepare()?;
    let mut claimed = claimed();
    let (made, thing) = make()?;
    claimed.get_or_insert_default().insert(thing);
    Ok(made)
}

/// Forgets `thing` if `gone` says that it is gone. A signal that arrives meanwhile waits, so that no process id is used
/// after it has become free.
pub(crate) fn release_if<T>(thing: &Thing, gone: impl FnOnce() -> Option<T>) -> Option<T> {
    let mut claimed = claimed();
    let result = gone();
    if result.is_some()
        && let Some(set) = claimed.as_mut()
    {
        set.remove(thing);
    }
    result
}

/// Takes `thing` away and forgets it. After a signal it waits for the end of the process: the signal's thread is at it.
pub(crate) fn release(thing: &Thing) -> Result<()> {
    release_if(thing, || Some(take_away(thing))).unwrap_or(Ok(()))
}

/// A new temporary folder that goes with the process at the latest.
pub(crate) fn temporary_folder() -> Result<tempfile::TempDir> {
    prepare()?;
    let own = own_folder();
    tempfile::tempdir_in(&own).with_context(|| format!("cannot create a folder in {}", own.display()))
}

fn own_folder() -> PathBuf {
    Path::new(STATE).join(process::id().to_string())
}

fn start_signal_thread() -> Result<()> {
    let (ready, listening) = mpsc::channel();
    let wait = move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hangup = signal(SignalKind::hangup())?;
            ready.send(())?;
            let received = tokio::select! {
                _ = interrupt.recv() => Signal::SIGINT,
                _ = terminate.recv() => Signal::SIGTERM,
                _ = hangup.recv() => Signal::SIGHUP,
            };
            let mut claimed = claimed();
            if let Some(farewell) = FAREWELL.get() {
                farewell(received);
            }
            for thing in claimed.take().unwrap_or_default() {
                if let Err(error) = take_away(&thing) {
                    eprintln!("after {received}: {error:#}");
                }
            }
            // The folder is gone with its process, or the next sweep gets it.
            let _ = fs::remove_dir_all(own_folder());
            // The shell's convention; the lock is still held, so nothing new is made meanwhile.
            process::exit(128 + received as i32)
        })
    };
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Err(error) = wait() {
            eprintln!("cannot wait for signals: {error:#}");
        }
    })?;
    listening.recv().map_err(|_| anyhow!("the signal thread did not start"))
}

fn take_away(thing: &Thing) -> Result<()> {
    match thing {
        Thing::Child(pid) => {
            kill(*pid, Signal::SIGKILL).with_context(|| format!("cannot end process {pid}"))?;
            // It is ours and not waited for yet; a namespace is gone only when its processes are.
            waitpid(*pid, None).with_context(|| format!("cannot wait for process {pid}"))?;
            Ok(())
        }
        Thing::Node(node) => remove_node(node),
        Thing::Namespace(name) => remove_namespace(name),
    }
}

fn remove_namespace(name: &str) -> Result<()> {
    if !Path::new(NETNS).join(name).exists() {
        return Ok(());
    }
    // In a process group of its own: a second Ctrl-C must not end it half-way.
    let output = Command::new("ip").args(["netns", "delete", name]).process_group(0).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "cannot delete namespace {name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn remove_node(node: &str) -> Result<()> {
    for folder in NODE_FOLDERS {
        for path in entries(Path::new(folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == node || name.strip_prefix(node).is_some_and(|rest| rest.starts_with('.')) {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Takes away what harness processes that no longer exist have left: namespaces with the processes in them, pins, state
/// and temporary files. Each process does this once before it makes anything.
///
/// # Errors
///
/// If a folder cannot be listed. What cannot be removed, because somebody else is at it too, is left to the next sweep.
pub fn sweep() -> Result<()> {
    for path in entries(Path::new(NETNS))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if owner_in(&name, NETNS_PREFIX).is_some_and(|owner| !is_alive(owner)) {
            let _ = end_processes_in(&name).and_then(|()| remove_namespace(&name));
        }
    }
    for folder in NODE_FOLDERS {
        for path in entries(Path::new(folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if owner_in(&name, NODE_PREFIX).is_some_and(|owner| !is_alive(owner)) {
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }
    // Last, since `started` in there is what tells a dead owner from a process that reused its id.
    for path in entries(Path::new(STATE))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.parse().is_ok_and(|owner| !is_alive(owner)) {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// Removes the state folder of this process, if it has one, after everything else. Nothing more may be made.
///
/// # Errors
///
/// If it cannot be removed.
pub(crate) fn leave() -> Result<()> {
    let own = own_folder();
    match fs::remove_dir_all(&own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", own.display()))
        }
        _ => Ok(()),
    }
}

/// What this process has on the host at this moment: namespaces, pins, sockets and state of nodes, by path.
///
/// # Errors
///
/// If a folder cannot be listed.
pub(crate) fn of_this_process() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let folders = [(NETNS, NETNS_PREFIX)].into_iter().chain(NODE_FOLDERS.map(|folder| (folder, NODE_PREFIX)));
    for (folder, prefix) in folders {
        let own = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            owner_in(&name, prefix) == Some(process::id())
        };
        found.extend(entries(Path::new(folder))?.into_iter().filter(own));
    }
    Ok(found)
}

/// Ends what still runs in a namespace of the harness, which only the harness puts processes into.
fn end_processes_in(namespace: &str) -> Result<()> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).stdin(Stdio::null()).output()?;
    for pid in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Ok(())
}

/// The process id in a name like `caslb-4711-3-client` or `t4711-2`.
fn owner_in(name: &str, prefix: &str) -> Option<u32> {
    let (owner, _) = name.strip_prefix(prefix)?.split_once('-')?;
    owner.parse().ok()
}

/// Whether the harness process with this id still exists, and is not another one that got the same id.
fn is_alive(owner: u32) -> bool {
    let Some(now) = start_time(owner) else {
        return false;
    };
    match fs::read_to_string(Path::new(STATE).join(owner.to_string()).join("started")) {
        Ok(then) => then == now,
        // Not a harness process that we can tell apart: better leave its things alone.
        Err(_) => true,
    }
}

/// Start time of a process in clock ticks since boot, field 22 of `/proc/PID/stat` (proc(5)); `None` if there is none.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the program's name in parentheses, may itself hold blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(22 - 3).map(str::to_owned)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_names_of_the_harness_only() {
        assert_eq!(owner_in("caslb-4711-3-client", NETNS_PREFIX), Some(4711));
        assert_eq!(owner_in("t4711-2", "t"), Some(4711));
        assert_eq!(owner_in("t4711-2.sock", "t"), Some(4711));
        assert_eq!(owner_in("caslb-demo", NETNS_PREFIX), None);
        assert_eq!(owner_in("team-1", "t"), None);
        assert_eq!(owner_in("default", "t"), None);
    }

    #[test]
    fn this_process_has_a_start_time_and_the_idle_task_has_none() {
        assert!(start_time(process::id()).is_some_and(|ticks| ticks.parse::<u64>().is_ok()));
        assert_eq!(start_time(0), None);
    }

    #[test]
    fn children_go_before_their_pins_and_namespaces_last() {
        let things =
            BTreeSet::from([Thing::Namespace("a".into()), Thing::Child(Pid::from_raw(9)), Thing::Node("t1-1".into())]);
        let order: Vec<_> = things.into_iter().collect();
        assert!(matches!(order.as_slice(), [Thing::Child(_), Thing::Node(_), Thing::Namespace(_)]));
    }
}
