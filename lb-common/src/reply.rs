//! The way back of `nat`: a server's reply leaves with the VIP as its source.
//!
//! Stateless: a server's address, port and protocol name the one service they belong to. The exception is a connection
//! that a client made to the server's own address through the balancer as a router; its SYN was noted, and its replies
//! pass untouched. The next hop comes from the kernel's routing table. Everything is asked before anything is
//! rewritten, because a packet that is passed to the stack must be either whole or rewritten whole.

use crate::{
    engine::{Decision, Refusal},
    environment::{Environment, Route, RouteQuery4},
    frame::Frame,
    layout::{Direct4, Endpoint4},
    parse::{Header4, Transport},
    rewrite::{self, End, Socket4},
    verdict::{Reason, Verdict},
    wire::{self, Ipv4},
};

/// Handles a packet that is not for a VIP: a `nat` server's reply, or the SYN of a direct connection to one. `None`: it
/// is neither and none of caslb's business.
#[inline(always)]
pub fn handle4<F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    ip: &Header4,
    transport: &Transport,
    own_ifindex: u32,
) -> Option<Result<Decision, Refusal>> {
    let Some(service) = world.nat_service_id4(&Endpoint4::from_raw(ip.src, transport.src_port(), ip.protocol)) else {
        if transport.opens
            && world.nat_service_id4(&Endpoint4::from_raw(ip.dst, transport.dst_port(), ip.protocol)).is_some()
        {
            world.remember_direct4(&Direct4::from_raw(ip.src, ip.dst, transport.ports));
        }
        return None;
    };
    Some(send4(frame, world, ip, transport, own_ifindex, service).map_err(|reason| Refusal { service, reason }))
}

#[inline(always)]
fn send4<F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    ip: &Header4,
    transport: &Transport,
    own_ifindex: u32,
    service: u32,
) -> Result<Decision, Reason> {
    let record = world.service(service).ok_or(Reason::Defect)?;
    let vip = Socket4 { address: record.vip4(), port: record.method().port };
    let server = Socket4 { address: ip.src, port: transport.src_port() };

    // The ports as they stood in the client's SYN.
    let from_client = transport.ports.rotate_left(16);
    if ip.protocol == wire::PROTOCOL_TCP && world.is_direct4(&Direct4::from_raw(ip.dst, ip.src, from_client)) {
        return Err(Reason::ReplyDirect);
    }
    let route = world.route4(&RouteQuery4 {
        src: vip.address,
        dst: ip.dst,
        tos: ip.tos,
        protocol: ip.protocol,
        total_length: ip.total_length,
    });
    let hop = match route {
        Route::Forward { ifindex, dst, src } => Ok((ifindex, dst, src)),
        Route::NoNeighbour => Err(Reason::ReplyNoNeighbour),
        Route::NotForwarded => return Err(Reason::ReplyLocal),
        Route::ForwardingOff => return Err(Reason::ReplyForwardingOff),
        Route::TooLarge if may_be_fragmented(frame, ip) => Err(Reason::ReplyFragmented),
        Route::TooLarge => return Err(Reason::ReplyTooLarge),
    };
    let (ifindex, dst, src) = match hop {
        Ok(hop) => hop,
        // The stack does the rest. It takes one from the TTL itself, so it gets one more.
        Err(reason) => {
            let ip = Header4 { ttl: ip.ttl.saturating_add(1), ..*ip };
            rewrite::translate4(frame, &ip, End::Source, server, vip)?;
            return Err(reason);
        }
    };
    if ip.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    rewrite::translate4(frame, ip, End::Source, server, vip)?;
    rewrite::link(frame, dst, src)?;
    world.count_reason(service, Reason::Replied);
    let verdict = if ifindex == own_ifindex { Verdict::Transmit } else { Verdict::Redirect(ifindex) };
    Ok(Decision { verdict, service, server: 0, position: 0, reason: Some(Reason::Replied) })
}

#[inline(always)]
fn may_be_fragmented<F: Frame + ?Sized>(frame: &mut F, ip: &Header4) -> bool {
    frame.window(ip.start).is_some_and(|header| Ipv4(header).may_be_fragmented())
}
