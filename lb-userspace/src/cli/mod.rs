//! The commands of `caslb`: each is a function from its arguments to an exit status.
//!
//! 0: done. 1: it failed. 2: bad usage or bad configuration. Errors go to standard error, as one sentence with the remedy.

mod arguments;
pub mod check;
mod detach;
mod dump;
mod output;
mod reload;
mod rights;
mod run;
mod status;

use std::process::ExitCode;

pub use arguments::Cli;
use arguments::Command;

/// Exit status of bad usage and of a configuration that can't be used.
const BAD_CONFIG: u8 = 2;

/// Carries a command out.
pub fn run(cli: Cli) -> ExitCode {
    let Cli { node, command } = cli;
    let node = node.unwrap_or_else(|| "default".to_owned());
    let result = match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check { config, json } => check::run(&config, json),
        Command::Status { watch, json } => status::run(&node, watch, json),
        Command::Dump { what, json } => dump::run(&node, what, json),
        Command::Reload { force, json } => reload::run(&node, force, json),
        Command::Detach { json } => detach::run(&node, json),
    };
    result.unwrap_or_else(|error| {
        if !output::is_broken_pipe(&error) {
            eprintln!("error: {}", crate::explain::chain(error.as_ref()));
        }
        ExitCode::FAILURE
    })
}
