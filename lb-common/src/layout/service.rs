//! A service: its table, what happens to its packets, its VIPs.

use super::word::{Word, halves, join};
use crate::wire::Raw6;

/// How packets of a service reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// MAC addresses are rewritten, IP is untouched.
    Dsr,
    /// Destination address and port are rewritten.
    Nat,
}

/// What the flow hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Addresses, ports and protocol.
    Flow,
    /// The client's address.
    Client,
}

/// What the program does with packets of a service, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// How packets reach the server.
    pub mode: Mode,
    /// What the hash covers.
    pub hash: HashKind,
    /// Port of the VIP, in frame order.
    pub port: u16,
    /// Port on the servers, in frame order.
    pub server_port: u16,
}

impl Method {
    #[inline(always)]
    const fn to_word(self) -> u64 {
        let Self { mode, hash, port, server_port } = self;
        let mode = match mode {
            Mode::Dsr => 0,
            Mode::Nat => 1,
        };
        let hash = match hash {
            HashKind::Flow => 0,
            HashKind::Client => 1,
        };
        mode | hash << 8 | (port as u64) << 32 | (server_port as u64) << 48
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of the word")]
    const fn from_word(word: u64) -> Self {
        Self {
            mode: match word as u8 {
                0 => Mode::Dsr,
                _ => Mode::Nat,
            },
            hash: match (word >> 8) as u8 {
                0 => HashKind::Flow,
                _ => HashKind::Client,
            },
            port: (word >> 32) as u16,
            server_port: (word >> 48) as u16,
        }
    }
}

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Block of the slots map that holds its table, or [`NO_BLOCK`].
    pub block: u32,
    /// What happens to its packets.
    pub method: Method,
    /// IPv4 VIP in frame order, 0 for none.
    pub vip4: u32,
    /// IPv6 VIP, zero for none.
    pub vip6: [u8; 16],
}

/// A [`Service`] as it lies in the map.
///
/// Words: 0 block; 1 method; 2 IPv4 VIP; 3 and 4 IPv6 VIP; 5 to 7 reserved, zero.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct ServiceRecord([Word; 8]);

impl ServiceRecord {
    /// Writes all of it. The block comes last, so that a service that was not in use begins to steer when it is whole.
    pub fn store(&self, service: &Service) {
        let Service { block, method, vip4, vip6 } = *service;
        let (high, low) = halves(vip6);
        self.0[1].set(method.to_word());
        self.0[2].set(u64::from(vip4));
        self.0[3].set(high);
        self.0[4].set(low);
        self.set_block(block);
    }

    /// Switches to another table: one store, so a packet sees the old table or the new one.
    pub fn set_block(&self, block: u32) {
        self.0[0].publish(u64::from(block));
    }

    /// Reads all of it.
    pub fn load(&self) -> Service {
        let [low, high] = self.vip6();
        Service { block: self.block(), method: self.method(), vip4: self.vip4(), vip6: join(low, high) }
    }

    /// The block.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the block is the low half")]
    pub fn block(&self) -> u32 {
        self.0[0].get() as u32
    }

    /// The method.
    #[inline(always)]
    pub fn method(&self) -> Method {
        Method::from_word(self.0[1].get())
    }

    /// The IPv4 VIP in frame order.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the address is the low half")]
    pub fn vip4(&self) -> u32 {
        self.0[2].get() as u32
    }

    /// The IPv6 VIP in frame order.
    #[inline(always)]
    pub fn vip6(&self) -> Raw6 {
        [self.0[3].get(), self.0[4].get()]
    }
}
