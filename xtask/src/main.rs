//! `cargo xtask`: builds the BPF object, runs the tests and the demonstration, and installs what they need.
//!
//! It knows nothing about load balancing. It is compiled first on a fresh machine, so it has few dependencies.

mod apt;
mod demo;
mod ebpf;
mod lint;
mod needs;
mod progress;
mod summary;
mod tally;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Build, test and demonstration tasks of caslb.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the BPF objects; finds a BPF toolchain or installs one.
    BuildEbpf,
    /// Build everything and run all tests, those that need root included.
    Test {
        /// Passed on to every test binary, for example a part of a test's name.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Build everything and run the demonstration in network namespaces (needs root).
    Demo {
        /// Passed on to the demonstration.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check formatting, clippy and, when cargo-deny is installed, licences and sources of the dependencies.
    Lint {
        /// Fail when cargo-deny is not installed.
        #[arg(long)]
        deny: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match task {
        Task::BuildEbpf => {
            let toolchain = toolchain::find_or_install()?;
            ebpf::build(&workspace, &toolchain)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { arguments } => test::run(&workspace, &arguments),
        Task::Demo { arguments } => demo::run(&workspace, &arguments),
        Task::Lint { deny } => lint::run(&workspace, deny),
    }
}
