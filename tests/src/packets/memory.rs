//! The world of a [`Setup`] in vectors, for running the engine on the host.

use std::cell::{Cell, RefCell};

use caslb::{
    config::deployment::{HashKind, Mode},
    controller::target::{ServerTarget, ServiceTarget, Target},
};
use lb_common::{
    Environment, Node, Reason,
    environment::{Route, RouteQuery4},
    hash::Key,
    layout::{self, Direct4, Endpoint4, NO_BLOCK, Path, ServerRecord, ServiceRecord, Vip, VipRecord},
    slot::SlotWord,
    wire::Mac,
};

use super::{
    Counted,
    tables::{
        CLIENT, LAN, NARROW_CLIENT, NARROW_MTU, OWN_MAC, ROUTER_MAC, SLOTS, Setup, UNRESOLVED_CLIENT, WAN, WAN_CLIENT,
        WAN_MAC, WAN_ROUTER_MAC,
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
    service_ids: Vec<(Endpoint4, u32)>,
    nat_service_ids: Vec<(Endpoint4, u32)>,
    services: Vec<ServiceRecord>,
    slots: Vec<SlotWord>,
    servers: Vec<ServerRecord>,
    vips: Vec<(u32, VipRecord)>,
    direct: RefCell<Vec<Direct4>>,
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
            service_ids: Vec::new(),
            nat_service_ids: Vec::new(),
            services: std::iter::repeat_with(ServiceRecord::default).take(ROWS).collect(),
            slots: Vec::new(),
            servers: std::iter::repeat_with(ServerRecord::default).take(ROWS).collect(),
            vips: Vec::new(),
            direct: RefCell::default(),
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
            memory.vips.push((raw(vip.address.octets()), record));
        }
        memory
    }

    /// What was counted since this was last asked.
    pub fn take_counted(&self) -> Counted {
        self.counted.take()
    }

    fn add_server(&mut self, server: &ServerTarget) {
        let path4 = server.path.as_ref().map_or(Path::NONE, |path| Path {
            ifindex: path.ifindex,
            dst: Mac::new(path.next_hop_mac),
            src: Mac::new(path.source_mac),
            mtu: 1500,
        });
        let address4 = raw(server.address.octets());
        let record = layout::Server { ordinal: server.ordinal, address4, address6: [0; 16], path4, path6: Path::NONE };
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
        let record = layout::Service { block, method, vip4: raw(service.vip.octets()), vip6: [0; 16] };
        self.services[service.id as usize].store(&record);
        self.service_ids.push((Endpoint4::new(service.vip.octets(), service.port, protocol), service.id));
        if mode == Mode::Nat {
            for server in target.servers.iter().filter(|server| server.array == service.array) {
                let key = Endpoint4::new(server.address.octets(), service.server_port, protocol);
                self.nat_service_ids.push((key, service.id));
            }
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.take();
        change(&mut counted);
        self.counted.set(counted);
    }
}

impl Environment for Memory {
    fn service_id4(&self, key: &Endpoint4) -> Option<u32> {
        self.service_ids.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
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
        self.vips.iter().find(|(of, _)| *of == address).map(|(_, record)| record)
    }

    fn nat_service_id4(&self, key: &Endpoint4) -> Option<u32> {
        self.nat_service_ids.iter().find(|(of, _)| of == key).map(|(_, id)| *id)
    }

    fn remember_direct4(&self, key: &Direct4) {
        self.forget_direct4(key);
        self.direct.borrow_mut().push(*key);
    }

    fn forget_direct4(&self, key: &Direct4) {
        self.direct.borrow_mut().retain(|noted| noted != key);
    }

    fn is_direct4(&self, key: &Direct4) -> bool {
        self.direct.borrow().contains(key)
    }

    fn count_steered(&self, service: u32, ordinal: u16, bytes: usize) {
        self.count(|counted| counted.steered.push((service, ordinal, bytes)));
    }

    fn count_reason(&self, service: u32, reason: Reason) {
        self.count(|counted| counted.reasons.push((service, reason)));
    }

    fn route4(&self, query: &RouteQuery4) -> Route {
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

    fn echo_allowed(&self) -> bool {
        self.echo
    }
}

/// The NIC that frames come in by, as the engine is told.
pub fn node(target: &Target) -> Node {
    let nat = target.services.iter().any(|service| service.mode == Mode::Nat);
    Node { key: KEY, slots: target.node.slots, ifindex: LAN, mac: Mac::new(OWN_MAC), nat }
}

fn raw(address: [u8; 4]) -> u32 {
    u32::from_le_bytes(address)
}
