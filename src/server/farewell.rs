//! The end of an HTTP/2 connection that must stop now: a last frame, then what every such end needs
//! (`linger`), or the frame would be destroyed on its way.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::linger::Linger;

/// What is left to do of an end.
#[derive(Debug)]
pub(crate) struct Farewell {
    word: Vec<u8>,
    written: usize,
    closed: bool,
    linger: Linger,
}

// === impl Farewell ===

impl Farewell {
    /// Says `word` last.
    pub(crate) fn new(word: Vec<u8>) -> Self {
        let mut linger = Linger::default();
        linger.begin();
        Self { word, written: 0, closed: false, linger }
    }

    /// Ready when the socket may be dropped.
    pub(crate) fn poll<S>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while self.written < self.word.len() {
            // A client that does not even take this gets no last word.
            match Pin::new(&mut *io).poll_write(cx, &self.word[self.written..]) {
                Poll::Ready(Ok(count @ 1..)) => self.written += count,
                _ => return Poll::Ready(()),
            }
        }
        if !self.closed {
            if ready!(Pin::new(&mut *io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.closed = true;
        }
        self.linger.poll(io, cx).map(drop)
    }
}
