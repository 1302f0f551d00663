//! The unit records are made of: 64 bits that are read and written whole.

use core::sync::atomic::{AtomicU64, Ordering};

/// One 64-bit word of a record, read and written whole.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(super) struct Word(AtomicU64);

impl Word {
    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        #[cfg(target_arch = "bpf")]
        {
            // SAFETY: the pointer comes from a reference. LLVM knows no atomic loads for BPF, but an aligned 64-bit
            // volatile load is one instruction, and that is atomic wherever BPF is compiled to machine code.
            unsafe { self.0.as_ptr().read_volatile() }
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            self.0.load(Ordering::Relaxed)
        }
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Writes after everything written before.
    pub(super) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// An IPv6 address as two words.
pub(super) const fn halves(address: [u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(address);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    (both as u64, (both >> 64) as u64)
}

/// The address that two words hold.
pub(super) const fn join(low: u64, high: u64) -> [u8; 16] {
    (low as u128 | (high as u128) << 64).to_le_bytes()
}
