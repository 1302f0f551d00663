//! Raw Ethernet frames, built for sending.
//!
//! How they get on and off the wire is [`capture`](crate::capture)'s business, reading them [`view`](crate::view)'s.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, bail};
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, PacketBuilder,
    PacketBuilderStep, TcpHeader,
};

use crate::topology::Mac;

/// Time to live of frames built here: what Linux sends.
const TTL: u8 = 64;
/// Receive window of TCP segments built here, in bytes.
const WINDOW: u16 = 64_240;

/// Where a frame comes from and goes to. Both socket addresses are of one family; ICMP ignores the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Source hardware address.
    pub src_mac: Mac,
    /// Destination hardware address.
    pub dst_mac: Mac,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
}

impl Ends {
    /// The opening segment of a connection, with sequence number 1000.
    pub fn syn(&self) -> Result<Vec<u8>> {
        let mut header = TcpHeader::new(self.src.port(), self.dst.port(), 1000, WINDOW);
        header.syn = true;
        self.tcp(header, &[])
    }

    /// A segment with data, or without as a bare acknowledgement.
    pub fn data(&self, sequence: u32, acknowledgment: u32, payload: &[u8]) -> Result<Vec<u8>> {
        let mut header = TcpHeader::new(self.src.port(), self.dst.port(), sequence, WINDOW);
        header.ack = true;
        header.acknowledgment_number = acknowledgment;
        header.psh = !payload.is_empty();
        self.tcp(header, payload)
    }

    /// Any TCP segment; the ports are those of `header`, the checksum is computed.
    pub fn tcp(&self, header: TcpHeader, payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.ip()?.tcp_header(header).write(&mut frame, payload)?;
        Ok(frame)
    }

    /// [`Ends::syn`] with options in the IPv4 header: a multiple of 4 bytes, at most 40.
    pub fn syn_with_ip_options(&self, options: &[u8]) -> Result<Vec<u8>> {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (self.src.ip(), self.dst.ip()) else {
            bail!("only IPv4 has these options");
        };
        let mut ip = Ipv4Header::new(0, TTL, IpNumber::TCP, src.octets(), dst.octets())?;
        ip.options = options.try_into()?;
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.src_mac.0, self.dst_mac.0)
            .ip(IpHeaders::Ipv4(ip, Ipv4Extensions::default()))
            .tcp(self.src.port(), self.dst.port(), 1000, WINDOW)
            .syn()
            .write(&mut frame, &[])?;
        Ok(frame)
    }

    /// A datagram.
    pub fn udp(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.ip()?.udp(self.src.port(), self.dst.port()).write(&mut frame, payload)?;
        Ok(frame)
    }

    /// An echo request of the family's ICMP.
    pub fn icmp_echo(&self, id: u16, sequence: u16, payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        if self.src.is_ipv4() {
            self.ip()?.icmpv4_echo_request(id, sequence).write(&mut frame, payload)?;
        } else {
            self.ip()?.icmpv6_echo_request(id, sequence).write(&mut frame, payload)?;
        }
        Ok(frame)
    }

    /// The way back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { src_mac: self.dst_mac, dst_mac: self.src_mac, src: self.dst, dst: self.src }
    }

    fn ip(&self) -> Result<PacketBuilderStep<IpHeaders>> {
        let ethernet = PacketBuilder::ethernet2(self.src_mac.0, self.dst_mac.0);
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ok(ethernet.ipv4(src.octets(), dst.octets(), TTL)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ok(ethernet.ipv6(src.octets(), dst.octets(), TTL)),
            (src, dst) => bail!("{src} and {dst} are of different families"),
        }
    }
}

/// A broadcast that asks who has `wanted`.
pub fn arp_request(src_mac: Mac, src: Ipv4Addr, wanted: Ipv4Addr) -> Result<Vec<u8>> {
    arp(ArpOperation::REQUEST, (src_mac, src), (Mac([0; 6]), wanted), Mac::BROADCAST)
}

/// An announcement as a host sends it to all when it takes over an address (gratuitous ARP, RFC 5227 section 3).
pub fn arp_announcement(mac: Mac, address: Ipv4Addr) -> Result<Vec<u8>> {
    arp(ArpOperation::REQUEST, (mac, address), (Mac([0; 6]), address), Mac::BROADCAST)
}

fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr), to: Mac) -> Result<Vec<u8>> {
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    )?;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(sender.0.0, to.0).arp(packet).write(&mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_two_families_make_no_frame() {
        let ends = Ends {
            src_mac: Mac([2; 6]),
            dst_mac: Mac([4; 6]),
            src: "10.1.0.50:1".parse().unwrap(),
            dst: "[2001:db8::1]:2".parse().unwrap(),
        };
        assert!(ends.syn().is_err());
        assert!(ends.syn_with_ip_options(&[1; 4]).is_err());
    }
}
