//! The XDP program's entry point; for now it passes every packet.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action,
    macros::{map, xdp},
    maps::PerCpuArray,
    programs::XdpContext,
};

#[map]
static PACKETS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Counts and passes every packet.
#[xdp]
pub fn caslb(_ctx: XdpContext) -> u32 {
    if let Some(count) = PACKETS.get_ptr_mut(0) {
        // SAFETY: the pointer is this CPU's own element, which lives as long as the map.
        unsafe { *count += 1 };
    }
    xdp_action::XDP_PASS
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
