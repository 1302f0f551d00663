//! Verifies the checksums of a whole frame by full computation, sharing no code with what it judges.
//!
//! Covered: IPv4 headers, TCP, UDP and either family's ICMP, behind VLAN tags, IPv6 extension headers and IP-in-IP. What an
//! ICMP error quotes is not judged, since it may be cut off anywhere.

const VLAN: [u16; 2] = [0x8100, 0x88a8];
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

const ICMP: u8 = 1;
const IPV4_IN_IP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const ICMPV6: u8 = 58;

/// Headers that may stand between the IPv6 header and its payload and have a length field: hop-by-hop, routing, options.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];
const IPV6_FRAGMENT: u8 = 44;

/// Recomputes every checksum of `frame`, an Ethernet frame without its frame check sequence, and returns how many there
/// were. A frame that is not IP has none; a fragment has only that of its IPv4 header; zero in UDP over IPv4 means none.
///
/// # Errors
///
/// What is wrong, in words: a checksum with the value it should have, or a length that does not fit the frame.
pub fn verify(frame: &[u8]) -> Result<usize, String> {
    let mut at = 12;
    let mut ether_type = u16_at(frame, at).ok_or("shorter than an Ethernet header")?;
    while VLAN.contains(&ether_type) {
        at += 4;
        ether_type = u16_at(frame, at).ok_or("ends within a VLAN tag")?;
    }
    let packet = frame.get(at + 2..).unwrap_or_default();
    match ether_type {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet),
        _ => Ok(0),
    }
}

fn ipv4(packet: &[u8]) -> Result<usize, String> {
    let first = *packet.first().ok_or("no IPv4 header")?;
    let header_length = usize::from(first & 0x0f) * 4;
    let header = packet.get(..header_length).unwrap_or_default();
    if first >> 4 != 4 || header.len() < 20 {
        return Err("broken IPv4 header".into());
    }
    judge("IPv4 header", sum(header), u16_at(header, 10))?;
    // Behind the packet's own length there may be padding up to Ethernet's minimum.
    let total = usize::from(u16_at(header, 2).unwrap_or(0));
    let payload = packet.get(header_length..total).ok_or_else(|| format!("IPv4 total length {total} does not fit"))?;
    let fragment = u16_at(header, 6).unwrap_or(0) & 0x3fff != 0;
    if fragment {
        return Ok(1);
    }
    let addresses = header.get(12..20).unwrap_or_default();
    let protocol = header.get(9).copied().unwrap_or(0);
    Ok(1 + transport(protocol, addresses, payload)?)
}

fn ipv6(packet: &[u8]) -> Result<usize, String> {
    let header = packet.get(..40).filter(|header| header[0] >> 4 == 6).ok_or("broken IPv6 header")?;
    let length = usize::from(u16_at(header, 4).unwrap_or(0));
    let mut payload =
        packet.get(40..40 + length).ok_or_else(|| format!("IPv6 payload length {length} does not fit"))?;
    let mut next = header[6];
    loop {
        let extension = if IPV6_EXTENSIONS.contains(&next) {
            8 + 8 * usize::from(payload.get(1).copied().unwrap_or(0))
        } else if next == IPV6_FRAGMENT {
            // Offset and the more-fragments bit; an atomic fragment is a whole packet (RFC 6946).
            if u16_at(payload, 2).unwrap_or(0) & 0xfff9 != 0 {
                return Ok(0);
            }
            8
        } else {
            break;
        };
        next = *payload.first().ok_or("ends within an IPv6 extension header")?;
        payload = payload.get(extension..).ok_or("ends within an IPv6 extension header")?;
    }
    transport(next, header.get(8..40).unwrap_or_default(), payload)
}

/// `addresses` are source and destination as they stand in the IP header.
fn transport(protocol: u8, addresses: &[u8], payload: &[u8]) -> Result<usize, String> {
    let over_ipv4 = addresses.len() == 8;
    let (name, checksum_at, with_addresses) = match protocol {
        IPV4_IN_IP => return ipv4(payload),
        IPV6_IN_IP => return ipv6(payload),
        TCP => ("TCP", 16, true),
        UDP => ("UDP", 6, true),
        ICMP => ("ICMP", 2, false),
        ICMPV6 => ("ICMPv6", 2, true),
        _ => return Ok(0),
    };
    let stored = u16_at(payload, checksum_at);
    let mut covered = payload;
    if protocol == UDP {
        let length = usize::from(u16_at(payload, 4).unwrap_or(0));
        covered = payload.get(..length).ok_or_else(|| format!("UDP length {length} does not fit"))?;
        if stored == Some(0) {
            return if over_ipv4 { Ok(0) } else { Err("UDP over IPv6 without a checksum".into()) };
        }
    }
    let mut total = sum(covered);
    if with_addresses {
        // At most 65,535, the length that the IP header gave.
        total += sum(addresses) + u64::from(protocol) + covered.len() as u64;
    }
    judge(name, total, stored)?;
    Ok(1)
}

/// `total` is the sum over everything including the checksum itself, which is right if all ones come out (RFC 1071).
fn judge(name: &str, total: u64, stored: Option<u16>) -> Result<(), String> {
    let stored = stored.ok_or_else(|| format!("broken {name}"))?;
    if fold(total) == 0xffff {
        return Ok(());
    }
    // Taking the stored value out again: one's complement subtraction.
    let right = !fold(total + u64::from(!stored));
    Err(format!("{name} checksum is {stored:#06x}, should be {right:#06x}"))
}

/// Sum of the 16-bit words; an odd last byte counts as the upper half of a word.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

/// Carries added back in until 16 bits remain.
fn fold(mut total: u64) -> u16 {
    loop {
        match u16::try_from(total) {
            Ok(folded) => return folded,
            Err(_) => total = (total >> 16) + (total & 0xffff),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Ends, arp_request};
    use crate::topology::Mac;

    fn ends(src: &str, dst: &str) -> Ends {
        Ends { src_mac: Mac([2; 6]), dst_mac: Mac([4; 6]), src: src.parse().unwrap(), dst: dst.parse().unwrap() }
    }

    fn all_kinds() -> Vec<(&'static str, Vec<u8>, usize)> {
        let v4 = ends("10.1.0.50:40000", "10.1.0.100:443");
        let v6 = ends("[2001:db8::50]:40000", "[2001:db8::100]:443");
        vec![
            ("TCP", v4.syn().unwrap(), 2),
            ("TCP with odd payload", v4.data(1, 1, b"odd").unwrap(), 2),
            ("TCP over IPv6", v6.data(1, 1, b"even").unwrap(), 1),
            ("UDP", v4.udp(b"odd").unwrap(), 2),
            ("UDP over IPv6", v6.udp(b"odd").unwrap(), 1),
            ("ICMP", v4.icmp_echo(7, 1, b"ping").unwrap(), 2),
            ("ICMPv6", v6.icmp_echo(7, 1, b"ping").unwrap(), 1),
            ("IPv4 options", v4.syn_with_ip_options(&[1; 8]).unwrap(), 2),
            ("ARP", arp_request(Mac([2; 6]), [10, 1, 0, 50].into(), [10, 1, 0, 100].into()).unwrap(), 0),
        ]
    }

    #[test]
    fn every_kind_of_frame_that_etherparse_builds_is_right() {
        for (name, frame, checksums) in all_kinds() {
            assert_eq!(verify(&frame), Ok(checksums), "{name}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_checked_header_is_found() {
        for (name, frame, checksums) in all_kinds() {
            // Behind the Ethernet header; IPv6 headers proper are not covered by a checksum but for the addresses.
            let start = if checksums == 1 { 14 + 8 } else { 14 };
            for bit in start * 8..frame.len() * 8 {
                let mut bad = frame.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let found = verify(&bad);
                assert!(checksums == 0 || found != Ok(checksums), "{name}: bit {bit} flipped and not found");
            }
        }
    }

    #[test]
    fn the_report_names_the_value_that_would_be_right() {
        let mut frame = ends("10.1.0.50:40000", "10.1.0.100:443").syn().unwrap();
        let right = u16_at(&frame, 14 + 20 + 16).unwrap();
        frame[14 + 20 + 16] ^= 0x55;
        let report = verify(&frame).unwrap_err();
        assert!(report.contains("TCP checksum is"), "{report}");
        assert!(report.ends_with(&format!("should be {right:#06x}")), "{report}");
    }

    #[test]
    fn udp_may_leave_out_its_checksum_over_ipv4_only() {
        let mut v4 = ends("10.1.0.50:40000", "10.1.0.100:53").udp(b"hello").unwrap();
        v4[14 + 20 + 6..14 + 20 + 8].fill(0);
        assert_eq!(verify(&v4), Ok(1));
        let mut v6 = ends("[2001:db8::50]:40000", "[2001:db8::100]:53").udp(b"hello").unwrap();
        v6[14 + 40 + 6..14 + 40 + 8].fill(0);
        assert!(verify(&v6).is_err());
    }

    #[test]
    fn vlan_tags_and_padding_do_not_hide_a_packet() {
        let inner = ends("10.1.0.50:40000", "10.1.0.100:443").syn().unwrap();
        let mut tagged = inner[..12].to_vec();
        tagged.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, 7]);
        tagged.extend(&inner[12..]);
        tagged.extend([0xee; 9]);
        assert_eq!(verify(&tagged), Ok(2));
        tagged[8 + 14 + 20 + 4] ^= 1;
        assert!(verify(&tagged).is_err());
    }

    #[test]
    fn a_packet_inside_a_packet_is_verified_too() {
        let inner = ends("10.1.0.50:40000", "10.1.0.100:443").syn().unwrap();
        let outer = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 1, 0, 2], [10, 1, 0, 11], 64);
        let mut frame = Vec::new();
        outer.write(&mut frame, etherparse::IpNumber::IPV4, &inner[14..]).unwrap();
        assert_eq!(verify(&frame), Ok(3));
        let last = frame.len() - 1;
        frame[last] ^= 1;
        assert!(verify(&frame).is_err());
    }

    #[test]
    fn no_length_that_a_frame_is_cut_to_makes_it_panic() {
        for (_, frame, _) in all_kinds() {
            for length in 0..frame.len() {
                let _ = verify(&frame[..length]);
            }
        }
    }
}
