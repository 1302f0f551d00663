//! The program's log of its decisions (`caslb run --bpf-log debug`), turned into ours.

use std::sync::Arc;

use aya::Ebpf;
use aya_log::EbpfLogger;
use lb_common::Reason;
use log::{Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, warn};

/// Reads the log of one loaded program until dropped.
pub(super) struct LogStream {
    _running: Arc<()>,
}

impl LogStream {
    /// How long the reader may go on after the stream was dropped.
    const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    /// Starts a thread that reads. Without a log in the program it says so and gives up: the log is for debugging and
    /// must not stop the service.
    pub(super) fn start(ebpf: &mut Ebpf, nic: &str) -> Option<Self> {
        let mut logger = match EbpfLogger::init_with_logger(ebpf, Forward { nic: nic.to_owned() }) {
            Ok(logger) => logger,
            Err(error) => {
                warn!(nic, %error, "the program's log cannot be read");
                return None;
            }
        };
        let running = Arc::new(());
        let wanted = Arc::downgrade(&running);
        std::thread::spawn(move || {
            while wanted.strong_count() > 0 {
                // Whether something came, the time is over, or a signal interrupted: look what is there.
                let _ = poll(&mut [PollFd::new(&logger, PollFlags::IN)], Some(&Self::PATIENCE));
                logger.flush();
            }
        });
        Some(Self { _running: running })
    }
}

/// Passes records on to tracing, with the number of a reason replaced by its name.
struct Forward {
    nic: String,
}

impl Log for Forward {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        debug!(nic = self.nic, "{}", with_reason_name(&text));
    }

    fn flush(&self) {}
}

/// `… reason=9` becomes `… reason=unknown-port`.
fn with_reason_name(text: &str) -> String {
    let named = text.rsplit_once("reason=").and_then(|(before, number)| {
        let reason = Reason::ALL.get(number.parse::<usize>().ok()?)?;
        Some(format!("{before}reason={}", reason.name()))
    });
    named.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_named() {
        assert_eq!(with_reason_name("a drop service=0 reason=9"), "a drop service=0 reason=unknown-port");
        assert_eq!(with_reason_name("a transmit server=9"), "a transmit server=9");
        assert_eq!(with_reason_name("reason=999"), "reason=999");
    }
}
