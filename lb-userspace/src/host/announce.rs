//! Telling the network that a VIP is here: gratuitous ARP (RFC 5227, section 2.3) and unsolicited neighbour advertisements
//! (RFC 4861, section 7.2.6).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Link, Mac};
use crate::sys::FrameSocket;

/// The link-local group of all nodes.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The announcement of `vip` at `mac`: an ARP request in which sender and target are the same.
fn announcement4(vip: Ipv4Addr, mac: Mac) -> [u8; 42] {
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

/// The same for IPv6: a neighbour advertisement to all nodes that nobody asked for, which overrides what they know.
fn announcement6(vip: Ipv6Addr, mac: Mac) -> [u8; 86] {
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac);
    // IPv6; version 6, payload of 32 bytes, ICMPv6, hop limit 255.
    frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame[22..38].copy_from_slice(&vip.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    // Neighbour advertisement; override.
    frame[54] = 136;
    frame[58] = 0x20;
    frame[62..78].copy_from_slice(&vip.octets());
    // Option: target link-layer address, eight bytes.
    frame[78..80].copy_from_slice(&[2, 1]);
    frame[80..86].copy_from_slice(&mac);
    let checksum = checksum6(&frame[22..54], &frame[54..]);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The checksum of an `ICMPv6` message of 32 bytes (RFC 8200, section 8.1).
fn checksum6(addresses: &[u8], message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| bytes.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let [addresses, message]: [u32; 2] = [words(addresses), words(message)];
    // Length and protocol number.
    let sum = addresses + message + 32 + 58;
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = ((folded & 0xffff) + (folded >> 16)).to_be_bytes();
    !u16::from_be_bytes([high, low])
}

/// Sends announcements of `vips` out of `nic`. Needs `CAP_NET_RAW`.
pub fn announce(nic: &Link, vips: &[IpAddr]) -> io::Result<()> {
    let Some(mac) = nic.mac else {
        return Ok(());
    };
    let socket = FrameSocket::open()?;
    vips.iter().try_for_each(|vip| match *vip {
        IpAddr::V4(vip) => socket.send(nic.index, &announcement4(vip, mac)),
        IpAddr::V6(vip) => socket.send(nic.index, &announcement6(vip, mac)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_broadcast_request_for_ones_own_address() {
        let frame = announcement4(Ipv4Addr::new(10, 1, 0, 100), [2, 0, 0, 0, 0, 2]);
        let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 1, 0, 100, 0, 0, 0, 0, 0, 0, 10, 1, 0, 100];
        assert_eq!(frame[..14], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6]);
        assert_eq!(frame[14..], arp);
    }

    #[test]
    fn an_ipv6_announcement_is_an_advertisement_to_all_nodes_that_overrides() {
        let frame = announcement6("2001:db8:1::100".parse().unwrap(), [2, 0, 0, 0, 0, 2]);
        let vip = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[22..38], vip);
        assert_eq!(frame[38..54], ALL_NODES.octets());
        assert_eq!((frame[54], frame[55], &frame[58..62]), (136, 0, &[0x20, 0, 0, 0][..]));
        assert_eq!(frame[62..78], vip);
        assert_eq!(frame[78..], [2, 1, 2, 0, 0, 0, 0, 2]);
        // By the definition: with the checksum in it, everything adds up to all ones.
        let bytes = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
        let sum: u32 = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
