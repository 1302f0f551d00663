//! Network namespaces: made, entered, and removed with their last owner.
//!
//! What is inside them (devices, addresses, routes) is [`topology`](crate::topology)'s business.
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};

use crate::leftovers::{self, Thing};
use crate::process::{self, Child};
use crate::runtime::Runtime;
use crate::sys;

/// Settings of every namespace, whatever the host's own are (a new namespace inherits some of the host's).
const QUIET: [(&str, &str); 12] = [
    // Addresses can be used at once and nothing is sent that a test did not ask for.
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    // Asymmetric paths are what direct server return is made of.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/ip_forward", "0"),
];

/// A network namespace named `caslb-PID-N-ROLE`. Clones share it; it is removed with the last of them. Processes inside
/// must be gone by then (a [`Child`] ends on drop), or the namespace lives on without a name until they are.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    name: String,
    file: File,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = leftovers::release(&Thing::Namespace(self.name.clone())) {
            eprintln!("{error:#}");
        }
    }
}

impl Namespace {
    /// A new namespace with its loopback device up. `role` says what it stands for: small letters, digits, dashes.
    ///
    /// # Errors
    ///
    /// Without root, with a `role` of other characters, or if `ip netns add` fails.
    pub fn new(role: &str) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !role.is_empty() && role.chars().all(plain),
            "{role:?} cannot be a role: small letters, digits, dashes"
        );
        let name = format!("caslb-{}-{}-{role}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        // Under the claim, since `ip` is a process of its own and would finish after a signal has taken everything away.
        let file = leftovers::claim_with(|| {
            process::run(Command::new("ip").args(["netns", "add", &name]))?;
            let path = Path::new("/run/netns").join(&name);
            let opened = File::open(&path).with_context(|| format!("cannot open {}", path.display()));
            opened.map(|file| (file, Thing::Namespace(name.clone())))
        })?;
        let namespace = Self(Arc::new(Owned { name, file }));
        namespace.sysctls(&QUIET)?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `act` on a new thread inside this namespace and returns what it returns. Only the network is the namespace's;
    /// files, mounts and processes are the host's.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered, or if `act` panics.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = thread::Builder::new().name(self.name().to_owned()).spawn_scoped(scope, || {
                self.enter_for_good()?;
                Ok(act())
            })?;
            inside.join().map_err(|_| anyhow!("a thread in {} panicked", self.name()))?
        })
    }

    /// Moves the calling thread into this namespace; there is no way back, so the thread must be one's own.
    pub(crate) fn enter_for_good(&self) -> Result<()> {
        setns(&self.0.file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {}", self.name()))
    }

    /// A tokio runtime whose sockets are in this namespace.
    pub fn runtime(&self) -> Result<Runtime> {
        Runtime::new(self)
    }

    /// A command that will run `program` in this namespace. Only the network is the namespace's: unlike with
    /// `ip netns exec`, `/sys` stays the host's, so that pins under `/sys/fs/bpf` are visible.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        sys::start_in_netns(&mut command, self.0.file.try_clone()?);
        Ok(command)
    }

    /// Starts `program` with `arguments` in this namespace; it ends with the returned value.
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Result<Child> {
        Child::spawn(self.command(program)?.args(arguments))
    }

    /// Runs `program` with `arguments` in this namespace to its end and returns its standard output.
    ///
    /// # Errors
    ///
    /// If it cannot be started or fails; the message holds its standard error.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        process::run(self.command(program)?.args(arguments)).with_context(|| format!("in {}", self.name()))
    }

    /// Runs the lines of `batch` as `ip` commands (without the `ip`) in this namespace, up to the first that fails.
    pub fn ip(&self, batch: &str) -> Result<String> {
        let mut command = self.command("ip")?;
        process::run_with_input(command.args(["-batch", "-"]), batch).with_context(|| format!("in {}", self.name()))
    }

    /// Sets kernel parameters of this namespace, by their paths under `/proc/sys/net`.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            for (key, value) in settings {
                fs::write(Path::new("/proc/sys/net").join(key), value)
                    .with_context(|| format!("cannot set {key} to {value} in {}", self.name()))?;
            }
            Ok(())
        })?
    }

    /// The index of the device called `device` in this namespace.
    pub fn device_index(&self, device: &str) -> Result<u32> {
        self.enter(|| if_nametoindex(device))?.with_context(|| format!("no device {device} in {}", self.name()))
    }
}
