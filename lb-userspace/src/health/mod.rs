//! Health checks: asking a server and saying what it answered.
//!
//! A check kind is one file and one [`Probe`]. [`scheduler`] runs the probes on their cadence and hands every outcome on.
//! Nothing here counts successes or failures, knows whether a server is up, or decides anything about traffic.

mod failure;
mod http;
pub mod scheduler;
mod tcp;
#[cfg(test)]
mod testserver;
mod tls;

use std::{net::SocketAddr, time::Duration};

use futures_util::future::BoxFuture;

pub use self::tls::{Tls, TlsError};
use crate::config::deployment::{Check, CheckKind, Verify};

/// What one run of a check found.
pub type Outcome = Result<Passed, Failed>;

/// A check that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What the server answered, one short sentence without a full stop.
    pub detail: String,
    /// Something an administrator should mend although the check passed.
    pub warning: Option<String>,
}

/// A check that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The sort of failure.
    pub kind: FailureKind,
    /// What happened, one short sentence without a full stop.
    pub detail: String,
}

/// The sort of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The server refused the connection: nothing listens on the port.
    Refused,
    /// No answer in time.
    Timeout,
    /// The network said that the server cannot be reached.
    Unreachable,
    /// The server closed or reset the connection before it had answered.
    Reset,
    /// The TLS handshake failed, or the certificate was not accepted.
    Tls,
    /// The answer is not what the protocol allows.
    Protocol,
    /// An HTTP status that is not in the set.
    Status,
    /// The expected text is not in the body.
    Body,
    /// A fault of this host, such as no free file descriptor: says nothing about the server and must not count against it.
    Local,
}

/// One kind of check against one server.
pub trait Probe: Send + Sync {
    /// Asks once. The caller bounds the time by [`Check::timeout`] and drops the future when it is over.
    fn probe(&self) -> BoxFuture<'_, Outcome>;
}

/// The probe of `check` against the server at `server` (its own address, and [`Check::port`]).
///
/// Fails, with [`FailureKind::Local`], when the request that the check describes cannot be made.
pub fn probe_of(check: &Check, server: SocketAddr, tls: &Tls) -> Result<Box<dyn Probe>, Failed> {
    Ok(match &check.kind {
        CheckKind::Tcp => Box::new(tcp::TcpProbe::new(server)),
        CheckKind::Http(request) => Box::new(http::HttpProbe::plain(request, server, check.timeout, tls)?),
        CheckKind::Https(request, verify) => {
            let verify: &Verify = verify;
            Box::new(http::HttpProbe::tls(request, verify, server, check.timeout, tls)?)
        }
    })
}

impl Failed {
    /// A failure of `kind`, described by `detail`.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Nothing came within `timeout`.
    pub fn no_answer(timeout: Duration) -> Self {
        Self::new(FailureKind::Timeout, format!("no answer within {}", seconds(timeout)))
    }
}

/// A duration the way the configuration writes it: `4s`, `1.5s`, `250ms`.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{}s", duration.as_secs_f64())
    }
}
