//! The maps and helpers of the kernel as the engine wants them.

use core::mem::zeroed;

use aya_ebpf::{
    EbpfContext,
    bindings::bpf_fib_lookup as FibLookup,
    helpers::{bpf_fib_lookup, bpf_ktime_get_ns},
    programs::XdpContext,
};
use lb_common::{
    Environment, Reason,
    environment::{Route, RouteQuery},
    layout::{Direct4, Direct6, Endpoint4, Endpoint6, ServerRecord, ServiceRecord, VipRecord},
    limit,
    slot::{SlotPair, SlotWord},
    verdict::REASONS_PER_SERVICE,
    wire::{Mac, Raw6},
};

use crate::{constants, maps};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

// Results of `bpf_fib_lookup` (include/uapi/linux/bpf.h, BPF_FIB_LKUP_RET_*).
const SUCCESS: i64 = 0;
const FORWARDING_OFF: i64 = 5;
const NO_NEIGHBOUR: i64 = 7;
const TOO_LARGE: i64 = 8;

/// The kernel around the program.
pub(crate) struct Kernel<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Kernel<'a> {
    /// The kernel that called with `ctx`.
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }
}

impl Kernel<'_> {
    #[inline(always)]
    fn look_up(&self, params: &mut FibLookup) -> Route {
        let length = size_of::<FibLookup>() as i32;
        // SAFETY: context and parameters are valid, and the length is that of the parameters.
        let result = unsafe { bpf_fib_lookup(self.ctx.as_ptr(), params, length, 0) };
        match result as i64 {
            SUCCESS => {
                Route::Forward { ifindex: params.ifindex, dst: Mac::new(params.dmac), src: Mac::new(params.smac) }
            }
            NO_NEIGHBOUR => Route::NoNeighbour,
            FORWARDING_OFF => Route::ForwardingOff,
            TOO_LARGE => Route::TooLarge,
            _ => Route::NotForwarded,
        }
    }
}

/// What both families ask alike.
#[inline(always)]
fn params<A>(family: u8, query: &RouteQuery<A>) -> FibLookup {
    // SAFETY: all fields are numbers or arrays of them.
    let mut params: FibLookup = unsafe { zeroed() };
    params.family = family;
    params.l4_protocol = query.protocol;
    params.ifindex = constants::node().ifindex;
    params.__bindgen_anon_1.tot_len = query.total_length;
    params
}

/// An address as the kernel's structures have it.
#[inline(always)]
fn words(address: Raw6) -> [u32; 4] {
    let [low, high] = address;
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}

impl Environment for Kernel<'_> {
    #[inline(always)]
    fn service_id4(&self, key: &Endpoint4) -> Option<u32> {
        // SAFETY: the value is one aligned word that is read once. Keys come and go on a reload only, and the
        // controller waits until no packet can hold a removed element before it inserts anything.
        unsafe { maps::SERVICES4.get(key) }.copied()
    }

    #[inline(always)]
    fn service(&self, id: u32) -> Option<&ServiceRecord> {
        maps::SERVICES.get(id)
    }

    #[inline(always)]
    fn slot(&self, position: u32) -> Option<SlotWord> {
        Some(maps::SLOTS.get(SlotPair::holding(position))?.get(position))
    }

    #[inline(always)]
    fn server(&self, id: u16) -> Option<&ServerRecord> {
        maps::SERVERS.get(u32::from(id))
    }

    #[inline(always)]
    fn vip4(&self, address: u32) -> Option<&VipRecord> {
        // SAFETY: as in `service_id4`.
        let id = unsafe { maps::VIPS4.get(address) }.copied()?;
        maps::VIPS.get(id)
    }

    #[inline(always)]
    fn nat_service_id4(&self, key: &Endpoint4) -> Option<u32> {
        // SAFETY: as in `service_id4`.
        unsafe { maps::NAT4.get(key) }.copied()
    }

    #[inline(always)]
    fn remember_direct4(&self, key: &Direct4) {
        // A full LRU map evicts; there is no other error that could be acted on.
        let _ = maps::DIRECT4.insert(key, 1u32, 0);
    }

    #[inline(always)]
    fn forget_direct4(&self, key: &Direct4) {
        // Nearly always there is nothing to remove.
        let _ = maps::DIRECT4.remove(key);
    }

    #[inline(always)]
    fn is_direct4(&self, key: &Direct4) -> bool {
        maps::DIRECT4.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn count_steered(&self, service: u32, ordinal: u16, bytes: usize) {
        let position = service * constants::counter_stride() + u32::from(ordinal);
        if let Some(counter) = maps::COUNTERS.get_ptr_mut(position) {
            // SAFETY: the pointer is to this CPU's copy, and the program does not migrate while it runs.
            let counter = unsafe { &mut *counter };
            counter.packets += 1;
            counter.bytes += bytes as u64;
        }
    }

    #[inline(always)]
    fn count_reason(&self, service: u32, reason: Reason) {
        if let Some(counter) = maps::REASONS.get_ptr_mut(service * REASONS_PER_SERVICE + reason.index()) {
            // SAFETY: as in `count_steered`.
            unsafe { *counter += 1 };
        }
    }

    #[inline(always)]
    fn service_id6(&self, key: &Endpoint6) -> Option<u32> {
        // SAFETY: as in `service_id4`.
        unsafe { maps::SERVICES6.get(key) }.copied()
    }

    #[inline(always)]
    fn vip6(&self, address: &Raw6) -> Option<&VipRecord> {
        // SAFETY: as in `service_id4`.
        let id = unsafe { maps::VIPS6.get(address) }.copied()?;
        maps::VIPS.get(id)
    }

    #[inline(always)]
    fn nat_service_id6(&self, key: &Endpoint6) -> Option<u32> {
        // SAFETY: as in `service_id4`.
        unsafe { maps::NAT6.get(key) }.copied()
    }

    #[inline(always)]
    fn remember_direct6(&self, key: &Direct6) {
        // As in `remember_direct4`.
        let _ = maps::DIRECT6.insert(key, 1u32, 0);
    }

    #[inline(always)]
    fn forget_direct6(&self, key: &Direct6) {
        // As in `forget_direct4`.
        let _ = maps::DIRECT6.remove(key);
    }

    #[inline(always)]
    fn is_direct6(&self, key: &Direct6) -> bool {
        maps::DIRECT6.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn route4(&self, query: &RouteQuery<u32>) -> Route {
        let mut params = params(AF_INET, query);
        params.__bindgen_anon_2.tos = query.tos;
        params.__bindgen_anon_3.ipv4_src = query.src;
        params.__bindgen_anon_4.ipv4_dst = query.dst;
        self.look_up(&mut params)
    }

    #[inline(always)]
    fn route6(&self, query: &RouteQuery<Raw6>) -> Route {
        let mut params = params(AF_INET6, query);
        params.__bindgen_anon_2.flowinfo = (u32::from(query.tos) << 20).to_be();
        params.__bindgen_anon_3.ipv6_src = words(query.src);
        params.__bindgen_anon_4.ipv6_dst = words(query.dst);
        self.look_up(&mut params)
    }

    #[inline(always)]
    fn echo_allowed(&self) -> bool {
        let Some(due) = maps::ECHO_DUE.get_ptr_mut(0) else {
            return false;
        };
        // SAFETY: as in `count_steered`; the helper has no preconditions.
        let (now, before) = unsafe { (bpf_ktime_get_ns(), *due) };
        match limit::admit(before, now, limit::ECHO_PER_SECOND, limit::ECHO_BURST) {
            Some(next) => {
                // SAFETY: as in `count_steered`.
                unsafe { *due = next };
                true
            }
            None => false,
        }
    }
}
