//! Where fields lie in Ethernet, ARP, IPv4, ICMP, TCP and UDP headers, and the few numbers they carry.
//!
//! Views borrow a [`Window`] and give its bytes names. They judge nothing; [`crate::parse`] does.

use crate::frame::Window;

/// Bytes of an Ethernet header without tags.
pub const ETHERNET: usize = 14;
/// Bytes of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Bytes of an IPv6 header without extension headers.
pub const IPV6: usize = 40;
/// Bytes of a VLAN tag: priority and id, and the type of what follows.
pub const VLAN: usize = 4;
/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const ARP: usize = 28;
/// Bytes of a UDP header.
pub const UDP: usize = 8;
/// Bytes of a TCP header without options.
pub const TCP: usize = 20;
/// Bytes of an ICMP echo header.
pub const ICMP_ECHO: usize = 8;

/// `EtherType` of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// `EtherType` of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;

/// `EtherType` of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// `EtherType` of a customer VLAN tag (802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// `EtherType` of a service VLAN tag (802.1ad).
pub const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;

/// Protocol number of `ICMPv6`.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// Hop-by-hop options (RFC 8200, section 4.3).
pub const EXTENSION_HOP_BY_HOP: u8 = 0;
/// Routing header (RFC 8200, section 4.4).
pub const EXTENSION_ROUTING: u8 = 43;
/// Fragment header (RFC 8200, section 4.5).
pub const EXTENSION_FRAGMENT: u8 = 44;
/// Authentication header (RFC 4302).
pub const EXTENSION_AUTHENTICATION: u8 = 51;
/// Destination options (RFC 8200, section 4.6).
pub const EXTENSION_DESTINATION: u8 = 60;

/// Protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// Protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// ICMP type of an echo reply.
pub const ICMP_ECHO_REPLY: u8 = 0;
/// ICMP type of an echo request.
pub const ICMP_ECHO_REQUEST: u8 = 8;

/// `ICMPv6` type of an echo request.
pub const ICMPV6_ECHO_REQUEST: u8 = 128;
/// `ICMPv6` type of an echo reply.
pub const ICMPV6_ECHO_REPLY: u8 = 129;
/// `ICMPv6` type of a neighbour solicitation.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// `ICMPv6` type of a neighbour advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// An IPv6 address in frame order, as two 64-bit halves.
pub type Raw6 = [u64; 2];

const MAC_MASK: u64 = 0xffff_ffff_ffff;

/// A MAC address in the low 48 bits, first byte least significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Mac(u64);

impl Mac {
    /// From the six bytes as they are written.
    #[inline(always)]
    pub const fn new(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// From the low 48 bits; the rest is ignored.
    #[inline(always)]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw & MAC_MASK)
    }

    /// The low 48 bits.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The six bytes as they are written.
    pub const fn bytes(self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether the address names a group: multicast or broadcast (IEEE 802, I/G bit).
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The Ethernet header at the beginning of a frame.
pub struct Ethernet<'a>(pub Window<'a, ETHERNET>);

impl Ethernet<'_> {
    /// Destination.
    #[inline(always)]
    pub fn dst(&self) -> Mac {
        Mac::from_raw(self.0.raw64(0))
    }

    /// Source.
    #[inline(always)]
    pub fn src(&self) -> Mac {
        Mac::from_raw(self.0.raw64(6))
    }

    /// `EtherType`.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        self.0.be16(12)
    }

    /// Writes both addresses: two stores instead of four.
    #[inline(always)]
    pub fn set_addresses(&mut self, dst: Mac, src: Mac) {
        self.0.set_raw64(0, dst.0 | src.0 << 48);
        #[expect(clippy::cast_possible_truncation, reason = "a MAC has 48 bits, 32 of them are left")]
        self.0.set_raw32(8, (src.0 >> 16) as u32);
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
pub struct Arp<'a>(pub Window<'a, ARP>);

impl Arp<'_> {
    /// Whether hardware is Ethernet, protocol is IPv4, and their lengths are 6 and 4.
    #[inline(always)]
    pub fn is_ipv4_over_ethernet(&self) -> bool {
        self.0.be16(0) == 1 && self.0.be16(2) == ETHERTYPE_IPV4 && self.0.be16(4) == 0x0604
    }

    /// 1 is a request, 2 a reply.
    #[inline(always)]
    pub fn operation(&self) -> u16 {
        self.0.be16(6)
    }

    /// Hardware address of the sender.
    #[inline(always)]
    pub fn sender_mac(&self) -> Mac {
        Mac::from_raw(self.0.raw64(8))
    }

    /// IPv4 address of the sender, in frame order.
    #[inline(always)]
    pub fn sender(&self) -> u32 {
        self.0.raw32(14)
    }

    /// IPv4 address asked for, in frame order.
    #[inline(always)]
    pub fn target(&self) -> u32 {
        self.0.raw32(24)
    }

    /// Turns the request into the reply that says `target` is at `mac`.
    #[inline(always)]
    pub fn answer(&mut self, mac: Mac) {
        let (asker_mac, asker, target) = (self.sender_mac(), self.sender(), self.target());
        self.0.set_be16(6, 2);
        // Six bytes of MAC and the first two of what follows; what follows is then written whole.
        self.0.set_raw64(8, mac.raw());
        self.0.set_raw32(14, target);
        self.0.set_raw64(18, asker_mac.raw());
        self.0.set_raw32(24, asker);
    }
}

/// An IPv4 header without its options.
pub struct Ipv4<'a>(pub Window<'a, IPV4>);

impl Ipv4<'_> {
    /// Version and header length in words, as one byte: `0x45` without options.
    #[inline(always)]
    pub fn version_ihl(&self) -> u8 {
        self.0.byte(0)
    }

    /// Type of service byte.
    #[inline(always)]
    pub fn tos(&self) -> u8 {
        self.0.byte(1)
    }

    /// Length of header and payload.
    #[inline(always)]
    pub fn total_length(&self) -> u16 {
        self.0.be16(2)
    }

    /// Whether this is a fragment: more are to come, or it is not the first.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.0.be16(6) & 0x3fff != 0
    }

    /// Whether routers may cut it into fragments.
    #[inline(always)]
    pub fn may_be_fragmented(&self) -> bool {
        self.0.be16(6) & 0x4000 == 0
    }

    /// Time to live.
    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        self.0.byte(8)
    }

    /// Protocol of the payload.
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        self.0.byte(9)
    }

    /// Header checksum, in frame order.
    #[inline(always)]
    pub fn checksum(&self) -> u16 {
        self.0.raw16(10)
    }

    /// Source address, in frame order.
    #[inline(always)]
    pub fn src(&self) -> u32 {
        self.0.raw32(12)
    }

    /// Destination address, in frame order.
    #[inline(always)]
    pub fn dst(&self) -> u32 {
        self.0.raw32(16)
    }

    /// TTL and protocol as one raw 16-bit word, the unit the checksum counts in.
    #[inline(always)]
    pub fn ttl_word(&self) -> u16 {
        self.0.raw16(8)
    }

    /// Writes the TTL.
    #[inline(always)]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.0.set_byte(8, ttl);
    }

    /// Writes the header checksum, in frame order.
    #[inline(always)]
    pub fn set_checksum(&mut self, checksum: u16) {
        self.0.set_raw16(10, checksum);
    }

    /// Writes the source address, in frame order.
    #[inline(always)]
    pub fn set_src(&mut self, address: u32) {
        self.0.set_raw32(12, address);
    }

    /// Writes the destination address, in frame order.
    #[inline(always)]
    pub fn set_dst(&mut self, address: u32) {
        self.0.set_raw32(16, address);
    }
}

/// An IPv6 header without its extension headers.
pub struct Ipv6<'a>(pub Window<'a, IPV6>);

impl Ipv6<'_> {
    /// The version; 6.
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.0.byte(0) >> 4
    }

    /// Traffic class.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits in the middle")]
    pub fn traffic_class(&self) -> u8 {
        (self.0.be16(0) >> 4) as u8
    }

    /// Length of everything after this header.
    #[inline(always)]
    pub fn payload_length(&self) -> u16 {
        self.0.be16(4)
    }

    /// What follows this header.
    #[inline(always)]
    pub fn next_header(&self) -> u8 {
        self.0.byte(6)
    }

    /// Hop limit.
    #[inline(always)]
    pub fn hop_limit(&self) -> u8 {
        self.0.byte(7)
    }

    /// Source address, in frame order.
    #[inline(always)]
    pub fn src(&self) -> Raw6 {
        [self.0.raw64(8), self.0.raw64(16)]
    }

    /// Destination address, in frame order.
    #[inline(always)]
    pub fn dst(&self) -> Raw6 {
        [self.0.raw64(24), self.0.raw64(32)]
    }

    /// Writes the length of everything after this header.
    #[inline(always)]
    pub fn set_payload_length(&mut self, length: u16) {
        self.0.set_be16(4, length);
    }

    /// Writes what follows this header.
    #[inline(always)]
    pub fn set_next_header(&mut self, protocol: u8) {
        self.0.set_byte(6, protocol);
    }

    /// Writes the hop limit.
    #[inline(always)]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.0.set_byte(7, hop_limit);
    }

    /// Writes the source address, in frame order.
    #[inline(always)]
    pub fn set_src(&mut self, address: Raw6) {
        self.0.set_raw64(8, address[0]);
        self.0.set_raw64(16, address[1]);
    }

    /// Writes the destination address, in frame order.
    #[inline(always)]
    pub fn set_dst(&mut self, address: Raw6) {
        self.0.set_raw64(24, address[0]);
        self.0.set_raw64(32, address[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        let mut bytes = [0u8; ETHERNET];
        let mut ethernet = Ethernet(Window::new(&mut bytes));
        let (dst, src) = (Mac::new([2, 0, 0, 0, 0, 1]), Mac::new([6, 5, 4, 3, 2, 1]));
        ethernet.set_addresses(dst, src);
        assert_eq!((ethernet.dst(), ethernet.src()), (dst, src));
        assert_eq!(bytes, [2, 0, 0, 0, 0, 1, 6, 5, 4, 3, 2, 1, 0, 0]);
        assert!(Mac::new([0xff; 6]).is_group() && Mac::new([1, 0, 0x5e, 0, 0, 1]).is_group() && !dst.is_group());
    }
}
