//! Keeps the NICs and the paths to a set of addresses current, and tells of every change.
//!
//! Each look is a full one: the kernel's announcements only say when to look. So nothing is lost when announcements are,
//! and a look every ten seconds catches what is not announced.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    HostError, Link, Path, PathProblem,
    kernel::{Change, Changes, Kernel},
    paths,
    resolution::{RETRY, Resolutions},
};

/// How long announcements are gathered before the next look: one event at a NIC makes dozens.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// A look at least so often.
const SAFETY: Duration = Duration::from_secs(10);

/// Pause before netlink sockets that failed are opened anew.
const REOPEN: Duration = Duration::from_secs(1);

/// A look takes milliseconds; one that takes longer than this hangs.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Something about the host's network is new or has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// The NICs: once at the start and when anything about them changes.
    Links(Vec<Link>),
    /// The path to a target: once for each new target and on each change. The first one comes when it is known: at once if
    /// the neighbour is in the kernel's table, else when it answers, or after about 3 seconds without an answer.
    Path {
        /// The target.
        address: IpAddr,
        /// How it is reached, or why not.
        path: Result<Path, PathProblem>,
    },
}

/// Watches the host's network until it is dropped or nobody receives the events any more.
#[derive(Debug)]
pub struct HostWatch {
    targets: watch::Sender<Targets>,
    task: JoinHandle<()>,
}

impl HostWatch {
    /// Starts to watch the network namespace of this thread. Needs a Tokio runtime, and `CAP_NET_ADMIN` to have neighbours
    /// resolved. When `events` is full the watch waits; later events then tell the latest state only.
    pub fn start(events: mpsc::Sender<HostEvent>) -> Result<Self, HostError> {
        let (targets, wanted) = watch::channel(Targets::default());
        let sockets = Sockets::open()?;
        let watcher = Watcher { wanted, events, view: View::default() };
        Ok(Self { targets, task: tokio::spawn(watcher.run(sockets)) })
    }

    /// Makes `addresses` the targets. A target that stays is not reported again unless it changes; one that was taken
    /// away and comes back is, even if nobody looked in between.
    pub fn set_targets(&self, addresses: Vec<IpAddr>) {
        self.targets.send_modify(|targets| targets.replace(addresses));
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is watched. Each target has the number of the call that made it one, so that a target which went and came back
/// can be told from one that stayed.
#[derive(Clone, Debug, Default)]
struct Targets {
    since: BTreeMap<IpAddr, u64>,
    calls: u64,
}

impl Targets {
    fn replace(&mut self, addresses: Vec<IpAddr>) {
        self.calls += 1;
        let before = std::mem::take(&mut self.since);
        let since = |address: &IpAddr| before.get(address).copied().unwrap_or(self.calls);
        self.since = addresses.into_iter().map(|address| (address, since(&address))).collect();
    }
}

struct Sockets {
    kernel: Kernel,
    changes: Changes,
}

impl Sockets {
    fn open() -> Result<Self, HostError> {
        // The subscription comes first: a change after the first look is announced.
        let changes = Changes::subscribe()?;
        Ok(Self { changes, kernel: Kernel::connect()? })
    }
}

struct Watcher {
    wanted: watch::Receiver<Targets>,
    events: mpsc::Sender<HostEvent>,
    view: View,
}

impl Watcher {
    async fn run(mut self, first: Sockets) {
        let mut sockets = Some(first);
        let mut failed = false;
        loop {
            let result = match sockets.take().map_or_else(Sockets::open, Ok) {
                Ok(open) => self.serve(open, &mut failed).await,
                Err(error) => Err(error),
            };
            let Err(error) = result else { return };
            // Once, not every second for as long as it lasts.
            if !failed {
                tracing::warn!("lost sight of the host's network, trying again: {error}");
            }
            failed = true;
            tokio::time::sleep(REOPEN).await;
        }
    }

    /// Looks and waits in turns. Returns when nobody is interested any more, and with an error when a socket failed.
    async fn serve(&mut self, mut sockets: Sockets, failed: &mut bool) -> Result<(), HostError> {
        loop {
            sockets.changes.drain();
            let targets = self.wanted.borrow_and_update().since.clone();
            let look = self.view.look(&sockets.kernel, &targets);
            let events = tokio::time::timeout(LOOK_TIMEOUT, look).await.map_err(|_| HostError::Silent)??;
            if std::mem::take(failed) {
                tracing::info!("the host's network is in sight again");
            }
            for event in events {
                if self.events.send(event).await.is_err() {
                    return Ok(());
                }
            }
            let pause = if self.view.resolutions.any_unresolved() { RETRY } else { SAFETY };
            let until = Instant::now() + pause;
            loop {
                tokio::select! {
                    change = sockets.changes.next() => match change {
                        None => return Err(HostError::Silent),
                        // The neighbours of a busy segment change all the time.
                        Some(Change::Neighbour(hop)) if !self.view.resolutions.contains(hop) => continue,
                        Some(_) => {}
                    },
                    changed = self.wanted.changed() => if changed.is_err() { return Ok(()) },
                    () = self.events.closed() => return Ok(()),
                    () = tokio::time::sleep_until(until) => {}
                }
                break;
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }
}

/// What was seen and reported.
#[derive(Default)]
struct View {
    links: Option<Vec<Link>>,
    /// What was reported of each target, and since when it was one then.
    reported: HashMap<IpAddr, (u64, Result<Path, PathProblem>)>,
    resolutions: Resolutions,
}

impl View {
    /// Looks at everything and returns what is new.
    async fn look(&mut self, kernel: &Kernel, targets: &BTreeMap<IpAddr, u64>) -> Result<Vec<HostEvent>, HostError> {
        let mut events = Vec::new();
        let links = kernel.links().await?;
        let neighbours = kernel.neighbours().await?;
        let mut verdicts = HashMap::new();
        let mut hops = HashSet::new();
        for &address in targets.keys() {
            let route = kernel.route(address).await?;
            let path = paths::decide(address, &route, &links, &neighbours);
            // A next hop is of interest when only its MAC address decides.
            let hop = route.hop(address).filter(|_| matches!(path, Ok(_) | Err(PathProblem::Unresolved { .. })));
            hops.extend(hop);
            verdicts.insert(address, (path, hop));
        }
        self.resolutions.retain(&hops);
        let now = Instant::now();
        let mut given_up = HashSet::new();
        for &hop in &hops {
            let step = self.resolutions.step(hop, neighbours.get(&hop), now);
            if step.given_up {
                given_up.insert(hop);
            }
            if step.ask
                && let Err(error) = kernel.resolve(hop).await
            {
                // Its interface may just have gone. Without the right to ask, other traffic may still resolve it.
                tracing::debug!("neighbour {}: {error}", hop.1);
            }
        }
        self.reported.retain(|address, _| verdicts.contains_key(address));
        if self.links.as_ref() != Some(&links) {
            events.push(HostEvent::Links(links.clone()));
            self.links = Some(links);
        }
        for (&address, &since) in targets {
            let Some((path, hop)) = verdicts.remove(&address) else {
                continue;
            };
            let undecided = path.is_err() && hop.is_some_and(|hop| !given_up.contains(&hop));
            let known = |(then, reported): &(u64, Result<Path, PathProblem>)| *then == since && *reported == path;
            if undecided || self.reported.get(&address).is_some_and(known) {
                continue;
            }
            self.reported.insert(address, (since, path.clone()));
            events.push(HostEvent::Path { address, path });
        }
        Ok(events)
    }
}
