//! The end of a connection that must stop now: the last bytes, then a short time in which what the
//! client still sends is thrown away. A socket closed with bytes unread is reset, and the reset would
//! destroy the last word on its way.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// What is left to do of an end.
#[derive(Debug)]
pub(crate) struct Farewell {
    word: Vec<u8>,
    written: usize,
    /// Bytes that may still be thrown away.
    linger: usize,
    closed: bool,
    patience: Pin<Box<Sleep>>,
}

/// Most bytes thrown away.
const LINGER: usize = 256 * 1024;
/// How long a client may take to notice.
const PATIENCE: Duration = Duration::from_secs(1);

// === impl Farewell ===

impl Farewell {
    /// Says `word` last.
    pub(crate) fn new(word: Vec<u8>) -> Self {
        let patience = Box::pin(tokio::time::sleep(PATIENCE));
        Self { word, written: 0, linger: LINGER, closed: false, patience }
    }

    /// Ready when the socket may be dropped.
    pub(crate) fn poll<S>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while self.written < self.word.len() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.word[self.written..])) {
                Ok(count @ 1..) => self.written += count,
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        if !self.closed {
            if ready!(Pin::new(&mut *io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.closed = true;
        }
        let mut space = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut buf));
            let count = buf.filled().len();
            if read.is_err() || count == 0 || count > self.linger {
                return Poll::Ready(());
            }
            self.linger -= count;
        }
    }
}
