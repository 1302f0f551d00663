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
    environment::{Route, RouteQuery4},
    layout::{Direct4, Endpoint4, ServerRecord, ServiceRecord, VipRecord},
    limit,
    slot::{SlotPair, SlotWord},
    verdict::REASONS_PER_SERVICE,
    wire::Mac,
};

use crate::{constants, maps};

const AF_INET: u8 = 2;

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
    fn route4(&self, query: &RouteQuery4) -> Route {
        // SAFETY: all fields are numbers or arrays of them.
        let mut params: FibLookup = unsafe { zeroed() };
        params.family = AF_INET;
        params.l4_protocol = query.protocol;
        params.ifindex = constants::node().ifindex;
        params.__bindgen_anon_1.tot_len = query.total_length;
        params.__bindgen_anon_2.tos = query.tos;
        params.__bindgen_anon_3.ipv4_src = query.src;
        params.__bindgen_anon_4.ipv4_dst = query.dst;
        let length = size_of::<FibLookup>() as i32;
        // SAFETY: context and parameters are valid, and the length is that of the parameters.
        let result = unsafe { bpf_fib_lookup(self.ctx.as_ptr(), &raw mut params, length, 0) };
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
