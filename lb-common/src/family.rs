//! What differs between IPv4 and IPv6, so that everything else is written once.
//!
//! Steps of the engine are generic over [`Family`]; the compiler makes two straight programs of them. Addresses are in
//! frame order throughout.

use crate::{
    checksum::Difference,
    environment::{Environment, Route, RouteQuery},
    frame::Frame,
    hash::{self, Key},
    layout::{Direct4, Direct6, Endpoint4, Endpoint6, Path, ServerRecord, ServiceRecord, VipRecord},
    parse::{self, Header, Parsed},
    verdict::Reason,
    wire::{self, Ipv4, Ipv6, Raw6},
};

/// One end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

/// An address family.
pub trait Family: Copy {
    /// An address, in frame order.
    type Address: Copy + Eq;
    /// Protocol number of its control messages.
    const ICMP: u8;
    /// Type of an echo request among them.
    const ECHO_REQUEST: u8;
    /// Type of an echo reply among them.
    const ECHO_REPLY: u8;

    /// Parses the IP header at `start`; `None` when there is not even room for a destination.
    fn parse<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Parsed<Self::Address>;
    /// Id of the service of a VIP, port and protocol.
    fn service_id<E: Environment>(world: &E, vip: Self::Address, port: u16, protocol: u8) -> Option<u32>;
    /// Id of the `nat` service that a server's address, port and protocol belong to.
    fn nat_service_id<E: Environment>(world: &E, server: Self::Address, port: u16, protocol: u8) -> Option<u32>;
    /// The record of a VIP.
    fn vip<E: Environment>(world: &E, address: Self::Address) -> Option<&VipRecord>;
    /// Hash of a flow; `ports` as they stand in a packet from the client.
    fn flow(key: Key, src: Self::Address, dst: Self::Address, ports: u32, protocol: u8) -> u32;
    /// Hash of a client.
    fn client(key: Key, src: Self::Address) -> u32;
    /// The VIP of a service.
    fn vip_of(service: &ServiceRecord) -> Self::Address;
    /// The address of a server.
    fn address_of(server: &ServerRecord) -> Self::Address;
    /// The way to a server.
    fn path_of(server: &ServerRecord) -> Path;
    /// Notes a connection that a client makes to a `nat` server's own address; `ports` as in its SYN.
    fn remember_direct<E: Environment>(world: &E, client: Self::Address, server: Self::Address, ports: u32);
    /// Forgets such a connection, because its addresses and ports are now used through the VIP.
    fn forget_direct<E: Environment>(world: &E, client: Self::Address, server: Self::Address, ports: u32);
    /// Whether such a connection was noted.
    fn is_direct<E: Environment>(world: &E, client: Self::Address, server: Self::Address, ports: u32) -> bool;
    /// Asks the kernel's routing table.
    fn route<E: Environment>(world: &E, query: &RouteQuery<Self::Address>) -> Route;
    /// Whether a router may cut the packet into fragments.
    fn may_be_fragmented<F: Frame + ?Sized>(frame: &mut F, start: usize) -> bool;
    /// Writes an address and the TTL into the header at `start`. Returns what that changes for a transport checksum.
    fn readdress<F: Frame + ?Sized>(
        frame: &mut F,
        start: usize,
        end: End,
        old: Self::Address,
        new: Self::Address,
        ttl: u8,
    ) -> Result<Difference, Reason>;
    /// Swaps source and destination and writes the TTL, which leaves transport checksums as they are.
    fn turn_around<F: Frame + ?Sized>(frame: &mut F, ip: &Header<Self::Address>, ttl: u8) -> Result<(), Reason>;
}

/// IPv4.
#[derive(Clone, Copy, Debug)]
pub struct V4;

/// IPv6.
#[derive(Clone, Copy, Debug)]
pub struct V6;

impl Family for V4 {
    type Address = u32;
    const ICMP: u8 = wire::PROTOCOL_ICMP;
    const ECHO_REQUEST: u8 = wire::ICMP_ECHO_REQUEST;
    const ECHO_REPLY: u8 = wire::ICMP_ECHO_REPLY;

    #[inline(always)]
    fn parse<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Parsed<u32> {
        parse::header4(frame, start)
    }

    #[inline(always)]
    fn service_id<E: Environment>(world: &E, vip: u32, port: u16, protocol: u8) -> Option<u32> {
        world.service_id4(&Endpoint4::from_raw(vip, port, protocol))
    }

    #[inline(always)]
    fn nat_service_id<E: Environment>(world: &E, server: u32, port: u16, protocol: u8) -> Option<u32> {
        world.nat_service_id4(&Endpoint4::from_raw(server, port, protocol))
    }

    #[inline(always)]
    fn vip<E: Environment>(world: &E, address: u32) -> Option<&VipRecord> {
        world.vip4(address)
    }

    #[inline(always)]
    fn flow(key: Key, src: u32, dst: u32, ports: u32, protocol: u8) -> u32 {
        hash::flow4(key, src, dst, ports, protocol)
    }

    #[inline(always)]
    fn client(key: Key, src: u32) -> u32 {
        hash::client4(key, src)
    }

    #[inline(always)]
    fn vip_of(service: &ServiceRecord) -> u32 {
        service.vip4()
    }

    #[inline(always)]
    fn address_of(server: &ServerRecord) -> u32 {
        server.address4()
    }

    #[inline(always)]
    fn path_of(server: &ServerRecord) -> Path {
        server.path4()
    }

    #[inline(always)]
    fn remember_direct<E: Environment>(world: &E, client: u32, server: u32, ports: u32) {
        world.remember_direct4(&Direct4::from_raw(client, server, ports));
    }

    #[inline(always)]
    fn forget_direct<E: Environment>(world: &E, client: u32, server: u32, ports: u32) {
        world.forget_direct4(&Direct4::from_raw(client, server, ports));
    }

    #[inline(always)]
    fn is_direct<E: Environment>(world: &E, client: u32, server: u32, ports: u32) -> bool {
        world.is_direct4(&Direct4::from_raw(client, server, ports))
    }

    #[inline(always)]
    fn route<E: Environment>(world: &E, query: &RouteQuery<u32>) -> Route {
        world.route4(query)
    }

    #[inline(always)]
    fn may_be_fragmented<F: Frame + ?Sized>(frame: &mut F, start: usize) -> bool {
        frame.window(start).is_some_and(|header| Ipv4(header).may_be_fragmented())
    }

    #[inline(always)]
    fn readdress<F: Frame + ?Sized>(
        frame: &mut F,
        start: usize,
        end: End,
        old: u32,
        new: u32,
        ttl: u8,
    ) -> Result<Difference, Reason> {
        let addresses = Difference::new().double_word(old, new);
        let mut header = Ipv4(frame.window(start).ok_or(Reason::Truncated)?);
        let ttl_word = header.ttl_word();
        header.set_ttl(ttl);
        let checksum = addresses.word(ttl_word, header.ttl_word()).apply(header.checksum());
        header.set_checksum(checksum);
        match end {
            End::Source => header.set_src(new),
            End::Destination => header.set_dst(new),
        }
        Ok(addresses)
    }

    #[inline(always)]
    fn turn_around<F: Frame + ?Sized>(frame: &mut F, ip: &Header<u32>, ttl: u8) -> Result<(), Reason> {
        let mut header = Ipv4(frame.window(ip.start).ok_or(Reason::Truncated)?);
        header.set_src(ip.dst);
        header.set_dst(ip.src);
        let before = header.ttl_word();
        header.set_ttl(ttl);
        let checksum = Difference::new().word(before, header.ttl_word()).apply(header.checksum());
        header.set_checksum(checksum);
        Ok(())
    }
}

impl Family for V6 {
    type Address = Raw6;
    const ICMP: u8 = wire::PROTOCOL_ICMPV6;
    const ECHO_REQUEST: u8 = wire::ICMPV6_ECHO_REQUEST;
    const ECHO_REPLY: u8 = wire::ICMPV6_ECHO_REPLY;

    #[inline(always)]
    fn parse<F: Frame + ?Sized>(frame: &mut F, start: usize) -> Parsed<Raw6> {
        parse::header6(frame, start)
    }

    #[inline(always)]
    fn service_id<E: Environment>(world: &E, vip: Raw6, port: u16, protocol: u8) -> Option<u32> {
        world.service_id6(&Endpoint6::from_raw(vip, port, protocol))
    }

    #[inline(always)]
    fn nat_service_id<E: Environment>(world: &E, server: Raw6, port: u16, protocol: u8) -> Option<u32> {
        world.nat_service_id6(&Endpoint6::from_raw(server, port, protocol))
    }

    #[inline(always)]
    fn vip<E: Environment>(world: &E, address: Raw6) -> Option<&VipRecord> {
        world.vip6(&address)
    }

    #[inline(always)]
    fn flow(key: Key, src: Raw6, dst: Raw6, ports: u32, protocol: u8) -> u32 {
        hash::flow6(key, src, dst, ports, protocol)
    }

    #[inline(always)]
    fn client(key: Key, src: Raw6) -> u32 {
        hash::client6(key, src)
    }

    #[inline(always)]
    fn vip_of(service: &ServiceRecord) -> Raw6 {
        service.vip6()
    }

    #[inline(always)]
    fn address_of(server: &ServerRecord) -> Raw6 {
        server.address6()
    }

    #[inline(always)]
    fn path_of(server: &ServerRecord) -> Path {
        server.path6()
    }

    #[inline(always)]
    fn remember_direct<E: Environment>(world: &E, client: Raw6, server: Raw6, ports: u32) {
        world.remember_direct6(&Direct6::from_raw(client, server, ports));
    }

    #[inline(always)]
    fn forget_direct<E: Environment>(world: &E, client: Raw6, server: Raw6, ports: u32) {
        world.forget_direct6(&Direct6::from_raw(client, server, ports));
    }

    #[inline(always)]
    fn is_direct<E: Environment>(world: &E, client: Raw6, server: Raw6, ports: u32) -> bool {
        world.is_direct6(&Direct6::from_raw(client, server, ports))
    }

    #[inline(always)]
    fn route<E: Environment>(world: &E, query: &RouteQuery<Raw6>) -> Route {
        world.route6(query)
    }

    /// Only senders fragment (RFC 8200, section 4.5).
    #[inline(always)]
    fn may_be_fragmented<F: Frame + ?Sized>(_: &mut F, _: usize) -> bool {
        false
    }

    #[inline(always)]
    fn readdress<F: Frame + ?Sized>(
        frame: &mut F,
        start: usize,
        end: End,
        old: Raw6,
        new: Raw6,
        ttl: u8,
    ) -> Result<Difference, Reason> {
        let mut header = Ipv6(frame.window(start).ok_or(Reason::Truncated)?);
        header.set_hop_limit(ttl);
        match end {
            End::Source => header.set_src(new),
            End::Destination => header.set_dst(new),
        }
        Ok(Difference::new().quad_word(old[0], new[0]).quad_word(old[1], new[1]))
    }

    #[inline(always)]
    fn turn_around<F: Frame + ?Sized>(frame: &mut F, ip: &Header<Raw6>, ttl: u8) -> Result<(), Reason> {
        let mut header = Ipv6(frame.window(ip.start).ok_or(Reason::Truncated)?);
        header.set_src(ip.dst);
        header.set_dst(ip.src);
        header.set_hop_limit(ttl);
        Ok(())
    }
}
