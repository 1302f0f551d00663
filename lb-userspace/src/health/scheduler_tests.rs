//! Tests of the scheduler: cadence in paused time, restarts and back-pressure.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use tokio::time::Instant as TokioInstant;

use super::*;
use crate::{
    config::deployment::CheckKind,
    health::{FailureKind, Passed},
};

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #[test]
    fn jitter_stays_within_five_percent(millis in 100_u64..3_600_000, random in 0.0..1.0_f64) {
        let interval = Duration::from_millis(millis);
        let next = jittered(interval, random);
        prop_assert!(next >= interval.mul_f64(0.9499) && next <= interval.mul_f64(1.0501));
        prop_assert!(first_delay(interval, random) <= (interval / 10).min(FIRST_WITHIN));
    }
}

/// A probe that takes a fixed time and remembers when it ran.
struct Slow {
    takes: Duration,
    starts: Arc<Mutex<Vec<TokioInstant>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Probe for Slow {
    fn probe(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async {
            self.starts.lock().unwrap().push(TokioInstant::now());
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(Passed { detail: String::new(), warning: None })
        })
    }
}

#[derive(Default)]
struct Seen {
    starts: Arc<Mutex<Vec<TokioInstant>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Seen {
    fn runner(&self, takes: Duration, permits: &Arc<Semaphore>, reports: mpsc::Sender<Report>) -> JoinHandle<()> {
        let probe =
            Slow { takes, starts: Arc::clone(&self.starts), now: Arc::clone(&self.now), most: Arc::clone(&self.most) };
        let runner = Runner {
            id: id("s", 0),
            server: "127.0.0.1:1".parse().unwrap(),
            interval: SECOND,
            timeout: SECOND / 2,
            probe: Ok(Box::new(probe)),
            task: 0,
            permits: Arc::clone(permits),
            reports,
        };
        tokio::spawn(runner.run())
    }

    fn gaps(&self) -> Vec<Duration> {
        self.starts.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn id(server: &str, index: usize) -> CheckId {
    CheckId {
        array: "a".into(),
        service: "https".into(),
        server: server.into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        index,
    }
}

fn scheduled(server: &str, address: SocketAddr, interval: Duration) -> ScheduledCheck {
    let check = Check { kind: CheckKind::Tcp, port: address.port(), interval, timeout: interval, rise: 1, fall: 1 };
    ScheduledCheck { id: id(server, 0), server: address, check }
}

fn scheduler(capacity: usize) -> (Scheduler, mpsc::Receiver<Report>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Scheduler::new(sender, Tls::new().unwrap()), receiver)
}

#[tokio::test(start_paused = true)]
async fn starts_follow_the_interval_whatever_a_check_takes() {
    let seen = Seen::default();
    let (sender, mut reports) = mpsc::channel(1);
    let began = TokioInstant::now();
    seen.runner(SECOND / 3, &Arc::new(Semaphore::new(1)), sender);
    for _ in 0..20 {
        let report = reports.recv().await.unwrap();
        assert!(report.outcome.is_ok());
        assert!(report.took >= SECOND / 3 && report.took < SECOND / 2);
    }
    assert!(seen.starts.lock().unwrap()[0] - began <= SECOND / 10 + Duration::from_millis(2));
    for gap in seen.gaps() {
        assert!(gap >= SECOND.mul_f64(0.945) && gap <= SECOND.mul_f64(1.055), "{gap:?}");
    }
    assert_eq!(seen.most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_times_out() {
    let seen = Seen::default();
    let (sender, mut reports) = mpsc::channel(1);
    seen.runner(SECOND * 60, &Arc::new(Semaphore::new(1)), sender);
    let report = reports.recv().await.unwrap();
    assert_eq!(report.outcome.unwrap_err(), Failed::new(FailureKind::Timeout, "no answer within 500ms"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_does_not_count_towards_the_timeout() {
    let seen = Seen::default();
    let permits = Arc::new(Semaphore::new(1));
    let (sender, mut reports) = mpsc::channel(16);
    for _ in 0..4 {
        seen.runner(SECOND / 3, &permits, sender.clone());
    }
    for _ in 0..12 {
        assert!(reports.recv().await.unwrap().outcome.is_ok());
    }
    assert_eq!(seen.most.load(Ordering::SeqCst), 1, "more at once than there are permits");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_lags_loses_nothing_and_gets_no_burst() {
    let seen = Seen::default();
    let (sender, mut reports) = mpsc::channel(1);
    seen.runner(Duration::ZERO, &Arc::new(Semaphore::new(1)), sender);
    tokio::time::sleep(SECOND * 30).await;
    // One in the channel, one waiting to be sent; no more ran.
    assert_eq!(seen.starts.lock().unwrap().len(), 2);
    for _ in 0..6 {
        reports.recv().await.unwrap();
    }
    let late = seen.gaps().into_iter().skip(1).filter(|gap| *gap < SECOND.mul_f64(0.9)).count();
    assert!(late <= 1, "{:?}", seen.gaps());
}

#[tokio::test]
async fn an_unchanged_check_keeps_its_task_and_a_changed_one_restarts() {
    let (mut scheduler, mut reports) = scheduler(64);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = Duration::from_hours(1);
    scheduler.apply(vec![scheduled("s1", address, slow), scheduled("s2", address, slow)]);
    let (first, second) = (reports.recv().await.unwrap(), reports.recv().await.unwrap());
    assert!(scheduler.is_current(&first) && scheduler.is_current(&second));
    // A changed interval is a changed check, a removed one is gone, an unchanged one does not run again.
    scheduler.apply(vec![scheduled("s1", address, slow), scheduled("s2", address, slow / 2)]);
    let third = reports.recv().await.unwrap();
    assert_eq!(third.id, id("s2", 0));
    let (of_first, of_second) = if &*first.id.server == "s1" { (first, second) } else { (second, first) };
    assert!(scheduler.is_current(&of_first) && scheduler.is_current(&third));
    assert!(!scheduler.is_current(&of_second), "a report of the old check is taken for one of the new");
    scheduler.apply(Vec::new());
    assert!(!scheduler.is_current(&of_first) && !scheduler.is_current(&third));
}

#[tokio::test]
async fn a_removed_check_sends_nothing_any_more() {
    let (mut scheduler, mut reports) = scheduler(1);
    let address = "127.0.0.1:1".parse().unwrap();
    scheduler.apply((0..32).map(|n| scheduled(&format!("s{n}"), address, Duration::from_millis(100))).collect());
    for _ in 0..64 {
        let report = reports.recv().await.unwrap();
        assert_eq!(report.outcome.unwrap_err().kind, FailureKind::Refused);
    }
    scheduler.apply(Vec::new());
    // What was sent before is in the channel; then every sender but the scheduler's own must go.
    let deadline = TokioInstant::now() + SECOND;
    while scheduler.reports.strong_count() > 1 {
        assert!(TokioInstant::now() < deadline, "tasks of removed checks live on");
        while let Ok(report) = reports.try_recv() {
            assert!(!scheduler.is_current(&report));
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_the_scheduler_ends_the_reports() {
    let (mut scheduler, mut reports) = scheduler(8);
    scheduler.apply(vec![scheduled("s1", "127.0.0.1:1".parse().unwrap(), Duration::from_millis(100))]);
    reports.recv().await.unwrap();
    drop(scheduler);
    let ended = tokio::time::timeout(SECOND, async { while reports.recv().await.is_some() {} }).await;
    assert!(ended.is_ok());
}
