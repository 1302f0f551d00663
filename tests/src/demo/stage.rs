//! The network, the servers, the balancer and the client of the demonstration: set up, asked for, cleared away.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::prediction::{Table, Tables};
use super::screen::Screen;
use super::units::{number, percent, time};
use crate::caslb::Caslb;
use crate::certificates::Authority;
use crate::client::Client;
use crate::exchange::Exchange;
use crate::layouts::Layout;
use crate::leftovers;

/// Servers of the array.
pub(super) const SERVERS: [&str; 3] = ["EX01.contoso.com", "EX02.contoso.com", "EX03.contoso.com"];
/// The namespace that clients ask for.
pub(super) const HOST: &str = "mail.contoso.com";
/// Port of the service.
const PORT: u16 = 443;
/// The array.
pub(super) const ARRAY: &str = "ams";
/// What slot tables and flow hash derive from.
pub(super) const SEED: &str = "contoso";
/// Time from one check of a server to the next.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// Time a check may take.
pub(super) const TIMEOUT: Duration = Duration::from_millis(400);
/// Checks in a row that bring a server back.
pub(super) const RISE: u32 = 2;
/// Checks in a row that take a server out.
pub(super) const FALL: u32 = 3;
/// Time for what should take a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// First source port of the client; below the kernel's own choice (32768 and up), so that none is in use.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 22_000;
/// How far a server's slots may be off its due share: 2 %.
const UNEVEN: usize = 50;

/// Hosts and wires, and the servers on them.
pub(super) struct Network {
    servers: Vec<Exchange>,
    authority: Authority,
    layout: Layout,
}

/// Everything. Fields are dropped in this order: whoever sends first, the network last.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) caslb: Caslb,
    pub(super) network: Network,
    next_port: Cell<u16>,
}

impl Network {
    /// Makes the hosts and starts the servers.
    pub(super) fn lay_out(screen: &mut Screen) -> Result<Self> {
        let how = "Every machine is a network namespace; veth pairs and a bridge are the cables and the switch. The servers \
                   speak HTTPS, have health pages, and hold the VIP on loopback.";
        screen.step("Lay out the network and start three Exchange servers", how)?;
        let begun = Instant::now();
        let layout = Layout::lan(u8::try_from(SERVERS.len())?)?;
        let authority = Authority::new()?;
        let hosts = layout.servers.iter().zip(SERVERS);
        let servers = hosts
            .map(|(host, name)| Exchange::https(host.namespace(), name, &authority.issue(&[HOST, name])?))
            .collect::<Result<Vec<_>>>()?;
        screen.figure(&format!("laid out and listening in {}", time(begun.elapsed())))?;
        Ok(Self { servers, authority, layout })
    }
}

impl Stage {
    /// Starts the balancer on `network` and waits until it steers to all servers.
    pub(super) fn start(network: Network, screen: &mut Screen) -> Result<Self> {
        let how = format!(
            "`caslb run` attaches its XDP program to the balancer's NIC and asks every server for /owa/healthcheck.htm: \
             every {}, timeout {}, rise {RISE}, fall {FALL}. That is quick, for the show; the defaults are calmer.",
            time(INTERVAL),
            time(TIMEOUT)
        );
        screen.step("Start the balancer", &how)?;
        let balancer = network.layout.balancer.namespace();
        let begun = Instant::now();
        let vip = network.layout.vip;
        let caslb = Caslb::start(balancer, |node| config(node, SocketAddrV4::new(vip, PORT)))?;
        let answered = begun.elapsed();
        let ups = SERVERS.iter().try_for_each(|server| caslb.wait_for_state(server, "up", PATIENCE).map(drop));
        let up = begun.elapsed();
        screen.figure(&format!("it answered after {}, all servers were up after {}", time(answered), time(up)))?;
        screen.check(ups.is_ok(), "EX01, EX02 and EX03 are up")?;
        ups?;

        let nic = balancer.run("ip", &["link", "show", &network.layout.balancer.nic(0)?.name])?;
        let native = nic.split_whitespace().any(|word| word == "xdp");
        screen.check(native, "the XDP program is attached to eth0 in driver mode")?;
        let client = Client::https(network.layout.client.namespace(), &network.authority, HOST)?
            .with_timeout(Duration::from_secs(2));
        let stage = Self { client, caslb, network, next_port: Cell::new(FIRST_PORT) };
        let table = stage.table()?;
        let due = table.len() / SERVERS.len();
        let even = SERVERS.iter().all(|server| table.slots_of(server).abs_diff(due) * UNEVEN <= due);
        let shares = SERVERS.map(|server| percent(table.slots_of(server), table.len())).join(", ");
        let claim = format!("its {} slots are shared by weight: {shares}", number(table.len()));
        screen.check(even, &claim)?;
        Ok(stage)
    }

    /// Address and port of the service.
    pub(super) fn vip(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.network.layout.vip, PORT)
    }

    /// Another client on the same host.
    pub(super) fn another_client(&self) -> Result<Client> {
        let Network { layout, authority, .. } = &self.network;
        Ok(Client::https(layout.client.namespace(), authority, HOST)?.with_timeout(Duration::from_secs(2)))
    }

    /// Address of the client's host.
    pub(super) fn client_address(&self) -> Result<IpAddr> {
        self.network.layout.client.ip()
    }

    /// `count` source ports that no connection has used.
    pub(super) fn ports(&self, count: u16) -> Result<Vec<SocketAddr>> {
        let first = self.next_port.get();
        let Some(next) = first.checked_add(count).filter(|next| *next <= FIRST_PORT + PORTS) else {
            bail!("the client has run out of source ports");
        };
        self.next_port.set(next);
        let address = self.client_address()?;
        Ok((first..next).map(|port| (address, port).into()).collect())
    }

    /// A source port whose connection goes where `wanted` says.
    pub(super) fn port_for(&self, mut wanted: impl FnMut(SocketAddr) -> Result<bool>) -> Result<SocketAddr> {
        for from in self.ports(200)? {
            if wanted(from)? {
                return Ok(from);
            }
        }
        bail!("none of 200 source ports goes where it should")
    }

    /// The maps in the kernel.
    pub(super) fn tables(&self) -> Result<Tables> {
        Tables::open(self.caslb.node(), self.vip())
    }

    /// The slot table in the kernel as it is now.
    pub(super) fn table(&self) -> Result<Table> {
        self.tables()?.now()
    }

    /// One of [`SERVERS`].
    pub(super) fn server(&mut self, name: &str) -> Result<&mut Exchange> {
        let index = SERVERS.iter().position(|server| *server == name);
        index.and_then(|index| self.network.servers.get_mut(index)).with_context(|| format!("no server {name}"))
    }

    /// State of a server and why, as `caslb status` has them.
    pub(super) fn state_of(&self, server: &str) -> Result<(String, String)> {
        let status = self.caslb.status()?;
        let servers = status["arrays"][0]["services"][0]["servers"].as_array().context("status names no servers")?;
        let entry = servers.iter().find(|entry| entry["name"] == server);
        let entry = entry.with_context(|| format!("status does not name {server}"))?;
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("reason")))
    }

    /// Stops and removes everything, and looks whether it is gone.
    pub(super) fn clear_away(mut self, screen: &mut Screen) -> Result<()> {
        screen.step("Clean up", "The controller is stopped, `caslb detach` removes what is in the kernel.")?;
        let begun = Instant::now();
        let controller = self.caslb.process().map(|process| Path::new("/proc").join(process.pid().to_string())).ok();
        drop(self);
        let mut left = leftovers::of_this_process()?;
        left.extend(controller.filter(|process| process.exists()));
        let left: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
        screen.figure(&format!("done in {}", time(begun.elapsed())))?;
        let found = if left.is_empty() { String::new() } else { format!(", but {}", left.join(", ")) };
        screen.check(left.is_empty(), &format!("no namespace, pin, socket or process is left{found}"))
    }
}

fn config(node: &str, vip: SocketAddrV4) -> String {
    let (address, port) = (vip.ip(), vip.port());
    let (interval, timeout) = (INTERVAL.as_millis(), TIMEOUT.as_millis());
    let [ex01, ex02, ex03] = SERVERS;
    format!(
        r#"
[node]
name = "{node}"
interfaces = ["eth0"]
hash_seed = "{SEED}"

[defaults]
mode = "dsr"

[[array]]
name = "{ARRAY}"
namespaces = ["{HOST}"]

  [[array.server]]
  name = "{ex01}"
  address = "10.1.0.11"

  [[array.server]]
  name = "{ex02}"
  address = "10.1.0.12"

  [[array.server]]
  name = "{ex03}"
  address = "10.1.0.13"

  [[array.service]]
  name = "https"
  vip = "{address}"
  port = {port}

    [[array.service.check]]
    type = "https"
    path = "/owa/healthcheck.htm"
    host = "{HOST}"
    verify = "none"
    interval = "{interval}ms"
    timeout = "{timeout}ms"
    rise = {RISE}
    fall = {FALL}
"#
    )
}
