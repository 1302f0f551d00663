//! A simulated Exchange server as a client and a load balancer see it: HTTPS (or HTTP) with health pages, in a namespace.
//!
//! Not simulated: authentication, mail. What the pages answer is in [`pages`](crate::pages).
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Identity;
use crate::netns::Namespace;
use crate::pages::{Health, Pages, VIRTUAL_DIRECTORIES};
use crate::runtime::Runtime;

/// Connections that may wait to be accepted: a burst of a test's clients, at most `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A running (or stopped) server. It stops when dropped.
#[derive(Debug)]
pub struct Exchange {
    namespace: Namespace,
    listen: SocketAddr,
    identity: Option<Identity>,
    pages: Arc<Pages>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Another descriptor of the listening socket.
    listener: OwnedFd,
    _runtime: Runtime,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closing it is not enough: a child process that is being started at this moment holds it open until it runs its
        // program, and connections would still be taken. An error says that it does not listen any more.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}

impl Exchange {
    /// Starts a server called `fqdn` on port 443 of all IPv4 addresses, with TLS.
    pub fn https(namespace: &Namespace, fqdn: &str, identity: &Identity) -> Result<Self> {
        Self::on((Ipv4Addr::UNSPECIFIED, 443).into(), namespace, fqdn, Some(identity))
    }

    /// Starts a server called `fqdn` on `port` of all IPv4 addresses, without TLS.
    pub fn http(namespace: &Namespace, fqdn: &str, port: u16) -> Result<Self> {
        Self::on((Ipv4Addr::UNSPECIFIED, port).into(), namespace, fqdn, None)
    }

    /// Starts a server called `fqdn` on any address, with TLS if it has an identity.
    pub fn on(listen: SocketAddr, namespace: &Namespace, fqdn: &str, identity: Option<&Identity>) -> Result<Self> {
        let mut server = Self {
            namespace: namespace.clone(),
            listen,
            identity: identity.cloned(),
            pages: Arc::new(Pages::new(fqdn)),
            running: None,
        };
        server.start()?;
        Ok(server)
    }

    /// Starts it again after [`Exchange::stop`]; without effect while it runs. Health and counters are as they were.
    pub fn start(&mut self) -> Result<()> {
        if self.running.is_none() {
            let tls = self.identity.as_ref().map(Identity::server_config).transpose()?.map(TlsAcceptor::from);
            let runtime = self.namespace.runtime()?;
            let listen = self.listen;
            let listener = runtime.run(async move { listener(listen) })?;
            let socket = listener.as_fd().try_clone_to_owned()?;
            runtime.spawn(serve(listener, tls, Arc::clone(&self.pages)));
            self.running = Some(Running { listener: socket, _runtime: runtime });
        }
        Ok(())
    }

    /// Stops it as if its process had been killed: the listening socket and all connections are closed, and new connections
    /// are refused by a reset.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Sets what the health page of one virtual directory (see [`VIRTUAL_DIRECTORIES`]) does from now on.
    ///
    /// # Errors
    ///
    /// If there is no such virtual directory.
    pub fn set_health(&self, directory: &str, health: Health) -> Result<()> {
        self.pages.set_health(directory, health)
    }

    /// Sets what all health pages do from now on, as `Set-ServerComponentState … ServerWideOffline` does.
    pub fn set_all_health(&self, health: Health) -> Result<()> {
        VIRTUAL_DIRECTORIES.iter().try_for_each(|directory| self.set_health(directory, health))
    }

    /// Connections it has accepted since it was made.
    pub fn connections(&self) -> u64 {
        self.pages.connections.load(Ordering::Relaxed)
    }

    /// Requests it has received since it was made.
    pub fn requests(&self) -> u64 {
        self.pages.requests.load(Ordering::Relaxed)
    }
}

/// A listening socket in the namespace of the runtime it is called on. It takes the address over from connections that
/// still wait for their end, so that a server can start again at once.
pub(crate) fn listener(listen: SocketAddr) -> Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    Ok(socket.listen(BACKLOG)?)
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, pages: Arc<Pages>) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            // Out of file descriptors, most likely: the connection waits in the backlog until some are free.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        pages.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, pages) = (tls.clone(), Arc::clone(&pages));
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    // A client that gives up or mistrusts is what tests are about; the client tells.
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream, client, pages).await;
                    }
                }
                None => answer(stream, client, pages).await,
            }
        });
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send, client: SocketAddr, pages: Arc<Pages>) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { pages.answer(request, client).await }
    });
    // It ends with an error when a page closes the connection, or the client does.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
