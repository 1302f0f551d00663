//! Constants that user space sets before it loads the program; the verifier sees their values.

use aya_ebpf::Global;
use lb_common::{engine::Node, wire::Mac};

#[unsafe(no_mangle)]
static HASH_KEY_0: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static HASH_KEY_1: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static SLOTS: Global<u32> = Global::new(251);
#[unsafe(no_mangle)]
static IFINDEX: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static MAC: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static NAT: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
static COUNTER_STRIDE: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static LOG_DECISIONS: Global<u8> = Global::new(0);

/// Constants of this NIC and node.
#[inline(always)]
pub(crate) fn node() -> Node {
    Node {
        key: [HASH_KEY_0.load(), HASH_KEY_1.load()],
        slots: SLOTS.load(),
        ifindex: IFINDEX.load(),
        mac: Mac::from_raw(MAC.load()),
        nat: NAT.load() != 0,
    }
}

/// Counters reserved for each service.
#[inline(always)]
pub(crate) fn counter_stride() -> u32 {
    COUNTER_STRIDE.load()
}

/// Whether each decision is logged.
#[inline(always)]
pub(crate) fn log_decisions() -> bool {
    LOG_DECISIONS.load() != 0
}
