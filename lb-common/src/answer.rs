//! What the program answers by itself: ARP requests and echo requests for active VIPs.

use crate::{
    checksum::Difference,
    environment::Environment,
    frame::Frame,
    layout::Vip,
    parse::Header4,
    verdict::Reason,
    wire::{self, Arp, Ethernet, Ipv4, Mac},
};

/// TTL of packets made here; the value Linux uses.
const TTL: u8 = 64;

/// Answers the ARP packet in `frame` when it asks for an announced VIP; `None` leaves it to the stack.
///
/// An announcement (sender and target the same, RFC 5227) is not a question: answering the one of another balancer that
/// takes the VIP over would start a quarrel. A probe (sender 0.0.0.0) is answered, which tells a host that is about to
/// take the VIP for itself that it is in use.
#[inline(always)]
pub fn arp<F: Frame + ?Sized, E: Environment>(frame: &mut F, world: &E, own: Mac) -> Option<()> {
    let mut packet = Arp(frame.window(wire::ETHERNET)?);
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
pub fn echo4<F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    vip: Vip,
    ip: &Header4,
) -> Result<(), Reason> {
    let payload_length = usize::from(ip.total_length) - (ip.payload - ip.start);
    if payload_length < wire::ICMP_ECHO {
        return Err(Reason::Truncated);
    }
    let mut icmp = frame.window::<{ wire::ICMP_ECHO }>(ip.payload).ok_or(Reason::Truncated)?;
    if icmp.byte(0) != wire::ICMP_ECHO_REQUEST || icmp.byte(1) != 0 {
        return Err(Reason::IcmpIgnored);
    }
    if !vip.announced {
        return Err(Reason::VipInactive);
    }
    if !world.echo_allowed() {
        return Err(Reason::EchoLimited);
    }
    let before = icmp.raw16(0);
    icmp.set_byte(0, wire::ICMP_ECHO_REPLY);
    let checksum = Difference::new().word(before, icmp.raw16(0)).apply(icmp.raw16(2));
    // The type was perhaps the only word that was not zero, and the sum of nothing but zeroes is the other zero: its
    // checksum is 0xffff. That is right as well for a payload that adds up to zero.
    let checksum = if checksum == 0 && icmp.raw32(4) == 0 { 0xffff } else { checksum };
    icmp.set_raw16(2, checksum);

    let mut header = Ipv4(frame.window(ip.start).ok_or(Reason::Truncated)?);
    // Swapping source and destination leaves the sum as it is; the new TTL does not.
    header.set_src(ip.dst);
    header.set_dst(ip.src);
    let before = header.ttl_word();
    header.set_ttl(TTL);
    let checksum = Difference::new().word(before, header.ttl_word()).apply(header.checksum());
    header.set_checksum(checksum);

    let mut ethernet = Ethernet(frame.window(0).ok_or(Reason::Truncated)?);
    let (asker, own) = (ethernet.src(), ethernet.dst());
    ethernet.set_addresses(asker, own);
    Ok(())
}
