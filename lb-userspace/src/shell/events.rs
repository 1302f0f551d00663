//! Waiting for whatever comes next, and the conversation with the service manager.

use std::{
    io,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::debug;

use super::Shell;
use crate::{api::server::Request, health::scheduler::Report, host::HostEvent};

/// Something the loop must act on.
pub(super) enum Input {
    Check(Report),
    Host(HostEvent),
    Request(Request),
    Reload,
    Time,
    Stop(&'static str),
}

/// The signals that mean something.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Tells the service manager, twice as often as it wants, that the loop still turns.
pub(super) struct Watchdog {
    pause: Option<Duration>,
    last: Instant,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        Self { pause: sd_notify::watchdog_enabled().map(|within| within / 2), last: Instant::now() }
    }

    fn next(&mut self) -> Option<Instant> {
        let pause = self.pause?;
        if self.last.elapsed() >= pause {
            self.last = Instant::now();
            notify(&[NotifyState::Watchdog]);
        }
        Some(self.last + pause)
    }
}

impl Shell {
    /// Waits.
    pub(super) async fn next(&mut self, signals: &mut Signals, watchdog: &mut Watchdog) -> Input {
        let core = self.core.deadline().map(|at| self.started + at);
        let announcement = self.announcements.next().filter(|_| self.retry.is_none());
        let times = [core, self.retry, announcement, watchdog.next()];
        let wait = async {
            match times.into_iter().flatten().min() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // A channel that is closed has lost its sender, which lives as long as this; waiting for it is then no loss.
        tokio::select! {
            Some(report) = self.reports.recv() => Input::Check(report),
            Some(event) = self.host.recv() => Input::Host(event),
            Some(request) = self.requests.recv() => Input::Request(request),
            _ = signals.hangup.recv() => Input::Reload,
            _ = signals.terminate.recv() => Input::Stop("SIGTERM"),
            _ = signals.interrupt.recv() => Input::Stop("SIGINT"),
            () = wait => Input::Time,
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager cannot be told");
    }
}

pub(super) fn notify_ready(summary: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(summary)]);
}

pub(super) fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

pub(super) fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "the service manager cannot be told of the reload"),
    }
}
