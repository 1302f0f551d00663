//! A server: its addresses and the way to each.

use super::word::{Word, halves, join};
use crate::wire::{Mac, Raw6};

/// How to reach a server on the link: what a frame for it must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// NIC it leaves by; 0 is none.
    pub ifindex: u32,
    /// MAC address of the next hop.
    pub dst: Mac,
    /// MAC address of the NIC.
    pub src: Mac,
    /// MTU of the link in bytes.
    pub mtu: u16,
}

impl Path {
    /// No way to the server.
    pub const NONE: Self = Self { ifindex: 0, dst: Mac::from_raw(0), src: Mac::from_raw(0), mtu: 0 };
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Position in its array, which selects its counters.
    pub ordinal: u16,
    /// IPv4 address in frame order, 0 for none.
    pub address4: u32,
    /// IPv6 address, zero for none.
    pub address6: [u8; 16],
    /// The way there for IPv4 packets.
    pub path4: Path,
    /// The way there for IPv6 packets.
    pub path6: Path,
}

/// A [`Server`] as it lies in the map.
///
/// Words: 0 ordinal (low 16 bits) and IPv4 address (high half); 1 and 2 IPv6 address; 3 NICs of IPv4 (low half) and
/// IPv6; 4 next hop's MAC for IPv4, with 16 bits reserved for a VLAN tag above it; 5 own MAC, with the MTU above it;
/// 6 and 7 the same for IPv6.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct ServerRecord([Word; 8]);

impl ServerRecord {
    /// Writes all of it.
    pub fn store(&self, server: &Server) {
        let Server { ordinal, address4, address6, path4, path6 } = *server;
        let (high, low) = halves(address6);
        let source = |path: &Path| path.src.raw() | u64::from(path.mtu) << 48;
        self.0[0].set(u64::from(ordinal) | u64::from(address4) << 32);
        self.0[1].set(high);
        self.0[2].set(low);
        self.0[3].set(u64::from(path4.ifindex) | u64::from(path6.ifindex) << 32);
        self.0[4].set(path4.dst.raw());
        self.0[5].set(source(&path4));
        self.0[6].set(path6.dst.raw());
        self.0[7].set(source(&path6));
    }

    /// Reads all of it.
    pub fn load(&self) -> Server {
        let [low, high] = self.address6();
        Server {
            ordinal: self.ordinal(),
            address4: self.address4(),
            address6: join(low, high),
            path4: self.path4(),
            path6: self.path6(),
        }
    }

    /// Position in its array.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the ordinal is the low 16 bits")]
    pub fn ordinal(&self) -> u16 {
        self.0[0].get() as u16
    }

    /// IPv4 address in frame order.
    #[inline(always)]
    pub fn address4(&self) -> u32 {
        (self.0[0].get() >> 32) as u32
    }

    /// IPv6 address in frame order.
    #[inline(always)]
    pub fn address6(&self) -> Raw6 {
        [self.0[1].get(), self.0[2].get()]
    }

    /// The way there for IPv4 packets.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the NIC is the low half")]
    pub fn path4(&self) -> Path {
        path(self.0[3].get() as u32, self.0[4].get(), self.0[5].get())
    }

    /// The way there for IPv6 packets.
    #[inline(always)]
    pub fn path6(&self) -> Path {
        path((self.0[3].get() >> 32) as u32, self.0[6].get(), self.0[7].get())
    }
}

#[inline(always)]
const fn path(ifindex: u32, next_hop: u64, source: u64) -> Path {
    Path { ifindex, dst: Mac::from_raw(next_hop), src: Mac::from_raw(source), mtu: (source >> 48) as u16 }
}
