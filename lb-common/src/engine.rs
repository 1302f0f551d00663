//! The entry: a frame comes in, a decision comes out, counters have been added to.
//!
//! The way to a server is a straight line of `?`; what leaves it early is a [`Refusal`], and [`process`] is the one
//! place that turns a refusal into a verdict and a count.

use crate::{
    answer,
    environment::Environment,
    family::{End, Family, V4, V6},
    frame::Frame,
    hash::Key,
    layout::{Mode, NO_SERVICE},
    parse::{self, Header, Transport},
    reply,
    rewrite::{self, Socket},
    server, service,
    verdict::{Action, Reason, Verdict},
    wire::{self, Ethernet, Mac},
};

/// What is constant for one NIC of one node while the program is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Key of the flow hash.
    pub key: Key,
    /// Slots of each table.
    pub slots: u32,
    /// The NIC's index.
    pub ifindex: u32,
    /// The NIC's MAC address.
    pub mac: Mac,
    /// Whether any service is in `nat` mode, so that replies must be looked for.
    pub nat: bool,
}

/// What was decided about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its service, or [`NO_SERVICE`].
    pub service: u32,
    /// Position of its slot in the slots map, when it was steered.
    pub position: u32,
    /// The server it was steered to, or 0.
    pub server: u16,
    /// Why it was not steered; `None` for a steered packet and for one that is none of caslb's business.
    pub reason: Option<Reason>,
}

impl Decision {
    /// A packet that is none of caslb's business.
    const NOT_OURS: Self = Self { verdict: Verdict::Pass, service: NO_SERVICE, position: 0, server: 0, reason: None };
}

/// Why a packet for a VIP was not steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The service it was for, or [`NO_SERVICE`].
    pub service: u32,
    /// Why.
    pub reason: Reason,
}

/// Decides about `frame` and rewrites it accordingly.
#[inline(always)]
pub fn process<F: Frame + ?Sized, E: Environment>(frame: &mut F, world: &E, node: &Node) -> Decision {
    match try_process(frame, world, node) {
        Ok(decision) => decision,
        Err(Refusal { service, reason }) => {
            world.count_reason(service, reason);
            let verdict = match reason.action() {
                Action::Send => Verdict::Transmit,
                Action::Pass => Verdict::Pass,
                Action::Drop => Verdict::Drop,
            };
            Decision { verdict, service, position: 0, server: 0, reason: Some(reason) }
        }
    }
}

#[inline(always)]
fn try_process<F: Frame + ?Sized, E: Environment>(frame: &mut F, world: &E, node: &Node) -> Result<Decision, Refusal> {
    let Some((ethertype, start)) = parse::link(frame) else {
        return Ok(Decision::NOT_OURS);
    };
    let Some(ethernet) = frame.window(0).map(Ethernet) else {
        return Ok(Decision::NOT_OURS);
    };
    let (to_us, to_group) = (ethernet.dst() == node.mac, ethernet.dst().is_group());
    let answered = match ethertype {
        wire::ETHERTYPE_IPV4 if to_us => return packet::<V4, F, E>(frame, world, node, start),
        wire::ETHERTYPE_ARP if to_us || to_group => {
            answer::arp(frame, world, start, node.mac).map(|()| Reason::ArpAnswered)
        }
        wire::ETHERTYPE_IPV6 if to_us || to_group => match answer::solicitation(frame, world, start, node.mac) {
            None if to_us => return packet::<V6, F, E>(frame, world, node, start),
            answered => answered.map(|()| Reason::NeighbourAnswered),
        },
        _ => None,
    };
    match answered {
        Some(reason) => Err(Refusal { service: NO_SERVICE, reason }),
        None => Ok(Decision::NOT_OURS),
    }
}

/// An IP packet that is addressed to this NIC.
#[inline(always)]
fn packet<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    node: &Node,
    start: usize,
) -> Result<Decision, Refusal> {
    let ip = match V::parse(frame, start) {
        Some(Ok(ip)) => ip,
        Some(Err(flaw)) => return flawed::<V, E>(world, flaw.dst, flaw.reason),
        None => return Ok(Decision::NOT_OURS),
    };
    if ip.protocol != wire::PROTOCOL_TCP && ip.protocol != wire::PROTOCOL_UDP {
        return other_protocol::<V, F, E>(frame, world, &ip);
    }
    let transport = match parse::transport(frame, &ip) {
        Ok(transport) => transport,
        Err(reason) => return flawed::<V, E>(world, ip.dst, reason),
    };
    if let Some(id) = service::find::<V, E>(world, &ip, &transport) {
        let steered = steer::<V, F, E>(frame, world, node, id, &ip, &transport);
        return steered.map_err(|reason| Refusal { service: id, reason });
    }
    if let Some(vip) = V::vip(world, ip.dst) {
        let reason = if vip.load().pass_unknown { Reason::UnknownPassed } else { Reason::UnknownPort };
        return Err(Refusal { service: NO_SERVICE, reason });
    }
    if node.nat
        && let Some(result) = reply::handle::<V, F, E>(frame, world, &ip, &transport, node.ifindex)
    {
        return result;
    }
    Ok(Decision::NOT_OURS)
}

/// A packet that is wrong in itself: refused when it is for a VIP, else none of our business.
#[inline(always)]
fn flawed<V: Family, E: Environment>(world: &E, dst: V::Address, reason: Reason) -> Result<Decision, Refusal> {
    match V::vip(world, dst) {
        Some(_) => Err(Refusal { service: NO_SERVICE, reason }),
        None => Ok(Decision::NOT_OURS),
    }
}

/// Neither TCP nor UDP: echo requests for a VIP are answered.
#[inline(always)]
fn other_protocol<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    ip: &Header<V::Address>,
) -> Result<Decision, Refusal> {
    let Some(vip) = V::vip(world, ip.dst) else {
        return Ok(Decision::NOT_OURS);
    };
    let vip = vip.load();
    let reason = if ip.protocol == V::ICMP {
        match answer::echo::<V, F, E>(frame, world, vip, ip) {
            Ok(()) => Reason::EchoAnswered,
            Err(reason) => reason,
        }
    } else if vip.pass_unknown {
        Reason::UnknownPassed
    } else {
        Reason::UnknownProtocol
    };
    Err(Refusal { service: NO_SERVICE, reason })
}

/// Steers a packet for the service `id` to the server of its slot.
#[inline(always)]
fn steer<V: Family, F: Frame + ?Sized, E: Environment>(
    frame: &mut F,
    world: &E,
    node: &Node,
    id: u32,
    ip: &Header<V::Address>,
    transport: &Transport,
) -> Result<Decision, Reason> {
    let target = service::target::<V, E>(world, node, id, ip, transport)?;
    let (server, record) = server::at(world, target.position)?;
    let path = V::path_of(record);
    if path.ifindex == 0 {
        return Err(Reason::NoPath);
    }
    let bytes = frame.len();
    match target.method.mode {
        Mode::Dsr => {}
        Mode::Nat => {
            if ip.ttl <= 1 {
                return Err(Reason::TtlExpired);
            }
            let vip = Socket { address: ip.dst, port: transport.dst_port() };
            let new = Socket { address: V::address_of(record), port: target.method.server_port };
            if transport.opens {
                let ports = u32::from(transport.src_port()) | u32::from(new.port) << 16;
                V::forget_direct(world, ip.src, new.address, ports);
            }
            rewrite::translate::<V, F>(frame, ip, End::Destination, vip, new)?;
        }
    }
    rewrite::link(frame, path.dst, path.src)?;
    world.count_steered(id, record.ordinal(), bytes);
    let verdict = if path.ifindex == node.ifindex { Verdict::Transmit } else { Verdict::Redirect(path.ifindex) };
    Ok(Decision { verdict, service: id, position: target.position, server, reason: None })
}
