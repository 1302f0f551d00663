//! TLS of the checks: the configurations all of them share, and the judgement of a certificate.
//!
//! Building a TLS configuration reads the host's trust store (milliseconds, a megabyte), so there are two for the whole
//! process: one that verifies and one that takes any certificate.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use native_tls::{Certificate, Protocol, TlsConnector};
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, time::Instant};

use super::failure::certificate_problem;

/// How long the verdict on an unchanged certificate holds. Certificates expire and trust stores change, both slowly.
const VERDICT_HOLDS: Duration = Duration::from_mins(10);

/// The TLS configurations of all checks; cheap to clone. TLS 1.2 or newer, HTTP/1.1 by ALPN.
#[derive(Clone, Debug)]
pub struct Tls {
    trusting: TlsConnector,
    verifying: TlsConnector,
}

/// The TLS library refused the configuration or a certificate to trust.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS for the health checks: {0}")]
pub struct TlsError(#[from] native_tls::Error);

impl Tls {
    /// Verifies against the host's trust store, read now.
    pub fn new() -> Result<Self, TlsError> {
        Self::with_roots(&[])
    }

    /// As [`Self::new`], and also trusts the certificates of `pem`, a bundle that may be empty.
    pub fn with_roots(pem: &[u8]) -> Result<Self, TlsError> {
        let mut verifying = TlsConnector::builder();
        for root in Certificate::stack_from_pem(pem)? {
            verifying.add_root_certificate(root);
        }
        let mut trusting = TlsConnector::builder();
        trusting.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true).disable_built_in_roots(true);
        for builder in [&mut verifying, &mut trusting] {
            builder.min_protocol_version(Some(Protocol::Tlsv12)).request_alpns(&["http/1.1"]);
        }
        Ok(Self { trusting: trusting.build()?, verifying: verifying.build()? })
    }

    /// Takes any certificate.
    pub(super) fn trusting(&self) -> TlsConnector {
        self.trusting.clone()
    }

    /// Takes a certificate whose chain and name verify.
    pub(super) fn verifying(&self) -> TlsConnector {
        self.verifying.clone()
    }
}

/// SHA-256 of a certificate in DER form, as `verify` in the configuration may pin it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

impl Fingerprint {
    pub(super) fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Remembers what is wrong with the certificate of one server, so that most checks need one handshake only.
#[derive(Debug)]
pub(super) struct Judge {
    server: SocketAddr,
    name: String,
    verifying: tokio_native_tls::TlsConnector,
    last: Mutex<Option<Judgement>>,
}

#[derive(Clone)]
struct Judgement {
    certificate: Fingerprint,
    at: Instant,
    problem: Option<String>,
}

impl fmt::Debug for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.certificate, self.problem)
    }
}

impl Judge {
    /// Judges certificates of `server` for `name`.
    pub(super) fn new(server: SocketAddr, name: String, tls: &Tls) -> Self {
        Self { server, name, verifying: tls.verifying().into(), last: Mutex::new(None) }
    }

    /// What is wrong with the certificate that the server has just shown (`der`).
    ///
    /// Makes one verifying handshake when that certificate is a new one or the last judgement is old, and takes no longer
    /// than `within`; without a verdict by then there is no problem to report, and the next check tries again.
    pub(super) async fn problem(&self, der: &[u8], within: Duration) -> Option<String> {
        let certificate = Fingerprint::of(der);
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = &known
            && known.certificate == certificate
            && known.at.elapsed() < VERDICT_HOLDS
        {
            return known.problem.clone();
        }
        let Some(problem) = tokio::time::timeout(within, self.handshake()).await.ok().flatten() else {
            // Of the same certificate the old verdict is better than none.
            return known.filter(|known| known.certificate == certificate).and_then(|known| known.problem);
        };
        let judgement = Judgement { certificate, at: Instant::now(), problem: problem.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(judgement);
        problem
    }

    /// The verdict of a verifying handshake; nothing if it failed for another reason than the certificate.
    async fn handshake(&self) -> Option<Option<String>> {
        let stream = TcpStream::connect(self.server).await.ok()?;
        match self.verifying.connect(&self.name, stream).await {
            Ok(_) => Some(None),
            Err(error) => certificate_problem(&error, &self.name).map(Some),
        }
    }
}
