//! Doing what the core says.

use tracing::{info, warn};

use super::Shell;
use crate::controller::{
    core::Effect,
    service::{ServerState, StateChange},
    target::Target,
};

impl Shell {
    /// Does it, in order; of several targets for the data plane the last one counts.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        let mut target: Option<Box<Target>> = None;
        let mut vips = Vec::new();
        for effect in effects {
            match effect {
                Effect::Report(change) => report(&change),
                Effect::Schedule(checks) => self.scheduler.apply(checks),
                Effect::Watch(addresses) => self.watch.set_targets(addresses),
                Effect::Apply(new) => target = Some(new),
                Effect::Announce(new) => vips.extend(new),
            }
        }
        if let Some(target) = target {
            let result = tokio::task::block_in_place(|| self.plane.apply_as_far_as_possible(&target));
            self.applied(result)?;
        }
        self.announcements.begin(vips);
        self.announce();
        Ok(())
    }

    /// Announces what is due, unless the data plane is behind: it would not answer.
    pub(super) fn announce(&mut self) {
        if self.retry.is_none() {
            self.announcements.send(&self.links, self.core.target());
        }
    }
}

fn report(change: &StateChange) {
    let StateChange { array, service, server, from, to, reason } = change;
    let (from, to_name) = (from.name(), to.name());
    let text = format!("{array}/{service}: {server} is {to_name} (was {from}): {reason}");
    if *to == ServerState::Down {
        warn!("{text}");
    } else {
        info!("{text}");
    }
}
