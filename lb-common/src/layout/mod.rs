//! The records of the BPF maps: what user space writes and the program reads.
//!
//! Each record comes as a plain struct that user space builds, and as a row of 64-bit atomic words as it lies in the
//! map. The maps are written through `mmap` while packets pass, so a record changes word by word; fields that must
//! change together share a word. A record is at most one cache line. Both families live in one record: a server keeps
//! its id, its slots and its counters whichever family a packet has, and one table serves a dual-stack service. Keys,
//! in contrast, exist per family, because an 8-byte key is hashed in half the time of a 20-byte one.
//!
//! [`VERSION`] names this layout in the path of the pins. It changes whenever a record, a key or their meaning does.
//!
//! Keys of hash tables, services, servers and labels have a file each; the small records are here.

mod keys;
mod label;
mod server;
mod service;
mod word;

pub use keys::{Direct4, Direct6, DirectParts, Endpoint4, Endpoint6};
pub use label::Label;
pub use server::{Path, Server, ServerRecord};
pub use service::{HashKind, Method, Mode, Service, ServiceRecord};
use word::Word;

/// Version of everything in this module.
pub const VERSION: u32 = 1;

/// The highest server id; 0 stands for "no server". Bounded by the 15 bits a slot has for it.
pub const MAX_SERVER_ID: u16 = 0x7fff;

/// Service id under which packets for a VIP that belong to no service are counted.
pub const NO_SERVICE: u32 = 0;

/// Block number of a service that has no table and steers nothing.
pub const NO_BLOCK: u32 = u32::MAX;

/// Positions in the map of facts about the other maps.
pub mod meta {
    /// Words of the map.
    pub const WORDS: u32 = 8;
    /// Slots of each table; 0 while the maps are not complete.
    pub const SLOTS: usize = 0;
    /// Counters reserved for each service.
    pub const COUNTER_STRIDE: usize = 1;
    /// First half of the key of the flow hash.
    pub const HASH_KEY_0: usize = 2;
    /// Second half of the key of the flow hash.
    pub const HASH_KEY_1: usize = 3;
}

/// What is true of one VIP, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// ARP requests and echo requests are answered.
    pub announced: bool,
    /// Packets for a port or protocol without a service go to the host's stack.
    pub pass_unknown: bool,
}

/// A [`Vip`] as it lies in the map.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct VipRecord(Word);

impl VipRecord {
    /// Writes it.
    pub fn store(&self, vip: Vip) {
        let Vip { announced, pass_unknown } = vip;
        self.0.set(u64::from(announced) | u64::from(pass_unknown) << 1);
    }

    /// Reads it.
    #[inline(always)]
    pub fn load(&self) -> Vip {
        let word = self.0.get();
        Vip { announced: word & 1 != 0, pass_unknown: word & 2 != 0 }
    }
}

/// Packets and bytes, one per service and server, one copy per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets steered.
    pub packets: u64,
    /// Bytes of these packets, Ethernet headers included.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::{word::halves, *};
    use crate::wire::Mac;

    #[test]
    fn records_come_back_as_they_were_stored() {
        let path = |n| Path { ifindex: n, dst: Mac::new([2, 0, 0, 0, 0, 1]), src: Mac::new([0xfe; 6]), mtu: 9000 };
        let mut address6 = [0; 16];
        address6[0] = 0x20;
        address6[15] = 0x11;
        let server = Server { ordinal: 513, address4: 0x0b00_010a, address6, path4: path(7), path6: path(u32::MAX) };
        let record = ServerRecord::default();
        record.store(&server);
        assert_eq!(record.load(), server);

        let method = Method { mode: Mode::Nat, hash: HashKind::Client, port: 443u16.to_be(), server_port: 8443 };
        let service = Service { block: 12, method, vip4: 0x6400_010a, vip6: address6 };
        let record = ServiceRecord::default();
        record.store(&service);
        assert_eq!(record.load(), service);
        record.set_block(NO_BLOCK);
        assert_eq!(record.block(), NO_BLOCK);

        let record = VipRecord::default();
        for (announced, pass_unknown) in [(false, true), (true, false), (true, true), (false, false)] {
            record.store(Vip { announced, pass_unknown });
            assert_eq!(record.load(), Vip { announced, pass_unknown });
        }
    }

    #[test]
    fn a_key_is_the_same_from_a_packet_and_from_the_configuration() {
        let written = Endpoint4::new([10, 1, 0, 100], 443, 6);
        let seen = Endpoint4::from_raw(u32::from_le_bytes([10, 1, 0, 100]), 443u16.to_be(), 6);
        assert_eq!(written, seen);
        assert_eq!(written.to_bytes(), [10, 1, 0, 100, 0x01, 0xbb, 6, 0]);
        assert_eq!(Endpoint4::from_bytes(written.to_bytes()), written);
        assert_eq!((written.address(), written.port(), written.protocol()), ([10, 1, 0, 100], 443, 6));
    }

    #[test]
    fn ipv6_keys_read_back_as_they_were_seen() {
        let address = |last| [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        let raw = |last| {
            let (low, high) = halves(address(last));
            [low, high]
        };
        let written = Endpoint6::new(address(0x64), 443, 6);
        assert_eq!(written, Endpoint6::from_raw(raw(0x64), 443u16.to_be(), 6));
        assert_eq!(Endpoint6::from_bytes(written.to_bytes()), written);
        assert_eq!((written.address(), written.port(), written.protocol()), (address(0x64), 443, 6));

        let (client, server) = (raw(0x32), raw(0x0b));
        let ports = u32::from(40_000u16.to_be()) | u32::from(8443u16.to_be()) << 16;
        let mut bytes = [0; 40];
        for (to, word) in bytes.chunks_exact_mut(8).zip([client[0], client[1], server[0], server[1], ports.into()]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let direct = Direct6::from_bytes(bytes);
        assert_eq!(direct, Direct6::from_raw(client, server, ports));
        let DirectParts { client, client_port, server, server_port } = direct.parts();
        assert_eq!((client, client_port, server, server_port), (address(0x32), 40_000, address(0x0b), 8443));
    }

    #[test]
    fn the_layout_in_memory_is_frozen() {
        assert_eq!((size_of::<ServiceRecord>(), size_of::<ServerRecord>()), (64, 64));
        assert_eq!((size_of::<VipRecord>(), size_of::<Counter>(), size_of::<Label>()), (8, 16, Label::SIZE));
        assert_eq!((size_of::<Endpoint4>(), size_of::<Direct4>()), (8, 16));
        assert_eq!((size_of::<Endpoint6>(), size_of::<Direct6>()), (24, 40));
    }

    #[test]
    fn labels_carry_the_longest_names_and_refuse_what_is_not_text() {
        let (array, name) = (std::string::String::from("a").repeat(63), std::string::String::from("n").repeat(253));
        let label = Label::from_bytes(&Label::new(&array, &name).to_bytes());
        assert_eq!((label.array(), label.name()), (Some(array.as_str()), Some(name.as_str())));
        assert_eq!(Label::from_bytes(&[0xff; Label::SIZE]).name(), None);
    }
}
