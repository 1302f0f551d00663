//! One service: how each server of its array stands, and which of them take part in its table.

use std::{collections::BTreeMap, time::SystemTime};

use super::{
    ids::Ids,
    judge::{Judge, Verdict},
    maglev::Member,
};
use crate::{
    config::deployment::{AllDown, Array, Check, Mode, Server, Service},
    health::Outcome,
    host::{Path, PathProblem},
};

/// State of a server in a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Not judged yet; gets no traffic.
    Checking,
    /// Gets its share.
    Up,
    /// Weight 0: gets no traffic.
    Drained,
    /// Does not answer; gets no traffic.
    Down,
}

impl ServerState {
    /// The word users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Up => "up",
            Self::Drained => "drained",
            Self::Down => "down",
        }
    }
}

/// What is known of the way to a server: `None` while nothing is.
pub(super) type KnownPath<'a> = Option<&'a Result<Path, PathProblem>>;

/// How a server stands in a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its state.
    pub state: ServerState,
    /// Since when.
    pub since: SystemTime,
    /// Why, one sentence without a full stop.
    pub reason: String,
    /// Something to mend although the checks pass.
    pub warning: Option<String>,
    judges: Vec<(Check, Judge)>,
    /// The judgement that holds while a check has none of its own yet.
    held: Option<Verdict>,
}

/// A change of a server's state, for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// The array.
    pub array: String,
    /// The service.
    pub service: String,
    /// The server.
    pub server: String,
    /// The state before.
    pub from: ServerState,
    /// The state now.
    pub to: ServerState,
    /// Why.
    pub reason: String,
}

/// The servers of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServiceState {
    standings: BTreeMap<String, Standing>,
    members: Vec<Member>,
    all_down: bool,
}

impl Standing {
    fn new(since: SystemTime) -> Self {
        Self {
            state: ServerState::Checking,
            since,
            reason: "not checked yet".to_owned(),
            warning: None,
            judges: Vec::new(),
            held: None,
        }
    }

    /// Takes over the checks of a configuration. What an equal check found earlier counts on; a check that only changed
    /// its rise, fall or pace keeps it as well.
    fn configure(&mut self, checks: &[Check]) {
        let mut before = std::mem::take(&mut self.judges);
        let judge = |check: &Check| {
            let same = before.iter().position(|(old, _)| old.kind == check.kind && old.port == check.port);
            let judge = match same {
                Some(position) => before.swap_remove(position).1.with(check.rise, check.fall),
                None => Judge::new(check.rise, check.fall),
            };
            (check.clone(), judge)
        };
        self.judges = checks.iter().map(judge).collect();
    }

    /// State, reason and warning as they follow from what is known.
    fn judged(&self, server: &Server, mode: Mode, path: KnownPath<'_>) -> (ServerState, String) {
        if server.weight == 0 {
            return (ServerState::Drained, "weight 0".to_owned());
        }
        match path {
            None => return (ServerState::Checking, "looking for it on the network".to_owned()),
            Some(Err(problem)) => return (ServerState::Down, problem.to_string()),
            Some(Ok(path)) if mode == Mode::Dsr && !path.on_link => {
                let reason = format!(
                    "it is behind the gateway {}, and dsr reaches servers in the balancer's own segment only; use nat \
                     for this service, or correct the address",
                    path.next_hop
                );
                return (ServerState::Down, reason);
            }
            Some(Ok(_)) => {}
        }
        let failing = self.judges.iter().find(|(_, judge)| judge.verdict() == Some(Verdict::Down));
        if let Some((check, judge)) = failing {
            return (ServerState::Down, describe(check, judge));
        }
        let waiting = self.judges.iter().any(|(_, judge)| judge.verdict().is_none());
        match (waiting, self.held) {
            (false, _) => (ServerState::Up, self.why_up()),
            (true, Some(Verdict::Up)) => (ServerState::Up, "kept from before, not checked yet".to_owned()),
            (true, Some(Verdict::Down)) => (ServerState::Down, "down before, not checked again yet".to_owned()),
            (true, None) => (ServerState::Checking, "not checked yet".to_owned()),
        }
    }

    fn why_up(&self) -> String {
        let doubted = self.judges.iter().find(|(_, judge)| judge.doubt().is_some());
        doubted.or(self.judges.first()).map_or_else(String::new, |(check, judge)| describe(check, judge))
    }

    fn settle(&mut self, state: ServerState, reason: String, now: SystemTime) -> Option<ServerState> {
        self.held = match state {
            ServerState::Up => Some(Verdict::Up),
            ServerState::Down => Some(Verdict::Down),
            ServerState::Checking | ServerState::Drained => self.held,
        };
        self.warning = self.judges.iter().find_map(|(_, judge)| judge.last()?.warning.clone());
        self.reason = reason;
        let before = self.state;
        if before == state {
            return None;
        }
        (self.state, self.since) = (state, now);
        Some(before)
    }
}

/// `https check on port 443: GET /owa/healthcheck.htm answered 503 (2 of 3 that take it down)`.
fn describe(check: &Check, judge: &Judge) -> String {
    let found = judge.last().map_or("not checked yet", |last| last.detail.as_str());
    let doubt = match (judge.verdict(), judge.doubt()) {
        (Some(Verdict::Up), Some((count, of))) => format!(" ({count} of {of} failures that take it down)"),
        (Some(Verdict::Down), Some((count, of))) => format!(" ({count} of {of} successes that bring it up)"),
        _ => String::new(),
    };
    format!("{} check on port {}: {found}{doubt}", check.kind, check.port)
}

impl ServiceState {
    /// A service whose table, made by a controller before this one, steered to `members`: they count as up until they
    /// have been checked.
    pub(super) fn adopted(members: impl Iterator<Item = String>, now: SystemTime) -> Self {
        let standing = |name: String| {
            let standing = Standing {
                state: ServerState::Up,
                held: Some(Verdict::Up),
                reason: "kept from before, not checked yet".to_owned(),
                ..Standing::new(now)
            };
            (name, standing)
        };
        Self { standings: members.map(standing).collect(), ..Self::default() }
    }

    /// Takes over the servers and checks of a configuration.
    pub(super) fn configure(&mut self, array: &Array, service: &Service, ids: &Ids, now: SystemTime) {
        let mut before = std::mem::take(&mut self.standings);
        for server in &array.servers {
            let key = server.name.to_ascii_lowercase();
            let mut standing = before.remove(&key).unwrap_or_else(|| Standing::new(now));
            standing.configure(&service.checks);
            if standing.held == Some(Verdict::Up) && self.members.iter().all(|member| !same_name(member, server)) {
                self.members.extend(member(array, server, ids));
            }
            self.standings.insert(key, standing);
        }
    }

    /// Takes the outcome of a check into account; `false` when there is no such check.
    pub(super) fn hear(&mut self, server: &str, check: usize, outcome: &Outcome) -> bool {
        let standing = self.standings.get_mut(&server.to_ascii_lowercase());
        let Some((_, judge)) = standing.and_then(|standing| standing.judges.get_mut(check)) else {
            return false;
        };
        judge.hear(outcome);
        true
    }

    /// Whether everything that can be known about every server is known once.
    pub(super) fn is_known<'a>(&self, array: &Array, path: impl Fn(&Server) -> KnownPath<'a>) -> bool {
        array.servers.iter().all(|server| {
            let judged = |standing: &Standing| standing.judges.iter().all(|(_, judge)| judge.verdict().is_some());
            server.weight == 0
                || match path(server) {
                    None => false,
                    Some(Err(_)) => true,
                    Some(Ok(_)) => self.standing(server).is_some_and(judged),
                }
        })
    }

    /// Draws the conclusions: the state of every server, and who takes part in the table.
    pub(super) fn conclude<'a>(
        &mut self,
        array: &Array,
        service: &Service,
        ids: &Ids,
        path: impl Fn(&Server) -> KnownPath<'a>,
        now: SystemTime,
    ) -> Vec<StateChange> {
        let mut changes = Vec::new();
        let mut up = Vec::new();
        for server in &array.servers {
            let Some(standing) = self.standings.get_mut(&server.name.to_ascii_lowercase()) else {
                continue;
            };
            let (state, reason) = standing.judged(server, service.mode, path(server));
            if let Some(from) = standing.settle(state, reason, now) {
                changes.push(StateChange {
                    array: array.name.clone(),
                    service: service.name.clone(),
                    server: server.name.clone(),
                    from,
                    to: state,
                    reason: standing.reason.clone(),
                });
            }
            if state == ServerState::Up {
                up.extend(member(array, server, ids));
            }
        }
        self.all_down = up.is_empty();
        self.members = match (up.is_empty(), service.all_down) {
            (false, _) => up,
            (true, AllDown::Withdraw) => Vec::new(),
            (true, AllDown::KeepLast) => {
                let last = array
                    .servers
                    .iter()
                    .filter(|server| server.weight > 0 && self.members.iter().any(|member| same_name(member, server)));
                last.filter_map(|server| member(array, server, ids)).collect()
            }
        };
        changes
    }

    /// Who takes part in the table.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether no server is up.
    pub(super) fn all_down(&self) -> bool {
        self.all_down
    }

    /// How a server stands.
    pub(super) fn standing(&self, server: &Server) -> Option<&Standing> {
        self.standings.get(&server.name.to_ascii_lowercase())
    }
}

fn same_name(member: &Member, server: &Server) -> bool {
    member.name.eq_ignore_ascii_case(&server.name)
}

fn member(array: &Array, server: &Server, ids: &Ids) -> Option<Member> {
    let id = ids.server(&array.name, &server.name)?.id;
    Some(Member { name: server.name.clone(), weight: server.weight, id })
}
