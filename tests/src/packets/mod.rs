//! The table of packet cases: a set-up, a frame in, and what must come of it to the last byte.
//!
//! The same table is run twice: against the engine on the host, in the [`memory`] of a test, and against the loaded
//! program in the kernel. To add a case, write a line in one of the `cases_*` files; the [`frames`] are good packets that
//! one changes by methods, the [`tables`] say who is who. Expected frames are built anew, never taken from the engine.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a case that cannot be built fails its test")]

mod cases6_answers;
mod cases6_nat;
mod cases6_steering;
mod cases_answers;
mod cases_flaws;
mod cases_nat;
mod cases_others;
mod cases_steering;
mod cases_vlan;
pub mod frames;
pub mod frames6;
pub mod memory;
pub mod tables;

use lb_common::{Reason, Verdict};

use tables::{LAN, Server, Setup};

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the tables hold.
    pub setup: Setup,
    /// What is tried and what must hold.
    pub what: String,
    /// Frames in the order in which they come, nearly always one.
    pub steps: Vec<Step>,
}

/// One frame of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// The frame that comes in.
    pub frame: Vec<u8>,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a frame.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The whole frame afterwards; `None` when it must not be touched.
    pub frame: Option<Vec<u8>>,
    /// Every counter that must have gone up, and no other.
    pub counted: Counted,
}

/// Counters that went up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Service, position of the server in its array, bytes.
    pub steered: Vec<(u32, u16, usize)>,
    /// Service and reason.
    pub reasons: Vec<(u32, Reason)>,
}

/// Every case there is.
pub fn cases() -> Vec<Case> {
    let parts = [
        cases_steering::cases(),
        cases_nat::cases(),
        cases_flaws::cases(),
        cases_answers::cases(),
        cases_others::cases(),
        cases6_steering::cases(),
        cases6_nat::cases(),
        cases6_answers::cases(),
        cases_vlan::cases(),
    ];
    parts.into_iter().flatten().collect()
}

/// A case of one frame.
fn case(setup: Setup, what: &str, frame: impl Into<Vec<u8>>, expected: Expected) -> Case {
    sequence(setup, what, vec![step(frame, expected)])
}

/// A case of several frames.
fn sequence(setup: Setup, what: &str, steps: Vec<Step>) -> Case {
    Case { setup, what: what.to_owned(), steps }
}

/// One frame and what must come of it.
fn step(frame: impl Into<Vec<u8>>, expected: Expected) -> Step {
    Step { frame: frame.into(), expected }
}

/// Steered to `server`, which gets `frame`: sent by the NIC the server is behind, and counted for it.
fn steered(service: u32, server: &Server, frame: impl Into<Vec<u8>>) -> Expected {
    let frame = frame.into();
    let counted = Counted { steered: vec![(service, server.ordinal, frame.len())], ..Counted::default() };
    Expected { verdict: out_of(server.nic.0), frame: Some(frame), counted }
}

/// Answered or sent back to the client as `frame`, out of the NIC `ifindex`.
fn sent(ifindex: u32, service: u32, reason: Reason, frame: impl Into<Vec<u8>>) -> Expected {
    Expected { verdict: out_of(ifindex), frame: Some(frame.into()), counted: counted(service, reason) }
}

/// Handed to the stack as it is.
fn passed(service: u32, reason: Reason) -> Expected {
    Expected { verdict: Verdict::Pass, frame: None, counted: counted(service, reason) }
}

/// Handed to the stack as `frame`.
fn passed_as(service: u32, reason: Reason, frame: impl Into<Vec<u8>>) -> Expected {
    Expected { verdict: Verdict::Pass, frame: Some(frame.into()), counted: counted(service, reason) }
}

/// Dropped.
fn dropped(service: u32, reason: Reason) -> Expected {
    Expected { verdict: Verdict::Drop, frame: None, counted: counted(service, reason) }
}

/// None of caslb's business: passed untouched and not counted.
fn ignored() -> Expected {
    Expected { verdict: Verdict::Pass, frame: None, counted: Counted::default() }
}

fn counted(service: u32, reason: Reason) -> Counted {
    Counted { reasons: vec![(service, reason)], ..Counted::default() }
}

fn out_of(ifindex: u32) -> Verdict {
    if ifindex == LAN { Verdict::Transmit } else { Verdict::Redirect(ifindex) }
}

/// `frame` cut off at every length; `expected` says what must come of it when `length` bytes are left.
fn cut_everywhere(
    setup: Setup,
    what: &str,
    frame: impl Into<Vec<u8>>,
    expected: impl Fn(usize) -> Expected,
) -> Vec<Case> {
    let frame = frame.into();
    let cut =
        |length| case(setup, &format!("{what}, cut off after {length} bytes"), &frame[..length], expected(length));
    (0..frame.len()).map(cut).collect()
}
