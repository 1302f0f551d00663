//! The laws of `nat`'s rewriting: checksums that follow by difference are those of a full computation, and the way back
//! undoes the way there.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};
use lb_common::{
    family::{End, V4, V6},
    parse,
    rewrite::{self, Socket},
    wire::ETHERNET,
};
use proptest::prelude::*;

/// Where fields lie in the IPv4 header.
const TTL: usize = ETHERNET + 8;
const IP_CHECKSUM: std::ops::Range<usize> = ETHERNET + 10..ETHERNET + 12;

#[derive(Clone, Debug)]
struct Packet {
    tcp: bool,
    ttl: u8,
    options: Vec<u8>,
    ends: [([u8; 4], u16); 2],
    payload: Vec<u8>,
    padding: usize,
}

impl Packet {
    /// The frame, every length and checksum computed in full.
    fn bytes(&self) -> Vec<u8> {
        let Self { tcp, ttl, options, ends: [(src, src_port), (dst, dst_port)], payload, padding } = self;
        let protocol = if *tcp { IpNumber::TCP } else { IpNumber::UDP };
        let mut ip = Ipv4Header::new(0, *ttl, protocol, *src, *dst).unwrap();
        ip.options = options.as_slice().try_into().unwrap();
        let transport = if *tcp {
            let mut header = TcpHeader::new(*src_port, *dst_port, 1, 2);
            header.ack = true;
            header.checksum = header.calc_checksum_ipv4(&ip, payload).unwrap();
            header.to_bytes().to_vec()
        } else {
            UdpHeader::with_ipv4_checksum(*src_port, *dst_port, &ip, payload).unwrap().to_bytes().to_vec()
        };
        ip.set_payload_len(transport.len() + payload.len()).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let link = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip.to_bytes()].concat();
        [link, transport, payload.clone(), vec![0xa5; *padding]].concat()
    }

    /// With one end replaced and one hop taken, as it must come out.
    fn translated(&self, end: End, new: ([u8; 4], u16)) -> Self {
        let mut packet = Self { ttl: self.ttl - 1, ..self.clone() };
        packet.ends[usize::from(end == End::Destination)] = new;
        packet
    }

    fn end(&self, end: End) -> ([u8; 4], u16) {
        self.ends[usize::from(end == End::Destination)]
    }
}

fn socket((address, port): ([u8; 4], u16)) -> Socket<u32> {
    Socket { address: u32::from_le_bytes(address), port: port.to_be() }
}

/// A unicast address, so that no packet is a martian.
fn end() -> impl Strategy<Value = ([u8; 4], u16)> {
    (1..127u8, any::<[u8; 3]>(), any::<u16>()).prop_map(|(a, [b, c, d], port)| ([a, b, c, d], port))
}

fn packet() -> impl Strategy<Value = Packet> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    (any::<bool>(), 2..=255u8, 0..=10usize, [end(), end()], bytes(200), 0..20usize)
        .prop_filter("the ends differ", |(_, _, _, [src, dst], _, _)| src.0 != dst.0)
        .prop_map(|(tcp, ttl, words, ends, payload, padding)| Packet {
            tcp,
            ttl,
            options: vec![1; words * 4],
            ends,
            payload,
            padding,
        })
}

fn direction() -> impl Strategy<Value = End> {
    proptest::sample::select(vec![End::Source, End::Destination])
}

fn translate(frame: &mut [u8], end: End, old: ([u8; 4], u16), new: ([u8; 4], u16)) {
    let header = parse::header4(frame, ETHERNET).unwrap().unwrap();
    rewrite::translate::<V4, [u8]>(frame, &header, end, socket(old), socket(new)).unwrap();
}

/// An IPv6 frame, its lengths and checksum computed in full.
fn frame6(tcp: bool, hops: u8, [(src, src_port), (dst, dst_port)]: [([u8; 16], u16); 2], payload: &[u8]) -> Vec<u8> {
    let mut ip = Ipv6Header { hop_limit: hops, source: src, destination: dst, ..Ipv6Header::default() };
    ip.next_header = if tcp { IpNumber::TCP } else { IpNumber::UDP };
    let transport = if tcp {
        let mut header = TcpHeader::new(src_port, dst_port, 1, 2);
        header.ack = true;
        header.checksum = header.calc_checksum_ipv6(&ip, payload).unwrap();
        header.to_bytes().to_vec()
    } else {
        UdpHeader::with_ipv6_checksum(src_port, dst_port, &ip, payload).unwrap().to_bytes().to_vec()
    };
    ip.payload_length = u16::try_from(transport.len() + payload.len()).unwrap();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd][..], &ip.to_bytes(), &transport, payload].concat()
}

fn socket6((address, port): ([u8; 16], u16)) -> Socket<[u64; 2]> {
    let half = |at: usize| u64::from_le_bytes(address[at..at + 8].try_into().unwrap());
    Socket { address: [half(0), half(8)], port: port.to_be() }
}

/// A global unicast address (RFC 4291).
fn end6() -> impl Strategy<Value = ([u8; 16], u16)> {
    (any::<[u8; 16]>(), any::<u16>()).prop_map(|(mut address, port)| {
        address[0] = 0x20 | address[0] & 0x1f;
        (address, port)
    })
}

proptest! {
    #[test]
    fn a_translated_ipv6_packet_is_the_one_that_would_have_been_built(
        tcp: bool,
        hops in 2..=255u8,
        ends in [end6(), end6()],
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        end in direction(),
        new in end6(),
    ) {
        prop_assume!(ends[0].0 != ends[1].0);
        let mut frame = frame6(tcp, hops, ends, &payload);
        let header = parse::header6(&mut frame[..], ETHERNET).unwrap().unwrap();
        let at = usize::from(end == End::Destination);
        let (old, new_socket) = (socket6(ends[at]), socket6(new));
        rewrite::translate::<V6, [u8]>(&mut frame, &header, end, old, new_socket).unwrap();
        let mut ends = ends;
        ends[at] = new;
        prop_assert_eq!(frame, frame6(tcp, hops - 1, ends, &payload));
    }

    #[test]
    fn a_translated_packet_is_the_one_that_would_have_been_built(packet in packet(), end in direction(), new in end()) {
        let mut frame = packet.bytes();
        translate(&mut frame, end, packet.end(end), new);
        prop_assert_eq!(frame, packet.translated(end, new).bytes());
    }

    #[test]
    fn there_and_back_restores_all_but_ttl_and_header_checksum(
        packet in packet(), end in direction(), new in end(), no_checksum: bool,
    ) {
        prop_assume!(packet.ttl > 2);
        let mut before = packet.bytes();
        if no_checksum && !packet.tcp {
            let checksum = ETHERNET + 20 + packet.options.len() + 6;
            before[checksum..checksum + 2].fill(0);
        }
        let mut frame = before.clone();
        translate(&mut frame, end, packet.end(end), new);
        translate(&mut frame, end, new, packet.end(end));
        prop_assert_eq!(frame[TTL], before[TTL] - 2);
        frame[TTL] = before[TTL];
        frame[IP_CHECKSUM].copy_from_slice(&before[IP_CHECKSUM]);
        prop_assert_eq!(frame, before);
    }

    /// A packet that was damaged on its way stays visibly damaged: the receiver's sum is wrong by as much as ours was.
    #[test]
    fn a_wrong_checksum_is_not_made_right(packet in packet(), end in direction(), new in end(), error in 1..0xffffu16) {
        let checksum = ETHERNET + 20 + packet.options.len() + if packet.tcp { 16 } else { 6 };
        let spoil = |mut frame: Vec<u8>| {
            let right = u16::from_be_bytes([frame[checksum], frame[checksum + 1]]);
            frame[checksum..checksum + 2].copy_from_slice(&(right ^ error).to_be_bytes());
            frame
        };
        let mut frame = spoil(packet.bytes());
        prop_assume!(frame[checksum..checksum + 2] != [0, 0] && frame[checksum..checksum + 2] != [0xff, 0xff]);
        translate(&mut frame, end, packet.end(end), new);
        prop_assert_ne!(&frame, &packet.translated(end, new).bytes());
    }
}
