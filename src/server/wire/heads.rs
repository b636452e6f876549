//! HTTP/1 heads taken from the wire one by one, for `server/http1`.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{LATE, Mode, Wire};
use crate::{
    layers::Request,
    server::{
        client::Order,
        http1::request::{self, Asked, UNREADABLE},
        scan::{Head, Limits, Refusal, read_head},
    },
};

/// What is next on an HTTP/1 connection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is used up at once")]
pub(crate) enum Ahead {
    /// A request without a body.
    Request(Request),
    /// A request of another kind.
    Other,
    /// A head that must be answered with an error.
    Refused,
    /// The client has closed.
    End,
}

/// What is read at once while no request is under way.
const READ: usize = 4 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// From here on heads are taken one by one.
    pub(crate) fn take_heads(&mut self, limits: Limits) {
        self.mode = Mode::Heads(limits);
        self.ready = 0;
    }

    /// Whether hyper has read all of the last request.
    pub(crate) fn is_between(&self) -> bool {
        matches!(&self.mode, Mode::Scan(scanner) if scanner.is_at_head())
    }

    /// The next head, and what of it decides how it is answered: beside it, as every move of a request
    /// counts.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        asked: &mut Asked,
    ) -> Poll<io::Result<Ahead>> {
        let Mode::Heads(limits) = self.mode else { return Poll::Ready(Ok(Ahead::End)) };
        let state = &self.connection.state;
        if state.has_orders() && state.ordered(Order::HeadTimeout) {
            state.done(Order::HeadTimeout);
            if !self.pending.is_empty() {
                self.refuse_head(LATE);
                return Poll::Ready(Ok(Ahead::Refused));
            }
        }
        // What was there before has been looked at, unless it was left by the request before.
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            if let Some(ahead) = self.look(&pending, limits, asked) {
                return Poll::Ready(Ok(ahead));
            }
        }
        loop {
            // On the stack: an idle connection holds no buffer.
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(Ahead::End));
            }
            self.connection.state.touch();
            let ahead = if self.pending.is_empty() {
                self.look(buf.filled(), limits, asked)
            } else {
                let mut pending = std::mem::take(&mut self.pending);
                pending.extend_from_slice(buf.filled());
                self.look(&pending, limits, asked)
            };
            if let Some(ahead) = ahead {
                return Poll::Ready(Ok(ahead));
            }
        }
    }

    /// Takes a head from the front of these bytes and keeps the rest.
    fn look(&mut self, bytes: &[u8], limits: Limits, asked: &mut Asked) -> Option<Ahead> {
        let mut head = Head::default();
        match read_head(bytes, limits, &mut head) {
            Ok(true) if head.framing.is_bodiless() && !head.line.old => {
                let (own, rest) = bytes.split_at(head.length);
                self.pending.extend_from_slice(rest);
                self.connection.state.set_head_pending(false);
                // Here, where the head is: it is large to be moved.
                match request::read(&head, &Bytes::copy_from_slice(own), asked) {
                    Some(request) => Some(Ahead::Request(request)),
                    None => {
                        self.refuse_head(UNREADABLE);
                        Some(Ahead::Refused)
                    }
                }
            }
            Ok(true) => {
                self.pending.extend_from_slice(bytes);
                Some(Ahead::Other)
            }
            Ok(false) => {
                self.pending.extend_from_slice(bytes);
                self.connection.state.set_head_pending(true);
                None
            }
            Err(refusal) => {
                self.refuse_head(refusal);
                Some(Ahead::Refused)
            }
        }
    }

    /// Nothing more is read as a request; whoever asked for the head answers.
    pub(crate) fn refuse_head(&mut self, refusal: Refusal) {
        self.connection.state.refuse(refusal);
        self.pending = Vec::new();
        self.mode = Mode::Refused;
        self.linger.begin();
    }

    /// Ready when the client has left. Of what it sends instead a little is kept.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.pending.is_empty() || matches!(self.mode, Mode::Refused) {
            return Poll::Pending;
        }
        let mut space = [MaybeUninit::uninit(); READ];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.connection.state.touch();
        self.pending.extend_from_slice(buf.filled());
        Poll::Pending
    }
}
