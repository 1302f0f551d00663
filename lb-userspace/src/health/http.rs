//! The `http` and `https` checks: one GET, on a connection of its own, to the server's own address.
//!
//! Everything a server sends is bounded: the header by the HTTP library (100 fields, about 400 KiB), the body by
//! [`BODY_LIMIT`], the time by the caller. Redirects are answers, not instructions, and proxies are never used.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::BoxFuture;
use reqwest::{
    Client, Response, Url,
    header::{CONNECTION, HOST, HeaderValue},
    redirect::Policy,
    tls::TlsInfo,
};
use tokio::time::Instant;

use super::{
    Failed, FailureKind, Outcome, Passed, Probe, seconds,
    tls::{Fingerprint, Judge, Tls},
};
use crate::config::deployment::{HttpCheck, Verify};

/// How much of a body is searched for the expected text, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Share of the check's timeout that the connection may take. A little less than all of it, so that a server that cannot be
/// connected to is told apart from one that is connected and silent.
const CONNECT_SHARE: f64 = 0.98;

const USER_AGENT: &str = concat!("caslb/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Asks one server for one page.
pub(super) struct HttpProbe {
    client: Client,
    url: Url,
    host: Option<HeaderValue>,
    check: HttpCheck,
    certificate: Certificate,
    /// The name that the certificate should be for.
    name: String,
    timeout: Duration,
}

/// What happens to the certificate of a server once the request was answered.
enum Certificate {
    /// Verified by the handshake already, or of no interest.
    Settled,
    /// Must be this one.
    Pinned(Fingerprint),
    /// Problems become a warning.
    Judged(Judge),
}

impl HttpProbe {
    /// A check over plain HTTP.
    pub(super) fn plain(check: &HttpCheck, server: SocketAddr, timeout: Duration, tls: &Tls) -> Result<Self, Failed> {
        Self::new("http", check, &Verify::None, server, timeout, tls)
    }

    /// A check over TLS.
    pub(super) fn tls(
        check: &HttpCheck,
        verify: &Verify,
        server: SocketAddr,
        timeout: Duration,
        tls: &Tls,
    ) -> Result<Self, Failed> {
        Self::new("https", check, verify, server, timeout, tls)
    }

    fn new(
        scheme: &str,
        check: &HttpCheck,
        verify: &Verify,
        server: SocketAddr,
        timeout: Duration,
        tls: &Tls,
    ) -> Result<Self, Failed> {
        let unusable =
            |what: &str| Failed::new(FailureKind::Local, format!("this host cannot make the request: {what}"));
        // A host that is an address must not be connected to in place of the server: it is a Host header only.
        let host = check.host.as_deref();
        let authority = match host.filter(|host| host.parse::<IpAddr>().is_err()) {
            Some(host) => format!("{host}:{}", server.port()),
            None => server.to_string(),
        };
        let url = Url::parse(&format!("{scheme}://{authority}{}", check.path))
            .map_err(|error| unusable(&format!("{authority}{}: {error}", check.path)))?;
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let client = Client::builder()
            .tls_backend_preconfigured(if *verify == Verify::Full { tls.verifying() } else { tls.trusting() })
            .tls_info(matches!(verify, Verify::Warn | Verify::Fingerprint(_)))
            .resolve(&name, server)
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(timeout.mul_f64(CONNECT_SHARE))
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| Failed::from_http(&error, &name))?;
        let certificate = match verify {
            Verify::Full | Verify::None => Certificate::Settled,
            Verify::Fingerprint(wanted) => Certificate::Pinned(Fingerprint(*wanted)),
            Verify::Warn => Certificate::Judged(Judge::new(server, name.clone(), tls)),
        };
        // Exactly what was configured: clients do not see the server's own port either.
        let host = host.map(HeaderValue::from_str).transpose().map_err(|_| unusable("the host is not a valid name"))?;
        Ok(Self { client, url, host, check: check.clone(), certificate, name, timeout })
    }

    async fn ask(&self) -> Outcome {
        let started = Instant::now();
        let mut request = self.client.get(self.url.clone()).header(CONNECTION, "close");
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        let mut response = request.send().await.map_err(|error| self.not_answered(&error))?;
        let peer = response.extensions_mut().remove::<TlsInfo>();
        let peer = peer.as_ref().and_then(TlsInfo::peer_certificate);
        if let Certificate::Pinned(wanted) = &self.certificate {
            pinned(peer, *wanted)?;
        }
        let status = response.status().as_u16();
        let answered = format!("GET {} answered {status}", self.check.path);
        if !self.check.status.contains(&status) {
            return Err(Failed::new(FailureKind::Status, answered));
        }
        if let Some(text) = &self.check.body {
            self.find(&mut response, text).await?;
        }
        drop(response);
        let mut warning = None;
        if let (Certificate::Judged(judge), Some(der)) = (&self.certificate, peer) {
            // The request has been answered: what is left of the time is for this, but for a rest that keeps the check
            // from timing out over a mere warning.
            warning = judge.problem(der, self.timeout.saturating_sub(started.elapsed()).mul_f64(0.8)).await;
        }
        Ok(Passed { detail: answered, warning })
    }

    /// Reads the body until `text` has come, it ends or the limit is reached.
    async fn find(&self, response: &mut Response, text: &str) -> Result<(), Failed> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Ok(());
        }
        let mut body: Vec<u8> = Vec::new();
        let ended = loop {
            let chunk = response.chunk().await.map_err(|error| Failed::from_http(&error, &self.name))?;
            let Some(chunk) = chunk else { break true };
            let room = BODY_LIMIT - body.len();
            // A match may begin in what came before.
            let from = body.len().saturating_sub(text.len());
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if contains(&body[from..], text) {
                return Ok(());
            }
            if body.len() == BODY_LIMIT {
                break false;
            }
        };
        let bound = if ended { "" } else { " within its first 64 KiB" };
        let text = String::from_utf8_lossy(text);
        Err(Failed::new(
            FailureKind::Body,
            format!("GET {}: the body does not contain {text:?}{bound}", self.check.path),
        ))
    }

    fn not_answered(&self, error: &reqwest::Error) -> Failed {
        if error.is_timeout() && error.is_connect() {
            let what = if self.url.scheme() == "https" { "TCP and TLS connection" } else { "TCP connection" };
            return Failed::new(FailureKind::Timeout, format!("no {what} within {}", seconds(self.timeout)));
        }
        Failed::from_http(error, &self.name)
    }
}

impl Probe for HttpProbe {
    fn probe(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }
}

fn pinned(peer: Option<&[u8]>, wanted: Fingerprint) -> Result<(), Failed> {
    let shown = peer.map(Fingerprint::of);
    if shown == Some(wanted) {
        return Ok(());
    }
    let shown = shown.map_or_else(|| "none".to_owned(), |shown| shown.to_string());
    Err(Failed::new(FailureKind::Tls, format!("certificate has the fingerprint {shown}, not {wanted}")))
}

/// `needle` is not empty.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
