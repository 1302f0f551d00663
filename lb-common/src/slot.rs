//! The word of one slot: which server gets the flows that hash to it.
//!
//! 15 bits for the server new flows go to (`current`), 15 bits for the one that older flows may be on (`previous`), and
//! one bit that says whether the difference matters at the moment (`tracked`). Packets go to `current`.

/// One slot of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SlotWord(u32);

const ID: u32 = 0x7fff;
const TRACKED: u32 = 1 << 30;

impl SlotWord {
    /// A slot at rest: everything goes to `server`; 0 is no server. Ids are at most [`crate::layout::MAX_SERVER_ID`].
    #[inline(always)]
    pub const fn steady(server: u16) -> Self {
        let id = server as u32 & ID;
        Self(id | id << 15)
    }

    /// From what the map holds.
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// As the map holds it.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Server of new flows, 0 for none.
    #[inline(always)]
    pub const fn current(self) -> u16 {
        (self.0 & ID) as u16
    }

    /// Server of flows older than the change under way, 0 for none.
    #[inline(always)]
    pub const fn previous(self) -> u16 {
        (self.0 >> 15 & ID) as u16
    }

    /// Whether a change of this slot is under way.
    #[inline(always)]
    pub const fn tracked(self) -> bool {
        self.0 & TRACKED != 0
    }
}

/// Two slots side by side: the kernel rounds the values of an array up to eight bytes, so single slots would take twice
/// the memory and the cache.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct SlotPair(u64);

impl SlotPair {
    /// The slot at `position`, of which only the lowest bit counts: even ones come first.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "one half of the pair")]
    pub const fn get(self, position: u32) -> SlotWord {
        SlotWord((self.0 >> ((position & 1) * 32)) as u32)
    }

    /// The pair that holds a position.
    #[inline(always)]
    pub const fn holding(position: u32) -> u32 {
        position >> 1
    }
}

/// Slots that a table of `slots` slots takes up in the slots map: whole pairs.
#[inline(always)]
pub const fn block_length(slots: u32) -> u32 {
    (slots + 1) & !1
}

/// Position in the slots map of a slot of the table in `block`. A block number that is too large for the map gives a
/// position that is too, or that wraps around; the map checks it.
#[inline(always)]
pub const fn position(block: u32, slot: u32, slots: u32) -> u32 {
    block.wrapping_mul(block_length(slots)).wrapping_add(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_slot_has_one_server_and_is_not_tracked() {
        for server in [0, 1, 513, crate::layout::MAX_SERVER_ID] {
            let word = SlotWord::from_raw(SlotWord::steady(server).raw());
            assert_eq!((word.current(), word.previous(), word.tracked()), (server, server, false));
        }
    }

    #[test]
    fn the_slots_of_a_pair_lie_in_memory_in_their_order() {
        let pair = SlotPair(u64::from_le_bytes([1, 0, 0, 0, 2, 0, 0, 0]));
        assert_eq!((pair.get(10).raw(), pair.get(11).raw()), (1, 2));
        assert_eq!((SlotPair::holding(10), SlotPair::holding(11), SlotPair::holding(12)), (5, 5, 6));
    }

    #[test]
    fn blocks_do_not_overlap() {
        assert_eq!((block_length(251), block_length(252)), (252, 252));
        assert_eq!(position(3, 250, 251) + 2, position(4, 0, 251));
    }

    #[test]
    fn the_layout_is_frozen() {
        let word = SlotWord::from_raw(1 << 30 | 2 << 15 | 3);
        assert_eq!((word.current(), word.previous(), word.tracked()), (3, 2, true));
    }
}
