//! The table of packet cases, against the engine on the host and against the loaded program in the kernel.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use std::fs;

use caslb::{
    dataplane::{DataPlane, Program},
    host::Path,
};
use caslb_tests::{
    netns::Namespace,
    own_node::OwnNode,
    packets::{
        Case, Counted, Expected, Step, cases,
        frames::echo_request,
        memory::{Memory, node},
        tables::{EX01, NETWORK, NO_SERVICE, Setup, nic},
    },
};
use lb_common::{Decision, Node, Reason, Verdict, frame::Buffer, process};
use proptest::prelude::*;

/// The kernel runs programs on whole Ethernet headers only.
const LEAST_FRAME: usize = 14;

#[test]
fn the_engine_does_with_every_frame_what_the_table_says() {
    let mut wrong = Vec::new();
    for Case { setup, what, steps } in cases() {
        let world = Memory::new(setup);
        let node = node(&setup.target());
        for (number, Step { frame, expected }) in steps.into_iter().enumerate() {
            let (Decision { verdict, .. }, out) = run(&frame, &world, &node);
            compare(
                &mut wrong,
                &format!("{setup:?}: {what}, frame {}", number + 1),
                &frame,
                expected,
                &Outcome { verdict: format!("{verdict:?}"), frame: out, counted: world.take_counted() },
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reason_is_reached_by_a_case() {
    let steps = || cases().into_iter().flat_map(|case| case.steps);
    for reason in Reason::ALL {
        let reached = steps().any(|step| step.expected.counted.reasons.iter().any(|(_, counted)| counted == reason));
        assert!(reached, "no case for {}", reason.name());
    }
}

#[test]
fn every_setup_is_used_and_no_case_is_there_twice() {
    let cases = cases();
    for setup in Setup::ALL {
        assert!(cases.iter().any(|case| case.setup == setup), "no case for {setup:?}");
    }
    for (position, case) in cases.iter().enumerate() {
        let twice = cases[..position].iter().any(|other| other.setup == case.setup && other.what == case.what);
        assert!(!twice, "{:?}: {}", case.setup, case.what);
    }
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn the_program_in_the_kernel_does_with_every_frame_what_the_table_says() {
    let run_all = || Setup::ALL.into_iter().flat_map(run_in_kernel).collect::<Vec<_>>();
    let wrong = network().enter(run_all).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_burst_of_echo_requests_is_answered_until_the_rate_is_reached() {
    let flood = || {
        let kernel = Kernel::new(Setup::Dsr);
        let mut program = kernel.program();
        let frame = echo_request(1, 1, b"abc").bytes();
        // A thousand a second and CPU are let through beside the bursts: running this many takes well below ten seconds.
        let answered = (0..100_000).position(|_| program.run(&frame).unwrap().0 == ACTION_DROP);
        let answered = answered.expect("a request that was dropped");
        assert!(answered >= 200, "{answered} answered");
        let reasons = kernel.data_plane.reasons(NO_SERVICE);
        assert!(reasons.iter().any(|count| count.reason == Reason::EchoLimited && count.packets == 1), "{reasons:?}");
    };
    network().enter(flood).unwrap();
}

proptest! {
    /// What `process` promises about frames it does not send: they leave as they came, except for replies that the
    /// kernel is to finish, which are rewritten whole.
    #[test]
    fn frames_that_are_passed_or_dropped_are_not_touched(
        (setup, before) in prop_oneof![4 => damaged_case(), 1 => arbitrary_frame()],
    ) {
        let world = Memory::new(setup);
        let (decision, frame) = run(&before, &world, &node(&setup.target()));
        if decision.reason != Some(Reason::NeighbourAnswered) {
            prop_assert_eq!(frame.len(), before.len());
        }
        let finished_by_kernel = [Some(Reason::ReplyNoNeighbour), Some(Reason::ReplyFragmented)];
        match decision.verdict {
            Verdict::Pass if finished_by_kernel.contains(&decision.reason) => {}
            Verdict::Pass | Verdict::Drop => prop_assert_eq!(frame, before),
            Verdict::Transmit | Verdict::Redirect(_) => prop_assert_ne!(frame, before),
        }
        let Counted { steered, reasons } = world.take_counted();
        match decision.reason {
            Some(reason) => prop_assert_eq!((steered, reasons), (vec![], vec![(decision.service, reason)])),
            None if decision.server == 0 => prop_assert_eq!((steered, reasons), (vec![], vec![])),
            None => prop_assert_eq!((steered.len(), reasons), (1, vec![])),
        }
    }

    /// Tables may say anything: a defect must show as a verdict, never as a panic or a half-rewritten frame.
    #[test]
    fn no_table_makes_the_engine_panic_or_harm_a_frame_it_keeps(
        (_, before) in damaged_case(), target in contradictory_target(), forwards: bool, echo: bool,
    ) {
        let world = Memory::with(&target, forwards, echo);
        let (decision, frame) = run(&before, &world, &node(&target));
        let finished_by_kernel = [Some(Reason::ReplyNoNeighbour), Some(Reason::ReplyFragmented)];
        if matches!(decision.verdict, Verdict::Pass | Verdict::Drop) && !finished_by_kernel.contains(&decision.reason) {
            prop_assert_eq!(frame, before);
        }
    }
}

/// What the engine does with a frame, and the frame afterwards. There is room to grow as in the kernel.
fn run(frame: &[u8], world: &Memory, node: &Node) -> (Decision, Vec<u8>) {
    let mut room = [frame, &[0x77; 256]].concat();
    let mut buffer = Buffer::new(&mut room, frame.len());
    let decision = process(&mut buffer, world, node);
    (decision, buffer.bytes().to_vec())
}

/// A frame of the table with a few bytes changed and perhaps another length.
fn damaged_case() -> impl Strategy<Value = (Setup, Vec<u8>)> {
    let frames: Vec<_> =
        cases().into_iter().flat_map(|case| case.steps.into_iter().map(move |step| (case.setup, step.frame))).collect();
    let bytes = proptest::collection::vec((0..64usize, any::<u8>()), 0..4);
    (proptest::sample::select(frames), bytes, proptest::option::weighted(0.2, 0..200usize)).prop_map(
        |((setup, mut frame), bytes, length)| {
            for (at, byte) in bytes {
                if let Some(there) = frame.get_mut(at) {
                    *there = byte;
                }
            }
            if let Some(length) = length {
                frame.resize(length, 0x5a);
            }
            (setup, frame)
        },
    )
}

fn arbitrary_frame() -> impl Strategy<Value = (Setup, Vec<u8>)> {
    (proptest::sample::select(Setup::ALL.to_vec()), proptest::collection::vec(any::<u8>(), 0..200))
}

/// A target whose tables name any server, whose paths lead anywhere and whose modes do not fit their ports.
fn contradictory_target() -> impl Strategy<Value = caslb::controller::target::Target> {
    let path = Path { ifindex: u32::MAX, ..EX01.path() };
    let ids = proptest::collection::vec(any::<u16>(), 1..=251);
    let of = (proptest::sample::select(Setup::ALL.to_vec()), proptest::sample::select(Setup::ALL.to_vec()), ids);
    of.prop_map(move |(one, other, ids)| {
        let mut target = one.target();
        // A table that is too short: slots beyond it are another table's, or nobody's.
        target.services[0].table = Some(ids.into());
        target.services[1] = other.target().services[1].clone();
        target.servers[1].path4 = Some(path.clone());
        target.servers[1].path6 = Some(path.clone());
        target
    })
}

/// What came of one frame.
struct Outcome {
    /// As text: the kernel does not say by which NIC a packet is redirected.
    verdict: String,
    frame: Vec<u8>,
    counted: Counted,
}

fn compare(wrong: &mut Vec<String>, what: &str, frame: &[u8], expected: Expected, outcome: &Outcome) {
    let verdict = format!("{:?}", expected.verdict);
    if !verdict.starts_with(&outcome.verdict) {
        wrong.push(format!("{what}: {} instead of {verdict}", outcome.verdict));
    }
    let expected_frame = expected.frame.unwrap_or_else(|| frame.to_vec());
    if outcome.frame != expected_frame {
        wrong.push(format!(
            "{what}: the frame is\n  {}\nand should be\n  {}",
            hex(&outcome.frame),
            hex(&expected_frame)
        ));
    }
    if outcome.counted != expected.counted {
        wrong.push(format!("{what}: counted {:?} instead of {:?}", outcome.counted, expected.counted));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

// XDP actions (include/uapi/linux/bpf.h).
const ACTION_DROP: u32 = 1;
const ACTION_PASS: u32 = 2;
const ACTION_TX: u32 = 3;
const ACTION_REDIRECT: u32 = 4;

fn network() -> Namespace {
    let network = Namespace::new("packets").unwrap();
    network.ip(NETWORK).unwrap();
    network
}

/// A set-up in the kernel.
struct Kernel {
    data_plane: DataPlane,
    node: OwnNode,
}

impl Kernel {
    fn new(setup: Setup) -> Self {
        let forwarding = if setup.forwards() { "1" } else { "0" };
        for family in ["ipv4", "ipv6"] {
            fs::write(format!("/proc/sys/net/{family}/conf/lan0/forwarding"), forwarding).unwrap();
        }
        let node = OwnNode::new().unwrap();
        let mut data_plane = DataPlane::open(node.name(), false).unwrap();
        data_plane.apply(&setup.target()).unwrap();
        let kernel = Self { data_plane, node };
        if setup == Setup::EchoExhausted {
            kernel.exhaust_echo();
        }
        kernel
    }

    fn program(&self) -> Program {
        self.data_plane.load_program(&nic()).unwrap().unwrap()
    }

    /// Says that the next echo reply is due in the far future.
    fn exhaust_echo(&self) {
        let pin = self.node.pins().sets().unwrap()[0].map("echo_due");
        let map = aya::maps::Map::PerCpuArray(aya::maps::MapData::from_pin(pin).unwrap());
        let mut due = aya::maps::PerCpuArray::<_, u64>::try_from(map).unwrap();
        let cpus = aya::util::nr_cpus().unwrap();
        due.set(0, aya::maps::PerCpuValues::try_from(vec![u64::MAX / 2; cpus]).unwrap(), 0).unwrap();
    }

    /// All counters: packets and bytes by service and ordinal, packets by service and reason.
    fn counters(&self) -> Counters {
        let services = || 0..3u32;
        let steered = services().flat_map(|service| (0..3u16).map(move |ordinal| (service, ordinal)));
        let steered = steered.map(|(service, ordinal)| {
            let total = self.data_plane.steered(service, ordinal);
            ((service, ordinal), total.packets, total.bytes)
        });
        let reasons = services().map(|service| {
            let counts = self.data_plane.reasons(service);
            let packets =
                |reason: &Reason| counts.iter().find(|count| count.reason == *reason).map_or(0, |c| c.packets);
            Reason::ALL.iter().map(packets).collect()
        });
        Counters { steered: steered.collect(), reasons: reasons.collect() }
    }
}

struct Counters {
    steered: Vec<((u32, u16), u64, u64)>,
    reasons: Vec<Vec<u64>>,
}

impl Counters {
    /// What was counted since `before`, one entry for each packet.
    fn since(&self, before: &Self) -> Counted {
        let mut counted = Counted::default();
        for ((position, packets, bytes), (_, packets_before, bytes_before)) in self.steered.iter().zip(&before.steered)
        {
            for _ in *packets_before..*packets {
                counted.steered.push((position.0, position.1, usize::try_from(bytes - bytes_before).unwrap()));
            }
        }
        for (service, (now, before)) in (0u32..).zip(self.reasons.iter().zip(&before.reasons)) {
            for (reason, (now, before)) in Reason::ALL.iter().zip(now.iter().zip(before)) {
                for _ in *before..*now {
                    counted.reasons.push((service, *reason));
                }
            }
        }
        counted
    }
}

/// Runs the cases of `setup`; returns what was wrong.
fn run_in_kernel(setup: Setup) -> Vec<String> {
    let kernel = Kernel::new(setup);
    let mut program = kernel.program();
    let mut wrong = Vec::new();
    let mut before = kernel.counters();
    for Case { what, steps, .. } in cases().into_iter().filter(|case| case.setup == setup) {
        for (number, Step { frame, expected }) in steps.into_iter().enumerate() {
            if frame.len() < LEAST_FRAME {
                continue;
            }
            let (action, out) = program.run(&frame).unwrap();
            let verdict = match action {
                ACTION_DROP => "Drop",
                ACTION_PASS => "Pass",
                ACTION_TX => "Transmit",
                ACTION_REDIRECT => "Redirect",
                _ => "an action that caslb does not use",
            };
            let now = kernel.counters();
            compare(
                &mut wrong,
                &format!("{setup:?}: {what}, frame {}", number + 1),
                &frame,
                expected,
                &Outcome { verdict: verdict.to_owned(), frame: out, counted: now.since(&before) },
            );
            before = now;
        }
    }
    wrong
}
