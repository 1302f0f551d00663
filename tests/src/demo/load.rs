//! Requests through the VIP, each on a connection of its own from a port that is known, and when each was answered.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::stage::{PATIENCE, Stage};
use crate::client::Client;
use crate::wait;

/// Time from one request to the next; a request that takes longer delays the next.
pub(super) const EVERY: Duration = Duration::from_millis(10);
/// Requests that one load may make: 30 s of them, far more than a step takes.
const MOST: u16 = 3000;

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Where it came from.
    pub(super) from: SocketAddr,
    /// When it was begun.
    pub(super) begun: Instant,
    /// When it was answered or had failed.
    pub(super) ended: Instant,
    /// The name of the server that answered; `None` if it failed.
    pub(super) server: Option<String>,
}

/// Asks who answers, on a new connection from `from`.
pub(super) fn ask(client: &Client, from: SocketAddr, vip: SocketAddrV4) -> Asked {
    let begun = Instant::now();
    let answer = client.get_from(from, vip.into(), "/whoami").ok();
    let server = answer.filter(|answer| answer.status == 200).map(|answer| answer.body);
    Asked { from, begun, ended: Instant::now(), server }
}

/// Requests in the background, one every [`EVERY`], until it is dropped.
#[derive(Debug)]
pub(super) struct Load {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    /// Starts it and waits until it runs: some requests have been answered.
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        let (client, ports, vip) = (stage.another_client()?, stage.ports(MOST)?, stage.vip());
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (record, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let work = move || {
            for from in ports {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let one = ask(&client, from, vip);
                let next = one.begun + EVERY;
                record.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        };
        let thread = thread::Builder::new().name("load".into()).spawn(work)?;
        Ok(Self { asked, stop, thread: Some(thread) })
    }

    /// What has been asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` requests that were begun at `since` or later are over, looking on with `meanwhile`.
    pub(super) fn wait_for(
        &self,
        count: usize,
        since: Instant,
        mut meanwhile: impl FnMut(&[Asked]) -> Result<()>,
    ) -> Result<()> {
        wait::until(&format!("{count} more requests"), PATIENCE, || {
            let asked = self.asked();
            meanwhile(&asked)?;
            Ok((asked.iter().filter(|one| one.begun >= since).count() >= count).then_some(()))
        })
    }

    /// Stops it and returns everything it asked, in order.
    pub(super) fn stop(mut self) -> Result<Vec<Asked>> {
        self.end()?;
        Ok(self.asked())
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("the client that sends requests panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It ends with the step that failed, whose error says more.
        let _ = self.end();
    }
}

/// How many of `asked` there are, and how many of them failed.
pub(super) fn count<'a>(asked: impl IntoIterator<Item = &'a Asked>) -> (usize, usize) {
    asked.into_iter().fold((0, 0), |(all, failed), one| (all + 1, failed + usize::from(one.server.is_none())))
}
