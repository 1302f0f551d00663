//! The XDP program of caslb.
//!
//! Glue only: it lends the engine in `lb_common` the frame ([`frame`]) and the maps ([`world`]), and turns the
//! engine's verdict into an XDP action. It is loaded once per NIC, each time with that NIC's constants, which the
//! verifier sees and folds.

#![no_std]
#![no_main]

mod constants;
mod frame;
mod maps;
mod world;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use lb_common::{Decision, Frame, Verdict, process};

use crate::{frame::Packet, world::Kernel};

/// Steers packets for VIPs, answers for them, and passes everything else.
#[xdp]
#[inline(always)]
fn caslb(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(&ctx);
    let flow = if constants::log_decisions() { Flow::read(&mut packet) } else { None };
    let decision = process(&mut packet, &Kernel::new(&ctx), &constants::node());
    if let Some(flow) = flow {
        flow.log(&ctx, &decision);
    }
    match decision.verdict {
        Verdict::Transmit => xdp_action::XDP_TX,
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
        // A NIC that is not in the map loses the packet: it has been rewritten, so the stack must not see it.
        Verdict::Redirect(ifindex) => {
            maps::NICS.redirect(ifindex, u64::from(xdp_action::XDP_DROP)).unwrap_or_else(|action| action)
        }
    }
}

/// What the log shows of a packet: read before the packet is rewritten.
struct Flow {
    src: u32,
    dst: u32,
    src_port: u16,
    dst_port: u16,
}

impl Flow {
    fn read(packet: &mut Packet<'_>) -> Option<Self> {
        // Ethernet, IPv4 without options, ports. Other packets show other bytes here, and the verdict says so.
        let window = packet.window::<38>(0)?;
        Some(Self {
            src: window.raw32(26),
            dst: window.raw32(30),
            src_port: window.be16(34),
            dst_port: window.be16(36),
        })
    }

    fn log(&self, ctx: &XdpContext, decision: &Decision) {
        let Self { src, dst, src_port, dst_port } = *self;
        let (src, dst) = (u32::from_be(src), u32::from_be(dst));
        let Decision { verdict, service, position, server, reason } = *decision;
        let action = match verdict {
            Verdict::Transmit => "transmit",
            Verdict::Redirect(_) => "redirect",
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
        };
        match reason {
            Some(reason) => debug!(
                ctx,
                "{:i}:{} > {:i}:{} {} service={} reason={}",
                src,
                src_port,
                dst,
                dst_port,
                action,
                service,
                reason.index()
            ),
            None => debug!(
                ctx,
                "{:i}:{} > {:i}:{} {} service={} position={} server={}",
                src,
                src_port,
                dst,
                dst_port,
                action,
                service,
                position,
                server
            ),
        }
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel demands a GPL-compatible licence of programs that look up routes.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
