//! A whole site, ready to use: a network, Exchange servers, a client, and a node of caslb that balances them.
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::capture::{Capture, Direction, Frames};
use crate::caslb::Caslb;
use crate::certificates::{Authority, Identity};
use crate::client::{Client, Taken};
use crate::config::{Config, server_name};
use crate::exchange::Exchange;
use crate::layouts::Layout;
use crate::prediction::Prediction;
use crate::view::View;
use crate::wait;

/// Longest wait for anything that must come about by itself, on a busy machine. Nothing waits this long if all is well.
pub const SOON: Duration = Duration::from_secs(20);

/// The name clients use.
pub const NAMESPACE: &str = "mail.contoso.com";

/// A site. Fields are dropped in this order: the node is stopped and detached while its network is still there.
pub struct Site {
    /// The node.
    pub caslb: Caslb,
    /// Its configuration as it was last written.
    pub config: Config,
    /// The servers' HTTPS: `EX01.contoso.com`, …, in the order of [`Layout::servers`].
    pub exchange: Vec<Exchange>,
    /// The client; it speaks TLS to [`NAMESPACE`].
    pub client: Client,
    /// Certificate of all servers.
    pub identity: Identity,
    /// Who signed it.
    pub authority: Authority,
    /// The network.
    pub layout: Layout,
}

impl Site {
    /// One segment with servers in `dsr` mode and a running node that has all of them up.
    pub fn lan(servers: u8) -> Result<Self> {
        let layout = Layout::lan(servers)?;
        let config = Config::dsr(&layout)?;
        Self::start(layout, config)
    }

    /// Servers behind the node in `nat` mode, which listen on 443 and 8443 (but only 8443 is simulated Exchange's).
    pub fn nat(servers: u8) -> Result<Self> {
        let layout = Layout::nat(servers)?;
        let config = Config::nat(&layout)?;
        let mut site = Self::prepare_on(8443, layout, config)?;
        site.run()?;
        Ok(site)
    }

    /// Any network and configuration, running, with all servers up.
    pub fn start(layout: Layout, config: Config) -> Result<Self> {
        let mut site = Self::prepare(layout, config)?;
        site.run()?;
        Ok(site)
    }

    /// Like [`Site::start`], but the controller does not run yet.
    pub fn prepare(layout: Layout, config: Config) -> Result<Self> {
        Self::prepare_on(443, layout, config)
    }

    /// Like [`Site::prepare`], with the servers' HTTPS on another port.
    pub fn prepare_on(port: u16, layout: Layout, config: Config) -> Result<Self> {
        let authority = Authority::new()?;
        let identity = authority.issue(&[NAMESPACE])?;
        let listen = SocketAddr::from(([0, 0, 0, 0], port));
        let servers = layout.servers.iter().enumerate();
        let exchange = servers
            .map(|(index, host)| Exchange::on(listen, host.namespace(), &server_name(index + 1), Some(&identity)));
        let exchange = exchange.collect::<Result<_>>()?;
        let client = Client::https(layout.client.namespace(), &authority, NAMESPACE)?;
        let caslb = Caslb::prepare(layout.balancer.namespace(), |node| config.text(node))?;
        Ok(Self { caslb, config, exchange, client, identity, authority, layout })
    }

    /// Starts the controller and waits until all configured servers are up.
    pub fn run(&mut self) -> Result<()> {
        self.caslb.run(&[])?;
        self.wait_until_all_up()
    }

    /// Waits until all configured servers are up in all services.
    pub fn wait_until_all_up(&self) -> Result<()> {
        for server in self.config.servers.iter().filter(|server| server.weight > 0) {
            self.caslb.wait_for_state(&server.name, "up", SOON)?;
        }
        Ok(())
    }

    /// Writes the configuration as it stands in [`Site::config`]; nobody reads it yet.
    pub fn write_config(&self) -> Result<()> {
        self.caslb.write_config(&self.config.text(self.caslb.node()))
    }

    /// Writes the configuration and has the controller read it, which must succeed.
    pub fn reload(&self) -> Result<()> {
        self.write_config()?;
        self.caslb.command(&["reload"])?.success()?;
        Ok(())
    }

    /// VIP and port of the first service.
    pub fn vip(&self) -> SocketAddr {
        SocketAddr::new(self.layout.vip.into(), 443)
    }

    /// The tables as they are now.
    pub fn prediction(&self) -> Result<Prediction> {
        Prediction::of(self.caslb.node())
    }

    /// Asks `count` times through the VIP who answers, each time on a new connection. All must be answered, each by the server
    /// of its slot as the tables are now, and every checksum at the client and the servers must be right.
    pub fn spread(&self, count: usize) -> Result<Vec<Taken>> {
        let captures = self.capture()?;
        let tables = self.prediction()?;
        let taken = self.client.spread(self.vip(), count)?;
        tables.verify(&taken, self.vip())?;
        captures.stop()?;
        Ok(taken)
    }

    /// Starts captures at the client and at every server.
    pub fn capture(&self) -> Result<Captures> {
        let on = |host: &crate::topology::Host| Capture::start(host.namespace(), "eth0", Direction::Both);
        Ok(Captures {
            client: on(&self.layout.client)?,
            servers: self.layout.servers.iter().map(on).collect::<Result<_>>()?,
        })
    }

    /// What `status --json` says about one server in one service.
    pub fn server_status(&self, service: &str, server: &str) -> Result<serde_json::Value> {
        server_status(&self.caslb.status()?, service, server)
    }

    /// Waits until what `status --json` says of a server is as wanted.
    pub fn wait_for_server(
        &self,
        server: &str,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<serde_json::Value> {
        let mut last = serde_json::Value::Null;
        wait::until(&format!("{server}: {what}"), SOON, || {
            last = self.server_status("https", server)?;
            Ok(wanted(&last).then(|| last.clone()))
        })
        .with_context(|| format!("last status: {last:#}"))
    }
}

/// What a status document says about one server in one service.
pub fn server_status(status: &serde_json::Value, service: &str, server: &str) -> Result<serde_json::Value> {
    let of = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let services = of(status, "arrays").into_iter().flat_map(|array| of(&array, "services"));
    let servers = services.filter(|entry| entry["name"] == service).flat_map(|entry| of(&entry, "servers"));
    let mut found = servers.filter(|entry| entry["name"] == server);
    found.next().with_context(|| format!("no {server} in {service}: {status:#}"))
}

/// Running captures of a [`Site`].
#[derive(Debug)]
pub struct Captures {
    /// At the client.
    pub client: Capture,
    /// At the servers, in the order of [`Layout::servers`].
    pub servers: Vec<Capture>,
}

impl Captures {
    /// Waits until every frame that the client has sent to `vip` has arrived, by `arrived` at the server of that index, and
    /// returns their number. Connections may still be closing, so it is no use to compare captures that were stopped.
    ///
    /// # Errors
    ///
    /// If frames are lost, or arrive twice.
    pub fn wait_for_arrival(&self, vip: SocketAddr, arrived: impl Fn(&View, usize) -> bool) -> Result<usize> {
        let mut counts = (0, 0);
        wait::until("all frames of the client at the servers", SOON, || {
            let sent = self.client.count(|view| view.ends().is_some_and(|ends| ends.dst == vip));
            let servers = self.servers.iter().enumerate();
            let there = servers.map(|(index, capture)| capture.count(|view| arrived(view, index))).sum();
            counts = (sent, there);
            Ok((sent == there).then_some(sent))
        })
        .with_context(|| format!("{} sent, {} arrived", counts.0, counts.1))
    }

    /// Stops all, and verifies every checksum of every frame.
    pub fn stop(self) -> Result<Seen> {
        let seen = Seen {
            client: self.client.stop()?,
            servers: self.servers.into_iter().map(Capture::stop).collect::<Result<_>>()?,
        };
        for frames in seen.servers.iter().chain([&seen.client]) {
            frames.verify_checksums()?;
        }
        Ok(seen)
    }
}

/// What was captured at a [`Site`]; all checksums are right.
#[derive(Debug)]
pub struct Seen {
    /// At the client.
    pub client: Frames,
    /// At the servers.
    pub servers: Vec<Frames>,
}

impl Seen {
    /// Frames of the client to `vip`, as the client sent them.
    pub fn sent_to(&self, vip: SocketAddr) -> Vec<View> {
        self.client.matching(|view| view.ends().is_some_and(|ends| ends.dst == vip))
    }

    /// Frames from `vip` that the client received.
    pub fn received_from(&self, vip: SocketAddr) -> Vec<View> {
        self.client.matching(|view| view.ends().is_some_and(|ends| ends.src == vip))
    }
}

/// One line for each frame, for messages.
pub fn lines(views: &[View]) -> String {
    views.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
