//! IPv6 frames as the table writes them, in the manner of [`super::frames`], and VLAN tags for frames of any kind.

use etherparse::{
    EtherType, Ethernet2Header, Icmpv6Header, Icmpv6Type, IpNumber, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader,
};

use super::tables::{CLIENT_PORT, CLIENT6, DNS_PORT, HTTPS_PORT, NEIGHBOUR_MAC, NEIGHBOUR6, OWN_MAC, ROUTER_MAC, VIP6};

/// Where the transport header begins without extension headers.
pub const TRANSPORT6: usize = 54;
/// Where the destination address lies.
pub const DESTINATION6: usize = 38;

/// An IPv6 address and a port.
pub type Socket6 = ([u8; 16], u16);

/// An extension header: its protocol number and its bytes behind the first, which names what follows.
pub type Extension = (u8, &'static [u8]);

/// Hop-by-hop options: eight bytes of padding.
pub const HOP_BY_HOP: Extension = (0, &[0, 1, 4, 0, 0, 0, 0]);
/// A routing header without a stop left: 24 bytes.
pub const ROUTING: Extension = (43, &[2, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
/// The fragment header of a packet that was not cut.
pub const ATOMIC: Extension = (44, &[0, 0, 0, 0xde, 0xad, 0xbe, 0xef]);
/// An authentication header of 24 bytes.
pub const AUTHENTICATION: Extension = (51, &[4, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
/// Destination options: 16 bytes of padding.
pub const DESTINATION: Extension = (60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/// An IPv6 packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Packet6 {
    src_mac: [u8; 6],
    dst_mac: [u8; 6],
    ip: Ipv6Header,
    extensions: Vec<Extension>,
    body: Body,
    padding: usize,
    patches: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Body {
    Tcp(TcpHeader, Vec<u8>),
    Udp { src: u16, dst: u16, checksum: bool, payload: Vec<u8> },
    Icmp(Icmpv6Type, Vec<u8>),
    Other(u8, Vec<u8>),
}

impl Packet6 {
    fn new(body: Body) -> Self {
        let ip = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::try_new(0x1_2345).expect("20 bits"),
            payload_length: 0,
            next_header: IpNumber(0),
            hop_limit: 57,
            source: CLIENT6,
            destination: VIP6,
        };
        let (src_mac, dst_mac) = (ROUTER_MAC, OWN_MAC);
        Self { src_mac, dst_mac, ip, extensions: Vec::new(), body, padding: 0, patches: Vec::new() }
    }

    /// With other MAC addresses: from `src` to `dst`.
    #[must_use]
    pub fn link(self, src: [u8; 6], dst: [u8; 6]) -> Self {
        Self { src_mac: src, dst_mac: dst, ..self }
    }

    /// From this address and port; protocols without ports ignore the port.
    #[must_use]
    pub fn from(mut self, (address, port): Socket6) -> Self {
        self.ip.source = address;
        match &mut self.body {
            Body::Tcp(header, _) => header.source_port = port,
            Body::Udp { src, .. } => *src = port,
            Body::Icmp(..) | Body::Other(..) => {}
        }
        self
    }

    /// To this address and port; protocols without ports ignore the port.
    #[must_use]
    pub fn to(mut self, (address, port): Socket6) -> Self {
        self.ip.destination = address;
        match &mut self.body {
            Body::Tcp(header, _) => header.destination_port = port,
            Body::Udp { dst, .. } => *dst = port,
            Body::Icmp(..) | Body::Other(..) => {}
        }
        self
    }

    /// With this hop limit; 57 by default.
    #[must_use]
    pub fn hops(mut self, limit: u8) -> Self {
        self.ip.hop_limit = limit;
        self
    }

    /// With this traffic class.
    #[must_use]
    pub fn class(mut self, class: u8) -> Self {
        self.ip.traffic_class = class;
        self
    }

    /// With extension headers in this order.
    #[must_use]
    pub fn behind(mut self, extensions: &[Extension]) -> Self {
        self.extensions.extend_from_slice(extensions);
        self
    }

    /// TCP: opens a connection and carries no data.
    #[must_use]
    pub fn syn(mut self) -> Self {
        if let Body::Tcp(header, payload) = &mut self.body {
            (header.syn, header.ack, header.psh) = (true, false, false);
            header.acknowledgment_number = 0;
            payload.clear();
        }
        self
    }

    /// TCP: accepts a connection and carries no data.
    #[must_use]
    pub fn syn_ack(mut self) -> Self {
        if let Body::Tcp(header, payload) = &mut self.body {
            (header.syn, header.ack, header.psh) = (true, true, false);
            payload.clear();
        }
        self
    }

    /// With this payload.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match &mut self.body {
            Body::Tcp(_, payload) | Body::Udp { payload, .. } | Body::Icmp(_, payload) | Body::Other(_, payload) => {
                *payload = bytes.to_vec();
            }
        }
        self
    }

    /// UDP: without a checksum, which IPv6 allows tunnels only (RFC 6935).
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        if let Body::Udp { checksum, .. } = &mut self.body {
            *checksum = false;
        }
        self
    }

    /// Followed by `bytes` bytes that are not part of the packet.
    #[must_use]
    pub fn padded(self, bytes: usize) -> Self {
        Self { padding: bytes, ..self }
    }

    /// With `bytes` written over the finished frame at `at`; checksums are not corrected.
    #[must_use]
    pub fn patched(mut self, at: usize, bytes: &[u8]) -> Self {
        self.patches.push((at, bytes.to_vec()));
        self
    }

    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { src_mac, dst_mac, ip, extensions, body, padding, patches } = self;
        let (protocol, body) = body.bytes(ip);
        let follows = extensions.iter().map(|(kind, _)| *kind).skip(1).chain([protocol]);
        let headers: Vec<u8> =
            extensions.iter().zip(follows).flat_map(|((_, rest), next)| [&[next], *rest].concat()).collect();
        let mut ip = ip.clone();
        ip.next_header = IpNumber(extensions.first().map_or(protocol, |(kind, _)| *kind));
        ip.payload_length = u16::try_from(headers.len() + body.len()).expect("a packet below 64 KiB");
        let ethernet = Ethernet2Header { source: *src_mac, destination: *dst_mac, ether_type: EtherType::IPV6 };

        let mut frame = [ethernet.to_bytes().as_slice(), &ip.to_bytes(), &headers, &body].concat();
        frame.extend(std::iter::repeat_n(0xa5, *padding));
        for (at, bytes) in patches {
            frame[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        frame
    }
}

impl Body {
    /// Protocol number and bytes.
    fn bytes(&self, ip: &Ipv6Header) -> (u8, Vec<u8>) {
        match self {
            Self::Tcp(header, payload) => {
                let mut header = header.clone();
                header.checksum =
                    header.calc_checksum_ipv6_raw(ip.source, ip.destination, payload).expect("a packet below 64 KiB");
                (6, [&header.to_bytes(), payload.as_slice()].concat())
            }
            Self::Udp { src, dst, checksum, payload } => {
                let mut header = UdpHeader::with_ipv6_checksum(*src, *dst, ip, payload).expect("below 64 KiB");
                if !checksum {
                    header.checksum = 0;
                }
                (17, [&header.to_bytes(), payload.as_slice()].concat())
            }
            Self::Icmp(kind, payload) => {
                let header = Icmpv6Header::with_checksum(*kind, ip.source, ip.destination, payload);
                (58, [&header.expect("a packet below 64 KiB").to_bytes(), payload.as_slice()].concat())
            }
            Self::Other(protocol, payload) => (*protocol, payload.clone()),
        }
    }
}

/// A TCP segment with a few bytes from the client to port 443 of the VIP.
pub fn tcp6() -> Packet6 {
    let mut header = TcpHeader::new(CLIENT_PORT, HTTPS_PORT, 0x0102_0304, 64_240);
    (header.ack, header.psh) = (true, true);
    header.acknowledgment_number = 0x0a0b_0c0d;
    Packet6::new(Body::Tcp(header, b"hello".to_vec()))
}

/// A datagram with a few bytes from the client to port 53 of the VIP.
pub fn udp6() -> Packet6 {
    Packet6::new(Body::Udp { src: CLIENT_PORT, dst: DNS_PORT, checksum: true, payload: b"query".to_vec() })
}

/// An `ICMPv6` message from the client to the VIP: type, code, the second word, the rest.
pub fn icmp6(type_u8: u8, code_u8: u8, bytes5to8: [u8; 4], rest: &[u8]) -> Packet6 {
    Packet6::new(Body::Icmp(Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8 }, rest.to_vec()))
}

/// An echo request from the client to the VIP.
pub fn echo_request6(id: u16, seq: u16, payload: &[u8]) -> Packet6 {
    Packet6::new(Body::Icmp(Icmpv6Type::EchoRequest(etherparse::IcmpEchoHeader { id, seq }), payload.to_vec()))
}

/// An echo reply from the client to the VIP.
pub fn echo_reply6(id: u16, seq: u16, payload: &[u8]) -> Packet6 {
    Packet6::new(Body::Icmp(Icmpv6Type::EchoReply(etherparse::IcmpEchoHeader { id, seq }), payload.to_vec()))
}

/// A packet of another protocol from the client to the VIP.
pub fn other6(protocol: u8, payload: &[u8]) -> Packet6 {
    Packet6::new(Body::Other(protocol, payload.to_vec()))
}

/// The solicited-node group of the VIP, and its MAC address.
pub const VIP_GROUP: ([u8; 16], [u8; 6]) =
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 1, 0], [0x33, 0x33, 0xff, 0, 1, 0]);
/// All nodes of the link, and their MAC address.
pub const ALL_NODES: ([u8; 16], [u8; 6]) =
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]);

/// The neighbour asks the VIP's group for the MAC address of `target`, with these options.
pub fn solicitation(target: [u8; 16], options: &[u8]) -> Packet6 {
    icmp6(135, 0, [0; 4], &[target.as_slice(), options].concat())
        .from((NEIGHBOUR6, 0))
        .to((VIP_GROUP.0, 0))
        .link(NEIGHBOUR_MAC, VIP_GROUP.1)
        .hops(255)
}

/// The option with the neighbour's own MAC address.
pub fn source_option() -> Vec<u8> {
    [&[1, 1], NEIGHBOUR_MAC.as_slice()].concat()
}

/// The balancer tells the neighbour that the VIP is here; `flags` as in the message's fifth byte.
pub fn advertisement(flags: u8) -> Packet6 {
    icmp6(136, 0, [flags, 0, 0, 0], &[VIP6.as_slice(), &[2, 1], &OWN_MAC].concat())
        .from((VIP6, 0))
        .to((NEIGHBOUR6, 0))
        .link(OWN_MAC, NEIGHBOUR_MAC)
        .hops(255)
}

impl From<Packet6> for Vec<u8> {
    fn from(packet: Packet6) -> Self {
        packet.bytes()
    }
}

/// `EtherType` of a VLAN tag (IEEE 802.1Q).
pub const CUSTOMER_TAG: u16 = 0x8100;
/// `EtherType` of a provider's outer tag (IEEE 802.1ad).
pub const SERVICE_TAG: u16 = 0x88a8;

/// `frame` with VLAN tags, outermost first: `EtherType`, and priority and VLAN number.
pub fn tagged(tags: &[(u16, u16)], frame: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut frame = frame.into();
    let bytes: Vec<u8> =
        tags.iter().flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()].concat()).collect();
    frame.splice(12..12, bytes);
    frame
}
