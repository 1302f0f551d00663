//! The harness starts, asks, stops and cleans up after a node. A shell script stands in for the binary here: these tests are
//! about the harness.
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caslb_tests::caslb::Caslb;
use caslb_tests::netns::Namespace;
use caslb_tests::process::run_with_input;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

/// Answers like caslb as far as the harness asks, and writes down what it was asked.
const SCRIPT: &str = r#"#!/bin/sh
echo "$@" >> "$0.calls"
case "$*" in
*--refuse*) echo 'it will not run' >&2; exit 1 ;;
run*) echo "running with $(ip -brief link | wc -l) devices"; echo $$ > "$0.pid"; exec sleep 600 ;;
*status*) kill -0 "$(cat "$0.pid")" || exit 1; echo '{"arrays":[{"services":[{"servers":[{"name":"EX01","state":"up"},{"name":"EX02","state":"down"}]}]}]}' ;;
*detach*) ;;
*) echo 'no such command' >&2; exit 2 ;;
esac
"#;

struct StandIn {
    folder: TempDir,
}

impl StandIn {
    fn new() -> Result<Self> {
        let standin = Self { folder: tempfile::tempdir()? };
        // Written by another process: a file that is open for writing cannot be run, and a child that another test starts
        // at this moment would hold it open (ETXTBSY).
        let mut write = Command::new("sh");
        write.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(standin.path());
        run_with_input(&mut write, SCRIPT)?;
        Ok(standin)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("caslb")
    }

    fn node(&self, namespace: &Namespace) -> Result<Caslb> {
        Caslb::with_binary(self.path(), namespace, |node| format!("[node]\nname = \"{node}\"\n"))
    }

    fn calls(&self) -> Result<Vec<String>> {
        let calls = fs::read_to_string(self.folder.path().join("caslb.calls"))?;
        Ok(calls.lines().map(str::to_owned).collect())
    }
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_node_is_started_asked_stopped_and_detached() -> Result<()> {
    let standin = StandIn::new()?;
    let namespace = Namespace::new("balancer")?;
    let mut caslb = standin.node(&namespace)?;
    let (node, config) = (caslb.node().to_owned(), caslb.config());
    caslb.run(&["--bpf-log", "debug"])?;
    caslb.wait_for_state("EX01", "up", SOON)?;
    let error = caslb.wait_for_state("EX02", "up", Duration::from_millis(50)).err().context("EX02 is down")?;
    ensure!(format!("{error:#}").contains("EX02 up: not seen within 50ms"), "{error:#}");

    let unknown = caslb.command(&["frobnicate"])?;
    assert_eq!((unknown.code, unknown.stderr.as_str()), (Some(2), "no such command\n"));
    assert!(unknown.json().is_err());

    assert_eq!(caslb.stop()?.signal(), Some(15));
    caslb.run(&[])?;
    assert_eq!(caslb.kill9()?.signal(), Some(9));
    assert_eq!(caslb.log()?, "running with 1 devices\n".repeat(2));
    drop(caslb);

    let calls = standin.calls()?;
    let run = format!("run --config {} --bpf-log debug", config.display());
    ensure!(calls.contains(&run), "{calls:?}");
    assert_eq!(calls.last(), Some(&format!("--node {node} detach")));
    assert!(!config.exists());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_controller_that_ends_shows_its_log_instead_of_a_timeout() -> Result<()> {
    let standin = StandIn::new()?;
    let namespace = Namespace::new("balancer")?;
    let mut caslb = standin.node(&namespace)?;
    let error = caslb.run(&["--refuse"]).err().context("it should fail")?;
    let text = format!("{error:#}");
    ensure!(text.contains("it will not run") && text.contains("ended with exit status: 1"), "{text}");

    let mut refusing = standin.node(&namespace)?;
    assert_eq!(refusing.run_to_end(&["--refuse"])?.code(), Some(1));
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nodes_have_names_of_their_own_and_a_config_must_use_them() -> Result<()> {
    let standin = StandIn::new()?;
    let namespace = Namespace::new("balancer")?;
    let (one, other) = (standin.node(&namespace)?, standin.node(&namespace)?);
    assert_ne!(one.node(), other.node());
    assert!(one.write_config("[node]\nname = \"default\"\n").is_err());
    Ok(())
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn nothing_of_a_node_is_left_even_if_detach_does_nothing() -> Result<()> {
    let standin = StandIn::new()?;
    let namespace = Namespace::new("balancer")?;
    let caslb = standin.node(&namespace)?;
    let socket = format!("/run/caslb/{}.sock", caslb.node());
    fs::create_dir_all("/run/caslb")?;
    fs::write(&socket, "")?;
    drop(caslb);
    assert!(!Path::new(&socket).exists());
    Ok(())
}
