//! HTTP/2 as the wire reads it: what asks for nothing is let through a turn at a time, so that other
//! connections of the worker are not kept waiting by a flood.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Mode, Wire};

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// HTTP/2: what the client sends goes on as far as it has its turn; the rest waits here. `false`: it
    /// went too far.
    pub(super) fn poll_read_frames(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let Mode::H2(frames) = &mut self.mode else { return Poll::Ready(Ok(false)) };
        if frames.ends_turn() {
            // Unlike a wake, it lets the worker look at its sockets before our next turn.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if self.pending.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            self.ready = self.pending.len();
            self.deliver(buf);
            self.ready = 0;
        }
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let Mode::H2(frames) = &mut self.mode else { return Poll::Ready(Ok(false)) };
        let verdict = frames.read_turn(bytes, self.connection.state.touch());
        let pass = verdict.unwrap_or(0);
        self.pending.splice(0..0, bytes[pass..].iter().copied());
        buf.set_filled(before + pass);
        self.judge(verdict.map(drop));
        Poll::Ready(Ok(verdict.is_ok()))
    }
}
