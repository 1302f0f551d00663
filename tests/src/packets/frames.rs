//! Frames as the table writes them: a good packet by default, changed step by step.
//!
//! Lengths and checksums are computed in full by etherparse over whatever the packet says in the end, so what a case
//! expects owes nothing to the engine's arithmetic. What etherparse would not build (lies, cuts) is patched in last.

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type, IpDscp, IpFragOffset,
    IpNumber, Ipv4Header, TcpHeader, UdpHeader,
};

use super::tables::{CLIENT, CLIENT_PORT, DNS_PORT, HTTPS_PORT, OWN_MAC, ROUTER_MAC, VIP};

/// Bytes of an Ethernet header; where the IPv4 or ARP header begins.
pub const IP: usize = 14;
/// Where the transport header begins without IPv4 options.
pub const TRANSPORT: usize = 34;

/// An IPv4 address and a port.
pub type Socket = ([u8; 4], u16);

/// An IPv4 packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Packet {
    src_mac: [u8; 6],
    dst_mac: [u8; 6],
    ip: Ipv4Header,
    body: Body,
    padding: usize,
    patches: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Body {
    Tcp(TcpHeader, Vec<u8>),
    Udp { src: u16, dst: u16, checksum: bool, payload: Vec<u8> },
    Icmp(Icmpv4Type, Vec<u8>),
    Other(Vec<u8>),
}

impl Packet {
    fn new(protocol: IpNumber, body: Body) -> Self {
        let ip = Ipv4Header {
            identification: 0x1234,
            time_to_live: 57,
            protocol,
            source: CLIENT,
            destination: VIP,
            ..Ipv4Header::default()
        };
        Self { src_mac: ROUTER_MAC, dst_mac: OWN_MAC, ip, body, padding: 0, patches: Vec::new() }
    }

    /// With other MAC addresses: from `src` to `dst`.
    #[must_use]
    pub fn link(self, src: [u8; 6], dst: [u8; 6]) -> Self {
        Self { src_mac: src, dst_mac: dst, ..self }
    }

    /// From this address and port; protocols without ports ignore the port.
    #[must_use]
    pub fn from(mut self, (address, port): Socket) -> Self {
        self.ip.source = address;
        match &mut self.body {
            Body::Tcp(header, _) => header.source_port = port,
            Body::Udp { src, .. } => *src = port,
            Body::Icmp(..) | Body::Other(_) => {}
        }
        self
    }

    /// To this address and port; protocols without ports ignore the port.
    #[must_use]
    pub fn to(mut self, (address, port): Socket) -> Self {
        self.ip.destination = address;
        match &mut self.body {
            Body::Tcp(header, _) => header.destination_port = port,
            Body::Udp { dst, .. } => *dst = port,
            Body::Icmp(..) | Body::Other(_) => {}
        }
        self
    }

    /// With this time to live; 57 by default.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ip.time_to_live = ttl;
        self
    }

    /// With this differentiated-services code point, 0 to 63.
    #[must_use]
    pub fn dscp(mut self, dscp: u8) -> Self {
        self.ip.dscp = IpDscp::try_new(dscp).expect("a code point");
        self
    }

    /// With IPv4 options: a multiple of 4 bytes, at most 40.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.ip.options = options.try_into().expect("whole words, at most ten");
        self
    }

    /// A fragment that begins `offset` times 8 bytes into its packet.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.ip.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
        self.ip.more_fragments = more;
        self.ip.dont_fragment = false;
        self
    }

    /// Whether routers may fragment it; they may not by default.
    #[must_use]
    pub fn may_be_fragmented(mut self) -> Self {
        self.ip.dont_fragment = false;
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

    /// TCP: with options in the TCP header, as a real SYN has them.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        if let Body::Tcp(header, _) = &mut self.body {
            header.options = options.try_into().expect("whole words, at most ten");
        }
        self
    }

    /// With this payload.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match &mut self.body {
            Body::Tcp(_, payload) | Body::Udp { payload, .. } | Body::Icmp(_, payload) | Body::Other(payload) => {
                *payload = bytes.to_vec();
            }
        }
        self
    }

    /// UDP: without a checksum, which the value 0 says.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        if let Body::Udp { checksum, .. } = &mut self.body {
            *checksum = false;
        }
        self
    }

    /// Followed by `bytes` bytes that are not part of the packet, as Ethernet pads short frames.
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
        let Self { src_mac, dst_mac, ip, body, padding, patches } = self;
        let body = body.bytes(ip);
        let mut ip = ip.clone();
        ip.set_payload_len(body.len()).expect("a packet below 64 KiB");
        ip.header_checksum = ip.calc_header_checksum();
        let ethernet = Ethernet2Header { source: *src_mac, destination: *dst_mac, ether_type: EtherType::IPV4 };

        let mut frame = ethernet.to_bytes().to_vec();
        frame.extend_from_slice(&ip.to_bytes());
        frame.extend_from_slice(&body);
        frame.extend(std::iter::repeat_n(0xa5, *padding));
        for (at, bytes) in patches {
            frame[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        frame
    }
}

impl Body {
    fn bytes(&self, ip: &Ipv4Header) -> Vec<u8> {
        match self {
            Self::Tcp(header, payload) => {
                let mut header = header.clone();
                header.checksum = header.calc_checksum_ipv4(ip, payload).expect("a packet below 64 KiB");
                [&header.to_bytes(), payload.as_slice()].concat()
            }
            Self::Udp { src, dst, checksum: true, payload } => {
                let header = UdpHeader::with_ipv4_checksum(*src, *dst, ip, payload).expect("a packet below 64 KiB");
                [&header.to_bytes(), payload.as_slice()].concat()
            }
            Self::Udp { src, dst, checksum: false, payload } => {
                let header =
                    UdpHeader::without_ipv4_checksum(*src, *dst, payload.len()).expect("a packet below 64 KiB");
                [&header.to_bytes(), payload.as_slice()].concat()
            }
            Self::Icmp(kind, payload) => {
                let header = Icmpv4Header::with_checksum(kind.clone(), payload);
                [&header.to_bytes(), payload.as_slice()].concat()
            }
            Self::Other(payload) => payload.clone(),
        }
    }
}

/// A TCP segment with a few bytes from the client to port 443 of the VIP.
pub fn tcp() -> Packet {
    let mut header = TcpHeader::new(CLIENT_PORT, HTTPS_PORT, 0x0102_0304, 64_240);
    (header.ack, header.psh) = (true, true);
    header.acknowledgment_number = 0x0a0b_0c0d;
    Packet::new(IpNumber::TCP, Body::Tcp(header, b"hello".to_vec()))
}

/// A datagram with a few bytes from the client to port 53 of the VIP.
pub fn udp() -> Packet {
    let body = Body::Udp { src: CLIENT_PORT, dst: DNS_PORT, checksum: true, payload: b"query".to_vec() };
    Packet::new(IpNumber::UDP, body)
}

/// An ICMP message of any type from the client to the VIP.
pub fn icmp(kind: Icmpv4Type, payload: &[u8]) -> Packet {
    Packet::new(IpNumber::ICMP, Body::Icmp(kind, payload.to_vec()))
}

/// An echo request from the client to the VIP.
pub fn echo_request(id: u16, seq: u16, payload: &[u8]) -> Packet {
    icmp(Icmpv4Type::EchoRequest(etherparse::IcmpEchoHeader { id, seq }), payload)
}

/// An echo reply from the client to the VIP.
pub fn echo_reply(id: u16, seq: u16, payload: &[u8]) -> Packet {
    icmp(Icmpv4Type::EchoReply(etherparse::IcmpEchoHeader { id, seq }), payload)
}

/// A packet of another protocol from the client to the VIP.
pub fn other(protocol: u8, payload: &[u8]) -> Packet {
    Packet::new(IpNumber(protocol), Body::Other(payload.to_vec()))
}

/// An ARP packet in an Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    /// Ethernet source.
    pub src_mac: [u8; 6],
    /// Ethernet destination.
    pub dst_mac: [u8; 6],
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// 1 is Ethernet.
    pub hardware: u16,
    /// MAC and address of the sender.
    pub sender: ([u8; 6], [u8; 4]),
    /// MAC and address asked for or answered.
    pub target: ([u8; 6], [u8; 4]),
}

impl Arp {
    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { src_mac, dst_mac, operation, hardware, sender, target } = self;
        let packet = ArpPacket::new(
            ArpHardwareId(*hardware),
            EtherType::IPV4,
            ArpOperation(*operation),
            &sender.0,
            &sender.1,
            &target.0,
            &target.1,
        )
        .expect("addresses of the right lengths");
        let ethernet = Ethernet2Header { source: *src_mac, destination: *dst_mac, ether_type: EtherType::ARP };
        [ethernet.to_bytes().as_slice(), &packet.to_bytes()].concat()
    }
}

impl From<Packet> for Vec<u8> {
    fn from(packet: Packet) -> Self {
        packet.bytes()
    }
}

impl From<Arp> for Vec<u8> {
    fn from(packet: Arp) -> Self {
        packet.bytes()
    }
}
