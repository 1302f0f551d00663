//! The test harness' own programs. No part of what a deployment loads.
#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Both hardware addresses of an Ethernet header: destination, then source.
type Addresses = [[u8; 6]; 2];

/// Passes every frame to the stack.
///
/// A veth device takes frames that its peer sends by `XDP_TX` or redirect only while it has an XDP program itself
/// (`veth_xdp_xmit`, Linux 4.20 and later). The harness attaches this one to the bridge ports that face a balancer.
#[xdp]
fn pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Sends every frame back to the hardware address it came from: the least that a program can do with `XDP_TX`.
#[xdp]
fn bounce(context: XdpContext) -> u32 {
    let addresses = context.data() as *mut Addresses;
    if context.data() + size_of::<Addresses>() > context.data_end() {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: the frame holds both addresses, as just checked; bytes need no alignment; nobody else has the frame.
    let [destination, source] = unsafe { &mut *addresses };
    core::mem::swap(destination, source);
    xdp_action::XDP_TX
}

/// Never reached: the programs have no path that panics, and the verifier would refuse the endless loop.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
