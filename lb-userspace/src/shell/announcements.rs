//! Announcing VIPs, a few times each: a single frame may be lost, and a switch may still be learning.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use crate::{
    controller::target::Target,
    host::{Link, announce::announce},
};

/// How often a VIP is announced.
const TIMES: u8 = 3;
/// Time between two announcements; RFC 5227 has 2 s for ordinary hosts, a fail-over has no time to lose.
const PAUSE: Duration = Duration::from_secs(1);

/// Announcements under way.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    left: BTreeMap<IpAddr, (u8, Instant)>,
}

impl Announcements {
    /// Has `vips` announced, the first time as soon as [`Announcements::send`] is called.
    pub(super) fn begin(&mut self, vips: Vec<IpAddr>) {
        if !vips.is_empty() {
            info!(?vips, "announcing");
        }
        let now = Instant::now();
        self.left.extend(vips.into_iter().map(|vip| (vip, (TIMES, now))));
    }

    /// Announces what is due and still announced.
    pub(super) fn send(&mut self, links: &[Link], target: Option<&Target>) {
        let now = Instant::now();
        let mut due = Vec::new();
        self.left.retain(|&vip, (left, at)| {
            let announced = target.is_some_and(|of| of.vips.iter().any(|of| of.address == vip && of.announced));
            if announced && *at <= now {
                due.push(vip);
                *left -= 1;
                *at = now + PAUSE;
            }
            announced && *left > 0
        });
        if due.is_empty() {
            return;
        }
        let nics = target.map(|target| target.nics.as_slice()).unwrap_or_default();
        for link in links.iter().filter(|link| link.usable() && nics.iter().any(|nic| nic.name == link.name)) {
            if let Err(error) = announce(link, &due) {
                warn!(nic = link.name, %error, "VIPs cannot be announced");
            }
        }
    }

    /// When [`Announcements::send`] is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.left.values().map(|&(_, at)| at).min()
    }
}
