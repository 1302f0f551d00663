//! The world of a [`Setup`] in vectors, for running the engine on the host.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use caslb::{
    config::deployment::{Addresses, HashKind, Mode},
    controller::target::{ServerTarget, ServiceTarget, Target},
};
use lb_common::{
    Environment, Node, Reason,
    environment::{Route, RouteQuery},
    hash::Key,
    layout::{
        self, Direct4, Direct6, Endpoint4, Endpoint6, NO_BLOCK, Path, ServerRecord, ServiceRecord, Vip, VipRecord,
    },
    slot::SlotWord,
    wire::{Mac, Raw6},
};

use super::{
    Counted,
    tables::{
        CLIENT, CLIENT6, LAN, NARROW_CLIENT, NARROW_CLIENT6, NARROW_MTU, NARROW_MTU6, OWN_MAC, ROUTER_MAC, SLOTS,
        Setup, UNRESOLVED_CLIENT, UNRESOLVED_CLIENT6, WAN, WAN_CLIENT, WAN_CLIENT6, WAN_MAC, WAN_ROUTER_MAC,
    },
};

/// Rows of the services and of the servers map.
const ROWS: usize = 64;
/// The key for the seed `contoso`: the first 16 bytes of `printf contoso | sha256sum`, as two little-endian words.
const KEY: Key = [0xebba_61da_4eb0_f011, 0x8e05_b072_de6f_64d5];
/// Slots that a table takes up: slots come in pairs.
const BLOCK: u32 = SLOTS + 1;

/// Tables, counters and routes of one set-up.
pub struct Memory {
    service_ids4: Vec<(Endpoint4, u32)>,
    service_ids6: Vec<(Endpoint6, u32)>,
    nat_service_ids4: Vec<(Endpoint4, u32)>,
    nat_service_ids6: Vec<(Endpoint6, u32)>,
    services: Vec<ServiceRecord>,
    slots: Vec<SlotWord>,
    servers: Vec<ServerRecord>,
    vips: Vec<(IpAddr, VipRecord)>,
    direct4: RefCell<Vec<Direct4>>,
    direct6: RefCell<Vec<Direct6>>,
    counted: Cell<Counted>,
    echo: bool,
    forwards: bool,
}

impl Memory {
    /// The world of `setup`.
    pub fn new(setup: Setup) -> Self {
        Self::with(&setup.target(), setup.forwards(), setup != Setup::EchoExhausted)
    }

    /// The world of `target`; whether the NIC forwards, and whether echo requests may be answered.
    pub fn with(target: &Target, forwards: bool, echo: bool) -> Self {
        let mut memory = Self {
            service_ids4: Vec::new(),
            service_ids6: Vec::new(),
            nat_service_ids4: Vec::new(),
            nat_service_ids6: Vec::new(),
            services: std::iter::repeat_with(ServiceRecord::default).take(ROWS).collect(),
            slots: Vec::new(),
            servers: std::iter::repeat_with(ServerRecord::default).take(ROWS).collect(),
            vips: Vec::new(),
            direct4: RefCell::default(),
            direct6: RefCell::default(),
            counted: Cell::default(),
            echo,
            forwards,
        };
        for server in &target.servers {
            memory.add_server(server);
        }
        for service in &target.services {
            memory.add_service(service, target);
        }
        for vip in &target.vips {
            let record = VipRecord::default();
            record.store(Vip { announced: vip.announced, pass_unknown: vip.pass_unknown });
            memory.vips.push((vip.address, record));
        }
        memory
    }

    /// What was counted since this was last asked.
    pub fn take_counted(&self) -> Counted {
        self.counted.take()
    }

    fn add_server(&mut self, server: &ServerTarget) {
        let path = |path: Option<&caslb::host::Path>| {
            path.map_or(Path::NONE, |path| Path {
                ifindex: path.ifindex,
                dst: Mac::new(path.next_hop_mac),
                src: Mac::new(path.source_mac),
                mtu: 1500,
            })
        };
        let record = layout::Server {
            ordinal: server.ordinal,
            address4: raw4(server.address),
            address6: raw6(server.address),
            path4: path(server.path4.as_ref()),
            path6: path(server.path6.as_ref()),
        };
        self.servers[usize::from(server.id)].store(&record);
    }

    fn add_service(&mut self, service: &ServiceTarget, target: &Target) {
        let protocol = service.protocol.number();
        let block = match &service.table {
            None => NO_BLOCK,
            Some(table) => {
                let block = self.slots.len() / BLOCK as usize;
                self.slots.extend(table.iter().map(|&server| SlotWord::steady(server)));
                self.slots.push(SlotWord::steady(0));
                u32::try_from(block).expect("a few tables")
            }
        };
        let (mode, hash) = (service.mode, service.hash);
        let method = layout::Method {
            mode: if mode == Mode::Nat { layout::Mode::Nat } else { layout::Mode::Dsr },
            hash: if hash == HashKind::Client { layout::HashKind::Client } else { layout::HashKind::Flow },
            port: service.port.to_be(),
            server_port: service.server_port.to_be(),
        };
        let record = layout::Service { block, method, vip4: raw4(service.vip), vip6: raw6(service.vip) };
        self.services[service.id as usize].store(&record);
        let (vip4, vip6) = (service.vip.v4(), service.vip.v6());
        let key4 = |address: Ipv4Addr, port| (Endpoint4::new(address.octets(), port, protocol), service.id);
        let key6 = |address: Ipv6Addr, port| (Endpoint6::new(address.octets(), port, protocol), service.id);
        self.service_ids4.extend(vip4.map(|vip| key4(vip, service.port)));
        self.service_ids6.extend(vip6.map(|vip| key6(vip, service.port)));
        if mode == Mode::Nat {
            for server in target.servers.iter().filter(|server| server.array == service.array) {
                let (of4, of6) = (server.address.v4(), server.address.v6());
                self.nat_service_ids4.extend(of4.filter(|_| vip4.is_some()).map(|of| key4(of, service.server_port)));
                self.nat_service_ids6.extend(of6.filter(|_| vip6.is_some()).map(|of| key6(of, service.server_port)));
            }
        }
    }

    fn vip(&self, address: IpAddr) -> Option<&VipRecord> {
        self.vips.iter().find(|(of, _)| *of == address).map(|(_, record)| record)
    }

    fn count(&self, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.take();
        change(&mut counted);
        self.counted.set(counted);
    }
}

impl Environment for Memory {
    fn service_id4(&self, key: &Endpoint4) -> Option<u32> {
        self.service_ids4.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
    }

    fn service_id6(&self, key: &Endpoint6) -> Option<u32> {
        self.service_ids6.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
    }

    fn service(&self, id: u32) -> Option<&ServiceRecord> {
        self.services.get(id as usize)
    }

    fn slot(&self, position: u32) -> Option<SlotWord> {
        self.slots.get(position as usize).copied()
    }

    fn server(&self, id: u16) -> Option<&ServerRecord> {
        self.servers.get(usize::from(id))
    }

    fn vip4(&self, address: u32) -> Option<&VipRecord> {
        self.vip(IpAddr::from(address.to_le_bytes()))
    }

    fn vip6(&self, address: &Raw6) -> Option<&VipRecord> {
        self.vip(IpAddr::from(bytes6(*address)))
    }

    fn nat_service_id4(&self, key: &Endpoint4) -> Option<u32> {
        self.nat_service_ids4.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
    }

    fn nat_service_id6(&self, key: &Endpoint6) -> Option<u32> {
        self.nat_service_ids6.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
    }

    fn remember_direct4(&self, key: &Direct4) {
        self.forget_direct4(key);
        self.direct4.borrow_mut().push(*key);
    }

    fn forget_direct4(&self, key: &Direct4) {
        self.direct4.borrow_mut().retain(|noted| noted != key);
    }

    fn is_direct4(&self, key: &Direct4) -> bool {
        self.direct4.borrow().contains(key)
    }

    fn remember_direct6(&self, key: &Direct6) {
        self.forget_direct6(key);
        self.direct6.borrow_mut().push(*key);
    }

    fn forget_direct6(&self, key: &Direct6) {
        self.direct6.borrow_mut().retain(|noted| noted != key);
    }

    fn is_direct6(&self, key: &Direct6) -> bool {
        self.direct6.borrow().contains(key)
    }

    fn count_steered(&self, service: u32, ordinal: u16, bytes: usize) {
        self.count(|counted| counted.steered.push((service, ordinal, bytes)));
    }

    fn count_reason(&self, service: u32, reason: Reason) {
        self.count(|counted| counted.reasons.push((service, reason)));
    }

    fn route4(&self, query: &RouteQuery<u32>) -> Route {
        let forward = |ifindex, dst, src| Route::Forward { ifindex, dst: Mac::new(dst), src: Mac::new(src) };
        if !self.forwards {
            return Route::ForwardingOff;
        }
        // As `super::tables::NETWORK` has it.
        match query.dst.to_le_bytes() {
            NARROW_CLIENT if query.total_length > NARROW_MTU => Route::TooLarge,
            CLIENT | NARROW_CLIENT => forward(LAN, ROUTER_MAC, OWN_MAC),
            WAN_CLIENT => forward(WAN, WAN_ROUTER_MAC, WAN_MAC),
            UNRESOLVED_CLIENT => Route::NoNeighbour,
            _ => Route::NotForwarded,
        }
    }

    fn route6(&self, query: &RouteQuery<Raw6>) -> Route {
        let forward = |ifindex, dst, src| Route::Forward { ifindex, dst: Mac::new(dst), src: Mac::new(src) };
        if !self.forwards {
            return Route::ForwardingOff;
        }
        match bytes6(query.dst) {
            NARROW_CLIENT6 if query.total_length > NARROW_MTU6 => Route::TooLarge,
            CLIENT6 | NARROW_CLIENT6 => forward(LAN, ROUTER_MAC, OWN_MAC),
            WAN_CLIENT6 => forward(WAN, WAN_ROUTER_MAC, WAN_MAC),
            UNRESOLVED_CLIENT6 => Route::NoNeighbour,
            _ => Route::NotForwarded,
        }
    }

    fn echo_allowed(&self) -> bool {
        self.echo
    }
}

/// The NIC that frames come in by, as the engine is told.
pub fn node(target: &Target) -> Node {
    let nat = target.services.iter().any(|service| service.mode == Mode::Nat);
    Node { key: KEY, slots: target.node.slots, ifindex: LAN, mac: Mac::new(OWN_MAC), nat }
}

/// An IPv4 address in frame order, 0 for none.
fn raw4(addresses: Addresses) -> u32 {
    addresses.v4().map_or(0, |address| u32::from_le_bytes(address.octets()))
}

/// An IPv6 address, zero for none.
fn raw6(addresses: Addresses) -> [u8; 16] {
    addresses.v6().map_or([0; 16], |address| address.octets())
}

fn bytes6([first, second]: Raw6) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}
