//! Downloads whose every byte is known: what the simulated server sends, and how a client verifies it.
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Pieces a second that a download with a rate is sent in.
const PIECES_PER_SECOND: u64 = 50;
/// Piece of a download without a rate, in bytes.
const PIECE: u64 = 64 << 10;

/// The byte at `offset` of every download. Its period is far longer than any download, so that lost, repeated or swapped
/// pieces show.
pub fn byte_at(offset: u64) -> u8 {
    // Fibonacci hashing: the top bits of a multiplication by 2^64 divided by the golden ratio.
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0]
}

/// Whether `piece`, found at `offset`, is what was sent there; else the offset of the first wrong byte.
pub fn verify(offset: u64, piece: &[u8]) -> Result<(), u64> {
    match (offset..).zip(piece).find(|(at, byte)| byte_at(*at) != **byte) {
        Some((at, _)) => Err(at),
        None => Ok(()),
    }
}

/// The body of a download.
#[derive(Debug)]
pub(crate) struct Download {
    sent: u64,
    /// `None` is endless.
    total: Option<u64>,
    piece: u64,
    pace: Option<Interval>,
}

impl Download {
    /// `total` bytes, or endless; at `rate` bytes a second, or as fast as they are taken. Needs a tokio runtime.
    pub(crate) fn new(total: Option<u64>, rate: Option<u64>) -> Self {
        let pace = rate.map(|_| {
            let mut pace = interval(Duration::from_secs(1) / u32::try_from(PIECES_PER_SECOND).unwrap_or(1));
            // Late pieces, while nothing could be sent, must not come in a burst.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let piece = rate.map_or(PIECE, |rate| (rate / PIECES_PER_SECOND).max(1));
        Self { sent: 0, total, piece, pace }
    }

    fn left(&self) -> u64 {
        self.total.map_or(u64::MAX, |total| total.saturating_sub(self.sent))
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.left().min(self.piece);
        if length == 0 {
            return Poll::Ready(None);
        }
        if let Some(pace) = &mut self.pace {
            ready!(pace.poll_tick(context));
        }
        let piece: Vec<u8> = (self.sent..self.sent + length).map(byte_at).collect();
        self.sent += length;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.total.map_or_else(SizeHint::default, |_| SizeHint::with_exact(self.left()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_repeated_and_swapped_pieces_show() {
        let content: Vec<u8> = (0..100_000).map(byte_at).collect();
        assert_eq!(verify(0, &content), Ok(()));
        assert_eq!(verify(7, &content[7..]), Ok(()));
        for shift in [1, 8, 255, 256, 1448, 4096, 65_536] {
            assert!(verify(shift, &content[..2000]).is_err(), "shifted by {shift}");
        }
        assert_eq!(verify(0, &[content[0], content[1], !content[2]]), Err(2));
    }
}
