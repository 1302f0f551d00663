//! What the engine needs from the world around it: tables to read, counters to add to, the kernel's routes, a clock.
//!
//! In the XDP program these are maps and kernel helpers; in tests they are vectors.

use crate::{
    layout::{Direct4, Direct6, Endpoint4, Endpoint6, ServerRecord, ServiceRecord, VipRecord},
    slot::SlotWord,
    verdict::Reason,
    wire::{Mac, Raw6},
};

/// Where the kernel would send a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Out of this NIC to this next hop.
    Forward {
        /// The NIC.
        ifindex: u32,
        /// MAC address of the next hop.
        dst: Mac,
        /// MAC address of the NIC.
        src: Mac,
    },
    /// The route is known, the MAC address of the next hop is not.
    NoNeighbour,
    /// Not on: the address is the host's own, a broadcast, or unreachable.
    NotForwarded,
    /// The NIC the packet came in by does not forward.
    ForwardingOff,
    /// Larger than the MTU of the route.
    TooLarge,
}

/// What [`Environment::route4`] and [`Environment::route6`] are asked; addresses in frame order.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<A> {
    /// Source, as the packet leaves.
    pub src: A,
    /// Destination.
    pub dst: A,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Protocol number.
    pub protocol: u8,
    /// Length of the IP packet in bytes.
    pub total_length: u16,
}

/// The world around the engine.
pub trait Environment {
    /// Id of the service of a VIP, port and protocol.
    fn service_id4(&self, key: &Endpoint4) -> Option<u32>;
    /// The same for IPv6.
    fn service_id6(&self, key: &Endpoint6) -> Option<u32>;
    /// The record of a service.
    fn service(&self, id: u32) -> Option<&ServiceRecord>;
    /// A slot by its position in the slots map.
    fn slot(&self, position: u32) -> Option<SlotWord>;
    /// The record of a server.
    fn server(&self, id: u16) -> Option<&ServerRecord>;
    /// The record of a VIP; the address is in frame order.
    fn vip4(&self, address: u32) -> Option<&VipRecord>;
    /// The same for IPv6.
    fn vip6(&self, address: &Raw6) -> Option<&VipRecord>;
    /// Id of the `nat` service that a server's address, port and protocol belong to.
    fn nat_service_id4(&self, key: &Endpoint4) -> Option<u32>;
    /// The same for IPv6.
    fn nat_service_id6(&self, key: &Endpoint6) -> Option<u32>;

    /// Notes a connection that a client makes to a `nat` server's own address.
    fn remember_direct4(&self, key: &Direct4);
    /// Forgets such a connection, because its addresses and ports are now used through the VIP.
    fn forget_direct4(&self, key: &Direct4);
    /// Whether such a connection was noted.
    fn is_direct4(&self, key: &Direct4) -> bool;
    /// [`Environment::remember_direct4`] for IPv6.
    fn remember_direct6(&self, key: &Direct6);
    /// [`Environment::forget_direct4`] for IPv6.
    fn forget_direct6(&self, key: &Direct6);
    /// [`Environment::is_direct4`] for IPv6.
    fn is_direct6(&self, key: &Direct6) -> bool;

    /// Adds one packet of `bytes` bytes to the counter of a service and a server.
    fn count_steered(&self, service: u32, ordinal: u16, bytes: usize);
    /// Adds one packet to the counter of a reason.
    fn count_reason(&self, service: u32, reason: Reason);

    /// Asks the kernel's routing table.
    fn route4(&self, query: &RouteQuery<u32>) -> Route;
    /// The same for IPv6.
    fn route6(&self, query: &RouteQuery<Raw6>) -> Route;
    /// Whether another echo request may be answered now.
    fn echo_allowed(&self) -> bool;
}
