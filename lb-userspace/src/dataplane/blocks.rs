//! Which blocks of the slots map are free.
//!
//! A block is in use while a service points to it, and for a while longer: packets that read the old pointer may still
//! be looking at it. It is given back by [`Blocks::release`] once they are gone.

/// The blocks of one slots map.
#[derive(Debug)]
pub(super) struct Blocks {
    used: Vec<bool>,
}

impl Blocks {
    /// `count` blocks, all free but those in `used`.
    pub(super) fn new(count: u32, used: impl Iterator<Item = u32>) -> Self {
        let mut blocks = Self { used: vec![false; count as usize] };
        for block in used {
            if let Some(used) = blocks.used.get_mut(block as usize) {
                *used = true;
            }
        }
        blocks
    }

    /// A free block, which is free no longer.
    pub(super) fn take(&mut self) -> Option<u32> {
        let block = self.used.iter().position(|used| !used)?;
        self.used[block] = true;
        u32::try_from(block).ok()
    }

    /// Gives a block back. No packet may be able to see it any more.
    pub(super) fn release(&mut self, block: u32) {
        if let Some(used) = self.used.get_mut(block as usize) {
            *used = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_handed_out_once_until_it_is_released() {
        let mut blocks = Blocks::new(3, [1, 99].into_iter());
        assert_eq!([blocks.take(), blocks.take(), blocks.take()], [Some(0), Some(2), None]);
        blocks.release(1);
        assert_eq!([blocks.take(), blocks.take()], [Some(1), None]);
    }
}
