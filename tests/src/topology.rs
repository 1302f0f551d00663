//! L2 segments and hosts: bridges and veth pairs across namespaces, addresses, routes, offloads.
//!
//! Which hosts a test has is for [`layouts`](crate::layouts) or the test itself to say.
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::netns::Namespace;
use crate::wait;
use crate::xdp::{Attached, Program};

/// What a device could leave to hardware that is not there: unfinished checksums, frames larger than the link, VLAN tags
/// beside the frame. All off, so that what is on the wire is what a real wire would carry.
const OFFLOADS: [&str; 7] = ["tx", "rx", "tso", "gso", "gro", "txvlan", "rxvlan"];

/// Time for a new link to come up. The kernel delays some link events by up to a second (`linkwatch`).
const LINK_UP: Duration = Duration::from_secs(10);

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The link-local address with its prefix, made like the interface identifier of RFC 4291, appendix A.
    fn link_local(self) -> Address {
        let [a, b, c, d, e, f] = self.0.map(u16::from);
        let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f).into();
        Address { ip, prefix: 64 }
    }

    /// All hosts of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of the device with this IP address, made to be recognised: 10.1.0.11 has 02:00:0a:01:00:0b. Of an IPv6
    /// address the last four bytes count, and the second byte is 06.
    pub fn of(address: IpAddr) -> Self {
        // 02: locally administered, unicast.
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self([0x02, 0x00, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let [.., a, b, c, d] = v6.octets();
                Self([0x02, 0x06, a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let colon = if position == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// An address with the length of its network's prefix, such as `10.1.0.11/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts =
            text.split_once('/').with_context(|| format!("{text:?} has no prefix length: write ADDRESS/BITS"))?;
        Ok(Self { ip: parts.0.parse()?, prefix: parts.1.parse()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// An L2 segment: a bridge in a namespace of its own, with a port for every NIC that joins.
#[derive(Debug)]
pub struct Segment {
    namespace: Namespace,
    ports: u32,
    /// The pass program on the ports of NICs that send by `XDP_TX`.
    pass: Vec<Attached>,
}

impl Segment {
    /// A segment without hosts.
    pub fn new(role: &str) -> Result<Self> {
        let namespace = Namespace::new(role)?;
        // The bridge is a wire here: it has no addresses and forwards multicast to everybody.
        namespace.sysctls(&[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")])?;
        namespace.ip("link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up")?;
        Ok(Self { namespace, ports: 0, pass: Vec::new() })
    }

    /// The namespace of the bridge. Its device `br0` sees no frame that goes from port to port; capture on a port.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Lets `nic` send by `XDP_TX` and redirect: its veth peer, the bridge's port, takes such frames only while it has an
    /// XDP program itself.
    ///
    /// # Errors
    ///
    /// Without the harness' BPF object, or if the program cannot be attached.
    pub fn take_xdp_from(&mut self, nic: &Nic) -> Result<()> {
        ensure!(nic.segment == self.namespace.name(), "{} is not a NIC of this segment", nic.name);
        self.pass.push(Attached::new(&self.namespace, &nic.port, Program::Pass)?);
        Ok(())
    }
}

/// A host: a namespace with NICs on segments.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    role: String,
    nics: Vec<Nic>,
}

/// A network device of a [`Host`], one end of a veth pair whose other end is a port of the segment's bridge.
#[derive(Clone, Debug)]
pub struct Nic {
    /// Device name in the host: eth0, eth1, ….
    pub name: String,
    /// Hardware address, see [`Mac::of`].
    pub mac: Mac,
    /// Addresses it was given on joining.
    pub addresses: Vec<Address>,
    /// Device name of the other end, in the segment's namespace.
    pub port: String,
    segment: String,
}

impl Nic {
    /// Its first address.
    pub fn ip(&self) -> Result<IpAddr> {
        self.addresses.first().map(|address| address.ip).ok_or_else(|| anyhow!("{} has no address", self.name))
    }
}

impl Host {
    /// A host without NICs.
    pub fn new(role: &str) -> Result<Self> {
        Ok(Self { namespace: Namespace::new(role)?, role: role.to_owned(), nics: Vec::new() })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its NICs in the order they joined: eth0 first.
    pub fn nics(&self) -> &[Nic] {
        &self.nics
    }

    /// The NIC that joined as number `index`, from 0.
    pub fn nic(&self, index: usize) -> Result<&Nic> {
        self.nics.get(index).ok_or_else(|| anyhow!("{} has no NIC {index}", self.role))
    }

    /// The first address of its first NIC.
    pub fn ip(&self) -> Result<IpAddr> {
        self.nic(0)?.ip()
    }

    /// Gives it a NIC on `segment` with `addresses` (such as `10.1.0.11/24`), the first of which makes the MAC. A NIC
    /// without an IPv6 address has IPv6 off, so that it stays quiet.
    pub fn join(&mut self, segment: &mut Segment, addresses: &[&str]) -> Result<()> {
        let addresses = addresses.iter().map(|text| text.parse()).collect::<Result<Vec<Address>>>()?;
        let Some(first) = addresses.first() else { bail!("a NIC of {} needs an address", self.role) };
        let mac = Mac::of(first.ip);
        let name = format!("eth{}", self.nics.len());
        segment.ports += 1;
        // Device names have at most 15 characters (IFNAMSIZ).
        let port = format!("{:.10}-{}", self.role, segment.ports);
        let bridge = &segment.namespace;

        self.namespace
            .ip(&format!("link add {name} address {mac} type veth peer name {port} netns {}", bridge.name()))?;
        let has_ipv6 = addresses.iter().any(|address| address.ip.is_ipv6());
        self.namespace.sysctls(&[
            (&format!("ipv6/conf/{name}/disable_ipv6"), if has_ipv6 { "0" } else { "1" }),
            (&format!("ipv6/conf/{name}/accept_dad"), "0"),
        ])?;
        offloads_off(&self.namespace, &name)?;
        offloads_off(bridge, &port)?;
        bridge.ip(&format!("link set {port} master br0 up"))?;
        let mut batch = format!("link set {name} up\n");
        for address in &addresses {
            batch += &add_address(*address, &name);
        }
        if has_ipv6 {
            // Linux asks for neighbours from it when a packet has another source than the NIC's own addresses: the VIP.
            batch += &add_address(mac.link_local(), &name);
        }
        self.namespace.ip(&batch)?;
        wait_for_link(bridge, &port)?;
        self.nics.push(Nic { name, mac, addresses, port, segment: bridge.name().to_owned() });
        Ok(())
    }

    /// Adds an address to the device `device` (`lo`, for a VIP of direct server return).
    pub fn add_address(&self, address: &str, device: &str) -> Result<()> {
        self.namespace.ip(&add_address(address.parse()?, device))?;
        Ok(())
    }

    /// Sends everything that is not on its own segments to `gateway`.
    pub fn default_route(&self, gateway: IpAddr) -> Result<()> {
        self.namespace.ip(&format!("route add default via {gateway}"))?;
        Ok(())
    }

    /// Makes it a router: packets for others are forwarded, in both families.
    pub fn forward(&self) -> Result<()> {
        self.namespace.sysctls(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])
    }

    /// Answers ARP for an address only on the device that holds it, and asks with the address of the outgoing device: with
    /// the VIP on its loopback device the host keeps silent about it (what LVS calls the ARP problem).
    pub fn keep_quiet_about_loopback(&self) -> Result<()> {
        self.namespace.sysctls(&[("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")])
    }

    /// Pulls (`false`) or plugs (`true`) the cable of NIC number `index`: nothing arrives or leaves, and no packet tells.
    pub fn plug(&self, segment: &Segment, index: usize, plugged: bool) -> Result<()> {
        let nic = self.nic(index)?;
        ensure!(nic.segment == segment.namespace.name(), "{} is not on that segment", nic.name);
        let state = if plugged { "up" } else { "down" };
        segment.namespace.ip(&format!("link set {} {state}", nic.port))?;
        if plugged {
            wait_for_link(&segment.namespace, &nic.port)?;
        }
        Ok(())
    }
}

fn add_address(address: Address, device: &str) -> String {
    // IPv6 duplicate-address detection would keep the address from use for a second; the namespaces are ours alone.
    let flags = if address.ip.is_ipv6() { " nodad" } else { "" };
    format!("addr add {address} dev {device}{flags}\n")
}

/// Waits until the bridge forwards to and from `port`: it notices some time after the devices are up, and loses frames until
/// then.
fn wait_for_link(bridge: &Namespace, port: &str) -> Result<()> {
    wait::until(&format!("{port} forwarding"), LINK_UP, || {
        let link = bridge.run("ip", &["-details", "link", "show", port])?;
        Ok((link.contains("LOWER_UP") && link.contains("state forwarding")).then_some(()))
    })
}

fn offloads_off(namespace: &Namespace, device: &str) -> Result<()> {
    let settings = OFFLOADS.into_iter().flat_map(|offload| [offload, "off"]);
    let arguments: Vec<&str> = ["-K", device].into_iter().chain(settings).collect();
    namespace.run("ethtool", &arguments)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_shows_the_address_it_was_made_from() {
        assert_eq!(Mac::of(IpAddr::from([10, 1, 0, 11])).to_string(), "02:00:0a:01:00:0b");
        assert_eq!(Mac::of("2001:db8:1::1:12".parse().unwrap()).to_string(), "02:06:00:01:00:12");
    }

    #[test]
    fn an_address_needs_its_prefix_length() {
        assert_eq!("10.1.0.11/24".parse::<Address>().unwrap().to_string(), "10.1.0.11/24");
        assert!("10.1.0.11".parse::<Address>().is_err());
        assert!("10.1.0/24".parse::<Address>().is_err());
    }
}
