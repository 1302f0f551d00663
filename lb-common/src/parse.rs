//! From a frame to what steering needs to know of it.
//!
//! A packet that is wrong in itself is only caslb's business when it is for a VIP, so a flaw comes out beside the
//! destination and the caller decides.

use crate::{
    frame::Frame,
    verdict::Reason,
    wire::{self, Ipv4, Ipv6, Raw6},
};

/// TCP flags.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What an IP header says, all of it checked against the frame. Addresses are in frame order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<A> {
    /// Source.
    pub src: A,
    /// Destination.
    pub dst: A,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Length of the whole packet.
    pub total_length: u16,
    /// Where the IP header begins in the frame.
    pub start: usize,
    /// Where TCP, UDP or ICMP begins in the frame.
    pub payload: usize,
}

impl<A> Header<A> {
    /// Bytes from [`Header::payload`] to the end of the packet.
    #[inline(always)]
    pub fn payload_length(&self) -> usize {
        // The parser has seen that the packet is at least as long as its headers.
        usize::from(self.total_length) - (self.payload - self.start)
    }
}

/// The parts of a TCP or UDP header that steering looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Source port in the low half, destination port in the high half, both in frame order.
    pub ports: u32,
    /// TCP: SYN without ACK.
    pub opens: bool,
}

impl Transport {
    /// Source port, in frame order.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    pub const fn src_port(&self) -> u16 {
        self.ports as u16
    }

    /// Destination port, in frame order.
    #[inline(always)]
    pub const fn dst_port(&self) -> u16 {
        (self.ports >> 16) as u16
    }
}

/// A packet that is wrong in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw<A> {
    /// Destination, in frame order.
    pub dst: A,
    /// What is wrong.
    pub reason: Reason,
}

/// What a parser of headers finds; `None` when there is not even room for a destination.
pub type Parsed<A> = Option<Result<Header<A>, Flaw<A>>>;

/// Parses the IPv4 header that begins at `start`. `None`: there are not even 20 bytes, so there is no destination.
#[inline(always)]
pub fn header4<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Parsed<u32> {
    let length = frame.len();
    let ip = Ipv4(frame.window(start)?);
    let dst = ip.dst();
    let flaw = |reason| Some(Err(Flaw { dst, reason }));
    let version_ihl = ip.version_ihl();
    if version_ihl >> 4 != 4 || version_ihl & 0xf < 5 {
        return flaw(Reason::BadHeader);
    }
    let header = usize::from(version_ihl & 0xf) * 4;
    let total = usize::from(ip.total_length());
    if total < header {
        return flaw(Reason::BadLength);
    }
    // Frames may be longer than the packet (Ethernet pads to 60 bytes), never shorter.
    if start + total > length {
        return flaw(Reason::Truncated);
    }
    let src = ip.src();
    if is_martian(src) || src == dst {
        return flaw(Reason::Martian);
    }
    if ip.is_fragment() {
        return flaw(Reason::Fragment);
    }
    Some(Ok(Header {
        src,
        dst,
        protocol: ip.protocol(),
        ttl: ip.ttl(),
        tos: ip.tos(),
        total_length: ip.total_length(),
        start,
        payload: start + header,
    }))
}

/// Extension headers that are looked through. Nobody sends more than two or three; the bound is the verifier's.
const EXTENSIONS: usize = 5;

/// Parses the IPv6 header that begins at `start`, and its extension headers. `None`: there are not even 40 bytes.
///
/// A fragment header of a packet that was not cut (an atomic fragment, RFC 6946) is looked through.
#[inline(always)]
pub fn header6<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Parsed<Raw6> {
    let length = frame.len();
    let ip = Ipv6(frame.window(start)?);
    let (src, dst) = (ip.src(), ip.dst());
    let (ttl, tos) = (ip.hop_limit(), ip.traffic_class());
    let flaw = |reason| Some(Err(Flaw { dst, reason }));
    if ip.version() != 6 {
        return flaw(Reason::BadHeader);
    }
    let total = wire::IPV6 + usize::from(ip.payload_length());
    if start + total > length {
        return flaw(Reason::Truncated);
    }
    let Ok(total_length) = u16::try_from(total) else {
        return flaw(Reason::BadLength);
    };
    if is_martian6(src) || src == dst {
        return flaw(Reason::Martian);
    }
    let mut protocol = ip.next_header();
    let mut payload = start + wire::IPV6;
    for _ in 0..=EXTENSIONS {
        match protocol {
            wire::EXTENSION_HOP_BY_HOP
            | wire::EXTENSION_ROUTING
            | wire::EXTENSION_FRAGMENT
            | wire::EXTENSION_AUTHENTICATION
            | wire::EXTENSION_DESTINATION => {}
            _ => {
                return Some(Ok(Header { src, dst, protocol, ttl, tos, total_length, start, payload }));
            }
        }
        // The shortest extension header has eight bytes.
        let Some(extension) = frame.window::<8>(payload) else {
            return flaw(Reason::Truncated);
        };
        let words = usize::from(extension.byte(1));
        let bytes = match protocol {
            wire::EXTENSION_FRAGMENT if extension.be16(2) & 0xfff9 != 0 => return flaw(Reason::Fragment),
            wire::EXTENSION_FRAGMENT => 8,
            // There are stops left, so the VIP is not where the packet is going (and RFC 5095 bans the oldest type).
            wire::EXTENSION_ROUTING if extension.byte(3) != 0 => return flaw(Reason::BadHeader),
            wire::EXTENSION_AUTHENTICATION => (words + 2) * 4,
            _ => (words + 1) * 8,
        };
        protocol = extension.byte(0);
        payload += bytes;
        if payload > start + total {
            return flaw(Reason::BadLength);
        }
    }
    flaw(Reason::Extensions)
}

/// Sources that nobody can have (RFC 4291): unspecified, loopback, and multicast. The first byte of an address is the
/// least significant of its first half.
#[inline(always)]
const fn is_martian6(src: Raw6) -> bool {
    let nearly_zero = src[0] == 0 && (src[1] == 0 || src[1] == 1u64.to_be());
    nearly_zero || src[0] & 0xff == 0xff
}

/// The `EtherType` of the packet and where it begins in the frame, behind at most two VLAN tags.
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &mut F) -> Option<(u16, usize)> {
    let mut ethertype = frame.window::<{ wire::ETHERNET }>(0)?.be16(12);
    let mut start = wire::ETHERNET;
    for _ in 0..2 {
        if ethertype != wire::ETHERTYPE_VLAN && ethertype != wire::ETHERTYPE_SERVICE_VLAN {
            break;
        }
        ethertype = frame.window::<{ wire::VLAN }>(start)?.be16(2);
        start += wire::VLAN;
    }
    Some((ethertype, start))
}

/// Parses the TCP or UDP header of a packet; `Err` for a header that does not fit or contradicts itself.
#[inline(always)]
pub fn transport<F: Frame + ?Sized, A>(frame: &mut F, ip: &Header<A>) -> Result<Transport, Reason> {
    let payload_length = ip.payload_length();
    if ip.protocol == wire::PROTOCOL_TCP {
        if payload_length < wire::TCP {
            return Err(Reason::Truncated);
        }
        let tcp = frame.window::<{ wire::TCP }>(ip.payload).ok_or(Reason::Truncated)?;
        let offset = usize::from(tcp.byte(12) >> 4) * 4;
        if offset < wire::TCP || offset > payload_length {
            return Err(Reason::BadLength);
        }
        Ok(Transport { ports: tcp.raw32(0), opens: tcp.byte(13) & (SYN | ACK) == SYN })
    } else {
        if payload_length < wire::UDP {
            return Err(Reason::Truncated);
        }
        let udp = frame.window::<{ wire::UDP }>(ip.payload).ok_or(Reason::Truncated)?;
        let length = usize::from(udp.be16(4));
        if length < wire::UDP || length > payload_length {
            return Err(Reason::BadLength);
        }
        Ok(Transport { ports: udp.raw32(0), opens: false })
    }
}

/// Sources that nobody can have (RFC 1122, 3.2.1.3): 0.0.0.0/8, 127.0.0.0/8, and 224.0.0.0/3 (multicast, reserved,
/// broadcast). The address is in frame order, so its first byte is the least significant.
#[inline(always)]
const fn is_martian(src: u32) -> bool {
    let first = src & 0xff;
    first == 0 || first == 127 || first >= 224
}
