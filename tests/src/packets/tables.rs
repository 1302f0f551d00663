//! The set-ups that cases run against: who is where, and what the tables and the routes say.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use caslb::{
    config::deployment::{Addresses, HashKind, Mode, Protocol, XdpMode},
    controller::target::{NicTarget, NodeTarget, ServerTarget, ServiceTarget, Target, VipTarget},
    host::Path,
};

/// Index of the NIC that frames come in by.
pub const LAN: u32 = 11;
/// Index of the other NIC.
pub const WAN: u32 = 12;
/// MAC address of the NIC that frames come in by.
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// MAC address of the other NIC.
pub const WAN_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
/// The router on the LAN, where the client's packets come from; 10.1.0.254.
pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 254];
/// The router behind the other NIC; 10.2.0.254.
pub const WAN_ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 2, 254];
/// Somebody else on the LAN.
pub const NEIGHBOUR_MAC: [u8; 6] = [2, 0, 0, 0, 1, 99];
/// Everybody.
pub const BROADCAST_MAC: [u8; 6] = [0xff; 6];

/// The VIP.
pub const VIP: [u8; 4] = [10, 1, 0, 100];
/// An address in the LAN that is no VIP.
pub const NO_VIP: [u8; 4] = [10, 1, 0, 101];
/// The balancer's own address.
pub const OWN: [u8; 4] = [10, 1, 0, 1];
/// Somebody else on the LAN.
pub const NEIGHBOUR: [u8; 4] = [10, 1, 0, 99];
/// A client; the way back is through the router on the LAN.
pub const CLIENT: [u8; 4] = [192, 0, 2, 50];
/// A client; the way back is through the router behind the other NIC.
pub const WAN_CLIENT: [u8; 4] = [198, 51, 100, 7];
/// A client; the MAC address of the router on the way back is not known.
pub const UNRESOLVED_CLIENT: [u8; 4] = [203, 0, 113, 7];
/// A client; the way back carries packets of at most [`NARROW_MTU`] bytes.
pub const NARROW_CLIENT: [u8; 4] = [192, 0, 2, 200];
/// A client; the routing table says that it cannot be reached.
pub const UNREACHABLE_CLIENT: [u8; 4] = [198, 18, 0, 7];
/// Packets to [`NARROW_CLIENT`] have at most so many bytes.
pub const NARROW_MTU: u16 = 1000;
/// Packets to [`NARROW_CLIENT6`] have at most so many bytes: the least that IPv6 allows.
pub const NARROW_MTU6: u16 = 1280;

/// The VIP's IPv6 address.
pub const VIP6: [u8; 16] = lan6(0x100);
/// An IPv6 address in the LAN that is no VIP.
pub const NO_VIP6: [u8; 16] = lan6(0x101);
/// The balancer's own IPv6 address.
pub const OWN6: [u8; 16] = lan6(1);
/// Somebody else on the LAN.
pub const NEIGHBOUR6: [u8; 16] = lan6(0x99);
/// A client; the way back is through the router on the LAN.
pub const CLIENT6: [u8; 16] = client6(1, 0x50);
/// A client; the way back is through the router behind the other NIC.
pub const WAN_CLIENT6: [u8; 16] = client6(2, 7);
/// A client; the MAC address of the router on the way back is not known.
pub const UNRESOLVED_CLIENT6: [u8; 16] = client6(3, 7);
/// A client; the way back carries packets of at most [`NARROW_MTU6`] bytes.
pub const NARROW_CLIENT6: [u8; 16] = client6(4, 0x200);
/// A client; the routing table says that it cannot be reached.
pub const UNREACHABLE_CLIENT6: [u8; 16] = client6(5, 7);

/// `2001:db8:1::LAST`
const fn lan6(last: u16) -> [u8; 16] {
    let [high, low] = last.to_be_bytes();
    [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, high, low]
}

/// `2001:db8:ff:NETWORK::LAST`
const fn client6(network: u8, last: u16) -> [u8; 16] {
    let [high, low] = last.to_be_bytes();
    [0x20, 1, 0xd, 0xb8, 0, 0xff, 0, network, 0, 0, 0, 0, 0, 0, high, low]
}

/// The client's port.
pub const CLIENT_PORT: u16 = 40_000;
/// Port of the TCP service.
pub const HTTPS_PORT: u16 = 443;
/// Port of the UDP service.
pub const DNS_PORT: u16 = 53;
/// Port of the TCP service on the servers in `nat` mode.
pub const SERVER_HTTPS_PORT: u16 = 8443;
/// Port of the UDP service on the servers in `nat` mode.
pub const SERVER_DNS_PORT: u16 = 5353;

/// Id of the TCP service.
pub const HTTPS: u32 = 1;
/// Id of the UDP service.
pub const DNS: u32 = 2;
/// Packets that belong to no service are counted under this id.
pub const NO_SERVICE: u32 = 0;

/// Slots of each table.
pub const SLOTS: u32 = 251;

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name.
    pub name: &'static str,
    /// Its id, which the tables name.
    pub id: u16,
    /// Its position in the array, which the counters use.
    pub ordinal: u16,
    /// Its IPv4 address.
    pub address: [u8; 4],
    /// Its IPv6 address.
    pub address6: [u8; 16],
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The NIC it is behind: index and MAC address.
    pub nic: (u32, [u8; 6]),
}

/// A server on the LAN.
pub const EX01: Server = Server {
    name: "EX01",
    id: 1,
    ordinal: 0,
    address: [10, 1, 0, 11],
    address6: lan6(0x11),
    mac: [2, 0, 0, 0, 1, 11],
    nic: (LAN, OWN_MAC),
};
/// Another one on the LAN.
pub const EX02: Server = Server {
    name: "EX02",
    id: 2,
    ordinal: 1,
    address: [10, 1, 0, 12],
    address6: lan6(0x12),
    mac: [2, 0, 0, 0, 1, 12],
    ..EX01
};
/// A server behind the other NIC.
pub const EX03: Server = Server {
    name: "EX03",
    id: 3,
    ordinal: 2,
    address: [10, 2, 0, 13],
    address6: [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x13],
    mac: [2, 0, 0, 0, 2, 13],
    nic: (WAN, WAN_MAC),
};
/// An id that no server has and no map has room for.
const NOBODY: u16 = 9999;

/// What the data plane holds while a case runs. Unless it says otherwise: TCP 443 and UDP 53 of the VIP, which has an
/// address of each family as the servers have; the VIP is announced, unknown ports are dropped, and both services go to EX01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Mode `dsr`.
    Dsr,
    /// Mode `dsr`, the server is EX03 behind the other NIC.
    DsrOtherNic,
    /// Mode `nat`, to ports 8443 and 5353 of the server.
    Nat,
    /// Mode `nat`, the server is EX03 behind the other NIC.
    NatOtherNic,
    /// Mode `nat`, but the NIC does not forward.
    NatForwardingOff,
    /// Mode `dsr`, even slots go to EX01 and odd ones to EX02.
    Spread,
    /// The same, but the hash covers the client's address only.
    SpreadByClient,
    /// Mode `dsr`, packets for unknown ports and protocols go to the stack.
    PassUnknown,
    /// The services have no table and the VIP is not announced.
    Withdrawn,
    /// Mode `dsr`, but routers send the VIP here: it is not announced.
    NotAnnounced,
    /// The tables are there, but name no server.
    EmptySlots,
    /// The way to the server is not known.
    NoPath,
    /// The tables name a server that does not exist.
    Contradiction,
    /// Mode `dsr`, and all echo requests that may be answered at the moment have been.
    EchoExhausted,
}

impl Setup {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Dsr,
        Self::DsrOtherNic,
        Self::Nat,
        Self::NatOtherNic,
        Self::NatForwardingOff,
        Self::Spread,
        Self::SpreadByClient,
        Self::PassUnknown,
        Self::Withdrawn,
        Self::NotAnnounced,
        Self::EmptySlots,
        Self::NoPath,
        Self::Contradiction,
        Self::EchoExhausted,
    ];

    /// Whether the NIC that frames come in by forwards.
    pub fn forwards(self) -> bool {
        self != Self::NatForwardingOff
    }

    /// What the data plane is told.
    pub fn target(self) -> Target {
        let nat = matches!(self, Self::Nat | Self::NatOtherNic | Self::NatForwardingOff);
        let server = match self {
            Self::DsrOtherNic | Self::NatOtherNic => EX03.id,
            Self::EmptySlots => 0,
            Self::Contradiction => NOBODY,
            _ => EX01.id,
        };
        let table: Option<Arc<[u16]>> = match self {
            Self::Withdrawn => None,
            Self::Spread | Self::SpreadByClient => {
                Some((0..SLOTS).map(|slot| if slot % 2 == 0 { EX01.id } else { EX02.id }).collect())
            }
            _ => Some((0..SLOTS).map(|_| server).collect()),
        };
        let service = |id, name: &str, port, protocol, server_port| ServiceTarget {
            id,
            array: "ams".to_owned(),
            name: name.to_owned(),
            vip: Addresses::Both(Ipv4Addr::from(VIP), Ipv6Addr::from(VIP6)),
            port,
            protocol,
            server_port: if nat { server_port } else { port },
            mode: if nat { Mode::Nat } else { Mode::Dsr },
            hash: if self == Self::SpreadByClient { HashKind::Client } else { HashKind::Flow },
            table: table.clone(),
        };
        let vip = |address: IpAddr| VipTarget {
            address,
            announced: !matches!(self, Self::Withdrawn | Self::NotAnnounced),
            pass_unknown: self == Self::PassUnknown,
        };
        let servers = [EX01, EX02, EX03];
        Target {
            node: NodeTarget { hash_seed: "contoso".to_owned(), slots: SLOTS, xdp: XdpMode::Auto },
            nics: Vec::new(),
            services: vec![
                service(HTTPS, "https", HTTPS_PORT, Protocol::Tcp, SERVER_HTTPS_PORT),
                service(DNS, "dns", DNS_PORT, Protocol::Udp, SERVER_DNS_PORT),
            ],
            servers: servers.iter().map(|server| server.target(self != Self::NoPath)).collect(),
            vips: vec![vip(VIP.into()), vip(VIP6.into())],
        }
    }
}

impl Server {
    fn target(&self, reachable: bool) -> ServerTarget {
        let path4 = reachable.then(|| self.path());
        let path6 = reachable.then(|| self.path6());
        let Self { name, id, ordinal, address, address6, .. } = *self;
        ServerTarget {
            id,
            ordinal,
            array: "ams".to_owned(),
            name: format!("{name}.contoso.com"),
            address: Addresses::Both(Ipv4Addr::from(address), Ipv6Addr::from(address6)),
            path4,
            path6,
        }
    }

    /// The way there for IPv6 packets.
    pub fn path6(&self) -> Path {
        Path { next_hop: self.address6.into(), source: OWN6.into(), ..self.path() }
    }

    /// The way there for IPv4 packets.
    pub fn path(&self) -> Path {
        let (ifindex, source_mac) = self.nic;
        Path {
            interface: if ifindex == LAN { "lan0" } else { "wan0" }.to_owned(),
            ifindex,
            source_mac,
            next_hop: Ipv4Addr::from(self.address).into(),
            next_hop_mac: self.mac,
            on_link: true,
            mtu: 1500,
            source: Ipv4Addr::from(OWN).into(),
        }
    }
}

/// The NIC that frames come in by.
pub fn nic() -> NicTarget {
    NicTarget { name: "lan0".to_owned(), ifindex: LAN, mac: OWN_MAC }
}

/// The NICs, addresses and routes of the balancer as a batch for `ip`: what the kernel must be told so that it answers
/// like [`super::memory::Memory`] does.
pub const NETWORK: &str = "\
link add lan0 index 11 address 02:00:00:00:01:01 type veth peer name lan1 index 21 address 02:00:00:00:01:fe
link add wan0 index 12 address 02:00:00:00:02:01 type veth peer name wan1 index 22 address 02:00:00:00:02:fe
link set lan0 up
link set lan1 up
link set wan0 up
link set wan1 up
address add 10.1.0.1/24 dev lan0
address add 10.2.0.1/24 dev wan0
neighbour add 10.1.0.254 lladdr 02:00:00:00:01:fe nud permanent dev lan0
neighbour add 10.2.0.254 lladdr 02:00:00:00:02:fe nud permanent dev wan0
route add 192.0.2.0/25 via 10.1.0.254
route add 192.0.2.128/25 via 10.1.0.254 mtu lock 1000
route add 198.51.100.0/24 via 10.2.0.254
route add 203.0.113.0/24 via 10.1.0.253
route add unreachable 198.18.0.0/15
address add 2001:db8:1::1/64 dev lan0 nodad
address add 2001:db8:2::1/64 dev wan0 nodad
neighbour add 2001:db8:1::fe lladdr 02:00:00:00:01:fe nud permanent dev lan0
neighbour add 2001:db8:2::fe lladdr 02:00:00:00:02:fe nud permanent dev wan0
route add 2001:db8:ff:1::/64 via 2001:db8:1::fe
route add 2001:db8:ff:2::/64 via 2001:db8:2::fe
route add 2001:db8:ff:3::/64 via 2001:db8:1::fd
route add 2001:db8:ff:4::/64 via 2001:db8:1::fe mtu lock 1280
route add unreachable 2001:db8:ff:5::/64
";
