//! The Internet checksum (RFC 1071), kept up to date by differences (RFC 1624).
//!
//! The checksum of a header is the ones' complement of the ones' complement sum of its 16-bit words. When a word `m`
//! becomes `m'`, the sum changes by `m' - m`, and in ones' complement arithmetic `-m` is `!m`. So the new checksum
//! `HC'` follows from the old one without looking at the rest of the packet (RFC 1624, equation 3):
//!
//! ```text
//! HC' = !(!HC + !m + m')
//! ```
//!
//! Several words that change are added up first ([`Difference`]) and folded once. Ones' complement addition does not
//! care about byte order as long as all words have the same one (RFC 1071, section 2 (B)), so everything here is in
//! frame order and nothing is ever swapped.
//!
//! Two zeros exist in this arithmetic, `0x0000` and `0xffff`. Equation 3 never turns a correct checksum into the wrong
//! one of the two, unlike RFC 1141's, as long as some checksummed word is not zero; the property test below holds it to
//! that. UDP gives the value 0 the meaning "no
//! checksum" (RFC 768): 0 stays 0, and a computed 0 is sent as `0xffff`.

use crate::wire::Raw6;

/// The sum of what was added to and taken from checksummed words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Difference(u64);

impl Difference {
    /// Nothing changed yet.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// A 16-bit word changed from `old` to `new`.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// A 32-bit word changed from `old` to `new`.
    #[inline(always)]
    #[must_use]
    pub const fn double_word(self, old: u32, new: u32) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// A 64-bit word changed from `old` to `new`.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub const fn quad_word(self, old: u64, new: u64) -> Self {
        self.double_word(old as u32, new as u32).double_word((old >> 32) as u32, (new >> 32) as u32)
    }

    /// The checksum after the change; `checksum` is the one before it.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold(self.0 + !checksum as u64)
    }

    /// The same for UDP, where 0 says that there is no checksum.
    #[inline(always)]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        match self.apply(checksum) {
            0 => 0xffff,
            checksum => checksum,
        }
    }
}

/// A sum of words that is made from nothing, for short messages that are made or verified here.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Sum {
    /// The pseudo-header of IPv6 (RFC 8200, section 8.1); addresses are in frame order.
    #[inline(always)]
    pub fn pseudo_header6(src: Raw6, dst: Raw6, length: u16, protocol: u8) -> Self {
        let numbers = u64::from(length.to_be()) + u64::from(u16::from(protocol).to_be());
        Self(numbers).quad_word(src[0]).quad_word(src[1]).quad_word(dst[0]).quad_word(dst[1])
    }

    /// With eight more bytes, in frame order.
    #[inline(always)]
    #[must_use]
    pub const fn quad_word(self, word: u64) -> Self {
        Self(self.0 + (word & 0xffff_ffff) + (word >> 32))
    }

    /// The checksum; 0 for a message that carries a correct one.
    #[inline(always)]
    pub const fn checksum(self) -> u16 {
        !fold(self.0)
    }
}

/// Adds the carries back in until 16 bits are left. Every caller adds at most a handful of 32-bit words, so the sum
/// has at most 35 bits: after the first line at most 33, then 17, 17, and 16.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the four lines before leave 16 bits")]
const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The checksum over `bytes` plus `initial`, computed in full; in frame order. For tests and for packets made here.
pub fn full(bytes: &[u8], initial: u32) -> u16 {
    let mut sum = u64::from(initial);
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        sum += u64::from(u16::from_le_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        sum += u64::from(*last);
    }
    !fold(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1624_does_not_give_the_wrong_zero() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285 gives 0x0000, where RFC 1141 gave 0xFFFF.
        let checksum = Difference::new().word(0x5555u16.to_be(), 0x3285u16.to_be()).apply(0xdd2f_u16.to_be());
        assert_eq!(checksum, 0x0000);
    }

    #[test]
    fn udp_zero_means_no_checksum_both_ways() {
        assert_eq!(Difference::new().word(1, 2).apply_udp(0), 0);
        assert_eq!(Difference::new().word(0x5555, 0x3285).apply_udp(0xdd2f), 0xffff);
    }

    proptest! {
        #[test]
        fn incremental_equals_full(
            mut bytes in proptest::collection::vec(any::<u8>(), 8..200),
            at in any::<prop::sample::Index>(), new in any::<u32>(), port_at in any::<prop::sample::Index>(), port in any::<u16>(),
        ) {
            // A header always has a byte that isn't zero, which rules out the sum 0 that no full computation yields.
            bytes[0] = 0x45;
            bytes.resize(bytes.len() & !1, 0);
            let before = full(&bytes, 0);
            let at = 2 + at.index((bytes.len() - 4) / 2 - 1) / 2 * 2;
            let old = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
            let port_at = 2 + port_at.index((bytes.len() - 2) / 2) * 2;
            let old_port = u16::from_le_bytes([bytes[port_at], bytes[port_at + 1]]);
            bytes[port_at..port_at + 2].copy_from_slice(&port.to_le_bytes());
            let after = Difference::new().double_word(old, new).word(old_port, port).apply(before);
            prop_assert_eq!(after, full(&bytes, 0));
        }
    }
}
