//! What a simulated Exchange server answers to each request. No sockets here: those are [`exchange`](crate::exchange)'s.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::{Method, Request, Response, StatusCode};

use crate::download::Download;

/// Header of every answer: the address and port that the server saw the request come from.
pub const CLIENT_HEADER: HeaderName = HeaderName::from_static("x-client-address");

/// Every virtual directory that has a health page, by the name in its path.
pub const VIRTUAL_DIRECTORIES: [&str; 8] =
    ["owa", "ecp", "ews", "mapi", "rpc", "Microsoft-Server-ActiveSync", "oab", "Autodiscover"];

/// What the health page of a virtual directory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// 200, with the body that Exchange sends.
    Healthy,
    /// This status and no health page: 503 of a stopped application pool, 401 and 302 of a wrong authentication setting.
    Status(u16),
    /// The connection is closed without an answer, as Exchange does for a component that is off.
    Closed,
    /// No answer at all; the connection stays open.
    Silent,
}

/// The state behind the pages, shared by all connections and kept over a restart.
#[derive(Debug)]
pub(crate) struct Pages {
    fqdn: String,
    health: Mutex<BTreeMap<String, Health>>,
    /// Connections accepted since the start.
    pub(crate) connections: AtomicU64,
    /// Requests received since the start.
    pub(crate) requests: AtomicU64,
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

impl Pages {
    pub(crate) fn new(fqdn: &str) -> Self {
        Self {
            fqdn: fqdn.to_owned(),
            health: Mutex::default(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_health(&self, directory: &str, health: Health) -> Result<()> {
        if !VIRTUAL_DIRECTORIES.contains(&directory) {
            bail!("no virtual directory {directory:?}: one of {}", VIRTUAL_DIRECTORIES.join(", "));
        }
        let mut set = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        set.insert(directory.to_ascii_lowercase(), health);
        Ok(())
    }

    /// The health of the virtual directory whose health page is `path`; `None` if it is another page. As in IIS, case does
    /// not matter.
    fn health_at(&self, path: &str) -> Option<Health> {
        let path = path.to_ascii_lowercase();
        let directory = path.strip_prefix('/')?.strip_suffix("/healthcheck.htm")?;
        if !VIRTUAL_DIRECTORIES.iter().any(|known| known.eq_ignore_ascii_case(directory)) {
            return None;
        }
        let set = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        Some(set.get(directory).copied().unwrap_or(Health::Healthy))
    }

    /// Answers one request.
    ///
    /// # Errors
    ///
    /// If the connection shall be closed without an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Result<Answer> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut answer = self.page(request).await?;
        answer.headers_mut().insert(CLIENT_HEADER, client.to_string().parse()?);
        Ok(answer)
    }

    async fn page(&self, request: Request<Incoming>) -> Result<Answer> {
        if let Some(health) = self.health_at(request.uri().path()) {
            return match health {
                Health::Healthy => Ok(text(StatusCode::OK, "text/html", format!("200 OK<br/>{}", self.fqdn))),
                Health::Status(status) => Ok(text(StatusCode::from_u16(status)?, "text/html", String::new())),
                Health::Closed => bail!("this virtual directory is off"),
                Health::Silent => future::pending().await,
            };
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/whoami") => Ok(text(StatusCode::OK, "text/plain", self.fqdn.clone())),
            (&Method::GET, "/download") => {
                let query = request.uri().query().unwrap_or_default();
                let body = Download::new(number(query, "bytes")?, number(query, "rate")?);
                Ok(Response::new(body.map_err(never).boxed()))
            }
            (&Method::POST, "/echo") => Ok(Response::new(request.into_body().boxed())),
            _ => Ok(text(StatusCode::NOT_FOUND, "text/plain", "no such page".to_owned())),
        }
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body).map_err(never).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    answer
}

fn never(error: Infallible) -> hyper::Error {
    match error {}
}

/// The number that `key` has in a query such as `bytes=1000&rate=10`.
fn number(query: &str, key: &str) -> Result<Option<u64>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| Ok(value.parse()?)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_pages_are_found_whatever_the_case_and_start_healthy() {
        let pages = Pages::new("EX01.contoso.com");
        assert_eq!(pages.health_at("/owa/healthcheck.htm"), Some(Health::Healthy));
        assert_eq!(pages.health_at("/OWA/HealthCheck.htm"), Some(Health::Healthy));
        assert_eq!(pages.health_at("/microsoft-server-activesync/healthcheck.htm"), Some(Health::Healthy));
        assert_eq!(pages.health_at("/owa/"), None);
        assert_eq!(pages.health_at("/public/healthcheck.htm"), None);
    }

    #[test]
    fn each_virtual_directory_is_switched_by_itself() {
        let pages = Pages::new("EX01.contoso.com");
        pages.set_health("Autodiscover", Health::Status(503)).unwrap();
        assert_eq!(pages.health_at("/Autodiscover/healthcheck.htm"), Some(Health::Status(503)));
        assert_eq!(pages.health_at("/owa/healthcheck.htm"), Some(Health::Healthy));
        assert!(pages.set_health("nothing", Health::Closed).is_err());
    }

    #[test]
    fn numbers_are_read_from_a_query() {
        assert_eq!(number("bytes=10&rate=3", "rate").unwrap(), Some(3));
        assert_eq!(number("bytes=10", "rate").unwrap(), None);
        assert!(number("bytes=many", "bytes").is_err());
    }
}
