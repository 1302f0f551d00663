//! The `caslb` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    caslb::cli::run(caslb::cli::Cli::parse())
}
