//! Reading the configuration again: all of it or none of it.

use std::time::Instant;

use tracing::warn;

use super::Shell;
use crate::{
    api::{ReloadAnswer, ReloadRequest},
    config::{self, deployment::Deployment},
    controller::{
        core::{Effect, Event},
        preflight::{self, Severity},
    },
    explain,
};

impl Shell {
    /// Tries the new configuration on a copy of the core and on the data plane; keeps it only when both took it.
    pub(super) fn reload(&mut self, request: ReloadRequest) -> ReloadAnswer {
        let refused = |message: String, bad_config| ReloadAnswer {
            message,
            warnings: String::new(),
            accepted: false,
            bad_config,
        };
        let loaded = match config::load(&self.options.config) {
            Ok(loaded) => loaded,
            Err(error) => return refused(format!("{error}\nNothing was changed."), true),
        };
        let deployment = loaded.deployment;
        if let Some(problem) = self.objection(&deployment, request) {
            return refused(format!("{problem}; nothing was changed"), true);
        }
        let problems = preflight::preflight(&deployment, &self.links);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity() == Severity::Error).collect();
        if !errors.is_empty() {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            return refused(format!("{}; nothing was changed", errors.join("; ")), true);
        }
        for problem in problems {
            warn!("{problem}");
        }
        if deployment == *self.core.deployment() {
            let warnings = loaded.warnings.render(false);
            return ReloadAnswer { message: "nothing has changed".into(), warnings, accepted: true, bad_config: false };
        }

        let mut core = self.core.clone();
        let effects = core.step(Event::Reload(deployment), self.now());
        let target = effects.iter().rev().find_map(|effect| match effect {
            Effect::Apply(target) => Some(target),
            _ => None,
        });
        if let Some(target) = target {
            let result = tokio::task::block_in_place(|| self.plane.apply(target));
            if let Err(error) = result {
                if let Some(before) = self.core.target() {
                    let back = tokio::task::block_in_place(|| self.plane.apply_as_far_as_possible(before));
                    if back.is_err() {
                        self.retry = Some(Instant::now());
                    }
                }
                return refused(format!("{}; nothing was changed", explain::chain(&error)), false);
            }
        }
        self.core = core;
        let rest = effects.into_iter().filter(|effect| !matches!(effect, Effect::Apply(_))).collect();
        // Without a target among the effects this cannot fail.
        if let Err(error) = self.perform(rest) {
            return refused(explain::chain(error.as_ref()), false);
        }
        ReloadAnswer {
            message: format!("reloaded {}: {}", self.options.config.display(), self.summary()),
            warnings: loaded.warnings.render(false),
            accepted: true,
            bad_config: false,
        }
    }

    /// Why a valid configuration cannot be put in force while the controller runs.
    fn objection(&self, new: &Deployment, request: ReloadRequest) -> Option<String> {
        let (old, new_node) = (&self.core.deployment().node, &new.node);
        if old.name != new_node.name {
            return Some(format!(
                "the node's name changed from {} to {}, which names pins, socket and lock: stop this controller, run \
                 `caslb detach --node {}`, and start it anew",
                old.name, new_node.name, old.name
            ));
        }
        if old.xdp != new_node.xdp {
            return Some(
                "node.xdp cannot change while the program is attached: stop the controller, run `caslb detach`, and \
                 start it anew"
                    .to_owned(),
            );
        }
        if !request.force && (&old.hash_seed, old.slots) != (&new_node.hash_seed, new_node.slots) {
            return Some(
                "hash_seed or slots changed, which moves nearly every connection to another server: if that is meant, \
                 run `caslb reload --force`"
                    .to_owned(),
            );
        }
        None
    }
}
