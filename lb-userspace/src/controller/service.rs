//! One service: how each server of its array stands, and which of them take part in its table.

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

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
    /// The addresses that are judged; `None` when a controller before this one did it.
    addresses: Option<Vec<IpAddr>>,
    judges: Vec<Judged>,
    /// The judgement that holds while a check has none of its own yet.
    held: Option<Verdict>,
}

/// One check at one address of a server, and what it comes to.
#[derive(Clone, Debug, PartialEq)]
struct Judged {
    address: IpAddr,
    /// Position of the check in its service.
    index: usize,
    check: Check,
    judge: Judge,
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
            addresses: None,
            judges: Vec::new(),
            held: None,
        }
    }

    /// Takes over the addresses and the checks of a configuration. What an equal check found earlier counts on; a check
    /// that only changed its rise, fall or pace keeps it as well. What was found at another address says nothing, but a
    /// server that gets an address of another family beside the one it has keeps its standing until that is checked.
    fn configure(&mut self, server: &Server, service: &Service) {
        let addresses = server.addresses_for(service);
        if self.addresses.as_ref().is_some_and(|before| is_elsewhere(before, &addresses)) {
            self.held = None;
        }
        let presumed_up = self.held == Some(Verdict::Up);
        let mut before = std::mem::take(&mut self.judges);
        let mut judged = |address: IpAddr, index: usize, check: &Check| {
            let is_same =
                |old: &Judged| old.address == address && old.check.kind == check.kind && old.check.port == check.port;
            let judge = match before.iter().position(is_same) {
                Some(position) => before.swap_remove(position).judge.with(check.rise, check.fall),
                None if presumed_up => Judge::new(check.rise, check.fall).presuming_up(),
                None => Judge::new(check.rise, check.fall),
            };
            Judged { address, index, check: check.clone(), judge }
        };
        for &address in &addresses {
            let checks = service.checks.iter().enumerate();
            self.judges.extend(checks.map(|(index, check)| judged(address, index, check)));
        }
        self.addresses = Some(addresses);
    }

    /// State, reason and warning as they follow from what is known.
    fn judged<'a>(&self, server: &Server, mode: Mode, path: impl Fn(IpAddr) -> KnownPath<'a>) -> (ServerState, String) {
        if server.weight == 0 {
            return (ServerState::Drained, "weight 0".to_owned());
        }
        let addresses = self.addresses.as_deref().unwrap_or_default();
        let problem = addresses.iter().find_map(|&address| {
            let problem = unreachable(mode, path(address)?)?;
            Some(if addresses.len() > 1 { format!("{address}: {problem}") } else { problem })
        });
        if let Some(problem) = problem {
            return (ServerState::Down, problem);
        }
        if addresses.iter().any(|&address| path(address).is_none()) {
            return if self.state == ServerState::Up && self.held.is_some() {
                (ServerState::Up, KEPT.to_owned())
            } else {
                (ServerState::Checking, "looking for it on the network".to_owned())
            };
        }
        match self.judgement().or(self.held) {
            Some(Verdict::Up) => (ServerState::Up, self.why_up()),
            Some(Verdict::Down) => (ServerState::Down, self.why_down()),
            None => (ServerState::Checking, "not checked yet".to_owned()),
        }
    }

    /// What the checks say together, when they can.
    fn judgement(&self) -> Option<Verdict> {
        let verdicts = || self.judges.iter().map(|judged| judged.judge.verdict());
        if verdicts().any(|verdict| verdict == Some(Verdict::Down)) {
            return Some(Verdict::Down);
        }
        verdicts().all(|verdict| verdict.is_some()).then_some(Verdict::Up)
    }

    fn why_up(&self) -> String {
        if self.judgement().is_none() {
            return KEPT.to_owned();
        }
        let doubted = self.judges.iter().find(|judged| judged.judge.doubt().is_some());
        doubted.or(self.judges.first()).map_or_else(String::new, |judged| self.describe(judged))
    }

    fn why_down(&self) -> String {
        let failing = self.judges.iter().find(|judged| judged.judge.verdict() == Some(Verdict::Down));
        failing.map_or_else(|| "down before, not checked again yet".to_owned(), |judged| self.describe(judged))
    }

    /// `https check on port 443: GET /owa/healthcheck.htm answered 503 (2 of 3 that take it down)`, with the address
    /// where there are two.
    fn describe(&self, Judged { address, check, judge, .. }: &Judged) -> String {
        let found = judge.last().map_or("not checked yet", |last| last.detail.as_str());
        let doubt = match (judge.verdict(), judge.doubt()) {
            (Some(Verdict::Up), Some((count, of))) => format!(" ({count} of {of} failures that take it down)"),
            (Some(Verdict::Down), Some((count, of))) => format!(" ({count} of {of} successes that bring it up)"),
            _ => String::new(),
        };
        let several = self.addresses.as_ref().is_some_and(|addresses| addresses.len() > 1);
        let place = if several { format!(" of {address}") } else { String::new() };
        format!("{} check on port {}{place}: {found}{doubt}", check.kind, check.port)
    }

    fn settle(&mut self, state: ServerState, reason: String, now: SystemTime) -> Option<ServerState> {
        self.held = match state {
            ServerState::Up => Some(Verdict::Up),
            ServerState::Down => Some(Verdict::Down),
            ServerState::Checking | ServerState::Drained => self.judgement().or(self.held),
        };
        self.warning = self.judges.iter().find_map(|judged| judged.judge.last()?.warning.clone());
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

/// Whether what was found at the addresses `before` says nothing about those `now`: one has been replaced, or none stayed.
fn is_elsewhere(before: &[IpAddr], now: &[IpAddr]) -> bool {
    let replaced = |old: &IpAddr| now.iter().any(|new| new.is_ipv4() == old.is_ipv4() && new != old);
    before.iter().any(replaced) || !before.iter().any(|old| now.contains(old))
}

/// Why a server with this way to it cannot be used.
fn unreachable(mode: Mode, path: &Result<Path, PathProblem>) -> Option<String> {
    match path {
        Err(problem) => Some(problem.to_string()),
        Ok(path) if mode == Mode::Dsr && !path.on_link => Some(format!(
            "it is behind the gateway {}, and dsr reaches servers in the balancer's own segment only; use nat for this \
             service, or correct the address",
            path.next_hop
        )),
        Ok(_) => None,
    }
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
            standing.configure(server, service);
            self.standings.insert(key, standing);
        }
    }

    /// Takes the outcome of a check at an address of a server into account; one that does not exist counts for nothing.
    pub(super) fn hear(&mut self, server: &Server, address: IpAddr, check: usize, outcome: &Outcome) {
        let standing = self.standings.get_mut(&server.name.to_ascii_lowercase());
        let mut judges = standing.into_iter().flat_map(|standing| &mut standing.judges);
        if let Some(judged) = judges.find(|judged| judged.address == address && judged.index == check) {
            judged.judge.hear(outcome);
        }
    }

    /// Whether everything that can be known about every server is known once.
    pub(super) fn is_known<'a>(
        &self,
        array: &Array,
        service: &Service,
        path: impl Fn(IpAddr) -> KnownPath<'a>,
    ) -> bool {
        array.servers.iter().all(|server| {
            let judged = |standing: &Standing| standing.judges.iter().all(|judged| judged.judge.verdict().is_some());
            let paths: Vec<_> = server.addresses_for(service).into_iter().map(&path).collect();
            server.weight == 0
                || paths.iter().any(|path| matches!(path, Some(Err(_))))
                || (paths.iter().all(Option::is_some) && self.standing(server).is_some_and(judged))
        })
    }

    /// Draws the conclusion: the state of a server. Returns what changed.
    pub(super) fn conclude<'a>(
        &mut self,
        array: &Array,
        service: &Service,
        server: &Server,
        path: impl Fn(IpAddr) -> KnownPath<'a>,
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
