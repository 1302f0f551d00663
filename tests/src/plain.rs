//! The simplest servers there are: UDP and TCP echo, for services that are not HTTP.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;

use crate::exchange::listener;
use crate::netns::Namespace;
use crate::runtime::Runtime;

/// Answers each datagram with its own name, a blank and what it got. Stops when dropped.
#[derive(Debug)]
pub struct UdpEcho {
    _runtime: Runtime,
}

impl UdpEcho {
    /// Starts one called `name` on `address` and `port`. For direct server return `address` must be the VIP: an answer from
    /// a socket on all addresses would carry the address of the NIC.
    pub fn start(namespace: &Namespace, name: &str, address: Ipv4Addr, port: u16) -> Result<Self> {
        let runtime = namespace.runtime()?;
        let socket = runtime.run(async move {
            UdpSocket::bind((address, port)).await.with_context(|| format!("cannot listen on {address}:{port}"))
        })?;
        let name = name.to_owned();
        runtime.spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            loop {
                // An error is the echo of an earlier answer that nobody wanted (ICMP port unreachable).
                let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let answer = [name.as_bytes(), b" ", buffer.get(..length).unwrap_or_default()].concat();
                let _ = socket.send_to(&answer, client).await;
            }
        });
        Ok(Self { _runtime: runtime })
    }
}

/// Sends back what it gets, on each connection until the client closes it. Stops when dropped, with all connections.
#[derive(Debug)]
pub struct TcpEcho {
    _runtime: Runtime,
}

impl TcpEcho {
    /// Starts one on `port` of all IPv4 addresses.
    pub fn start(namespace: &Namespace, port: u16) -> Result<Self> {
        let runtime = namespace.runtime()?;
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listener = runtime.run(async move { listener(listen) })?;
        runtime.spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else {
                    // Out of file descriptors, most likely: the connection waits in the backlog until some are free.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    // It ends with the connection, in order or not.
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Ok(Self { _runtime: runtime })
    }
}
