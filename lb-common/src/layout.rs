//! The records of the BPF maps: what user space writes and the program reads.
//!
//! Each record comes as a plain struct that user space builds, and as a row of 64-bit atomic words as it lies in the
//! map. The maps are written through `mmap` while packets pass, so a record changes word by word; fields that must
//! change together share a word. A record is at most one cache line. Both families live in one record: a server keeps
//! its id, its slots and its counters whichever family a packet has, and one table serves a dual-stack service. Keys,
//! in contrast, exist per family, because an 8-byte key is hashed in half the time of a 20-byte one.
//!
//! [`VERSION`] names this layout in the path of the pins. It changes whenever a record, a key or their meaning does.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::wire::Mac;

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

/// One 64-bit word of a record, read and written whole.
#[derive(Debug, Default)]
#[repr(transparent)]
struct Word(AtomicU64);

impl Word {
    #[inline(always)]
    fn get(&self) -> u64 {
        #[cfg(target_arch = "bpf")]
        {
            // SAFETY: the pointer comes from a reference. LLVM knows no atomic loads for BPF, but an aligned 64-bit
            // volatile load is one instruction, and that is atomic wherever BPF is compiled to machine code.
            unsafe { self.0.as_ptr().read_volatile() }
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Writes after everything written before.
    fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

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
    pub const fn parts(self) -> Direct4Parts {
        let [a, b, c, d] = self.ports.to_le_bytes();
        Direct4Parts {
            client: self.client.to_le_bytes(),
            client_port: u16::from_be_bytes([a, b]),
            server: self.server.to_le_bytes(),
            server_port: u16::from_be_bytes([c, d]),
        }
    }
}

/// What a [`Direct4`] says, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct4Parts {
    /// The client's address.
    pub client: [u8; 4],
    /// The client's port.
    pub client_port: u16,
    /// The server's address.
    pub server: [u8; 4],
    /// The server's port.
    pub server_port: u16,
}

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
        let vip6 = join(self.0[3].get(), self.0[4].get());
        Service { block: self.block(), method: self.method(), vip4: self.vip4(), vip6 }
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
}

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
        let word = |index: usize| self.0[index].get();
        let path6 = Path {
            ifindex: (word(3) >> 32) as u32,
            dst: Mac::from_raw(word(6)),
            src: Mac::from_raw(word(7)),
            mtu: (word(7) >> 48) as u16,
        };
        Server {
            ordinal: self.ordinal(),
            address4: self.address4(),
            address6: join(word(1), word(2)),
            path4: self.path4(),
            path6,
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

    /// The way there for IPv4 packets.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the NIC is the low half")]
    pub fn path4(&self) -> Path {
        let source = self.0[5].get();
        Path {
            ifindex: self.0[3].get() as u32,
            dst: Mac::from_raw(self.0[4].get()),
            src: Mac::from_raw(source),
            mtu: (source >> 48) as u16,
        }
    }
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

/// Array and name of a server or service, for people who read the maps; the program never looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Label {
    array: [u8; 64],
    name: [u8; 256],
}

impl Label {
    /// Bytes of a label.
    pub const SIZE: usize = 320;

    /// Cuts names that are too long; validated ones (63 and 253 bytes) never are.
    pub fn new(array: &str, name: &str) -> Self {
        let mut label = Self { array: [0; 64], name: [0; 256] };
        for (to, from) in label.array[..63].iter_mut().zip(array.bytes()) {
            *to = from;
        }
        for (to, from) in label.name[..255].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        label
    }

    /// From what the map holds.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut label = Self { array: [0; 64], name: [0; 256] };
        label.array.copy_from_slice(&bytes[..64]);
        label.name.copy_from_slice(&bytes[64..]);
        label
    }

    /// As the map holds it.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..64].copy_from_slice(&self.array);
        bytes[64..].copy_from_slice(&self.name);
        bytes
    }

    /// The array's name; `None` when the map holds something that isn't text.
    pub fn array(&self) -> Option<&str> {
        text(&self.array)
    }

    /// The server's or service's name; `None` when the map holds something that isn't text.
    pub fn name(&self) -> Option<&str> {
        text(&self.name)
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    core::str::from_utf8(&bytes[..end]).ok()
}

const fn halves(address: [u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(address);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    (both as u64, (both >> 64) as u64)
}

const fn join(low: u64, high: u64) -> [u8; 16] {
    (low as u128 | (high as u128) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_layout_in_memory_is_frozen() {
        assert_eq!((size_of::<ServiceRecord>(), size_of::<ServerRecord>()), (64, 64));
        assert_eq!((size_of::<VipRecord>(), size_of::<Counter>(), size_of::<Label>()), (8, 16, Label::SIZE));
        assert_eq!((size_of::<Endpoint4>(), size_of::<Direct4>()), (8, 16));
    }

    #[test]
    fn labels_carry_the_longest_names_and_refuse_what_is_not_text() {
        let (array, name) = (std::string::String::from("a").repeat(63), std::string::String::from("n").repeat(253));
        let label = Label::from_bytes(&Label::new(&array, &name).to_bytes());
        assert_eq!((label.array(), label.name()), (Some(array.as_str()), Some(name.as_str())));
        assert_eq!(Label::from_bytes(&[0xff; Label::SIZE]).name(), None);
    }
}
