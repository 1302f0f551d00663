//! A deployment for tests.

use std::{net::Ipv4Addr, time::Duration};

use crate::config::deployment::{
    Addresses, AllDown, Array, Check, CheckKind, Deployment, HashKind, Mode, Node, Protocol, Server, Service,
    UnknownPort, XdpMode,
};

/// One array `ams` with these servers at 10.1.0.11 and up, and one service `https` on 10.1.0.100:443, checked by `tcp`.
pub(super) fn deployment(servers: &[&str]) -> Deployment {
    let server = |(index, name): (usize, &&str)| server(name, [10, 1, 0, 11 + u8::try_from(index).unwrap()]);
    Deployment {
        node: Node {
            name: "default".to_owned(),
            interfaces: vec!["eth0".to_owned()],
            xdp: XdpMode::Auto,
            hash_seed: "caslb".to_owned(),
            slots: 251,
        },
        arrays: vec![Array {
            name: "ams".to_owned(),
            namespaces: vec!["mail.contoso.com".to_owned()],
            servers: servers.iter().enumerate().map(server).collect(),
            services: vec![service("https", Ipv4Addr::new(10, 1, 0, 100), 443)],
        }],
    }
}

/// A service checked by `tcp`.
pub(super) fn service(name: &str, vip: impl Into<Addresses>, port: u16) -> Service {
    Service {
        name: name.to_owned(),
        vip: vip.into(),
        port,
        protocol: Protocol::Tcp,
        server_port: port,
        mode: Mode::Dsr,
        hash: HashKind::Flow,
        all_down: AllDown::KeepLast,
        announce: true,
        unknown_port: UnknownPort::Drop,
        checks: vec![Check {
            kind: CheckKind::Tcp,
            port,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(4),
            rise: 2,
            fall: 3,
        }],
    }
}

/// A server.
pub(super) fn server(name: &str, address: [u8; 4]) -> Server {
    Server { name: name.to_owned(), address: Ipv4Addr::from(address).into(), weight: 100 }
}
