//! Bounds-checked access to the bytes of a frame.
//!
//! A [`Window`] is a stretch of constant length whose bounds were checked once; reading and writing inside it costs no
//! further check, which is what the kernel's verifier wants to see as well. It does not know what the bytes mean: that
//! is [`crate::wire`].

/// The bytes of one Ethernet frame, wherever they are.
pub trait Frame {
    /// Length of the frame in bytes.
    fn len(&self) -> usize;

    /// The `N` bytes that begin `offset` bytes into the frame, or `None` when the frame is too short.
    fn window<const N: usize>(&mut self, offset: usize) -> Option<Window<'_, N>>;

    /// Makes the frame end after `length` bytes: cut, or filled up with bytes that may be anything. `false`: it cannot
    /// be done. Windows must be taken anew.
    fn resize(&mut self, length: usize) -> bool;

    /// Whether the frame holds no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn window<const N: usize>(&mut self, offset: usize) -> Option<Window<'_, N>> {
        self.get_mut(offset..)?.first_chunk_mut::<N>().map(Window::new)
    }

    /// A slice is as long as it is.
    fn resize(&mut self, length: usize) -> bool {
        <[u8]>::len(self) == length
    }
}

/// A frame at the beginning of a larger piece of memory, so that it can grow.
#[derive(Debug)]
pub struct Buffer<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl<'a> Buffer<'a> {
    /// The first `length` bytes of `room`, or all of it when that is less.
    pub fn new(room: &'a mut [u8], length: usize) -> Self {
        Self { length: length.min(room.len()), room }
    }

    /// The frame as it is now.
    pub fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }
}

impl Frame for Buffer<'_> {
    fn len(&self) -> usize {
        self.length
    }

    fn window<const N: usize>(&mut self, offset: usize) -> Option<Window<'_, N>> {
        self.room[..self.length].window(offset)
    }

    fn resize(&mut self, length: usize) -> bool {
        if length > self.room.len() {
            return false;
        }
        self.length = length;
        true
    }
}

/// `N` bytes of a frame whose bounds have been checked.
///
/// Multi-byte values come in two flavours: `be16` is a number, `raw16`, `raw32` and `raw64` are bytes in the order of
/// the frame packed least significant first, for comparing, hashing and copying without swapping.
#[derive(Debug)]
pub struct Window<'a, const N: usize>(&'a mut [u8; N]);

/// On BPF, loads and stores are made wide by hand: the compiler takes byte arrays to have alignment 1 and would move
/// them byte by byte. The kernel aligns packets so that wide accesses are allowed wherever XDP runs.
#[cfg(target_arch = "bpf")]
macro_rules! access {
    ($load:ident, $store:ident, $word:ty) => {
        #[inline(always)]
        fn $load(&self, at: usize) -> $word {
            assert!(at + size_of::<$word>() <= N);
            // SAFETY: the assertion keeps the access inside the window, and the verifier checks it once more.
            unsafe { self.0.as_ptr().wrapping_add(at).cast::<$word>().read() }
        }

        #[inline(always)]
        fn $store(&mut self, at: usize, value: $word) {
            assert!(at + size_of::<$word>() <= N);
            // SAFETY: as for the load.
            unsafe { self.0.as_mut_ptr().wrapping_add(at).cast::<$word>().write(value) }
        }
    };
}

#[cfg(not(target_arch = "bpf"))]
macro_rules! access {
    ($load:ident, $store:ident, $word:ty) => {
        fn $load(&self, at: usize) -> $word {
            let mut bytes = [0; size_of::<$word>()];
            bytes.copy_from_slice(&self.0[at..at + size_of::<$word>()]);
            <$word>::from_ne_bytes(bytes)
        }

        fn $store(&mut self, at: usize, value: $word) {
            self.0[at..at + size_of::<$word>()].copy_from_slice(&value.to_ne_bytes());
        }
    };
}

impl<'a, const N: usize> Window<'a, N> {
    /// A window over `bytes`.
    #[inline(always)]
    pub const fn new(bytes: &'a mut [u8; N]) -> Self {
        Self(bytes)
    }

    access!(load16, store16, u16);
    access!(load32, store32, u32);
    access!(load64, store64, u64);

    /// The byte at `at`.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.0[at]
    }

    /// The big-endian number at `at`.
    #[inline(always)]
    pub fn be16(&self, at: usize) -> u16 {
        u16::from_be(self.load16(at))
    }

    /// Two bytes in frame order, first byte least significant.
    #[inline(always)]
    pub fn raw16(&self, at: usize) -> u16 {
        u16::from_le(self.load16(at))
    }

    /// Four bytes in frame order, first byte least significant.
    #[inline(always)]
    pub fn raw32(&self, at: usize) -> u32 {
        u32::from_le(self.load32(at))
    }

    /// Eight bytes in frame order, first byte least significant.
    #[inline(always)]
    pub fn raw64(&self, at: usize) -> u64 {
        u64::from_le(self.load64(at))
    }

    /// Writes the byte at `at`.
    #[inline(always)]
    pub fn set_byte(&mut self, at: usize, value: u8) {
        self.0[at] = value;
    }

    /// Writes a big-endian number at `at`.
    #[inline(always)]
    pub fn set_be16(&mut self, at: usize, value: u16) {
        self.store16(at, value.to_be());
    }

    /// Writes two bytes in frame order.
    #[inline(always)]
    pub fn set_raw16(&mut self, at: usize, value: u16) {
        self.store16(at, value.to_le());
    }

    /// Writes four bytes in frame order.
    #[inline(always)]
    pub fn set_raw32(&mut self, at: usize, value: u32) {
        self.store32(at, value.to_le());
    }

    /// Writes eight bytes in frame order.
    #[inline(always)]
    pub fn set_raw64(&mut self, at: usize, value: u64) {
        self.store64(at, value.to_le());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_the_frame_ends() {
        let mut bytes = [1u8, 2, 3, 4, 5];
        assert!(bytes[..].window::<4>(1).is_some());
        assert!(bytes[..].window::<4>(2).is_none());
        assert!(bytes[..].window::<1>(usize::MAX).is_none());
        assert_eq!(bytes[..].window::<2>(3).map(|window| window.be16(0)), Some(0x0405));
    }

    #[test]
    fn raw_values_keep_the_bytes_in_frame_order() {
        let mut bytes = [0u8; 8];
        let mut window = Window::new(&mut bytes);
        window.set_raw32(2, u32::from_le_bytes([10, 1, 0, 11]));
        window.set_be16(6, 443);
        assert_eq!(window.raw16(6).to_le_bytes(), 443u16.to_be_bytes());
        assert_eq!(bytes, [0, 0, 10, 1, 0, 11, 0x01, 0xbb]);
    }
}
