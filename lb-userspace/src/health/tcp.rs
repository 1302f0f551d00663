//! The `tcp` check: the server accepts a connection.

use std::{io, net::SocketAddr};

use futures_util::future::BoxFuture;
use tokio::net::TcpSocket;

use super::{Failed, Outcome, Passed, Probe};

/// Opens a connection and drops it.
#[derive(Debug)]
pub(super) struct TcpProbe {
    server: SocketAddr,
}

impl TcpProbe {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server }
    }
}

impl Probe for TcpProbe {
    fn probe(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async {
            let socket = socket(self.server).map_err(|error| Failed::from_io(&error))?;
            socket.connect(self.server).await.map_err(|error| Failed::from_io(&error))?;
            Ok(Passed { detail: "connection accepted".to_owned(), warning: None })
        })
    }
}

/// A socket whose connection ends as SYN, SYN-ACK, RST.
///
/// The acknowledgement of the SYN-ACK is held back (`TCP_QUICKACK` off) and the close is a reset (`SO_LINGER` 0), so the
/// application on the server never sees a connection that says nothing, and no port of this host stays in TIME-WAIT for
/// a minute: at thousands of checks a second the ports would run out.
fn socket(server: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_zero_linger()?;
    rustix::net::sockopt::set_tcp_quickack(&socket, false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use tokio::net::TcpListener;

    use super::*;
    use crate::health::FailureKind;

    #[tokio::test]
    async fn a_listening_server_passes_and_its_application_is_not_bothered() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let probe = TcpProbe::new(listener.local_addr().unwrap());
        for _ in 0..3 {
            assert_eq!(probe.probe().await.unwrap().detail, "connection accepted");
        }
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "the application saw a connection: {accepted:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let failed = TcpProbe::new(address).probe().await.unwrap_err();
        assert_eq!(failed, Failed::new(FailureKind::Refused, "connection refused"));
    }

    #[tokio::test]
    async fn checks_leave_no_port_in_time_wait() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = TcpProbe::new(address);
        for _ in 0..50 {
            probe.probe().await.unwrap();
        }
        let port = format!(":{:04X} ", address.port());
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        // State 06 is TIME_WAIT.
        let waiting = table.lines().filter(|line| line.contains(&port) && line.contains(" 06 ")).count();
        assert_eq!(waiting, 0);
    }
}
