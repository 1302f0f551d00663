//! Frames on and off the wire: a packet socket on one device, and a capture that collects in the background.
//!
//! An XDP program comes before packet sockets: a capture on the balancer's own NIC misses what the program sends back or
//! drops. Capture on the bridge's ports, at the client or at the servers.
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{LinkAddr, recvfrom};

use crate::checksum;
use crate::netns::Namespace;
use crate::view::View;
use crate::{sys, wait};

/// No frame is longer, offloads or not.
const LONGEST: usize = 1 << 16;
/// How often the background thread looks whether it shall stop.
const STOP_CHECK: Duration = Duration::from_millis(20);
/// At most so many bad frames are described; the rest is counted.
const DESCRIBED: usize = 20;

/// One frame from the wire.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Since the socket was opened.
    pub at: Duration,
    /// Sent by the device's own host, as opposed to received by it.
    pub outgoing: bool,
    /// The frame without its frame check sequence.
    pub bytes: Vec<u8>,
}

impl Captured {
    /// What it says, if it can be read.
    pub fn view(&self) -> Option<View> {
        View::of(&self.bytes)
    }
}

/// A packet socket on one device. It sees everything that the device receives and that its host sends, but for what is
/// sent by this same socket.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    opened: Instant,
    buffer: Vec<u8>,
}

impl Wire {
    /// Opens `device` in `namespace`. From here on no frame is missed.
    pub fn open(namespace: &Namespace, device: &str) -> Result<Self> {
        let index = namespace.device_index(device)?;
        let socket = namespace
            .enter(|| sys::packet_socket(index))?
            .with_context(|| format!("cannot open {device} in {}", namespace.name()))?;
        Ok(Self { socket, opened: Instant::now(), buffer: vec![0; LONGEST] })
    }

    /// Sends `frame`.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = nix::unistd::write(&self.socket, frame)
            .with_context(|| format!("cannot send {} bytes: longer than the device's MTU?", frame.len()))?;
        ensure!(sent == frame.len(), "sent {sent} of {} bytes", frame.len());
        Ok(())
    }

    /// The next frame, or `None` if there is none within `within`.
    pub fn receive(&mut self, within: Duration) -> Result<Option<Captured>> {
        let deadline = Instant::now() + within;
        loop {
            match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                Ok((length, from)) => {
                    let outgoing = from.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
                    let bytes = self.buffer.get(..length).unwrap_or_default().to_vec();
                    return Ok(Some(Captured { at: self.opened.elapsed(), outgoing, bytes }));
                }
                // The device went down or up again; the socket goes on.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(Errno::EAGAIN) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    // Rounded up, so that the last millisecond does not spin.
                    let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
                    let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                    match poll(&mut waiting, left) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(error).context("cannot wait for frames"),
                    }
                }
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
    }

    /// The first received (not sent) frame that `wanted` accepts; others are discarded.
    ///
    /// # Errors
    ///
    /// If there is none within `within`; the message counts those discarded.
    pub fn expect(&mut self, within: Duration, wanted: impl Fn(&View) -> bool) -> Result<Captured> {
        let deadline = Instant::now() + within;
        let mut others = 0;
        while let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now()))? {
            if !frame.outgoing && frame.view().as_ref().is_some_and(&wanted) {
                return Ok(frame);
            }
            others += 1;
        }
        bail!("the expected frame did not come within {within:?}, {others} others did")
    }
}

/// Which frames a [`Capture`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the device receives and what its host sends.
    Both,
    /// What the device receives.
    Incoming,
}

/// Collects the frames of one device in the background.
#[derive(Debug)]
pub struct Capture {
    name: String,
    frames: Arc<Mutex<Vec<Captured>>>,
    stop: Arc<AtomicBool>,
    collector: Option<thread::JoinHandle<Result<u32>>>,
}

impl Capture {
    /// Starts; from here on no frame is missed.
    pub fn start(namespace: &Namespace, device: &str, direction: Direction) -> Result<Self> {
        let mut wire = Wire::open(namespace, device)?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopping) = (Arc::clone(&frames), Arc::clone(&stop));
        let collect = move || {
            loop {
                // Read before the look at the socket: what came before the stop is still collected.
                let last = stopping.load(Ordering::Acquire);
                match wire.receive(if last { Duration::ZERO } else { STOP_CHECK })? {
                    Some(frame) if frame.outgoing && direction == Direction::Incoming => {}
                    Some(frame) => kept.lock().unwrap_or_else(PoisonError::into_inner).push(frame),
                    None if last => return Ok(sys::frames_lost(&wire.socket)?),
                    None => {}
                }
            }
        };
        let collector = thread::Builder::new().name("capture".into()).spawn(collect)?;
        let name = format!("{device} in {}", namespace.name());
        Ok(Self { name, frames, stop, collector: Some(collector) })
    }

    /// Waits until `count` frames that `wanted` accepts are there.
    pub fn wait_for(&self, count: usize, within: Duration, wanted: impl Fn(&View) -> bool) -> Result<()> {
        wait::until(&format!("{count} frames on {}", self.name), within, || {
            let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = frames.iter().filter(|frame| frame.view().as_ref().is_some_and(&wanted)).count();
            Ok((seen >= count).then_some(()))
        })
    }

    /// Stops after everything that has arrived by now.
    ///
    /// # Errors
    ///
    /// If the kernel could not keep all frames: then nothing can be said about them.
    pub fn stop(mut self) -> Result<Frames> {
        self.stop.store(true, Ordering::Release);
        let collector = self.collector.take().context("already stopped")?;
        let lost = collector.join().map_err(|_| anyhow!("the capture on {} panicked", self.name))??;
        ensure!(lost == 0, "the capture on {} lost {lost} frames", self.name);
        let frames = std::mem::take(&mut *self.frames.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Frames { name: std::mem::take(&mut self.name), frames })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(collector) = self.collector.take() {
            // Nobody wants the frames any more, nor to hear what was wrong with them.
            let _ = collector.join();
        }
    }
}

/// The frames of a [`Capture`], in the order they came.
#[derive(Clone, Debug)]
pub struct Frames {
    name: String,
    frames: Vec<Captured>,
}

impl Frames {
    /// All of them.
    pub fn all(&self) -> &[Captured] {
        &self.frames
    }

    /// Those that `wanted` accepts, read.
    pub fn matching(&self, wanted: impl Fn(&View) -> bool) -> Vec<View> {
        self.frames.iter().filter_map(Captured::view).filter(wanted).collect()
    }

    /// Recomputes every checksum of every frame and returns how many there were.
    ///
    /// # Errors
    ///
    /// A line for each bad frame: which it is, what it says, and what is wrong with it.
    pub fn verify_checksums(&self) -> Result<usize> {
        let mut verified = 0;
        let mut bad = 0_usize;
        let mut report = String::new();
        for (number, frame) in self.frames.iter().enumerate() {
            match checksum::verify(&frame.bytes) {
                Ok(count) => verified += count,
                Err(problem) => {
                    bad += 1;
                    if bad <= DESCRIBED {
                        let way = if frame.outgoing { "sent" } else { "received" };
                        let what = frame.view().map_or_else(|| "unreadable".into(), |view| view.to_string());
                        write!(report, "\n  frame {number} {way} at {:?}: {what}: {problem}", frame.at)?;
                    }
                }
            }
        }
        ensure!(bad == 0, "{bad} of {} frames on {} are wrong:{report}", self.frames.len(), self.name);
        Ok(verified)
    }
}
