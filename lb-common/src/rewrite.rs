//! What changes in a frame on its way to a server or back to a client.

use crate::{
    family::{End, Family},
    frame::Frame,
    parse::Header,
    verdict::Reason,
    wire::{self, Ethernet, Mac},
};

/// Address and port, both in frame order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket<A> {
    /// Address.
    pub address: A,
    /// Port.
    pub port: u16,
}

/// Sends the frame to `dst` from `src`.
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &mut F, dst: Mac, src: Mac) -> Result<(), Reason> {
    let mut ethernet = Ethernet(frame.window(0).ok_or(Reason::Truncated)?);
    ethernet.set_addresses(dst, src);
    Ok(())
}

/// Rewrites one end of a TCP or UDP packet from `old` to `new` and takes one from its TTL, which must be above 0.
///
/// Checksums follow by difference: the transport's covers the address through the pseudo-header.
#[inline(always)]
pub fn translate<V: Family, F: Frame + ?Sized>(
    frame: &mut F,
    ip: &Header<V::Address>,
    end: End,
    old: Socket<V::Address>,
    new: Socket<V::Address>,
) -> Result<(), Reason> {
    let addresses = V::readdress(frame, ip.start, end, old.address, new.address, ip.ttl - 1)?;

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
