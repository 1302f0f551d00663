//! Which service a packet is for, and which slot of its table the flow has.

use crate::{
    engine::Node,
    environment::Environment,
    family::Family,
    hash,
    layout::{HashKind, Method, NO_BLOCK},
    parse::{Header, Transport},
    slot,
    verdict::Reason,
};

/// A service that a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: u32,
    /// What happens to its packets.
    pub method: Method,
    /// Position of the flow's slot in the slots map.
    pub position: u32,
}

/// The service of a packet; `None` when its destination is none.
#[inline(always)]
pub fn find<V: Family, E: Environment>(world: &E, ip: &Header<V::Address>, transport: &Transport) -> Option<u32> {
    V::service_id(world, ip.dst, transport.dst_port(), ip.protocol)
}

/// Slot and method of a packet for the service `id`.
#[inline(always)]
pub fn target<V: Family, E: Environment>(
    world: &E,
    node: &Node,
    id: u32,
    ip: &Header<V::Address>,
    transport: &Transport,
) -> Result<Target, Reason> {
    let record = world.service(id).ok_or(Reason::Defect)?;
    let (block, method) = (record.block(), record.method());
    if block == NO_BLOCK {
        return Err(Reason::NoServer);
    }
    let hash = match method.hash {
        HashKind::Flow => V::flow(node.key, ip.src, ip.dst, transport.ports, ip.protocol),
        HashKind::Client => V::client(node.key, ip.src),
    };
    let position = slot::position(block, hash::slot(hash, node.slots), node.slots);
    Ok(Target { id, method, position })
}
