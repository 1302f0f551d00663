//! One HTTP connection of a [`Client`](crate::client::Client): opened from a known port, asked, and closed so that the port
//! is free again.
//!
//! Which connections a test makes is the client's business.
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pages::CLIENT_HEADER;

/// Longest answer kept in memory, in bytes; downloads are verified as they come instead.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How long a port may still belong to its last connection, whose end is on its way.
const PORT_FREE: Duration = Duration::from_secs(1);

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Server name and `Host`.
    pub(crate) host: String,
    pub(crate) tls: Option<TlsConnector>,
    /// For opening it and the first answer.
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, tls, timeout } = self;
        f.debug_struct("Setup").field("host", host).field("tls", &tls.is_some()).field("timeout", timeout).finish()
    }
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, empty if there is none.
    pub content_type: String,
    /// The body, as text.
    pub body: String,
    /// This end of the connection.
    pub local: SocketAddr,
    /// This end of the connection as the server saw it, if it is one of ours.
    pub seen_as: Option<SocketAddr>,
}

/// Port 0 of all addresses of the family of `to`: the kernel chooses.
pub(crate) fn any_port(to: SocketAddr) -> SocketAddr {
    if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    pub(crate) local: SocketAddr,
}

impl Setup {
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.timeout, work).await.map_err(|_| anyhow!("no answer within {:?}", self.timeout))?
    }

    pub(crate) async fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Open> {
        let socket = bound(from).await.with_context(|| format!("cannot use {from}"))?;
        let stream = socket.connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        let local = stream.local_addr()?;
        let (sender, driver) = match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                let stream: TlsStream<TcpStream> =
                    tls.connect(name, stream).await.with_context(|| format!("no TLS with {to}"))?;
                handshake(stream).await?
            }
            None => handshake(stream).await?,
        };
        Ok(Open { sender, driver, local })
    }

    /// One request on a connection of its own. The server closes first, so that this end's port is free at once.
    pub(crate) async fn once(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer> {
        let (answer, mut open) = self
            .within(async {
                let mut open = self.open(from, to).await?;
                let answer = open.ask(&self.host, method, path, body, true).await?;
                Ok((answer, open))
            })
            .await?;
        // An answer is an answer, however the connection ends.
        let _ = timeout(PORT_FREE, &mut open.driver).await;
        Ok(answer)
    }
}

/// A socket at `from`, or at a port of the kernel's choice.
async fn bound(from: SocketAddr) -> io::Result<TcpSocket> {
    let deadline = Instant::now() + PORT_FREE;
    loop {
        let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match socket.bind(from) {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A stream over TCP that gives the TCP connection back.
trait OverTcp: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn into_tcp(self) -> TcpStream;
}

impl OverTcp for TcpStream {
    fn into_tcp(self) -> TcpStream {
        self
    }
}

impl OverTcp for TlsStream<TcpStream> {
    fn into_tcp(self) -> TcpStream {
        self.into_inner().0
    }
}

async fn handshake(stream: impl OverTcp) -> Result<(SendRequest<Full<Bytes>>, JoinHandle<()>)> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        // An error comes to the request that it breaks. Without one the server has said that it closes: whoever closes first
        // keeps the port for a minute (TIME-WAIT), so this end waits for the server's FIN.
        if let Ok(parts) = connection.without_shutdown().await {
            let mut tcp = parts.io.into_inner().into_tcp();
            let mut rest = [0; 64];
            while matches!(tcp.read(&mut rest).await, Ok(1..)) {}
        }
    });
    Ok((sender, driver))
}

impl Open {
    pub(crate) async fn send(
        &mut self,
        host: &str,
        method: Method,
        path: &str,
        body: Bytes,
        last: bool,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, host).body(Full::new(body))?;
        if last {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.sender.ready().await.context("the connection is closed")?;
        self.sender.send_request(request).await.with_context(|| format!("no answer to {path}"))
    }

    pub(crate) async fn ask(
        &mut self,
        host: &str,
        method: Method,
        path: &str,
        body: Bytes,
        last: bool,
    ) -> Result<Answer> {
        let response = self.send(host, method, path, body, last).await?;
        let (head, body) = response.into_parts();
        let announced = body.size_hint().lower();
        ensure!(announced <= LONGEST_ANSWER, "{path} answers {announced} bytes: too many to keep, use a download");
        let body = body.collect().await.with_context(|| format!("the answer to {path} broke off"))?.to_bytes();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer {
            status: head.status.as_u16(),
            content_type: header(CONTENT_TYPE).to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            local: self.local,
            seen_as: header(CLIENT_HEADER).parse().ok(),
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
