//! Rules about `[node]`, and about the size of the slot tables.

use crate::config::{
    deployment::XdpMode,
    diagnostic::{Findings, Span, quoted},
    fields::Field,
    names,
    raw::{RawDefaults, RawNode},
};

use super::{
    draft,
    values::{Key, choice, obeys, required, unique},
};

/// Slots of a table. The upper bound is the table size of the Maglev paper (section 5.3: 65537 for hundreds of
/// backends); the lower one still spreads over a handful of servers.
const SLOTS: std::ops::RangeInclusive<i64> = 251..=65_537;

/// Default of `slots`.
const DEFAULT_SLOTS: u32 = 65_537;

/// Default of `name`.
const DEFAULT_NAME: &str = "default";

/// Default of `hash_seed`: fixed, so that nodes without the key agree.
const DEFAULT_HASH_SEED: &str = "caslb";

/// Longest `hash_seed`, in bytes.
const MAX_HASH_SEED: usize = 255;

pub(super) fn validate(node: &RawNode, defaults: &RawDefaults, findings: &mut Findings) -> draft::Node {
    let name = match &node.name {
        Field::Absent => Some(DEFAULT_NAME.to_owned()),
        Field::Reported => None,
        Field::Given(name) => {
            let allowed = "1 to 32 letters, digits, - and _";
            obeys(name, "name", names::node, allowed, findings).map(toml::Spanned::into_inner)
        }
    };
    draft::Node {
        name,
        interfaces: interfaces(node, findings),
        xdp: choice(&node.xdp, "xdp", Some(XdpMode::Auto), findings),
        hash_seed: hash_seed(&node.hash_seed, findings),
        slots: slots(&defaults.slots, findings),
        slots_span: defaults.slots.given_span(),
    }
}

fn interfaces(node: &RawNode, findings: &mut Findings) -> Option<Vec<String>> {
    let key = Key { table: "[node]", span: node.span.as_ref(), name: "interfaces", example: "[\"eth0\"]" };
    let listed = required(&node.interfaces, key, findings)?;
    if listed.get_ref().is_empty() {
        let remedy = "name the NICs that receive traffic for the VIPs, such as [\"eth0\"]";
        findings.error(listed.span(), "`interfaces` is an empty list", remedy);
        return None;
    }
    let allowed = "the name of an interface as `ip link` shows it, of at most 15 bytes";
    let names: Vec<_> =
        listed.get_ref().iter().map(|name| obeys(name, "interfaces", names::interface, allowed, findings)).collect();
    unique(
        names.iter().flatten(),
        String::clone,
        |name| format!("interface {} is listed twice", quoted(name)),
        "remove one of them",
        findings,
    );
    names.into_iter().map(|name| name.map(toml::Spanned::into_inner)).collect()
}

fn hash_seed(field: &Field<String>, findings: &mut Findings) -> Option<String> {
    let value = match field {
        Field::Absent => return Some(DEFAULT_HASH_SEED.to_owned()),
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let length = value.get_ref().len();
    if length == 0 {
        findings.error(value.span(), "`hash_seed` is empty", "remove it, or write some text");
        return None;
    }
    if length > MAX_HASH_SEED {
        let remedy = format!("write at most {MAX_HASH_SEED} bytes");
        findings.error(value.span(), format!("`hash_seed` has {length} bytes"), remedy);
        return None;
    }
    Some(value.get_ref().clone())
}

fn slots(field: &Field<i64>, findings: &mut Findings) -> Option<u32> {
    let value = match field {
        Field::Absent => return Some(DEFAULT_SLOTS),
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let slots: u32 = super::values::in_range(value, "slots", SLOTS, findings)?;
    if !is_prime(slots) {
        // 251 and 65537 are primes, so that there is one on either side.
        let below = (0..slots).rev().find(|number| is_prime(*number)).unwrap_or(DEFAULT_SLOTS);
        let above = prime_from(slots);
        findings.error(
            value.span(),
            format!("`slots` is {slots}, which is not a prime"),
            format!("write {below} or {above}"),
        );
        return None;
    }
    Some(slots)
}

/// Reports a table too small for the largest array, `servers` of `array`.
pub(super) fn slots_suffice(node: &draft::Node, servers: usize, array: &str, findings: &mut Findings) {
    let Some(slots) = node.slots else { return };
    let Ok(servers) = u32::try_from(servers) else {
        return;
    };
    let wanted = servers.saturating_mul(100);
    if slots >= wanted {
        return;
    }
    let better = prime_from(wanted.min(DEFAULT_SLOTS));
    let message = format!("{slots} slots are few for the {servers} servers of array {}", quoted(array));
    let span: Option<Span> = node.slots_span.clone();
    if slots < servers.saturating_mul(2) {
        findings.error(span, message, format!("write slots = {better}, or leave it out for {DEFAULT_SLOTS}"));
    } else if slots < DEFAULT_SLOTS {
        // With 65,537 slots there is nothing better to advise.
        let remedy = format!("shares will be uneven; write slots = {better}, or leave it out for {DEFAULT_SLOTS}");
        findings.warning(span, message, remedy);
    }
}

/// The smallest prime from `number` on, which is at most 65,537, a prime.
fn prime_from(number: u32) -> u32 {
    (number..DEFAULT_SLOTS).find(|number| is_prime(*number)).unwrap_or(DEFAULT_SLOTS)
}

/// By trial division: the largest number asked for is 65,537.
fn is_prime(number: u32) -> bool {
    number >= 2
        && (2..number).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told_from_others() {
        for prime in [2, 3, 5, 251, 65_521, 65_537] {
            assert!(is_prime(prime), "{prime}");
        }
        for number in [0, 1, 4, 253, 65_535, 65_536] {
            assert!(!is_prime(number), "{number}");
        }
        assert_eq!(prime_from(65_522), 65_537);
    }
}
