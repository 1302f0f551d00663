//! The frame of an XDP context as the engine wants it.

use aya_ebpf::{helpers::bpf_xdp_adjust_tail, programs::XdpContext};
use lb_common::{Frame, frame::Window};

/// The frame that the program was called for.
pub(crate) struct Packet<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Packet<'a> {
    /// The frame of `ctx`.
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn window<const N: usize>(&mut self, offset: usize) -> Option<Window<'_, N>> {
        let start = self.ctx.data() + offset;
        // In this form, because older kernels lose track of the bound when it is written with `>=`.
        if start + N > self.ctx.data_end() {
            return None;
        }
        let bytes = start as *mut [u8; N];
        // SAFETY: the `N` bytes from `start` on lie within the packet, which this program may read and write; the
        // exclusive borrow of `self` keeps windows from overlapping.
        Some(Window::new(unsafe { &mut *bytes }))
    }

    #[inline(always)]
    fn resize(&mut self, length: usize) -> bool {
        let change = length as i64 - self.len() as i64;
        // SAFETY: the context is valid; windows taken before are gone, since this borrows exclusively.
        change == 0 || unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, change as i32) } == 0
    }
}
