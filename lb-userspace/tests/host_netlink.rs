//! The watch over the host's network, in network namespaces of its own: a balancer and a server on one segment.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail it")]

use std::{
    fs::File,
    net::IpAddr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use caslb::host::{HostEvent, HostWatch, Link, Path, PathProblem, links};
use tokio::{sync::mpsc, time::Instant};

const BALANCER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 11];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 99];

/// Far more than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Two namespaces joined by a veth pair: `lan0` (10.1.0.1/24) at the balancer, `lan1` (10.1.0.11/24) at the server, which is
/// also the gateway to 192.0.2.0/24. Removed on drop.
struct Segment {
    balancer: String,
    server: String,
}

impl Segment {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("caslb-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let segment = Self { balancer: format!("{unique}-lb"), server: format!("{unique}-sv") };
        let (lb, sv) = (&segment.balancer, &segment.server);
        ip(&format!("netns add {lb}"));
        ip(&format!("netns add {sv}"));
        ip(&format!(
            "-n {lb} link add lan0 address 02:00:00:00:01:01 type veth peer name lan1 address 02:00:00:00:01:0b netns {sv}"
        ));
        segment.at_balancer("link set lo up");
        segment.at_balancer("address add 10.1.0.1/24 dev lan0");
        segment.at_balancer("link set lan0 up");
        segment.at_server("address add 10.1.0.11/24 dev lan1");
        segment.at_server("link set lan1 up");
        segment.at_balancer("route add 192.0.2.0/24 via 10.1.0.11 mtu 1400");
        segment
    }

    fn at_balancer(&self, command: &str) {
        ip(&format!("-n {} {command}", self.balancer));
    }

    fn at_server(&self, command: &str) {
        ip(&format!("-n {} {command}", self.server));
    }

    /// Makes the server announce a new MAC address by gratuitous ARP.
    fn announce_changes_at_server(&self) {
        let sysctl = "echo 1 > /proc/sys/net/ipv4/conf/lan1/arp_notify";
        ip(&format!("netns exec {} sh -c '{sysctl}'", self.server));
    }

    /// Runs `test` on a thread within the balancer's namespace.
    fn run<F: Future<Output = ()>>(&self, test: impl FnOnce() -> F + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.balancer)).unwrap();
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(test());
            });
            thread.join().unwrap();
        });
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for namespace in [&self.balancer, &self.server] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("sh").arg("-c").arg(format!("ip {arguments}")).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A watch and its events.
struct Watched {
    watch: HostWatch,
    events: mpsc::Receiver<HostEvent>,
}

impl Watched {
    fn start(targets: &[&str]) -> Self {
        let (sender, events) = mpsc::channel(64);
        let watch = HostWatch::start(sender).unwrap();
        watch.set_targets(targets.iter().map(|target| address(target)).collect());
        Self { watch, events }
    }

    async fn event(&mut self) -> HostEvent {
        tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("an event").expect("a living watch")
    }

    /// The next event about the path to `target`.
    async fn path(&mut self, target: &str) -> Result<Path, PathProblem> {
        loop {
            if let HostEvent::Path { address: about, path } = self.event().await
                && about == address(target)
            {
                return path;
            }
        }
    }

    async fn links(&mut self) -> Vec<Link> {
        loop {
            if let HostEvent::Links(links) = self.event().await {
                return links;
            }
        }
    }

    /// No path changes for `time`.
    async fn quiet(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(until, self.events.recv()).await {
            assert!(matches!(event, Some(HostEvent::Links(_))), "{event:?}");
        }
    }
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_in_the_segment_is_resolved_and_its_new_mac_address_is_seen() {
    let segment = Segment::new();
    segment.announce_changes_at_server();
    segment.run(|| async {
        let mut watched = Watched::start(&["10.1.0.11"]);
        let path = watched.path("10.1.0.11").await.unwrap();
        assert_eq!((path.source_mac, path.next_hop_mac), (BALANCER_MAC, SERVER_MAC));
        assert_eq!((&*path.interface, path.on_link, path.mtu), ("lan0", true, 1500));
        assert_eq!(path.source, address("10.1.0.1"));
        // Within a second the kernel takes a second announcement for a duplicate (locktime of arp(7)).
        watched.quiet(Duration::from_millis(1500)).await;
        segment.at_server("link set lan1 address 02:00:00:00:01:63");
        assert_eq!(watched.path("10.1.0.11").await.unwrap().next_hop_mac, OTHER_MAC);
        // Our own side too.
        segment.at_balancer("link set lan0 address 02:00:00:00:01:62");
        assert_eq!(watched.path("10.1.0.11").await.unwrap().source_mac, [2, 0, 0, 0, 1, 0x62]);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_behind_a_gateway_takes_the_gateways_mac_address_until_the_route_changes() {
    let segment = Segment::new();
    segment.run(|| async {
        let mut watched = Watched::start(&["192.0.2.12"]);
        let path = watched.path("192.0.2.12").await.unwrap();
        assert_eq!((path.next_hop, path.next_hop_mac), (address("10.1.0.11"), SERVER_MAC));
        assert_eq!((path.on_link, path.mtu), (false, 1400));
        segment.at_balancer("route delete 192.0.2.0/24");
        assert_eq!(watched.path("192.0.2.12").await, Err(PathProblem::NoRoute));
        segment.at_balancer("rule add to 192.0.2.12 table 77");
        segment.at_balancer("route add 192.0.2.0/24 via 10.1.0.11 table 77");
        assert_eq!(watched.path("192.0.2.12").await.unwrap().mtu, 1500);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_that_does_not_answer_is_reported_after_the_kernel_gave_up_and_found_when_it_comes() {
    let segment = Segment::new();
    segment.run(|| async {
        let began = Instant::now();
        let mut watched = Watched::start(&["10.1.0.12"]);
        let problem = watched.path("10.1.0.12").await.unwrap_err();
        assert_eq!(problem.to_string(), "no ARP answer from 10.1.0.12 on lan0; is the server on and in this segment?");
        assert!(began.elapsed() > Duration::from_secs(1), "given up after {:?}", began.elapsed());
        watched.quiet(Duration::from_secs(2)).await;
        segment.at_server("address add 10.1.0.12/24 dev lan1");
        assert_eq!(watched.path("10.1.0.12").await.unwrap().next_hop_mac, SERVER_MAC);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_server_with_a_new_mac_address_that_nobody_announced_is_found_without_being_reported_lost() {
    let segment = Segment::new();
    segment.run(|| async {
        let mut watched = Watched::start(&["10.1.0.11"]);
        watched.path("10.1.0.11").await.unwrap();
        segment.at_server("link set lan1 address 02:00:00:00:01:63");
        // What the kernel would find out by itself in a minute.
        segment.at_balancer("neighbour change 10.1.0.11 dev lan0 nud failed");
        assert_eq!(watched.path("10.1.0.11").await.unwrap().next_hop_mac, OTHER_MAC);
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn a_link_that_goes_down_is_reported_with_its_name_and_seen_coming_back() {
    let segment = Segment::new();
    segment.run(|| async {
        let mut watched = Watched::start(&["10.1.0.11"]);
        watched.path("10.1.0.11").await.unwrap();
        let down = Err(PathProblem::InterfaceDown { interface: "lan0".to_owned() });
        // No carrier.
        segment.at_server("link set lan1 down");
        assert_eq!(watched.path("10.1.0.11").await, down);
        segment.at_server("link set lan1 up");
        assert!(watched.path("10.1.0.11").await.is_ok());
        // Switched off: the routes go too.
        segment.at_balancer("link set lan0 down");
        assert_eq!(watched.path("10.1.0.11").await, down);
        segment.at_balancer("link set lan0 up");
        assert!(watched.path("10.1.0.11").await.is_ok());
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn each_new_target_is_reported_once_and_the_hosts_own_address_is_refused() {
    let segment = Segment::new();
    segment.run(|| async {
        let mut watched = Watched::start(&["10.1.0.11", "10.1.0.11"]);
        watched.path("10.1.0.11").await.unwrap();
        let targets = ["10.1.0.11", "10.1.0.1", "203.0.113.1"];
        watched.watch.set_targets(targets.iter().map(|target| address(target)).collect());
        assert_eq!(watched.path("10.1.0.1").await, Err(PathProblem::Local));
        assert_eq!(watched.path("203.0.113.1").await, Err(PathProblem::NoRoute));
        watched.quiet(Duration::from_millis(500)).await;
        watched.watch.set_targets(Vec::new());
        watched.quiet(Duration::from_millis(200)).await;
        watched.watch.set_targets(vec![address("10.1.0.11")]);
        assert!(watched.path("10.1.0.11").await.is_ok());
        // Gone and back before anybody could look.
        watched.watch.set_targets(Vec::new());
        watched.watch.set_targets(vec![address("10.1.0.11")]);
        assert!(watched.path("10.1.0.11").await.is_ok());
        watched.quiet(Duration::from_millis(500)).await;
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn links_are_those_of_the_namespace_and_tell_of_addresses() {
    let segment = Segment::new();
    segment.run(|| async {
        let names = |links: &[Link]| links.iter().map(|link| link.name.clone()).collect::<Vec<_>>();
        let found = links::snapshot().await.unwrap();
        assert_eq!(names(&found), ["lo", "lan0"]);
        assert_eq!(found[1].mac, Some(BALANCER_MAC));
        assert!(found[1].up && found[1].running);
        let mut watched = Watched::start(&[]);
        assert_eq!(names(&watched.links().await), ["lo", "lan0"]);
        segment.at_balancer("address add 10.1.0.2/24 dev lan0");
        loop {
            let links = watched.links().await;
            if links[1].addresses.contains(&(address("10.1.0.2"), 24)) {
                break;
            }
        }
    });
}

#[test]
#[ignore = "needs root and the BPF object: cargo xtask test"]
fn more_announcements_than_the_socket_holds_lose_nothing() {
    let segment = Segment::new();
    segment.run(|| async {
        let mut watched = Watched::start(&["10.1.0.11", "192.0.2.12"]);
        watched.path("192.0.2.12").await.unwrap();
        // This blocks the only thread of the runtime, so nobody reads the announcements meanwhile.
        let many = (0..20_000)
            .map(|n| format!("route add 198.18.{}.{} dev lan0\n", n / 250, n % 250 + 1))
            .collect::<Vec<_>>()
            .concat();
        let batch = std::env::temp_dir().join(format!("{}.batch", segment.balancer));
        std::fs::write(&batch, many + "route delete 192.0.2.0/24\n").unwrap();
        segment.at_balancer(&format!("-batch {}", batch.display()));
        std::fs::remove_file(&batch).unwrap();
        assert_eq!(watched.path("192.0.2.12").await, Err(PathProblem::NoRoute));
    });
}
