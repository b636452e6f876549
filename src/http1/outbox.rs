//! Bytes on their way to a socket: heads, chunk lines and small pieces in one buffer, a large piece
//! behind them uncopied, all written together.

use std::{
    io::{self, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue};
use tokio::io::AsyncWrite;

use super::write_field;

/// What is still to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    flat: Vec<u8>,
    /// How much of it is written.
    at: usize,
    /// A piece that was too large to be copied.
    large: Bytes,
    /// What follows that piece, and how much of it is written.
    tail: Vec<u8>,
    tail_at: usize,
}

/// Pieces up to this size are copied: one buffer is cheaper to write than two.
const COPY: usize = 4 * 1024;
/// Small pieces are gathered up to here.
const ENOUGH: usize = 16 * 1024;

// === impl Outbox ===

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.flat.is_empty() && self.large.is_empty() && self.tail.is_empty()
    }

    /// Whether there is something and nothing of it is written.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.flat.is_empty() && self.at == 0
    }

    /// Whether more may be added before this is written.
    pub(crate) fn has_room(&self) -> bool {
        self.flat.len() < ENOUGH && self.large.is_empty() && self.tail.is_empty()
    }

    /// For text that follows what is there.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if self.large.is_empty() { &mut self.flat } else { &mut self.tail }
    }

    /// Adds a piece of a body as it is.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPY {
            self.flat.extend_from_slice(&piece);
        } else {
            self.large = piece;
        }
    }

    /// Adds a piece of a body as one chunk.
    pub(crate) fn push_chunk(&mut self, piece: Bytes) {
        // Nothing can fail that writes to memory.
        let _ = write!(self.flat, "{:x}\r\n", piece.len());
        self.push(piece);
        self.text().extend_from_slice(b"\r\n");
    }

    /// Adds the last chunk and the trailers.
    pub(crate) fn end_chunks<'f>(
        &mut self,
        trailers: impl IntoIterator<Item = (&'f HeaderName, &'f HeaderValue)>,
    ) {
        let text = self.text();
        text.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            write_field(text, name, value);
        }
        text.extend_from_slice(b"\r\n");
    }

    /// Writes some of it.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(io);
        let count = if self.large.is_empty() && self.tail.is_empty() {
            ready!(io.poll_write(cx, &self.flat[self.at..]))?
        } else {
            let tail = &self.tail[self.tail_at..];
            let slices = [&self.flat[self.at..], &self.large, tail].map(IoSlice::new);
            ready!(io.poll_write_vectored(cx, &slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    fn advance(&mut self, mut count: usize) {
        let flat = count.min(self.flat.len() - self.at);
        self.at += flat;
        count -= flat;
        let large = count.min(self.large.len());
        self.large.advance(large);
        self.tail_at += count - large;
        if self.at == self.flat.len() {
            self.at = 0;
            self.flat.clear();
        }
        if self.tail_at == self.tail.len() {
            self.tail_at = 0;
            self.tail.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes a few bytes at a time.
    struct Slow {
        step: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.step);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn everything_goes_out_once_and_in_order(
            pieces in proptest::collection::vec((1_usize..9_000, any::<bool>()), 0..6),
            step in 1_usize..7_000
        ) {
            let (mut outbox, mut slow) = (Outbox::default(), Slow { step, taken: Vec::new() });
            let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
            let mut wanted = Vec::new();
            for (at, (length, chunked)) in pieces.into_iter().enumerate() {
                let piece = vec![b'a' + at as u8; length];
                if chunked {
                    wanted.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                    wanted.extend_from_slice(&piece);
                    wanted.extend_from_slice(b"\r\n");
                    outbox.push_chunk(piece.into());
                } else {
                    wanted.extend_from_slice(&piece);
                    outbox.push(piece.into());
                }
                while !outbox.is_empty() && (!outbox.has_room() || at % 2 == 0) {
                    prop_assert!(outbox.poll_write(&mut slow, &mut cx).is_ready());
                }
            }
            while !outbox.is_empty() {
                prop_assert!(outbox.poll_write(&mut slow, &mut cx).is_ready());
            }
            prop_assert!(slow.taken == wanted);
        }
    }
}
