//! From a frame to what steering needs to know of it.
//!
//! A packet that is wrong in itself is only caslb's business when it is for a VIP, so a flaw comes out beside the
//! destination and the caller decides.

use crate::{
    frame::Frame,
    verdict::Reason,
    wire::{self, Ipv4},
};

/// TCP flags.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What an IPv4 header says, all of it checked against the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header4 {
    /// Source, in frame order.
    pub src: u32,
    /// Destination, in frame order.
    pub dst: u32,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// Length of header and payload.
    pub total_length: u16,
    /// Where the IP header begins in the frame.
    pub start: usize,
    /// Where its payload begins in the frame.
    pub payload: usize,
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
pub struct Flaw {
    /// Destination, in frame order, as far as it could be read.
    pub dst: u32,
    /// What is wrong.
    pub reason: Reason,
}

/// Parses the IPv4 header that begins at `start`. `None`: there are not even 20 bytes, so there is no destination.
#[inline(always)]
pub fn header4<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Option<Result<Header4, Flaw>> {
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
    Some(Ok(Header4 {
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

/// Parses the TCP or UDP header of a packet; `Err` for a header that does not fit or contradicts itself.
#[inline(always)]
pub fn transport<F: Frame + ?Sized>(frame: &mut F, ip: &Header4) -> Result<Transport, Reason> {
    // `header4` has seen that the packet is at least as long as its header.
    let payload_length = usize::from(ip.total_length) - (ip.payload - ip.start);
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
