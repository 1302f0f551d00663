//! What a frame says: addresses, ports, flags; for filters, assertions and messages.
//!
//! It does not judge: checksums are [`checksum`](crate::checksum)'s business.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{Ethernet2Header, NetSlice, SlicedPacket, TcpHeader, TransportSlice};

use crate::frames::Ends;
use crate::topology::Mac;

/// What a frame says, as far as it can be read. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Source hardware address.
    pub src_mac: Mac,
    /// Destination hardware address.
    pub dst_mac: Mac,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// The network layer.
    pub net: Net,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// An IP packet.
    Ip {
        /// Source address.
        src: IpAddr,
        /// Destination address.
        dst: IpAddr,
        /// Time to live or hop limit.
        ttl: u8,
        /// What the packet carries.
        transport: Transport,
    },
    /// ARP for Ethernet and IPv4.
    Arp {
        /// 1 is a request, 2 a reply.
        operation: u16,
        /// Sender's hardware and protocol address.
        sender: (Mac, Ipv4Addr),
        /// Target's hardware and protocol address.
        target: (Mac, Ipv4Addr),
    },
    /// Something else.
    Other,
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment.
    Tcp {
        /// Source and destination port.
        ports: (u16, u16),
        /// The header.
        header: Box<TcpHeader>,
        /// The data.
        payload: Vec<u8>,
    },
    /// A UDP datagram.
    Udp {
        /// Source and destination port.
        ports: (u16, u16),
        /// The data.
        payload: Vec<u8>,
    },
    /// A message of either family's ICMP.
    Icmp {
        /// Type and code.
        kind: (u8, u8),
    },
    /// Something else, or a fragment.
    Other,
}

impl View {
    /// Reads `frame`; `None` if it is shorter than its headers say.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let (ethernet, _) = Ethernet2Header::from_slice(frame).ok()?;
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        Some(Self {
            src_mac: Mac(ethernet.source),
            dst_mac: Mac(ethernet.destination),
            vlans: packet.vlan_ids().iter().map(|id| id.value()).collect(),
            net: Net::of(&packet),
        })
    }

    /// Where it comes from and goes to, if it is TCP or UDP.
    pub fn ends(&self) -> Option<Ends> {
        let Net::Ip { src, dst, transport: Transport::Tcp { ports, .. } | Transport::Udp { ports, .. }, .. } =
            &self.net
        else {
            return None;
        };
        Some(Ends {
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            src: SocketAddr::new(*src, ports.0),
            dst: SocketAddr::new(*dst, ports.1),
        })
    }
}

impl Net {
    fn of(packet: &SlicedPacket<'_>) -> Self {
        let (src, dst, ttl) = match &packet.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header();
                (header.source_addr().into(), header.destination_addr().into(), header.ttl())
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = ip.header();
                (header.source_addr().into(), header.destination_addr().into(), header.hop_limit())
            }
            Some(NetSlice::Arp(arp)) => {
                let Ok(arp) = arp.to_packet().try_eth_ipv4() else {
                    return Self::Other;
                };
                return Self::Arp {
                    operation: arp.operation.0,
                    sender: (Mac(arp.sender_mac), arp.sender_ipv4.into()),
                    target: (Mac(arp.target_mac), arp.target_ipv4.into()),
                };
            }
            None => return Self::Other,
        };
        Self::Ip { src, dst, ttl, transport: Transport::of(packet) }
    }
}

impl Transport {
    fn of(packet: &SlicedPacket<'_>) -> Self {
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => Self::Tcp {
                ports: (tcp.source_port(), tcp.destination_port()),
                header: Box::new(tcp.to_header()),
                payload: tcp.payload().to_vec(),
            },
            Some(TransportSlice::Udp(udp)) => {
                Self::Udp { ports: (udp.source_port(), udp.destination_port()), payload: udp.payload().to_vec() }
            }
            Some(TransportSlice::Icmpv4(icmp)) => Self::Icmp { kind: (icmp.type_u8(), icmp.code_u8()) },
            Some(TransportSlice::Icmpv6(icmp)) => Self::Icmp { kind: (icmp.type_u8(), icmp.code_u8()) },
            _ => Self::Other,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.src_mac, self.dst_mac)?;
        for vlan in &self.vlans {
            write!(f, " vlan {vlan}")?;
        }
        match &self.net {
            Net::Ip { src, dst, ttl, transport } => match transport {
                Transport::Tcp { ports, header, payload } => {
                    write!(f, " {} > {} TCP ", SocketAddr::new(*src, ports.0), SocketAddr::new(*dst, ports.1))?;
                    let flags =
                        [(header.syn, "S"), (header.fin, "F"), (header.rst, "R"), (header.psh, "P"), (header.ack, ".")];
                    for (_, letter) in flags.iter().filter(|(set, _)| *set) {
                        f.write_str(letter)?;
                    }
                    write!(f, " seq {} ack {}", header.sequence_number, header.acknowledgment_number)?;
                    write!(f, " length {} ttl {ttl}", payload.len())
                }
                Transport::Udp { ports, payload } => {
                    write!(f, " {} > {} UDP", SocketAddr::new(*src, ports.0), SocketAddr::new(*dst, ports.1))?;
                    write!(f, " length {} ttl {ttl}", payload.len())
                }
                Transport::Icmp { kind: (kind, code) } => {
                    write!(f, " {src} > {dst} ICMP {kind}/{code} ttl {ttl}")
                }
                Transport::Other => write!(f, " {src} > {dst} ttl {ttl}"),
            },
            Net::Arp { operation: 1, sender, target } => write!(f, " ARP who has {} tell {}", target.1, sender.1),
            Net::Arp { operation, sender, .. } => write!(f, " ARP {operation}: {} is at {}", sender.1, sender.0),
            Net::Other => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::arp_request;

    const CLIENT: Mac = Mac([2, 0, 10, 1, 0, 50]);
    const SERVER: Mac = Mac([2, 0, 10, 1, 0, 11]);

    fn line(frame: &[u8]) -> String {
        View::of(frame).map(|view| view.to_string()).unwrap_or_default()
    }

    #[test]
    fn frames_read_back_as_they_were_built() {
        let ends = Ends {
            src_mac: CLIENT,
            dst_mac: SERVER,
            src: "10.1.0.50:40000".parse().unwrap(),
            dst: "10.1.0.100:443".parse().unwrap(),
        };
        let macs = "02:00:0a:01:00:32 > 02:00:0a:01:00:0b";
        let flow = "10.1.0.50:40000 > 10.1.0.100:443";
        let cases = [
            (ends.syn().unwrap(), format!("{macs} {flow} TCP S seq 1000 ack 0 length 0 ttl 64")),
            (ends.data(5, 6, b"abc").unwrap(), format!("{macs} {flow} TCP P. seq 5 ack 6 length 3 ttl 64")),
            (ends.udp(b"abc").unwrap(), format!("{macs} {flow} UDP length 3 ttl 64")),
            (ends.icmp_echo(1, 1, b"").unwrap(), format!("{macs} 10.1.0.50 > 10.1.0.100 ICMP 8/0 ttl 64")),
            (
                arp_request(CLIENT, [10, 1, 0, 50].into(), [10, 1, 0, 100].into()).unwrap(),
                "02:00:0a:01:00:32 > ff:ff:ff:ff:ff:ff ARP who has 10.1.0.100 tell 10.1.0.50".to_owned(),
            ),
        ];
        for (frame, expected) in cases {
            assert_eq!(line(&frame), expected);
        }
        assert_eq!(View::of(&ends.syn().unwrap()).and_then(|view| view.ends()), Some(ends));
        assert_eq!(ends.reversed().reversed(), ends);
    }
}
