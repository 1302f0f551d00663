//! Configurations in the making: what tests change is a field, everything else is a line of the file as it stands there.
//!
//! Nothing is validated here; that is caslb's business, and what tests want to see.
use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::Result;

use crate::layouts::Layout;

/// A configuration of one array. [`Config::text`] is the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Lines of `[node]` beside its name.
    pub node: Vec<String>,
    /// Lines of `[defaults]`.
    pub defaults: Vec<String>,
    /// The servers.
    pub servers: Vec<Server>,
    /// The services.
    pub services: Vec<Service>,
}

/// A `[[array.server]]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its weight.
    pub weight: u32,
}

/// A `[[array.service]]`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The VIP.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// More lines, such as `mode = "nat"`.
    pub lines: Vec<String>,
    /// The lines of its one check.
    pub check: Vec<String>,
}

/// Name of server `number`, from 1.
pub fn server_name(number: usize) -> String {
    format!("EX{number:02}.contoso.com")
}

/// Interval and timeout of checks: quick, but long enough for a TLS handshake on a machine with better things to do.
pub const PACE: [&str; 2] = ["interval = \"400ms\"", "timeout = \"400ms\""];

/// The lines of a check: its own and [`PACE`].
pub fn check(lines: &[&str]) -> Vec<String> {
    owned(lines.iter().chain(&PACE))
}

fn owned<'a>(lines: impl IntoIterator<Item = &'a &'a str>) -> Vec<String> {
    lines.into_iter().map(ToString::to_string).collect()
}

impl Service {
    /// TCP with an HTTPS check of Outlook on the web's health page.
    pub fn https(name: &str, vip: IpAddr, port: u16) -> Self {
        let check = check(&["type = \"https\"", "path = \"/owa/healthcheck.htm\"", "verify = \"none\""]);
        Self { name: name.to_owned(), vip, port, lines: Vec::new(), check }
    }

    /// Plain TCP with an HTTP check.
    pub fn http(name: &str, vip: IpAddr, port: u16) -> Self {
        let check = check(&["type = \"http\"", "path = \"/owa/healthcheck.htm\""]);
        Self { check, ..Self::https(name, vip, port) }
    }

    /// UDP with a TCP check of port 443.
    pub fn udp(name: &str, vip: IpAddr, port: u16) -> Self {
        let check = check(&["type = \"tcp\"", "port = 443"]);
        Self { check, ..Self::https(name, vip, port) }.with(&["protocol = \"udp\""])
    }

    /// The same with more lines.
    #[must_use]
    pub fn with(mut self, lines: &[&str]) -> Self {
        self.lines.extend(owned(lines));
        self
    }
}

impl Config {
    /// All servers of `layout`, and one service `https` on its VIP in `dsr` mode.
    pub fn dsr(layout: &Layout) -> Result<Self> {
        let servers = layout
            .servers
            .iter()
            .enumerate()
            .map(|(index, host)| Ok(Server { name: server_name(index + 1), address: host.ip()?, weight: 100 }));
        Ok(Self {
            node: owned(&["interfaces = [\"eth0\"]"]),
            defaults: Vec::new(),
            servers: servers.collect::<Result<_>>()?,
            services: vec![Service::https("https", layout.vip.into(), 443)],
        })
    }

    /// The same in `nat` mode for [`Layout::nat`], with port 8443 on the servers.
    pub fn nat(layout: &Layout) -> Result<Self> {
        let service = Service::https("https", layout.vip.into(), 443);
        Ok(Self {
            node: owned(&["interfaces = [\"eth0\", \"eth1\"]"]),
            services: vec![service.with(&["mode = \"nat\"", "server_port = 8443"])],
            ..Self::dsr(layout)?
        })
    }

    /// The file, for the node called `node`.
    pub fn text(&self, node: &str) -> String {
        let Self { node: lines, defaults, servers, services } = self;
        let mut text = format!("[node]\nname = \"{node}\"\n{}\n", lines.join("\n"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n[defaults]\n{}", defaults.join("\n"));
        text += "\n[[array]]\nname = \"ams\"\nnamespaces = [\"mail.contoso.com\"]\n";
        for Server { name, address, weight } in servers {
            let _ = writeln!(text, "\n[[array.server]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}");
        }
        for Service { name, vip, port, lines, check } in services {
            let _ = writeln!(
                text,
                "\n[[array.service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = {port}\n{}\n\
                 \n[[array.service.check]]\n{}",
                lines.join("\n"),
                check.join("\n")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_as_it_was_put_together() {
        let config = Config {
            node: owned(&["interfaces = [\"eth0\"]"]),
            defaults: owned(&["slots = 251"]),
            servers: vec![Server { name: server_name(1), address: [10, 1, 0, 11].into(), weight: 50 }],
            services: vec![Service::udp("echo", [10, 1, 0, 100].into(), 5353)],
        };
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), config.text("lb1")).unwrap();
        let loaded = caslb::config::load(path.path()).unwrap().deployment;
        assert_eq!((loaded.node.name.as_str(), loaded.node.slots), ("lb1", 251));
        assert_eq!(loaded.arrays[0].servers[0].weight, 50);
        assert_eq!(loaded.arrays[0].services[0].checks[0].port, 443);
    }
}
