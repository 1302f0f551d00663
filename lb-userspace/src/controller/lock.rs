//! One controller a node: the lock that the first one holds.
//!
//! The kernel keeps the lock for as long as the file is open, so it is gone with its holder, however that ended. The
//! file stays; the process id in it is for messages only.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Where the locks and sockets of all nodes of this host are.
const BASE: &str = "/run/caslb";

/// Why a node could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error(
        "another controller{} already runs for node {node}; stop it first, or give this one another node name",
        show_pid(*pid)
    )]
    Held {
        /// The node.
        node: String,
        /// Process id of the holder, if it could be read.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("the lock file {path} cannot be used: {source}; is this root?")]
    Unusable {
        /// The file, or its directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

fn show_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// A node that no other controller can have. Given back when it is dropped.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
}

impl NodeLock {
    /// Locks `node` on this host.
    pub fn acquire(node: &str) -> Result<Self, LockError> {
        Self::acquire_in(Path::new(BASE), node)
    }

    /// Whether a controller has `node` now. To keep one from starting, acquire the lock instead.
    pub fn is_held(node: &str) -> Result<bool, LockError> {
        Self::is_held_in(Path::new(BASE), node)
    }

    fn acquire_in(base: &Path, node: &str) -> Result<Self, LockError> {
        DirBuilder::new().recursive(true).mode(0o755).create(base).map_err(unusable(base))?;
        let path = file(base, node);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let mut file = options.open(&path).map_err(unusable(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { node: node.to_owned(), pid: pid(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&path)(error)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(unusable(&path))?;
        Ok(Self { _file: file })
    }

    fn is_held_in(base: &Path, node: &str) -> Result<bool, LockError> {
        let path = file(base, node);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unusable(&path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(unusable(&path)(error)),
        }
    }
}

fn file(base: &Path, node: &str) -> PathBuf {
    base.join(format!("{node}.lock"))
}

/// The process id in a lock file; `None` when the holder has not written it yet.
fn pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> LockError {
    let path = path.to_owned();
    move |source| LockError::Unusable { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_controller_of_a_node_is_refused_and_told_who_the_first_is() {
        let base = tempfile::tempdir().unwrap();
        let _first = NodeLock::acquire_in(base.path(), "lb1").unwrap();
        let error = NodeLock::acquire_in(base.path(), "lb1").unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(
            error,
            format!(
                "another controller (pid {pid}) already runs for node lb1; stop it first, or give this one another node name"
            )
        );
        NodeLock::acquire_in(base.path(), "lb2").unwrap();
    }

    #[test]
    fn a_lock_is_held_until_its_holder_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let held = || NodeLock::is_held_in(base.path(), "lb1").unwrap();
        assert!(!held(), "there is no file yet");
        let lock = NodeLock::acquire_in(base.path(), "lb1").unwrap();
        assert!(held() && held(), "asking must not take it");
        drop(lock);
        assert!(!held());
        NodeLock::acquire_in(base.path(), "lb1").unwrap();
    }

    #[test]
    fn a_longer_process_id_of_an_earlier_holder_leaves_nothing_behind() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("lb1.lock");
        std::fs::write(&path, "4194304000\n").unwrap();
        let _lock = NodeLock::acquire_in(base.path(), "lb1").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_holder_that_has_not_said_who_it_is_is_refused_without_a_number() {
        let base = tempfile::tempdir().unwrap();
        let lock = NodeLock::acquire_in(base.path(), "lb1").unwrap();
        std::fs::write(base.path().join("lb1.lock"), "").unwrap();
        let error = NodeLock::acquire_in(base.path(), "lb1").unwrap_err().to_string();
        assert!(error.starts_with("another controller already runs for node lb1;"), "{error}");
        drop(lock);
    }

    #[test]
    fn the_directory_is_made_and_one_that_cannot_be_is_named() {
        let base = tempfile::tempdir().unwrap();
        NodeLock::acquire_in(&base.path().join("run/caslb"), "lb1").unwrap();
        let no_directory = base.path().join("run/caslb/lb1.lock");
        let error = NodeLock::acquire_in(&no_directory, "lb1").unwrap_err().to_string();
        assert!(error.contains("run/caslb/lb1.lock cannot be used"), "{error}");
    }
}
