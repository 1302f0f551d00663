//! Telling the network that a VIP is here: gratuitous ARP (RFC 5227, section 2.3).

use std::{io, net::Ipv4Addr};

use super::{Link, Mac};
use crate::sys::FrameSocket;

/// The announcement of `vip` at `mac`: an ARP request in which sender and target are the same.
fn announcement(vip: Ipv4Addr, mac: Mac) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame[6..12].copy_from_slice(&mac);
    // ARP; Ethernet, IPv4, lengths 6 and 4, request.
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&vip.octets());
    frame[38..42].copy_from_slice(&vip.octets());
    frame
}

/// Sends announcements of `vips` out of `nic`. Needs `CAP_NET_RAW`.
pub fn announce(nic: &Link, vips: &[Ipv4Addr]) -> io::Result<()> {
    let Some(mac) = nic.mac else {
        return Ok(());
    };
    let socket = FrameSocket::open()?;
    vips.iter().try_for_each(|&vip| socket.send(nic.index, &announcement(vip, mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_broadcast_request_for_ones_own_address() {
        let frame = announcement(Ipv4Addr::new(10, 1, 0, 100), [2, 0, 0, 0, 0, 2]);
        let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 1, 0, 100, 0, 0, 0, 0, 0, 0, 10, 1, 0, 100];
        assert_eq!(frame[..14], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6]);
        assert_eq!(frame[14..], arp);
    }
}
