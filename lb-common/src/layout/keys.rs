//! Keys of the hash tables: network-order bytes, without padding that could differ between two equal keys.

use super::word::join;
use crate::wire::Raw6;

/// Key of the services of IPv4 VIPs, and of the replies of `nat` servers: an address, a port and a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct Endpoint4 {
    address: [u8; 4],
    port: [u8; 2],
    protocol: u8,
    zero: u8,
}

impl Endpoint4 {
    /// From values in frame order, as a packet has them.
    #[inline(always)]
    pub const fn from_raw(address: u32, port: u16, protocol: u8) -> Self {
        Self { address: address.to_le_bytes(), port: port.to_le_bytes(), protocol, zero: 0 }
    }

    /// From values as people write them.
    pub const fn new(address: [u8; 4], port: u16, protocol: u8) -> Self {
        Self { address, port: port.to_be_bytes(), protocol, zero: 0 }
    }

    /// As the map holds it.
    pub const fn to_bytes(self) -> [u8; 8] {
        let Self { address: [a, b, c, d], port: [e, f], protocol, zero } = self;
        [a, b, c, d, e, f, protocol, zero]
    }

    /// From what the map holds.
    pub const fn from_bytes([a, b, c, d, e, f, protocol, zero]: [u8; 8]) -> Self {
        Self { address: [a, b, c, d], port: [e, f], protocol, zero }
    }

    /// The address.
    pub const fn address(self) -> [u8; 4] {
        self.address
    }

    /// The port.
    pub const fn port(self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// The protocol number.
    pub const fn protocol(self) -> u8 {
        self.protocol
    }
}

/// The same for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct Endpoint6 {
    address: [u8; 16],
    port: [u8; 2],
    protocol: u8,
    zero: [u8; 5],
}

impl Endpoint6 {
    /// From values in frame order, as a packet has them.
    #[inline(always)]
    pub const fn from_raw(address: Raw6, port: u16, protocol: u8) -> Self {
        Self { address: join(address[0], address[1]), port: port.to_le_bytes(), protocol, zero: [0; 5] }
    }

    /// From values as people write them.
    pub const fn new(address: [u8; 16], port: u16, protocol: u8) -> Self {
        Self { address, port: port.to_be_bytes(), protocol, zero: [0; 5] }
    }

    /// As the map holds it.
    pub fn to_bytes(self) -> [u8; 24] {
        let Self { address, port: [a, b], protocol, zero: _ } = self;
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&address);
        (bytes[16], bytes[17], bytes[18]) = (a, b, protocol);
        bytes
    }

    /// From what the map holds.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let mut address = [0; 16];
        address.copy_from_slice(&bytes[..16]);
        Self { address, port: [bytes[16], bytes[17]], protocol: bytes[18], zero: [0; 5] }
    }

    /// The address.
    pub const fn address(self) -> [u8; 16] {
        self.address
    }

    /// The port.
    pub const fn port(self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// The protocol number.
    pub const fn protocol(self) -> u8 {
        self.protocol
    }
}

/// Key of the connections that clients made directly to a `nat` server's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Direct4 {
    client: u32,
    server: u32,
    /// Client's port in the low half, server's in the high half, both in frame order.
    ports: u32,
    zero: u32,
}

impl Direct4 {
    /// From values in frame order; `ports` as they stand in a packet from the client.
    #[inline(always)]
    pub const fn from_raw(client: u32, server: u32, ports: u32) -> Self {
        Self { client, server, ports, zero: 0 }
    }

    /// From what the map holds.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { client: word(0), server: word(4), ports: word(8), zero: word(12) }
    }

    /// As people read it.
    pub const fn parts(self) -> DirectParts<[u8; 4]> {
        let [a, b, c, d] = self.ports.to_le_bytes();
        DirectParts {
            client: self.client.to_le_bytes(),
            client_port: u16::from_be_bytes([a, b]),
            server: self.server.to_le_bytes(),
            server_port: u16::from_be_bytes([c, d]),
        }
    }
}

/// The same for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Direct6 {
    client: Raw6,
    server: Raw6,
    ports: u32,
    zero: u32,
}

impl Direct6 {
    /// From values in frame order; `ports` as they stand in a packet from the client.
    #[inline(always)]
    pub const fn from_raw(client: Raw6, server: Raw6, ports: u32) -> Self {
        Self { client, server, ports, zero: 0 }
    }

    /// From what the map holds.
    pub fn from_bytes(bytes: [u8; 40]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let half = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Self { client: [half(0), half(8)], server: [half(16), half(24)], ports: word(32), zero: word(36) }
    }

    /// As people read it.
    pub const fn parts(self) -> DirectParts<[u8; 16]> {
        let [a, b, c, d] = self.ports.to_le_bytes();
        DirectParts {
            client: join(self.client[0], self.client[1]),
            client_port: u16::from_be_bytes([a, b]),
            server: join(self.server[0], self.server[1]),
            server_port: u16::from_be_bytes([c, d]),
        }
    }
}

/// What a [`Direct4`] or [`Direct6`] says, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectParts<A> {
    /// The client's address.
    pub client: A,
    /// The client's port.
    pub client_port: u16,
    /// The server's address.
    pub server: A,
    /// The server's port.
    pub server_port: u16,
}
