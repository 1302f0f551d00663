//! An HTTP client in a namespace that knows and chooses its own ports, so that a test can compare where each connection
//! went with where the slot tables say it must go.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::certificates::Authority;
pub use crate::connection::Answer;
use crate::connection::{Open, Setup, any_port};
use crate::download;
use crate::netns::Namespace;
use crate::runtime::{Runtime, Task};

/// Time for a connection and its first answer, unless set otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of [`Client::spread`] that are open at one time.
const AT_ONE_TIME: usize = 32;

/// A client in a namespace that talks to one host name at any address.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    setup: Setup,
}

/// Which server took a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where the connection came from.
    pub from: SocketAddr,
    /// Name of the server that answered.
    pub server: String,
}

impl Client {
    /// A client that speaks TLS to `host`, a name that the server's certificate must hold, and trusts `authority` alone.
    pub fn https(namespace: &Namespace, authority: &Authority, host: &str) -> Result<Self> {
        let tls = Some(TlsConnector::from(authority.client_config()?));
        Self::new(namespace, Setup { host: host.to_owned(), tls, timeout: TIMEOUT })
    }

    /// A client that speaks plain HTTP.
    pub fn http(namespace: &Namespace, host: &str) -> Result<Self> {
        Self::new(namespace, Setup { host: host.to_owned(), tls: None, timeout: TIMEOUT })
    }

    fn new(namespace: &Namespace, setup: Setup) -> Result<Self> {
        Ok(Self { runtime: namespace.runtime()?, setup })
    }

    /// Gives each connection and its first answer `timeout` instead of 5 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.setup.timeout = timeout;
        self
    }

    /// GET on a connection of its own.
    pub fn get(&self, to: SocketAddr, path: &str) -> Result<Answer> {
        self.get_from(any_port(to), to, path)
    }

    /// GET on a connection of its own from the address and port given, which must not be in use.
    pub fn get_from(&self, from: SocketAddr, to: SocketAddr, path: &str) -> Result<Answer> {
        self.once(from, to, Method::GET, path, Bytes::new())
    }

    /// POST on a connection of its own.
    pub fn post(&self, to: SocketAddr, path: &str, body: &str) -> Result<Answer> {
        self.once(any_port(to), to, Method::POST, path, Bytes::copy_from_slice(body.as_bytes()))
    }

    fn once(&self, from: SocketAddr, to: SocketAddr, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let (setup, path) = (self.setup.clone(), path.to_owned());
        self.runtime.run(async move { setup.once(from, to, method, &path, body).await })
    }

    /// Opens a connection that is kept, from a port of the kernel's choice.
    pub fn connect(&self, to: SocketAddr) -> Result<Connection<'_>> {
        self.connect_from(any_port(to), to)
    }

    /// Opens a connection that is kept, from the address and port given.
    pub fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> Result<Connection<'_>> {
        let setup = self.setup.clone();
        let open = self.runtime.run(async move { setup.within(setup.open(from, to)).await })?;
        let local = open.local;
        Ok(Connection { client: self, open: Arc::new(Mutex::new(open)), local })
    }

    /// Asks `count` times who answers, each time on a new connection from a port of the kernel's choice.
    pub fn spread(&self, to: SocketAddr, count: usize) -> Result<Vec<Taken>> {
        self.spread_from(std::iter::repeat_n(any_port(to), count), to)
    }

    /// Asks who answers on a new connection from each address and port given, in the order given. None may be in use.
    ///
    /// # Errors
    ///
    /// If one of them fails, with its address.
    pub fn spread_from(&self, from: impl IntoIterator<Item = SocketAddr>, to: SocketAddr) -> Result<Vec<Taken>> {
        let (setup, from) = (self.setup.clone(), from.into_iter().collect::<Vec<_>>());
        self.runtime.run(async move {
            let places = Arc::new(Semaphore::new(AT_ONE_TIME));
            let mut asking = JoinSet::new();
            for (number, from) in from.into_iter().enumerate() {
                let (setup, places) = (setup.clone(), Arc::clone(&places));
                asking.spawn(async move {
                    let _place = places.acquire().await?;
                    let asked = setup.once(from, to, Method::GET, "/whoami", Bytes::new()).await;
                    let answer = asked.with_context(|| format!("connection {number} from {from}"))?;
                    ensure!(answer.status == 200, "connection {number}: status {}", answer.status);
                    Ok((number, Taken { from: answer.local, server: answer.body }))
                });
            }
            let mut taken = asking.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
            taken.sort_by_key(|(number, _)| *number);
            Ok(taken.into_iter().map(|(_, taken)| taken).collect())
        })
    }

    /// Starts a download (see [`download`]) of `bytes` bytes, at `rate` bytes a second if given, and verifies it as it comes.
    ///
    /// # Errors
    ///
    /// If it does not start. What goes wrong later, [`Downloading::finish`] tells.
    pub fn download(&self, to: SocketAddr, bytes: u64, rate: Option<u64>) -> Result<Downloading> {
        self.download_from(any_port(to), to, bytes, rate)
    }

    /// Like [`Client::download`], from the address and port given.
    pub fn download_from(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        bytes: u64,
        rate: Option<u64>,
    ) -> Result<Downloading> {
        let setup = self.setup.clone();
        let rate = rate.map(|rate| format!("&rate={rate}")).unwrap_or_default();
        let path = format!("/download?bytes={bytes}{rate}");
        let (open, response) = self.runtime.run(async move {
            setup
                .within(async {
                    let mut open = setup.open(from, to).await?;
                    let response = open.send(&setup.host, Method::GET, &path, Bytes::new(), false).await?;
                    Ok((open, response))
                })
                .await
        })?;
        ensure!(response.status() == 200, "the download answered {}", response.status());
        let from = open.local;
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        let task = self.runtime.spawn(async move {
            let verified = verify(response.into_body(), &counter).await;
            drop(open);
            let got = counter.load(Ordering::Relaxed);
            verified.with_context(|| format!("download from {from} after {got} of {bytes} bytes"))?;
            ensure!(got == bytes, "download from {from} ended after {got} of {bytes} bytes");
            Ok(got)
        });
        Ok(Downloading { received, task, from })
    }
}

/// A connection that is kept. It closes when dropped.
#[derive(Debug)]
pub struct Connection<'a> {
    client: &'a Client,
    open: Arc<Mutex<Open>>,
    local: SocketAddr,
}

impl Connection<'_> {
    /// This end of it.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// GET on this connection.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let (setup, path, open) = (self.client.setup.clone(), path.to_owned(), Arc::clone(&self.open));
        self.client.runtime.run(async move {
            let mut open = open.lock().await;
            setup.within(open.ask(&setup.host, Method::GET, &path, Bytes::new(), false)).await
        })
    }
}

/// A download in the background. It goes on when this is dropped, until its [`Client`] is.
#[derive(Debug)]
pub struct Downloading {
    received: Arc<AtomicU64>,
    task: Task<Result<u64>>,
    from: SocketAddr,
}

impl Downloading {
    /// Bytes received and verified so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// This end of the connection.
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// Waits for its end and returns the number of bytes.
    ///
    /// # Errors
    ///
    /// If a byte was wrong, or the connection ended early.
    pub fn finish(self) -> Result<u64> {
        self.task.join()?
    }
}

async fn verify(mut body: Incoming, received: &AtomicU64) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        let offset = received.load(Ordering::Relaxed);
        download::verify(offset, &piece).map_err(|at| anyhow!("byte {at} is wrong"))?;
        received.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
