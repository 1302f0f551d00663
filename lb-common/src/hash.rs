//! The flow hash and the slot it selects.
//!
//! Keyed, so that nobody outside can tell which server a flow gets or aim flows at one of them; the same on every node
//! with the same key, so that nodes behind equal-cost routes agree. It is not a cryptographic hash: `SipHash` costs some
//! 130 instructions on a machine without rotates and would be the most expensive step of the fast path. Each word is
//! folded in by exclusive-or, a multiplication by an odd constant and a shift that brings the strong high bits down (the
//! construction of the murmur and splitmix finalisers).
//!
//! The layout is frozen: nodes of different releases must agree on it. The golden test below is the contract.

use crate::wire::Raw6;

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const FINISH: u64 = 0xd6e8_feb8_6659_fd93;

/// The key, derived from the configured seed. 128 bits.
pub type Key = [u64; 2];

#[inline(always)]
const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word).wrapping_mul(MIX);
    product ^ (product >> 32)
}

#[inline(always)]
const fn finish(state: u64, key: Key) -> u32 {
    let state = (state ^ key[1]).wrapping_mul(FINISH);
    let state = (state ^ (state >> 29)).wrapping_mul(MIX);
    (state >> 32) as u32
}

/// Hash of an IPv4 flow in the direction client to VIP: addresses and ports in frame order.
#[inline(always)]
pub const fn flow4(key: Key, src: u32, dst: u32, ports: u32, protocol: u8) -> u32 {
    let state = mix(key[0], src as u64 | (dst as u64) << 32);
    finish(mix(state, ports as u64 | (protocol as u64) << 32), key)
}

/// Hash of an IPv4 client: its address alone, in frame order.
#[inline(always)]
pub const fn client4(key: Key, src: u32) -> u32 {
    finish(mix(key[0], src as u64), key)
}

/// Hash of an IPv6 flow in the direction client to VIP: addresses and ports in frame order.
#[inline(always)]
pub const fn flow6(key: Key, src: Raw6, dst: Raw6, ports: u32, protocol: u8) -> u32 {
    let addresses = mix(mix(mix(mix(key[0], src[0]), src[1]), dst[0]), dst[1]);
    finish(mix(addresses, ports as u64 | (protocol as u64) << 32), key)
}

/// Hash of an IPv6 client: its address alone, in frame order.
#[inline(always)]
pub const fn client6(key: Key, src: Raw6) -> u32 {
    finish(mix(mix(key[0], src[0]), src[1]), key)
}

/// The slot of a hash in a table of `slots` slots: a multiplication and a shift instead of a division.
#[inline(always)]
pub const fn slot(hash: u32, slots: u32) -> u32 {
    ((hash as u64 * slots as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    const KEY: Key = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

    fn ports(sport: u16, dport: u16) -> u32 {
        u32::from(sport.to_be()) | u32::from(dport.to_be()) << 16
    }

    fn address(bytes: [u8; 4]) -> u32 {
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn the_layout_is_frozen() {
        let flow = flow4(KEY, address([192, 0, 2, 1]), address([10, 1, 0, 100]), ports(40000, 443), 6);
        assert_eq!((flow, client4(KEY, address([192, 0, 2, 1]))), GOLDEN);
    }

    const GOLDEN: (u32, u32) = (2_599_944_733, 1_995_333_676);

    #[test]
    fn the_layout_is_frozen_for_ipv6() {
        let (src, dst) = ([0x0000_b80d_0120_0000, 1], [2, 3]);
        assert_eq!((flow6(KEY, src, dst, ports(40000, 443), 6), client6(KEY, src)), GOLDEN_6);
    }

    const GOLDEN_6: (u32, u32) = (2_602_811_634, 2_850_244_768);

    #[test]
    fn every_slot_of_every_size_is_reached_and_none_beyond() {
        for slots in [251, 1009, 65_537] {
            assert_eq!(slot(0, slots), 0);
            assert_eq!(slot(u32::MAX, slots), slots - 1);
        }
    }

    /// Chi-squared of `counts` against a uniform distribution, in standard deviations from its mean.
    fn deviation(counts: &[u32]) -> f64 {
        let bins = f64::from(u32::try_from(counts.len()).unwrap());
        let expected = f64::from(counts.iter().sum::<u32>()) / bins;
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        (chi - (bins - 1.0)) / (2.0 * (bins - 1.0)).sqrt()
    }

    #[test]
    fn one_client_with_consecutive_ports_spreads_evenly() {
        let mut counts = vec![0; 251];
        for port in 1024..=65_535 {
            let hash = flow4(KEY, address([192, 0, 2, 1]), address([10, 1, 0, 100]), ports(port, 443), 6);
            counts[slot(hash, 251) as usize] += 1;
        }
        assert!(deviation(&counts).abs() < 5.0, "{}", deviation(&counts));
    }

    #[test]
    fn consecutive_clients_spread_evenly_by_address_and_by_flow() {
        for by_flow in [false, true] {
            let mut counts = vec![0; 251];
            for client in 0..100_000u32 {
                let src = (0x0a00_0000 + client).to_be();
                let hash = if by_flow { flow4(KEY, src, 7, ports(50_000, 443), 6) } else { client4(KEY, src) };
                counts[slot(hash, 251) as usize] += 1;
            }
            assert!(deviation(&counts).abs() < 5.0, "{}", deviation(&counts));
        }
    }

    #[test]
    fn ipv6_clients_that_differ_in_a_few_bits_spread_evenly() {
        for half in [0, 1] {
            let mut counts = vec![0; 251];
            for client in 0..100_000u64 {
                let mut src = [0x2001_0db8, 0x11];
                src[half] ^= client.to_be();
                counts[slot(flow6(KEY, src, [5, 6], ports(50_000, 443), 6), 251) as usize] += 1;
            }
            assert!(deviation(&counts).abs() < 5.0, "{}", deviation(&counts));
        }
    }

    #[test]
    fn flipping_any_input_bit_flips_each_output_bit_half_the_time() {
        let flip = |bit: usize, src: u32, dst: u32, ports: u32| match bit {
            0..32 => (src ^ 1 << bit, dst, ports),
            32..64 => (src, dst ^ 1 << (bit - 32), ports),
            _ => (src, dst, ports ^ 1 << (bit - 64)),
        };
        let mut state = 1u64;
        let mut next = || {
            state = mix(state, 0x1234_5678_9abc_def1);
            u32::try_from(state >> 32).unwrap()
        };
        let samples: Vec<_> = (0..4000).map(|_| (next(), next(), next())).collect();
        for bit in 0..96 {
            let mut flips = [0u32; 32];
            for &(src, dst, ports) in &samples {
                let (src2, dst2, ports2) = flip(bit, src, dst, ports);
                let changed = flow4(KEY, src, dst, ports, 6) ^ flow4(KEY, src2, dst2, ports2, 6);
                for (out, count) in flips.iter_mut().enumerate() {
                    *count += changed >> out & 1;
                }
            }
            for (out, &count) in flips.iter().enumerate() {
                assert!((1600..2400).contains(&count), "input bit {bit} flips output bit {out} {count} times of 4000");
            }
        }
    }

    #[test]
    fn another_key_gives_another_hash() {
        let flow = |key| flow4(key, 1, 2, 3, 6);
        assert_ne!(flow(KEY), flow([KEY[0] ^ 1, KEY[1]]));
        assert_ne!(flow(KEY), flow([KEY[0], KEY[1] ^ 1]));
    }
}
