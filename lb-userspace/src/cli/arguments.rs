//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where the configuration is when nothing else is said.
const CONFIG: &str = "/etc/caslb/caslb.toml";

/// A layer-4 load balancer for Exchange Client Access arrays, and for any TCP or UDP service.
#[derive(Debug, Parser)]
#[command(
    name = "caslb",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 it failed, 2 bad usage or bad configuration."
)]
pub struct Cli {
    /// The node to talk to, `default` when nothing is said; `run` and `check` read it from the configuration
    #[arg(long, global = true, value_name = "NAME", env = "CASLB_NODE", value_parser = node_name)]
    pub(super) node: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the controller in the foreground
    ///
    /// It checks the servers, keeps the data plane up to date and answers the other commands. SIGHUP reads the
    /// configuration again. SIGTERM and SIGINT stop it; the data plane goes on forwarding. The log goes to standard
    /// error; the variable `CASLB_LOG` sets what is logged, such as `warn` or `debug`, and replaces what `--bpf-log` says.
    Run(RunArguments),
    /// Validate a configuration and show what it comes to, on any machine
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show arrays, services and servers: their state, why, and what they get
    Status {
        /// Show it again every second until interrupted, with packet and byte rates
        #[arg(long)]
        watch: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is in the kernel's maps, also without a controller (needs root)
    Dump {
        /// What to show
        what: DumpWhat,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the controller read its configuration again: all of it or none of it
    ///
    /// An error changes nothing. A change of the node's name or of `xdp` needs `caslb detach` and a new start.
    Reload {
        /// Accept a change of `hash_seed` or `slots`, which moves nearly every connection
        #[arg(long)]
        force: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove programs, links and maps from the kernel: nothing is steered any more
    ///
    /// The controller must be stopped first: it would put everything back.
    Detach {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `caslb run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// Remove the data plane at the end instead of leaving it forwarding
    #[arg(long)]
    pub(super) detach_on_exit: bool,
    /// What the XDP program logs; for debugging, it is slow
    #[arg(long, value_name = "LEVEL", default_value = "off")]
    pub(super) bpf_log: BpfLog,
    /// Accept a change of `hash_seed` or `slots` since the last run, which moves nearly every connection
    #[arg(long)]
    pub(super) force: bool,
}

/// What the XDP program logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BpfLog {
    /// Nothing; costs nothing.
    Off,
    /// What becomes of each packet that the NICs receive.
    Debug,
}

/// What `caslb dump` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DumpWhat {
    /// VIPs and services.
    Vips,
    /// Servers and the way to each: NIC, MAC addresses, MTU.
    Servers,
    /// Tables: the slots of each server, and with `--json` slot by slot.
    Slots,
    /// Connections made to the own address of a `nat` server, which are left alone.
    Flows,
    /// Counters by service, server and reason.
    Counters,
    /// All of it.
    All,
}

/// The names that configurations may give a node.
fn node_name(name: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err("a node's name has 1 to 32 letters, digits, `-` and `_`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_node_may_stand_before_or_after_the_command() {
        for line in [["caslb", "--node", "lb1", "status"], ["caslb", "status", "--node", "lb1"]] {
            assert_eq!(Cli::try_parse_from(line).unwrap().node.as_deref(), Some("lb1"));
        }
        assert!(Cli::try_parse_from(["caslb", "--node", "../x", "status"]).is_err());
    }
}
