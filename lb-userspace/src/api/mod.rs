//! The conversation between the commands and a running controller: HTTP and JSON over a unix socket that only root and
//! its group can open.

pub mod client;
pub mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Folder of sockets and locks.
pub const RUN_DIR: &str = "/run/caslb";

/// The socket of `node`.
pub fn socket_path(node: &str) -> PathBuf {
    PathBuf::from(RUN_DIR).join(format!("{node}.sock"))
}

/// What `caslb reload` asks for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// Accept a change that moves nearly every connection.
    pub force: bool,
}

/// How it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// What was done, or why nothing was.
    pub message: String,
    /// Warnings of the configuration, rendered.
    pub warnings: String,
    /// Whether it is in force now.
    pub accepted: bool,
    /// Whether the configuration is at fault.
    pub bad_config: bool,
}
