//! What the program answers by itself: ARP requests, neighbour solicitations and echo requests for active VIPs.

use crate::{
    checksum::{Difference, Sum},
    environment::Environment,
    family::Family,
    frame::Frame,
    layout::Vip,
    parse::Header,
    verdict::Reason,
    wire::{self, Arp, Ethernet, Ipv6, Mac, Raw6},
};

/// TTL of packets made here; the value Linux uses.
const TTL: u8 = 64;

/// Answers the ARP packet in `frame` when it asks for an announced VIP; `None` leaves it to the stack.
///
/// An announcement (sender and target the same, RFC 5227) is not a question: answering the one of another balancer that
/// takes the VIP over would start a quarrel. A probe (sender 0.0.0.0) is answered, which tells a host that is about to
/// take the VIP for itself that it is in use.
#[inline(always)]
pub fn arp<F: Frame + ?Sized, E: Environment>(frame: &mut F, world: &E, start: usize, own: Mac) -> Option<()> {
    let mut packet = Arp(frame.window(start)?);
    if !packet.is_ipv4_over_ethernet() || packet.operation() != 1 || packet.sender() == packet.target() {
        return None;
    }
    if !world.vip4(packet.target())?.load().announced {
        return None;
    }
    let asker = packet.sender_mac();
    if asker.is_group() || asker == own {
        return None;
    }
    packet.answer(own);
    Ethernet(frame.window(0)?).set_addresses(asker, own);
    Some(())
}

/// Answers the ICMP packet in `frame`, which is for the VIP `vip`, when it is an echo request.
#[inline(always)]
pub fn echo<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    vip: Vip,
    ip: &Header<V::Address>,
) -> Result<(), Reason> {
    if ip.payload_length() < wire::ICMP_ECHO {
        return Err(Reason::Truncated);
    }
    let mut icmp = frame.window::<{ wire::ICMP_ECHO }>(ip.payload).ok_or(Reason::Truncated)?;
    if icmp.byte(0) != V::ECHO_REQUEST || icmp.byte(1) != 0 {
        return Err(Reason::IcmpIgnored);
    }
    if !vip.announced {
        return Err(Reason::VipInactive);
    }
    if !world.echo_allowed() {
        return Err(Reason::EchoLimited);
    }
    let before = icmp.raw16(0);
    icmp.set_byte(0, V::ECHO_REPLY);
    let checksum = Difference::new().word(before, icmp.raw16(0)).apply(icmp.raw16(2));
    // In IPv4 the type was perhaps the only word that was not zero, and the sum of nothing but zeroes is the other zero:
    // its checksum is 0xffff. That is right as well for a payload that adds up to zero.
    let zeroes = V::ECHO_REPLY == 0 && checksum == 0 && icmp.raw32(4) == 0;
    icmp.set_raw16(2, if zeroes { 0xffff } else { checksum });
    V::turn_around(frame, ip, TTL)?;
    let mut ethernet = Ethernet(frame.window(0).ok_or(Reason::Truncated)?);
    let (asker, own) = (ethernet.src(), ethernet.dst());
    ethernet.set_addresses(asker, own);
    Ok(())
}

/// Bytes of a neighbour solicitation without options.
const SOLICITATION: usize = 24;
/// Bytes of a neighbour advertisement with the option that holds our MAC address.
const ADVERTISEMENT: u16 = 32;
/// Options of a solicitation are looked at up to here, to verify the checksum; a longer one is left to the stack.
const LONGEST_SOLICITATION: usize = 64;

/// Answers the packet in `frame` when it is a neighbour solicitation for an announced VIP (RFC 4861, sections 7.1.1 and
/// 7.2.4); `None` leaves it to whoever comes next.
///
/// A solicitation from the unspecified address asks whether the VIP is free (RFC 4862): everybody is told that it isn't.
#[inline(always)]
pub fn solicitation<F: Frame + ?Sized, E: Environment>(frame: &mut F, world: &E, start: usize, own: Mac) -> Option<()> {
    const ALL_NODES: Raw6 = [u64::from_le_bytes([0xff, 2, 0, 0, 0, 0, 0, 0]), 1u64.to_be()];
    const ALL_NODES_MAC: Mac = Mac::new([0x33, 0x33, 0, 0, 0, 1]);
    // Solicited (the second byte of the flags is reserved), override.
    const SOLICITED: u8 = 0x40;
    const OVERRIDE: u8 = 0x20;

    let ip = Ipv6(frame.window(start)?);
    let payload_length = ip.payload_length();
    let length = usize::from(payload_length);
    if ip.next_header() != wire::PROTOCOL_ICMPV6 || ip.hop_limit() != 255 {
        return None;
    }
    if !(SOLICITATION..=LONGEST_SOLICITATION).contains(&length) || length % 8 != 0 {
        return None;
    }
    let (asker, dst) = (ip.src(), ip.dst());
    let message = start + wire::IPV6;
    let icmp = frame.window::<SOLICITATION>(message)?;
    if icmp.byte(0) != wire::NEIGHBOUR_SOLICITATION || icmp.byte(1) != 0 {
        return None;
    }
    let target: Raw6 = [icmp.raw64(8), icmp.raw64(16)];
    if !world.vip6(&target)?.load().announced {
        return None;
    }
    let mut sum = Sum::pseudo_header6(asker, dst, payload_length, wire::PROTOCOL_ICMPV6);
    for word in 0..LONGEST_SOLICITATION / 8 {
        if word * 8 >= length {
            break;
        }
        sum = sum.quad_word(frame.window::<8>(message + word * 8)?.raw64(0));
    }
    if sum.checksum() != 0 {
        return None;
    }
    let from = Ethernet(frame.window(0)?).src();
    if from.is_group() || from == own {
        return None;
    }
    let probe = asker == [0, 0];
    let (to, to_mac) = if probe { (ALL_NODES, ALL_NODES_MAC) } else { (asker, from) };
    let flags = if probe { OVERRIDE } else { OVERRIDE | SOLICITED };

    if !frame.resize(message + ADVERTISEMENT as usize) {
        return None;
    }
    Ethernet(frame.window(0)?).set_addresses(to_mac, own);
    let mut ip = Ipv6(frame.window(start)?);
    ip.set_payload_length(ADVERTISEMENT);
    ip.set_src(target);
    ip.set_dst(to);
    let mut icmp = frame.window::<{ ADVERTISEMENT as usize }>(message)?;
    // Type, code 0, checksum 0 for now; flags and reserved bytes.
    icmp.set_raw64(0, u64::from(wire::NEIGHBOUR_ADVERTISEMENT) | u64::from(flags) << 32);
    icmp.set_raw64(8, target[0]);
    icmp.set_raw64(16, target[1]);
    // Option 2, target link-layer address, of one unit of eight bytes.
    icmp.set_raw64(24, 0x0102 | own.raw() << 16);
    let sum = Sum::pseudo_header6(target, to, ADVERTISEMENT, wire::PROTOCOL_ICMPV6)
        .quad_word(icmp.raw64(0))
        .quad_word(target[0])
        .quad_word(target[1])
        .quad_word(icmp.raw64(24));
    icmp.set_raw16(2, sum.checksum());
    Some(())
}
