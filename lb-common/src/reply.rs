//! The way back of `nat`: a server's reply leaves with the VIP as its source.
//!
//! Stateless: a server's address, port and protocol name the one service they belong to. The exception is a connection
//! that a client made to the server's own address through the balancer as a router; its SYN was noted, and its replies
//! pass untouched. The next hop comes from the kernel's routing table. Everything is asked before anything is
//! rewritten, because a packet that is passed to the stack must be either whole or rewritten whole.

use crate::{
    engine::{Decision, Refusal},
    environment::{Environment, Route, RouteQuery},
    family::{End, Family},
    frame::Frame,
    parse::{Header, Transport},
    rewrite::{self, Socket},
    verdict::{Reason, Verdict},
    wire,
};

/// Handles a packet that is not for a VIP: a `nat` server's reply, or the SYN of a direct connection to one. `None`: it
/// is neither and none of caslb's business.
#[inline(always)]
pub fn handle<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    ip: &Header<V::Address>,
    transport: &Transport,
    own_ifindex: u32,
) -> Option<Result<Decision, Refusal>> {
    let Some(service) = V::nat_service_id(world, ip.src, transport.src_port(), ip.protocol) else {
        if transport.opens && V::nat_service_id(world, ip.dst, transport.dst_port(), ip.protocol).is_some() {
            V::remember_direct(world, ip.src, ip.dst, transport.ports);
        }
        return None;
    };
    Some(
        send::<V, F, E>(frame, world, ip, transport, own_ifindex, service)
            .map_err(|reason| Refusal { service, reason }),
    )
}

#[inline(always)]
fn send<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    ip: &Header<V::Address>,
    transport: &Transport,
    own_ifindex: u32,
    service: u32,
) -> Result<Decision, Reason> {
    let record = world.service(service).ok_or(Reason::Defect)?;
    let vip = Socket { address: V::vip_of(record), port: record.method().port };
    let server = Socket { address: ip.src, port: transport.src_port() };

    // The ports as they stood in the client's SYN.
    let from_client = transport.ports.rotate_left(16);
    if ip.protocol == wire::PROTOCOL_TCP && V::is_direct(world, ip.dst, ip.src, from_client) {
        return Err(Reason::ReplyDirect);
    }
    let query =
        RouteQuery { src: vip.address, dst: ip.dst, tos: ip.tos, protocol: ip.protocol, total_length: ip.total_length };
    let route = V::route(world, &query);
    let hop = match route {
        Route::Forward { ifindex, dst, src } => Ok((ifindex, dst, src)),
        Route::NoNeighbour => Err(Reason::ReplyNoNeighbour),
        Route::NotForwarded => return Err(Reason::ReplyLocal),
        Route::ForwardingOff => return Err(Reason::ReplyForwardingOff),
        Route::TooLarge if V::may_be_fragmented(frame, ip.start) => Err(Reason::ReplyFragmented),
        Route::TooLarge => return Err(Reason::ReplyTooLarge),
    };
    let (ifindex, dst, src) = match hop {
        Ok(hop) => hop,
        // The stack does the rest. It takes one from the TTL itself, so it gets one more.
        Err(reason) => {
            let ip = Header { ttl: ip.ttl.saturating_add(1), ..*ip };
            rewrite::translate::<V, F>(frame, &ip, End::Source, server, vip)?;
            return Err(reason);
        }
    };
    if ip.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    rewrite::translate::<V, F>(frame, ip, End::Source, server, vip)?;
    rewrite::link(frame, dst, src)?;
    world.count_reason(service, Reason::Replied);
    let verdict = if ifindex == own_ifindex { Verdict::Transmit } else { Verdict::Redirect(ifindex) };
    Ok(Decision { verdict, service, server: 0, position: 0, reason: Some(Reason::Replied) })
}
