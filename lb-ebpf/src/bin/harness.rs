//! The test harness' own program: passes every frame.
//!
//! A veth device takes frames that its peer sends by `XDP_TX` or redirect only while it has an XDP program itself
//! (`veth_xdp_xmit`, Linux 4.20 and later). The harness attaches this one to the bridge ports that face a balancer.
//! It is no part of what a deployment loads.
#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Passes every frame to the stack.
#[xdp]
fn pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Never reached: the program has no path that panics, and the verifier would refuse the endless loop.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
