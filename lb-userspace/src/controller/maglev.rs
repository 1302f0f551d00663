//! Maglev tables with weights (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
//! section 3.4).
//!
//! Every server has its own permutation of the slots. The servers take turns; in its turn a server takes the first slot
//! of its permutation that is still free, until no slot is. So slots are spread almost evenly, and when a server goes,
//! most slots of the others stay where they are. A server with half the weight of the heaviest takes every second turn.
//!
//! Permutations derive from names and the seed, turns are taken in the order of names: the table is the same on every
//! node with the same servers, whatever the order in its configuration. The construction is frozen by a golden test,
//! since nodes of different releases must agree.

use sha2::{Digest, Sha256};

/// One server that takes part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its name; unique among the members, and case does not count.
    pub name: String,
    /// Its weight, above 0.
    pub weight: u16,
    /// What the table says for it.
    pub id: u16,
}

/// Bounds of the number of slots.
pub const SLOTS: std::ops::RangeInclusive<u32> = 251..=65_537;

struct Turn {
    id: u16,
    weight: u32,
    credit: u32,
    at: usize,
    skip: usize,
}

/// The table of `members`: server ids by slot. `slots` must be prime, so that every permutation reaches every slot.
/// Empty without members.
pub fn table(seed: &str, array: &str, members: &[Member], slots: u32) -> Vec<u16> {
    let slots = slots as usize;
    let mut turns = turns(seed, array, members, slots);
    let Some(heaviest) = turns.iter().map(|turn| turn.weight).max() else {
        return Vec::new();
    };
    // 0 is never a server's id.
    let mut table = vec![0u16; slots];
    let mut free = slots;
    loop {
        for turn in &mut turns {
            turn.credit += turn.weight;
            if turn.credit < heaviest {
                continue;
            }
            turn.credit -= heaviest;
            while table[turn.at] != 0 {
                turn.at = next(turn.at, turn.skip, slots);
            }
            table[turn.at] = turn.id;
            free -= 1;
            if free == 0 {
                return table;
            }
        }
    }
}

fn next(at: usize, skip: usize, slots: usize) -> usize {
    let at = at + skip;
    if at < slots { at } else { at - slots }
}

fn turns(seed: &str, array: &str, members: &[Member], slots: usize) -> Vec<Turn> {
    let mut named: Vec<_> = members
        .iter()
        .filter(|member| member.weight > 0)
        .map(|member| (member.name.to_ascii_lowercase(), member))
        .collect();
    named.sort();
    let turn = |(name, member): &(String, &Member)| {
        let mut hash = Sha256::new();
        for part in [seed, array, name] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let number = |at: usize, below: usize| {
            let number = digest[at..at + 8].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
            // The remainder is below `below`, which is a usize.
            usize::try_from(number % below as u64).unwrap_or(0)
        };
        let weight = u32::from(member.weight);
        Turn { id: member.id, weight, credit: 0, at: number(0, slots), skip: number(8, slots - 1) + 1 }
    };
    named.iter().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn members(weights: &[u16]) -> Vec<Member> {
        let member = |(index, &weight): (usize, &u16)| Member {
            name: format!("EX{index:03}.contoso.com"),
            weight,
            id: u16::try_from(index + 1).unwrap(),
        };
        weights.iter().enumerate().map(member).collect()
    }

    fn shares(table: &[u16]) -> BTreeMap<u16, usize> {
        let mut shares = BTreeMap::new();
        for &id in table {
            *shares.entry(id).or_default() += 1;
        }
        shares
    }

    #[test]
    fn the_construction_is_frozen() {
        let table = table("caslb", "ams", &members(&[100, 100, 50]), 251);
        let digest = table.iter().fold(0u64, |digest, &id| digest.wrapping_mul(31).wrapping_add(u64::from(id)));
        assert_eq!((&table[..8], digest), (&GOLDEN.0[..], GOLDEN.1));
    }

    const GOLDEN: ([u16; 8], u64) = ([1, 2, 3, 2, 1, 2, 3, 2], 14_750_045_359_719_919_327);

    #[test]
    fn the_order_and_case_of_names_do_not_matter() {
        let one = members(&[100, 50, 70, 100]);
        let mut other: Vec<_> = one.iter().rev().cloned().collect();
        other[0].name.make_ascii_uppercase();
        assert_eq!(table("s", "a", &one, 1009), table("s", "a", &other, 1009));
        assert_ne!(table("s", "a", &one, 1009), table("t", "a", &one, 1009));
    }

    #[test]
    fn nobody_gets_nothing_and_weight_zero_gets_none() {
        assert!(table("s", "a", &[], 251).is_empty());
        assert!(table("s", "a", &members(&[0, 0]), 251).is_empty());
        let shares = shares(&table("s", "a", &members(&[100, 0, 1]), 65_537));
        assert_eq!(shares.keys().copied().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn the_busiest_of_a_hundred_servers_has_at_most_two_percent_more_than_its_share() {
        let shares = shares(&table("s", "a", &members(&[100; 100]), 65_537));
        assert!(shares.values().all(|&share| share * 100 <= 65_537 * 102 / 100), "{shares:?}");
    }

    #[test]
    fn one_of_a_hundred_servers_going_moves_few_slots_of_the_others() {
        let all = members(&[100; 100]);
        let before = table("s", "a", &all, 65_537);
        for gone in [0, 42, 99] {
            let mut left = all.clone();
            let gone = left.remove(gone).id;
            let after = table("s", "a", &left, 65_537);
            let moved = before.iter().zip(&after).filter(|&(&old, &new)| old != gone && old != new).count();
            assert!(moved * 100 <= 65_537, "{moved} slots moved");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_are_within_two_percent_of_the_weights(weights in proptest::collection::vec(1u16..=1000, 1..40)) {
            let shares = shares(&table("s", "a", &members(&weights), 65_537));
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            for (index, &weight) in weights.iter().enumerate() {
                let due = 65_537.0 * f64::from(weight) / sum;
                let share = shares.get(&u16::try_from(index + 1).unwrap()).copied().unwrap_or(0);
                let error = (f64::from(u32::try_from(share).unwrap()) - due).abs();
                prop_assert!(error <= due * 0.02 + 1.0, "weight {weight} of {sum}: {share} slots, due {due}");
            }
        }
    }
}
