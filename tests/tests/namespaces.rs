//! Namespaces are there while they are owned, and nothing is left of them afterwards, however that ends.
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::netns::Namespace;
use caslb_tests::process::Child;
use caslb_tests::{sweep, wait};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(10);

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// Another process that holds a namespace and a child in it, with the names of both.
struct Holder {
    process: std::process::Child,
    namespace: String,
    inner: i32,
    _output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_hold-namespace"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut output = BufReader::new(process.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (namespace, inner) = line.trim().split_once(' ').context("the holder did not start")?;
        let (namespace, inner) = (namespace.to_owned(), inner.parse()?);
        Ok(Self { process, namespace, inner, _output: output })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(self.process.id())?), signal)?;
        Ok(())
    }

    fn inner_runs(&self) -> bool {
        // A killed process whose parent is gone too may stay a zombie where nobody reaps orphans.
        std::fs::read_to_string(format!("/proc/{}/stat", self.inner))
            .is_ok_and(|stat| !stat.contains(") Z ") && stat.contains("(sleep)"))
    }
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_namespace_vanishes_with_its_last_owner() -> Result<()> {
    let namespace = Namespace::new("dropped")?;
    let other = namespace.clone();
    let name = namespace.name().to_owned();
    drop(namespace);
    assert!(exists(&name), "removed while still owned");
    drop(other);
    assert!(!exists(&name), "still there");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn commands_closures_and_runtimes_run_inside_but_see_the_hosts_files() -> Result<()> {
    let namespace = Namespace::new("inside")?;
    namespace.ip("link add only-here type veth peer name only-there")?;
    let devices = namespace.run("ip", &["-brief", "link"])?;
    ensure!(devices.contains("only-here"), "{devices}");
    let listed = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))??;
    ensure!(listed.contains("only-here"), "{listed}");
    let runtime = namespace.runtime()?;
    let listed = runtime.run(async { Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?) })?;
    ensure!(listed.contains("only-here"), "{listed}");
    // Unlike with ip netns exec, which mounts a sysfs of its own over the host's.
    let mounts = namespace.run("readlink", &["/proc/self/ns/mnt"])?;
    let own = std::fs::read_link("/proc/self/ns/mnt")?;
    assert_eq!(Path::new(mounts.trim()), own);
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_failed_command_says_which_and_why() -> Result<()> {
    let namespace = Namespace::new("failing")?;
    let error = namespace.run("ip", &["link", "show", "nothing"]).err().context("it should fail")?;
    let text = format!("{error:#}");
    ensure!(text.contains("ip link show nothing") && text.contains("does not exist"), "{text}");
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_child_ends_with_its_owner() -> Result<()> {
    let child = Child::spawn(Command::new("sleep").arg("600"))?;
    let stat = format!("/proc/{}/stat", child.pid());
    assert!(Path::new(&stat).exists());
    drop(child);
    assert!(!Path::new(&stat).exists());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nothing_is_left_after_a_panic() -> Result<()> {
    let mut holder = Holder::start(&["--panic"])?;
    assert_eq!(holder.process.wait()?.code(), Some(101));
    assert!(!exists(&holder.namespace));
    assert!(!holder.inner_runs());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nothing_is_left_after_an_interrupt() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut holder = Holder::start(&[])?;
        assert!(exists(&holder.namespace));
        holder.signal(signal)?;
        assert_eq!(holder.process.wait()?.code(), Some(code));
        assert!(!exists(&holder.namespace));
        assert!(!holder.inner_runs());
    }
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn what_a_killed_process_leaves_is_swept_by_the_next_one() -> Result<()> {
    let living = Holder::start(&[])?;
    let mut killed = Holder::start(&[])?;
    killed.signal(Signal::SIGKILL)?;
    assert_eq!(killed.process.wait()?.signal(), Some(9));
    // Another test's process may sweep first; either way it is gone soon.
    sweep()?;
    wait::until("the end of what was left", SOON, || {
        Ok((!exists(&killed.namespace) && !killed.inner_runs()).then_some(()))
    })?;
    assert!(exists(&living.namespace), "a living process lost its namespace");
    assert!(living.inner_runs());
    living.signal(Signal::SIGTERM)
}
