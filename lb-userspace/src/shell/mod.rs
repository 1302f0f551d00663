//! The shell around the controller core: it waits for events, hands them to the core, and does what the core says. It
//! decides nothing.

mod announcements;
mod effects;
mod events;
mod reload;

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::{announcements::Announcements, events::Input};
use crate::{
    api::server::{Request, Server},
    config::deployment::Deployment,
    controller::{
        core::{Core, Effect, Event, Moment},
        status,
    },
    dataplane::{DataPlane, DataPlaneError},
    explain,
    health::{
        Tls,
        scheduler::{Report, Scheduler},
    },
    host::{HostEvent, HostWatch, Link, links},
};

/// Pause before a data plane that could not be brought to its target is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What `caslb run` was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file, read again on a reload.
    pub config: PathBuf,
    /// Remove the data plane at the end instead of leaving it forwarding.
    pub detach_on_exit: bool,
}

/// A running controller.
pub struct Shell {
    options: Options,
    started: Instant,
    core: Core,
    plane: DataPlane,
    links: Vec<Link>,
    scheduler: Scheduler,
    watch: HostWatch,
    announcements: Announcements,
    /// When to try again what the data plane refused.
    retry: Option<Instant>,
    ready: bool,
    reports: mpsc::Receiver<Report>,
    host: mpsc::Receiver<HostEvent>,
    requests: mpsc::Receiver<Request>,
    _server: Server,
}

impl Shell {
    /// Sets everything up; needs a tokio runtime and the node's lock. `links` are the NICs of the host.
    pub fn start(
        options: Options,
        deployment: Deployment,
        plane: DataPlane,
        links: Vec<Link>,
    ) -> anyhow::Result<(Self, Vec<Effect>)> {
        let (to_reports, reports) = mpsc::channel(256);
        let (to_host, host) = mpsc::channel(256);
        let (to_requests, requests) = mpsc::channel(16);
        let tls = Tls::new().context("TLS cannot be set up for the checks")?;
        let server = Server::start(&deployment.node.name, to_requests).with_context(|| {
            format!("the socket {} cannot be made", crate::api::socket_path(&deployment.node.name).display())
        })?;
        let watch = HostWatch::start(to_host).context("the host's network cannot be watched")?;
        let adopted = plane.adopted()?;
        let started = Instant::now();
        let now = Moment { elapsed: Duration::ZERO, wall: SystemTime::now() };
        if !adopted.services.is_empty() {
            info!(
                services = adopted.services.len(),
                servers = adopted.servers.len(),
                "took over the data plane that a controller before this one left"
            );
        }
        let (core, effects) = Core::new(deployment, &adopted, now);
        let shell = Self {
            options,
            started,
            core,
            plane,
            links,
            scheduler: Scheduler::new(to_reports, tls),
            watch,
            announcements: Announcements::default(),
            retry: None,
            ready: false,
            reports,
            host,
            requests,
            _server: server,
        };
        Ok((shell, effects))
    }

    /// Runs until a signal ends it.
    pub async fn run(mut self, first: Vec<Effect>) -> anyhow::Result<()> {
        let mut signals = events::Signals::new().context("signals cannot be handled")?;
        let mut watchdog = events::Watchdog::new();
        self.perform(first)?;
        loop {
            let input = self.next(&mut signals, &mut watchdog).await;
            match input {
                Input::Check(report) => self.hear(report)?,
                Input::Host(event) => self.notice(event)?,
                Input::Request(Request::Status(answer)) => {
                    // Who asked may have gone away meanwhile.
                    let _ = answer.send(self.status().await);
                }
                Input::Request(Request::Reload(request, answer)) => {
                    let _ = answer.send(self.reload(request));
                }
                Input::Reload => {
                    events::notify_reloading();
                    let outcome = self.reload(crate::api::ReloadRequest::default());
                    if outcome.accepted {
                        info!("{}", outcome.message);
                    } else {
                        error!("{}", outcome.message);
                    }
                    events::notify_ready(&self.summary());
                }
                Input::Time => self.tick()?,
                Input::Stop(signal) => {
                    info!(signal, "stopping");
                    break;
                }
            }
        }
        events::notify_stopping();
        if self.options.detach_on_exit {
            self.plane.detach()?;
            info!("detached: nothing is steered any more");
        } else {
            info!("the data plane goes on forwarding; `caslb detach` removes it");
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        Moment { elapsed: self.started.elapsed(), wall: SystemTime::now() }
    }

    /// A check has reported; whatever else has been reported meanwhile is taken with it, so that many verdicts make one
    /// change of the data plane.
    fn hear(&mut self, report: Report) -> anyhow::Result<()> {
        let mut effects = Vec::new();
        let mut next = Some(report);
        while let Some(report) = next {
            if self.scheduler.is_current(&report) {
                let event = Event::Check { id: report.id, outcome: report.outcome };
                effects.extend(self.core.step(event, self.now()));
            }
            next = self.reports.try_recv().ok();
        }
        self.perform(effects)
    }

    /// Something about the host's network has changed; as with checks, everything there is is taken at once.
    fn notice(&mut self, event: HostEvent) -> anyhow::Result<()> {
        let mut effects = Vec::new();
        let mut next = Some(event);
        while let Some(event) = next {
            let event = match event {
                HostEvent::Links(links) => {
                    self.links.clone_from(&links);
                    Event::Links(links)
                }
                HostEvent::Path { address, path } => Event::Path { address, path },
            };
            effects.extend(self.core.step(event, self.now()));
            next = self.host.try_recv().ok();
        }
        self.perform(effects)
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        if self.retry.is_some_and(|at| at <= Instant::now()) {
            self.retry = None;
            if let Some(target) = self.core.target().cloned() {
                self.perform(vec![Effect::Apply(Box::new(target))])?;
            }
        }
        // Performing announces what is due.
        let effects = self.core.step(Event::Time, self.now());
        self.perform(effects)
    }

    async fn status(&self) -> status::Status {
        // Attaching is not announced by the kernel, so the NICs that are known may be out of date in that.
        let links = links::snapshot().await.unwrap_or_else(|_| self.links.clone());
        let mut status = status::of(&self.core, &links, |service, ordinal| self.plane.steered(service, ordinal));
        if self.retry.is_some() {
            status.alarms.push("the data plane could not be brought up to date; see the log, trying again".to_owned());
        }
        status
    }

    /// One line for the service manager.
    fn summary(&self) -> String {
        let target = self.core.target();
        let services = target.map_or(0, |target| target.services.len());
        let active = target.map_or(0, |target| target.services.iter().filter(|of| of.table.is_some()).count());
        format!("{active} of {services} services active")
    }

    /// The data plane was or was not brought to its target. The first time decides whether the controller starts at all.
    fn applied(&mut self, result: Result<(), DataPlaneError>) -> anyhow::Result<()> {
        match result {
            Ok(()) => {
                self.retry = None;
                if !self.ready {
                    self.ready = true;
                    info!("ready: {}", self.summary());
                    events::notify_ready(&self.summary());
                }
                Ok(())
            }
            Err(error) if !self.ready => Err(error.into()),
            Err(error) => {
                warn!("{}; trying again in {} s", explain::chain(&error), RETRY.as_secs());
                self.retry = Some(Instant::now() + RETRY);
                Ok(())
            }
        }
    }
}
