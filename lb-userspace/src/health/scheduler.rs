//! Runs every check on its own cadence and reports each outcome.
//!
//! One task a check. Decides when a check runs and nothing else: outcomes are passed on as they are.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use super::{Failed, Outcome, Probe, Tls, probe_of};
use crate::config::deployment::Check;

/// How many checks of this node may be under way at once. Each holds one or two file descriptors.
const AT_ONCE: usize = 1024;

/// The first run of a check comes within this time, and within a tenth of its interval.
const FIRST_WITHIN: Duration = Duration::from_millis(200);

/// How far, as a share of the interval, a start may be off, so that checks do not fall into step.
const JITTER: f64 = 0.05;

/// Names one check of one address of one server within one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId {
    /// The array's name.
    pub array: Arc<str>,
    /// The service's name.
    pub service: Arc<str>,
    /// The server's name.
    pub server: Arc<str>,
    /// The address of the server that is asked.
    pub address: IpAddr,
    /// Position of the check in its service.
    pub index: usize,
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { array, service, server, address, index } = self;
        write!(f, "{array}/{service}/{server} check {} of {address}", index + 1)
    }
}

/// A check that should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledCheck {
    /// Its name, unique among all checks.
    pub id: CheckId,
    /// The server's own address and the port of the check.
    pub server: SocketAddr,
    /// What to ask, and how often.
    pub check: Check,
}

/// The outcome of one run of a check.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which check.
    pub id: CheckId,
    /// Whom it asked.
    pub server: SocketAddr,
    /// What it found.
    pub outcome: Outcome,
    /// How long it took; at most about the check's timeout.
    pub took: Duration,
    /// When it was over.
    pub at: Instant,
    /// Which task ran it; see [`Scheduler::is_current`].
    task: u64,
}

/// Runs the checks. Dropping it stops all of them.
#[derive(Debug)]
pub struct Scheduler {
    reports: mpsc::Sender<Report>,
    tls: Tls,
    permits: Arc<Semaphore>,
    running: HashMap<CheckId, Running>,
    next_task: u64,
}

#[derive(Debug)]
struct Running {
    scheduled: ScheduledCheck,
    task: u64,
    handle: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Scheduler {
    /// A scheduler without checks that will send to `reports`. When that is full, checks wait instead of losing reports.
    pub fn new(reports: mpsc::Sender<Report>, tls: Tls) -> Self {
        Self { reports, tls, permits: Arc::new(Semaphore::new(AT_ONCE)), running: HashMap::new(), next_task: 0 }
    }

    /// Makes `wanted` the checks that run. Needs a Tokio runtime.
    ///
    /// A check that is wanted as it already runs keeps its schedule. One that is no longer wanted, or wanted differently,
    /// is stopped; a report of it that is already in the channel is no longer current.
    pub fn apply(&mut self, wanted: Vec<ScheduledCheck>) {
        let mut before = std::mem::take(&mut self.running);
        for scheduled in wanted {
            let running = match before.remove(&scheduled.id) {
                Some(running) if running.scheduled == scheduled => running,
                _ => self.start(scheduled),
            };
            self.running.insert(running.scheduled.id.clone(), running);
        }
    }

    /// Whether `report` comes from a check that still runs as it did; false once [`Self::apply`] removed or changed it.
    pub fn is_current(&self, report: &Report) -> bool {
        self.running.get(&report.id).is_some_and(|running| running.task == report.task)
    }

    fn start(&mut self, scheduled: ScheduledCheck) -> Running {
        let task = self.next_task;
        self.next_task += 1;
        let runner = Runner {
            id: scheduled.id.clone(),
            server: scheduled.server,
            interval: scheduled.check.interval,
            timeout: scheduled.check.timeout,
            probe: probe_of(&scheduled.check, scheduled.server, &self.tls),
            task,
            permits: Arc::clone(&self.permits),
            reports: self.reports.clone(),
        };
        Running { scheduled, task, handle: tokio::spawn(runner.run()) }
    }
}

/// What the task of one check needs.
struct Runner {
    id: CheckId,
    server: SocketAddr,
    interval: Duration,
    timeout: Duration,
    /// A check that cannot be made is reported as such each time it is due.
    probe: Result<Box<dyn Probe>, Failed>,
    task: u64,
    permits: Arc<Semaphore>,
    reports: mpsc::Sender<Report>,
}

impl Runner {
    /// Runs until nobody listens any more.
    async fn run(self) {
        let mut due = tokio::time::Instant::now() + first_delay(self.interval, fastrand::f64());
        loop {
            tokio::time::sleep_until(due).await;
            // Waiting for a permit is this host's doing and does not count towards the timeout. The semaphore is never
            // closed, and without it there would be nothing to wait for.
            let permit = self.permits.acquire().await;
            let started = tokio::time::Instant::now();
            let outcome = self.once().await;
            let took = started.elapsed();
            drop(permit);
            let report =
                Report { id: self.id.clone(), server: self.server, outcome, took, at: Instant::now(), task: self.task };
            if self.reports.send(report).await.is_err() {
                return;
            }
            // Start to start. Starts that were missed meanwhile are not made up for.
            due = (due + jittered(self.interval, fastrand::f64())).max(tokio::time::Instant::now());
        }
    }

    async fn once(&self) -> Outcome {
        let probe = self.probe.as_ref().map_err(Clone::clone)?;
        tokio::time::timeout(self.timeout, probe.probe()).await.unwrap_or_else(|_| Err(Failed::no_answer(self.timeout)))
    }
}

/// Time to the first run, for a `random` in [0, 1): soon, but not all at once.
fn first_delay(interval: Duration, random: f64) -> Duration {
    (interval / 10).min(FIRST_WITHIN).mul_f64(random)
}

/// Time from one start to the next, for a `random` in [0, 1).
fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
