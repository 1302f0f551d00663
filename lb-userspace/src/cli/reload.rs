//! `caslb reload`: has the controller read its configuration again.

use std::process::ExitCode;

use super::{BAD_CONFIG, output};
use crate::api::{ReloadAnswer, ReloadRequest, client::Client};

pub(super) fn run(node: &str, force: bool, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { Client::new(node)?.reload(&ReloadRequest { force }).await })?;
    let ReloadAnswer { message, warnings, accepted, bad_config } = &answer;
    if json {
        output::json(&answer)?;
    } else {
        if !warnings.is_empty() {
            eprintln!("{warnings}");
        }
        if *accepted {
            output::print(&format!("{message}\n"))?;
        } else {
            // Errors in a configuration are rendered, each with its severity in front.
            let rendered = ["error: ", "warning: "].iter().any(|severity| message.starts_with(severity));
            eprintln!("{}{message}", if rendered { "" } else { "error: " });
        }
    }
    Ok(match (accepted, bad_config) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(BAD_CONFIG),
        (false, false) => ExitCode::FAILURE,
    })
}
