//! What changes in a frame on its way to a server or back to a client.

use crate::{
    checksum::Difference,
    frame::Frame,
    parse::Header4,
    verdict::Reason,
    wire::{self, Ethernet, Ipv4, Mac},
};

/// Address and port, both in frame order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket4 {
    /// IPv4 address.
    pub address: u32,
    /// Port.
    pub port: u16,
}

/// Which end of a packet is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

/// Sends the frame to `dst` from `src`.
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &mut F, dst: Mac, src: Mac) -> Result<(), Reason> {
    let mut ethernet = Ethernet(frame.window(0).ok_or(Reason::Truncated)?);
    ethernet.set_addresses(dst, src);
    Ok(())
}

/// Rewrites one end of a TCP or UDP packet from `old` to `new` and takes one from its TTL, which must be above 1.
///
/// Both checksums follow by difference: the transport's covers the address through the pseudo-header.
#[inline(always)]
pub fn translate4<F: Frame + ?Sized>(
    frame: &mut F,
    ip: &Header4,
    end: End,
    old: Socket4,
    new: Socket4,
) -> Result<(), Reason> {
    let addresses = Difference::new().double_word(old.address, new.address);

    let mut header = Ipv4(frame.window(ip.start).ok_or(Reason::Truncated)?);
    let ttl_word = header.ttl_word();
    header.set_ttl(ip.ttl - 1);
    let checksum = addresses.word(ttl_word, header.ttl_word()).apply(header.checksum());
    header.set_checksum(checksum);
    match end {
        End::Source => header.set_src(new.address),
        End::Destination => header.set_dst(new.address),
    }

    let both = addresses.word(old.port, new.port);
    let port_at = match end {
        End::Source => 0,
        End::Destination => 2,
    };
    if ip.protocol == wire::PROTOCOL_TCP {
        let mut tcp = frame.window::<{ wire::TCP }>(ip.payload).ok_or(Reason::Truncated)?;
        tcp.set_raw16(port_at, new.port);
        let checksum = both.apply(tcp.raw16(16));
        tcp.set_raw16(16, checksum);
    } else {
        let mut udp = frame.window::<{ wire::UDP }>(ip.payload).ok_or(Reason::Truncated)?;
        udp.set_raw16(port_at, new.port);
        let checksum = both.apply_udp(udp.raw16(6));
        udp.set_raw16(6, checksum);
    }
    Ok(())
}
