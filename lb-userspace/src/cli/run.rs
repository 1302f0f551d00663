//! `caslb run`: the controller in the foreground.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Context, bail};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::{
    BAD_CONFIG,
    arguments::{BpfLog, RunArguments},
    rights,
};
use crate::{
    config::{self, Loaded},
    controller::{
        lock::NodeLock,
        preflight::{self, Forwarding, Severity},
    },
    dataplane::{DataPlane, object, pins},
    host::links::{self, Link},
    shell::{Options, Shell},
};

/// Oldest kernel caslb is written for: it has XDP links, memory-mapped arrays and everything between.
const KERNEL: (u32, u32) = (5, 15);

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let RunArguments { config, detach_on_exit, bpf_log, force } = arguments;
    let Loaded { deployment, warnings } = match config::load(config) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{}", error.render(std::io::stderr().is_terminal()));
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let warnings = warnings.render(std::io::stderr().is_terminal());
    if !warnings.is_empty() {
        eprintln!("{warnings}");
    }
    start_logging(*bpf_log);
    if object::object().is_none() {
        bail!(
            "this caslb was built without its BPF program and can only check configurations: build it with \
             `cargo xtask build-ebpf` and then `cargo build`"
        );
    }
    rights::demand()?;
    demand_kernel()?;
    pins::mount_bpffs().with_context(|| format!("the BPF file system cannot be mounted on {}", pins::BPFFS))?;

    rights::give_up_others()?;

    let runtime = tokio::runtime::Runtime::new().context("threads cannot be started")?;
    // Held until the process ends, whichever way.
    let _lock = match NodeLock::acquire(&deployment.node.name) {
        Ok(lock) => lock,
        Err(error) => bail!("{error}"),
    };
    runtime.block_on(async {
        let links = links::snapshot().await.context("the NICs of this host cannot be listed")?;
        let problems = preflight::preflight(&deployment, &links);
        let forwarding = preflight::forwarding_warnings(&deployment, &forwarding(&links));
        for problem in problems.iter().chain(&forwarding) {
            match problem.severity() {
                Severity::Error => eprintln!("error: {problem}"),
                Severity::Warning => warn!("{problem}"),
            }
        }
        if problems.iter().any(|problem| problem.severity() == Severity::Error) {
            return Ok(ExitCode::from(BAD_CONFIG));
        }
        let plane = DataPlane::open(&deployment.node.name, *bpf_log == BpfLog::Debug)?;
        if !force && !plane.steers_alike(&deployment.node.hash_seed, deployment.node.slots) {
            eprintln!(
                "error: hash_seed or slots differ from those of the data plane that is forwarding now, which would move \
                 nearly every connection to another server: if that is meant, start with --force"
            );
            return Ok(ExitCode::from(BAD_CONFIG));
        }
        let options = Options { config: config.clone(), detach_on_exit: *detach_on_exit };
        let (shell, first) = Shell::start(options, deployment, plane, links)?;
        shell.run(first).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// To standard error, where the service manager collects it. `CASLB_LOG` overrides what is logged.
fn start_logging(bpf_log: BpfLog) {
    let default = match bpf_log {
        BpfLog::Off => "info",
        BpfLog::Debug => "info,caslb::dataplane::log=debug",
    };
    let filter = EnvFilter::try_from_env("CASLB_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal();
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    // Only the first subscriber of a process can be set, and this is the first.
    let _ = if under_systemd { log.without_time().try_init() } else { log.try_init() };
}

/// Whether packets that come in by each NIC are forwarded. `/proc/sys/net` shows the namespace of this process.
fn forwarding(links: &[Link]) -> Vec<Forwarding> {
    let setting = |family: &str, name: &str, what: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/{family}/conf/{name}/{what}")).ok()?;
        text.trim().parse::<u8>().ok()
    };
    let of = |link: &Link| {
        let forwards = |family| setting(family, &link.name, "forwarding").map(|value| value == 1);
        let strictness = |name| setting("ipv4", name, "rp_filter").unwrap_or(0);
        Forwarding {
            interface: link.name.clone(),
            v4: forwards("ipv4"),
            v6: forwards("ipv6"),
            strict_sources: strictness("all").max(strictness(&link.name)) == 1,
        }
    };
    links.iter().map(of).collect()
}

fn demand_kernel() -> anyhow::Result<()> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL {
        bail!("this kernel is Linux {release}, and caslb needs {}.{} or later: update it", KERNEL.0, KERNEL.1);
    }
    Ok(())
}
