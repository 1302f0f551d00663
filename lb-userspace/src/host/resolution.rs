//! When to ask the kernel to resolve a next hop, and when silence is an answer.
//!
//! Pure bookkeeping over time: [`super::watch`] feeds it the state of each next hop and does what it says.
//!
//! The kernel sends three ARP requests a second apart before it gives up (`mcast_solicit`, `retrans_time_ms` of arp(7)), so
//! a next hop counts as unresolved only when that has happened after we asked, or was due to. That also bridges the
//! moment in which a known neighbour with a new MAC address is looked for again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rtnetlink::packet_route::neighbour::NeighbourState;
use tokio::time::Instant;

use super::paths::{Hop, Neighbour};

/// Asking again for a next hop that does not resolve.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// A next hop unresolved for so long is taken as such, whatever the kernel says about it.
const GRACE: Duration = Duration::from_millis(3500);

/// A kernel that has given up so soon after we asked has not tried.
const SETTLE: Duration = Duration::from_millis(500);

/// XDP traffic does not pass the kernel's neighbour table, so that an entry could stay stale for ever while the server has
/// got another NIC: a stale entry is used as often, which makes the kernel confirm it.
const REFRESH: Duration = Duration::from_secs(10);

/// The next hops in use.
#[derive(Debug, Default)]
pub(super) struct Resolutions(HashMap<Hop, Progress>);

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    unresolved_since: Option<Instant>,
    asked: Option<Instant>,
}

impl Progress {
    fn asked_within(&self, pace: Duration, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now.duration_since(asked) < pace)
    }
}

/// What follows from the state of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Ask the kernel to resolve or confirm it now.
    pub(super) ask: bool,
    /// It is unresolved, and there was time enough.
    pub(super) given_up: bool,
}

impl Resolutions {
    /// Forgets all next hops but these.
    pub(super) fn retain(&mut self, hops: &HashSet<Hop>) {
        self.0.retain(|hop, _| hops.contains(hop));
    }

    /// Whether a change of this neighbour is of interest.
    pub(super) fn contains(&self, hop: Hop) -> bool {
        self.0.contains_key(&hop)
    }

    /// Whether a next hop is being resolved.
    pub(super) fn any_unresolved(&self) -> bool {
        self.0.values().any(|progress| progress.unresolved_since.is_some())
    }

    /// Takes note of `neighbour`, the entry of the table for `hop`.
    pub(super) fn step(&mut self, hop: Hop, neighbour: Option<&Neighbour>, now: Instant) -> Step {
        use NeighbourState as S;
        let progress = self.0.entry(hop).or_default();
        let state = neighbour.map(|neighbour| neighbour.state);
        let step = if neighbour.is_some_and(Neighbour::resolved) {
            progress.unresolved_since = None;
            Step { ask: state == Some(S::Stale) && !progress.asked_within(REFRESH, now), given_up: false }
        } else {
            let since = *progress.unresolved_since.get_or_insert_with(|| {
                // An earlier question was about another loss: ask at once.
                progress.asked = None;
                now
            });
            // The kernel is at it already, or it was an administrator who said that there is no MAC address.
            let leave = matches!(state, Some(S::Incomplete | S::Delay | S::Probe | S::Permanent | S::Noarp));
            let waited = now.duration_since(since);
            Step {
                ask: !leave && !progress.asked_within(RETRY, now),
                given_up: waited >= GRACE || (state == Some(S::Failed) && waited >= SETTLE),
            }
        };
        if step.ask {
            progress.asked = Some(now);
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};

    use super::*;
    use crate::host::paths::neighbour;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 12);
    const HOP: Hop = (2, IpAddr::V4(ADDRESS));

    fn entry(state: NeighbourState, mac: Option<[u8; 6]>) -> Neighbour {
        let mut message = NeighbourMessage::default();
        message.header.state = state;
        message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(ADDRESS))];
        message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        neighbour(&message).unwrap().1
    }

    /// Runs through (milliseconds, state) and returns what was said to each: `a` for ask, `u` for given up.
    fn said(states: &[(u64, Option<NeighbourState>)]) -> Vec<&'static str> {
        let start = Instant::now();
        let mut resolutions = Resolutions::default();
        states
            .iter()
            .map(|(millis, state)| {
                let mac =
                    state.filter(|state| *state != NeighbourState::Failed && *state != NeighbourState::Incomplete);
                let neighbour = state.map(|state| entry(state, mac.map(|_| [2, 0, 0, 0, 0, 2])));
                match resolutions.step(HOP, neighbour.as_ref(), start + Duration::from_millis(*millis)) {
                    Step { ask: true, given_up: true } => "au",
                    Step { ask: true, given_up: false } => "a",
                    Step { ask: false, given_up: true } => "u",
                    Step { ask: false, given_up: false } => "",
                }
            })
            .collect()
    }

    #[test]
    fn an_unknown_neighbour_is_asked_for_and_given_up_when_the_kernel_gives_up() {
        use NeighbourState as S;
        let states = [
            (0, None),
            (20, Some(S::Incomplete)),
            (1020, Some(S::Incomplete)),
            (3100, Some(S::Failed)),
            (3120, Some(S::Incomplete)),
            (3300, Some(S::Failed)),
        ];
        assert_eq!(said(&states), ["a", "", "", "au", "", "u"]);
    }

    #[test]
    fn an_old_failure_is_no_answer_to_a_new_question() {
        use NeighbourState as S;
        assert_eq!(said(&[(0, Some(S::Failed)), (20, Some(S::Incomplete)), (80, Some(S::Reachable))]), ["a", "", ""]);
        // The kernel did nothing when asked.
        assert_eq!(said(&[(0, Some(S::Failed)), (600, Some(S::Failed))]), ["a", "u"]);
    }

    #[test]
    fn after_the_grace_it_is_unresolved_whatever_the_state() {
        assert_eq!(said(&[(0, None), (3400, None), (3600, None)]), ["a", "a", "u"]);
    }

    #[test]
    fn asking_keeps_a_pace_of_a_second() {
        let states: Vec<_> = (0..40).map(|step| (step * 100, Some(NeighbourState::Failed))).collect();
        let asked = said(&states).iter().filter(|said| said.contains('a')).count();
        assert_eq!(asked, 4);
    }

    #[test]
    fn a_stale_neighbour_is_confirmed_now_and_then_and_others_are_left_alone() {
        use NeighbourState as S;
        let states =
            [(0, Some(S::Stale)), (5000, Some(S::Stale)), (11_000, Some(S::Stale)), (30_000, Some(S::Reachable))];
        assert_eq!(said(&states), ["a", "", "a", ""]);
        assert_eq!(said(&[(0, Some(S::Permanent)), (60_000, Some(S::Permanent))]), ["", ""]);
    }

    #[test]
    fn a_neighbour_that_was_resolved_gets_a_new_chance_before_it_is_given_up() {
        use NeighbourState as S;
        let states = [
            (0, Some(S::Reachable)),
            (60_000, Some(S::Failed)),
            (60_020, Some(S::Incomplete)),
            (63_020, Some(S::Failed)),
        ];
        assert_eq!(said(&states), ["", "a", "", "au"]);
    }

    #[test]
    fn a_neighbour_lost_just_after_it_was_found_is_asked_for_at_once() {
        use NeighbourState as S;
        let states = [(0, None), (20, Some(S::Reachable)), (100, Some(S::Failed)), (120, Some(S::Incomplete))];
        assert_eq!(said(&states), ["a", "", "a", ""]);
    }

    #[test]
    fn forgotten_next_hops_are_of_no_interest() {
        let mut resolutions = Resolutions::default();
        resolutions.step(HOP, None, Instant::now());
        assert!(resolutions.contains(HOP) && resolutions.any_unresolved());
        resolutions.retain(&HashSet::new());
        assert!(!resolutions.contains(HOP) && !resolutions.any_unresolved());
    }
}
