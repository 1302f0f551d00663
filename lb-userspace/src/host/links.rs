//! The NICs of this host: name, MAC address, MTU, state, addresses.

use std::net::IpAddr;

use rtnetlink::packet_route::{
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
};

use super::{HostError, kernel::Kernel};

/// A MAC address as it stands in a frame.
pub type Mac = [u8; 6];

/// How an XDP program is attached to a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// In the driver.
    Driver,
    /// Behind the driver, in the network stack: works everywhere and costs several times as much.
    Generic,
    /// In the NIC's hardware, or in several of these ways.
    Other,
}

impl Attachment {
    /// The word users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
            Self::Other => "other",
        }
    }
}

/// A NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it, at least 1. Another NIC may get it once this one is gone.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its MAC address; `None` if it does not carry Ethernet frames.
    pub mac: Option<Mac>,
    /// Largest IP packet it carries, in bytes.
    pub mtu: u32,
    /// Switched on by the administrator.
    pub up: bool,
    /// Able to carry traffic: has a carrier and is not dormant.
    pub running: bool,
    /// How an XDP program is attached to it, if one is.
    pub xdp: Option<Attachment>,
    /// Its addresses, with the length of the prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Link {
    /// Whether packets can leave through it.
    pub fn usable(&self) -> bool {
        self.up && self.running
    }

    /// Whether `address` lies within the prefix of one of its addresses.
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|&(own, prefix)| same_prefix(own, address, prefix))
    }
}

/// All NICs of this thread's network namespace, by index. Needs a Tokio runtime.
pub async fn snapshot() -> Result<Vec<Link>, HostError> {
    Kernel::connect()?.links().await
}

/// NICs from what the kernel listed. A NIC without a name is left out: the kernel has none.
pub(super) fn links(links: &[LinkMessage], addresses: &[AddressMessage]) -> Vec<Link> {
    let mut found: Vec<_> = links.iter().filter_map(|message| link(message, addresses)).collect();
    found.sort_by_key(|link| link.index);
    found
}

fn link(message: &LinkMessage, addresses: &[AddressMessage]) -> Option<Link> {
    let header = &message.header;
    let mut name = None;
    let mut mac = None;
    let mut mtu = 0;
    let mut xdp = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(value.clone()),
            LinkAttribute::Address(value) => mac = Mac::try_from(value.as_slice()).ok(),
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::Xdp(attributes) => xdp = attachment(attributes),
            _ => {}
        }
    }
    let mut own: Vec<_> = addresses.iter().filter(|a| a.header.index == header.index).filter_map(address).collect();
    own.sort_unstable();
    Some(Link {
        index: header.index,
        name: name?,
        mac: mac.filter(|_| header.link_layer_type == LinkLayerType::Ether),
        mtu,
        up: header.flags.contains(LinkFlags::Up),
        running: header.flags.contains(LinkFlags::Running),
        xdp,
        addresses: own,
    })
}

fn attachment(attributes: &[LinkXdp]) -> Option<Attachment> {
    attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(Attachment::Driver),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(Attachment::Generic),
        LinkXdp::Attached(XdpAttached::None) => None,
        LinkXdp::Attached(_) => Some(Attachment::Other),
        _ => None,
    })
}

fn address(message: &AddressMessage) -> Option<(IpAddr, u8)> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link the other attribute is the peer's.
            AddressAttribute::Local(local) => return Some((*local, message.header.prefix_len)),
            AddressAttribute::Address(other) => address = Some(*other),
            _ => {}
        }
    }
    address.map(|address| (address, message.header.prefix_len))
}

fn same_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let differing = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differing >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(index: u32, kind: LinkLayerType, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.link_layer_type = kind;
        message.header.flags = flags;
        message.attributes = attributes;
        message
    }

    fn address_of(index: u32, prefix: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = prefix;
        message.attributes = attributes;
        message
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_nic_is_put_together_from_its_messages() {
        let name = |name: &str| LinkAttribute::IfName(name.to_owned());
        let listed = [
            message(
                7,
                LinkLayerType::Ether,
                LinkFlags::Up | LinkFlags::Running,
                vec![name("eth0"), LinkAttribute::Address(vec![2, 0, 0, 0, 0, 7]), LinkAttribute::Mtu(1500)],
            ),
            message(1, LinkLayerType::Loopback, LinkFlags::Up, vec![name("lo"), LinkAttribute::Address(vec![0; 6])]),
            message(8, LinkLayerType::Ether, LinkFlags::empty(), vec![]),
        ];
        let addresses = [
            address_of(7, 64, vec![AddressAttribute::Address(ip("2001:db8::7"))]),
            address_of(7, 24, vec![AddressAttribute::Address(ip("10.1.0.8")), AddressAttribute::Local(ip("10.1.0.7"))]),
            address_of(9, 24, vec![AddressAttribute::Local(ip("10.9.0.1"))]),
        ];
        let found = links(&listed, &addresses);
        assert_eq!(found.iter().map(|link| &*link.name).collect::<Vec<_>>(), ["lo", "eth0"]);
        assert_eq!(found[0].mac, None, "the loopback interface carries no Ethernet frames");
        assert!(!found[0].usable());
        let eth0 = &found[1];
        assert_eq!((eth0.index, eth0.mac, eth0.mtu), (7, Some([2, 0, 0, 0, 0, 7]), 1500));
        assert!(eth0.usable());
        assert_eq!(eth0.addresses, [(ip("10.1.0.7"), 24), (ip("2001:db8::7"), 64)]);
    }

    #[test]
    fn an_address_is_within_a_prefix_or_not() {
        for (own, prefix, other, within) in [
            ("10.1.0.1", 24, "10.1.0.255", true),
            ("10.1.0.1", 24, "10.1.1.1", false),
            ("10.1.0.1", 32, "10.1.0.1", true),
            ("10.1.0.1", 0, "192.0.2.1", true),
            ("2001:db8::1", 64, "2001:db8::ffff", true),
            ("2001:db8::1", 128, "2001:db8::2", false),
            ("10.1.0.1", 0, "2001:db8::1", false),
        ] {
            assert_eq!(same_prefix(ip(own), ip(other), prefix), within, "{own}/{prefix} {other}");
        }
    }
}
