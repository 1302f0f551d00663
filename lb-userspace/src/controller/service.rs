//! One service: how each server of its array stands, and which of them take part in its table.

use std::{collections::BTreeMap, net::Ipv4Addr, time::SystemTime};

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
    /// The address that was judged; `None` when a controller before this one did it.
    address: Option<Ipv4Addr>,
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
    /// Who takes part in the last table that was made.
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
            address: None,
            judges: Vec::new(),
            held: None,
        }
    }

    /// Takes over the address and the checks of a configuration. What an equal check found earlier counts on; a check
    /// that only changed its rise, fall or pace keeps it as well. What was found at another address says nothing.
    fn configure(&mut self, server: &Server, checks: &[Check]) {
        if self.address.replace(server.address).is_some_and(|before| before != server.address) {
            self.judges.clear();
            self.held = None;
        }
        let presumed_up = self.held == Some(Verdict::Up);
        let mut before = std::mem::take(&mut self.judges);
        let judge = |check: &Check| {
            let same = before.iter().position(|(old, _)| old.kind == check.kind && old.port == check.port);
            let judge = match same {
                Some(position) => before.swap_remove(position).1.with(check.rise, check.fall),
                None if presumed_up => Judge::new(check.rise, check.fall).presuming_up(),
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
            None if self.state == ServerState::Up && self.held.is_some() => return (ServerState::Up, KEPT.to_owned()),
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
        match self.judgement().or(self.held) {
            Some(Verdict::Up) => (ServerState::Up, self.why_up()),
            Some(Verdict::Down) => (ServerState::Down, self.why_down()),
            None => (ServerState::Checking, "not checked yet".to_owned()),
        }
    }

    /// What the checks say together, when they can.
    fn judgement(&self) -> Option<Verdict> {
        let verdicts = || self.judges.iter().map(|(_, judge)| judge.verdict());
        if verdicts().any(|verdict| verdict == Some(Verdict::Down)) {
            return Some(Verdict::Down);
        }
        verdicts().all(|verdict| verdict.is_some()).then_some(Verdict::Up)
    }

    fn why_up(&self) -> String {
        if self.judgement().is_none() {
            return KEPT.to_owned();
        }
        let doubted = self.judges.iter().find(|(_, judge)| judge.doubt().is_some());
        doubted.or(self.judges.first()).map_or_else(String::new, |(check, judge)| describe(check, judge))
    }

    fn why_down(&self) -> String {
        let failing = self.judges.iter().find(|(_, judge)| judge.verdict() == Some(Verdict::Down));
        failing.map_or_else(|| "down before, not checked again yet".to_owned(), |(check, judge)| describe(check, judge))
    }

    fn settle(&mut self, state: ServerState, reason: String, now: SystemTime) -> Option<ServerState> {
        self.held = match state {
            ServerState::Up => Some(Verdict::Up),
            ServerState::Down => Some(Verdict::Down),
            ServerState::Checking | ServerState::Drained => self.judgement().or(self.held),
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

/// Why a server is up that has not been checked.
const KEPT: &str = "kept from before, not checked yet";

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
    /// A service whose table, made by a controller before this one, steered to servers of these names and ids: they
    /// count as up until they have been checked.
    pub(super) fn adopted(servers: &[(&str, u16)], now: SystemTime) -> Self {
        let standing = |&(name, _): &(&str, u16)| {
            let standing = Standing {
                state: ServerState::Up,
                held: Some(Verdict::Up),
                reason: KEPT.to_owned(),
                ..Standing::new(now)
            };
            (name.to_ascii_lowercase(), standing)
        };
        // Only their names count; weights come from the configuration.
        let member = |&(name, id): &(&str, u16)| Member { name: name.to_owned(), weight: 1, id };
        Self {
            standings: servers.iter().map(standing).collect(),
            members: servers.iter().map(member).collect(),
            all_down: false,
        }
    }

    /// Takes over the servers and checks of a configuration.
    pub(super) fn configure(&mut self, array: &Array, service: &Service, now: SystemTime) {
        let mut before = std::mem::take(&mut self.standings);
        for server in &array.servers {
            let key = server.name.to_ascii_lowercase();
            let mut standing = before.remove(&key).unwrap_or_else(|| Standing::new(now));
            standing.configure(server, &service.checks);
            self.standings.insert(key, standing);
        }
    }

    /// Takes the outcome of a check of a server into account; one that does not exist counts for nothing.
    pub(super) fn hear(&mut self, server: &Server, check: usize, outcome: &Outcome) {
        let standing = self.standings.get_mut(&server.name.to_ascii_lowercase());
        if let Some((_, judge)) = standing.and_then(|standing| standing.judges.get_mut(check)) {
            judge.hear(outcome);
        }
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

    /// Draws the conclusion: the state of a server. Returns what changed.
    pub(super) fn conclude(
        &mut self,
        array: &Array,
        service: &Service,
        server: &Server,
        path: KnownPath<'_>,
        now: SystemTime,
    ) -> Option<StateChange> {
        let standing = self.standings.get_mut(&server.name.to_ascii_lowercase())?;
        let (state, reason) = standing.judged(server, service.mode, path);
        let from = standing.settle(state, reason, now)?;
        Some(StateChange {
            array: array.name.clone(),
            service: service.name.clone(),
            server: server.name.clone(),
            from,
            to: state,
            reason: standing.reason.clone(),
        })
    }

    /// Who takes part in the table that is made now.
    pub(super) fn choose(&mut self, array: &Array, service: &Service, ids: &Ids) -> &[Member] {
        let is_up = |server: &Server| self.standing(server).is_some_and(|of| of.state == ServerState::Up);
        let was_member = |server: &Server| self.members.iter().any(|member| same_name(member, server));
        let all_down = !array.servers.iter().any(is_up);
        let chosen = array.servers.iter().filter(|server| match (all_down, service.all_down) {
            (false, _) => is_up(server),
            (true, AllDown::Withdraw) => false,
            (true, AllDown::KeepLast) => server.weight > 0 && was_member(server),
        });
        self.members = chosen.filter_map(|server| member(array, server, ids)).collect();
        self.all_down = all_down;
        &self.members
    }

    /// Whether no server was up when the last table was made.
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
