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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_slot_has_one_server_and_is_not_tracked() {
        for server in [0, 1, 513, crate::layout::MAX_SERVER_ID] {
            let word = SlotWord::from_raw(SlotWord::steady(server).raw());
            assert_eq!(
                (word.current(), word.previous(), word.tracked()),
                (server, server, false)
            );
        }
    }

    #[test]
    fn the_layout_is_frozen() {
        let word = SlotWord::from_raw(1 << 30 | 2 << 15 | 3);
        assert_eq!(
            (word.current(), word.previous(), word.tracked()),
            (3, 2, true)
        );
    }
}
