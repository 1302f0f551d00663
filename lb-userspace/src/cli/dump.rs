//! `caslb dump`: what is in the kernel's maps, read from their pins; no controller is needed.

mod document;
mod text;

use std::process::ExitCode;

use anyhow::Context;

use super::{arguments::DumpWhat, output};
use crate::dataplane::View;

pub(super) fn run(node: &str, what: DumpWhat, json: bool) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        anyhow::bail!("the kernel shows its maps to root only: run this command as root");
    }
    let view = View::open(node)?.with_context(|| {
        format!("nothing is loaded for node {node}: start it with `caslb run`, or name another node with --node")
    })?;
    let document = document::read(&view, what)?;
    if json {
        output::json(&document)?;
    } else {
        output::print(&text::describe(&document))?;
    }
    Ok(ExitCode::SUCCESS)
}
