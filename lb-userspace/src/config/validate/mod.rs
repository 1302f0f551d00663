//! From the raw shape to the deployment: every rule about values, one table after the other, then the rules between
//! tables.
//!
//! Nothing stops at the first error. A value that is wrong becomes `None` in a draft, so that the rules that need it
//! keep silent and all others still apply; a deployment is made from drafts in which nothing is missing.

mod across;
mod array;
mod check;
mod draft;
mod http;
mod node;
mod service;
mod values;

use super::{
    deployment::Deployment,
    diagnostic::{Findings, Span},
    raw::RawFile,
};

/// The deployment that `file` asks for; `None` when `findings` has an error.
pub(super) fn validate(file: &RawFile, findings: &mut Findings) -> Option<Deployment> {
    let node = node::validate(&file.node, &file.defaults, findings);
    let defaults = service::Defaults::validate(&file.defaults, findings);
    if file.arrays.items.is_empty() && !file.arrays.reported {
        findings.error(
            None::<Span>,
            "the file has no [[array]]",
            "add one, with its [[array.server]] and [[array.service]] tables",
        );
    }
    let arrays: Vec<_> = file.arrays.items.iter().map(|raw| array::validate(raw, &defaults, findings)).collect();
    across::validate(&node, &arrays, findings);
    if findings.forbid() {
        return None;
    }
    Some(Deployment {
        node: node.finish()?,
        arrays: arrays.into_iter().map(draft::Array::finish).collect::<Option<_>>()?,
    })
}
