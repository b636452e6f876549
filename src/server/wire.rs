//! The bytes between a client's socket and hyper.
//!
//! For HTTP/1 whole, unambiguous heads (`scan`) go to `http1`, which answers them itself unless a body
//! or an upgrade follows. Then hyper reads on, and it too sees nothing ambiguous: a head that must be
//! refused is replaced by a well-formed one with [`REFUSED_METHOD`], which arrives at the gateway in
//! its turn and is answered, counted and logged like every other request. It also writes 1xx answers
//! hyper cannot, holds bytes sent before an upgrade is decided, and keeps the times the worker's
//! sweep looks at. For HTTP/2 it counts frames (`frames`) and ends the connection of a client that
//! floods. Once the protocol is switched it only passes bytes on.

mod heads;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::heads::Ahead;
use super::{
    client::{Connection, Order, REFUSED_METHOD, Upgrade, now_nanos},
    farewell::Farewell,
    frames::{Flood, Frames},
    linger::Linger,
    registry::Registration,
    scan::{Limits, Next, Refusal, Scanner},
};
use crate::{
    error::Reason,
    telemetry::metrics::{Cut, Protocol},
};

/// A client's byte stream as hyper sees it.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    io: S,
    connection: Arc<Connection>,
    mode: Mode,
    /// Bytes read from the client and not yet by hyper: the first `ready` may go, the rest is
    /// an incomplete head or held back.
    pending: Vec<u8>,
    ready: usize,
    /// 1xx answers on their way out.
    informational: Vec<u8>,
    /// hyper has written out everything it had: only here may an interim answer stand.
    between: bool,
    /// What is still read on shutdown.
    linger: Linger,
    /// Ends with the socket, also when the connection has become a tunnel.
    registration: Registration,
}

#[derive(Debug)]
enum Mode {
    /// HTTP/1 between two requests: heads are taken one by one.
    Heads(Limits),
    /// HTTP/1 that hyper reads.
    Scan(Scanner),
    /// The version is not known yet.
    Sniff,
    H2(Box<Frames>),
    /// HTTP/2 that has gone too far.
    Calm(Box<Farewell>),
    /// A refused request was handed on; nothing the client sends matters any more.
    Refused,
}

/// Why a head that is not complete is refused.
const LATE: Refusal =
    Refusal { reason: Reason::HeaderTimeout, detail: "the head did not arrive in time" };
/// Most bytes kept of what a client sends before its upgrade is decided.
const HELD_LIMIT: usize = 64 * 1024;

// === impl Wire ===

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A stream whose HTTP version is not known yet.
    pub(crate) fn new(io: S, connection: Arc<Connection>, registration: Registration) -> Self {
        connection.state.touch();
        Self {
            io,
            connection,
            mode: Mode::Sniff,
            pending: Vec::new(),
            ready: 0,
            informational: Vec::new(),
            between: true,
            linger: Linger::default(),
            registration,
        }
    }

    /// Gives back bytes hyper had read and not used. They were scanned already.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pending.splice(0..0, bytes.iter().copied());
            self.ready += bytes.len();
        }
    }

    /// From here on hyper reads HTTP/1.
    pub(crate) fn scan(&mut self, scanner: Scanner) {
        self.mode = Mode::Scan(scanner);
        let pending = std::mem::take(&mut self.pending);
        self.take_in(&pending);
    }

    /// From here on it is HTTP/2.
    pub(crate) fn count_frames(&mut self) {
        self.registration.is_now(Protocol::H2);
        let now = self.connection.state.touch();
        self.mode = Mode::H2(Box::new(Frames::new(now)));
    }

    /// What has been read and not yet passed on.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Reads more into what is pending, for a look at the first bytes.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; 2048];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.pending.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Appends bytes to what is pending and scans what was not scanned yet.
    fn take_in(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if let Mode::Scan(scanner) = &mut self.mode {
            let scan = scanner.scan(&self.pending[self.ready..]);
            self.ready += scan.pass;
            self.follow(scan.next);
        }
    }

    fn follow(&mut self, next: Next) {
        let state = &self.connection.state;
        match next {
            Next::More | Next::Hold => {}
            Next::Refuse(refusal) => self.refuse(refusal),
            Next::BadBody(detail) => {
                state.refuse(Refusal { reason: Reason::BadBody, detail });
                state.bad_body.store(true, Ordering::Relaxed);
                self.pending.truncate(self.ready);
                self.mode = Mode::Refused;
                self.linger.begin();
            }
        }
        let partial = self.pending.len() > self.ready
            && matches!(&self.mode, Mode::Scan(scanner) if scanner.is_at_head());
        self.connection.state.set_head_pending(partial);
    }

    /// Puts a request that says so in the place of the one refused.
    fn refuse(&mut self, refusal: Refusal) {
        self.connection.state.refuse(refusal);
        self.pending.truncate(self.ready);
        self.pending.extend_from_slice(REFUSED_METHOD.as_bytes());
        self.pending
            .extend_from_slice(b" / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n");
        self.ready = self.pending.len();
        self.mode = Mode::Refused;
        self.linger.begin();
    }

    /// Bytes that are ready go to hyper.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(&self.pending[..count]);
        self.pending.drain(..count);
        self.ready -= count;
        if self.pending.is_empty() {
            // An idle connection keeps no buffer.
            self.pending = Vec::new();
        }
    }

    /// After an upgrade request: whose bytes are these? `true`: go on reading.
    fn decide(&mut self) -> bool {
        let Mode::Scan(scanner) = &mut self.mode else { return true };
        if !scanner.is_held() {
            return true;
        }
        match self.connection.state.take_upgrade() {
            Upgrade::Undecided => return false,
            Upgrade::Accepted => {
                scanner.tunnel();
                self.registration.is_now(Protocol::Tunnel);
            }
            Upgrade::Refused => scanner.resume(),
        }
        self.take_in(&[]);
        true
    }

    fn check_head_timeout(&mut self) {
        if !self.connection.state.ordered(Order::HeadTimeout) {
            return;
        }
        self.connection.state.done(Order::HeadTimeout);
        if matches!(&self.mode, Mode::Scan(scanner) if scanner.is_at_head()) {
            self.refuse(LATE);
        }
    }

    /// What the frames of an HTTP/2 connection are to us.
    fn judge(&mut self, verdict: Result<(), Flood>) {
        let Mode::H2(frames) = &self.mode else { return };
        let state = &self.connection.state;
        state.streams.set_wire(frames.open(), frames.is_narrow());
        let Err(flood) = verdict else { return };
        let why = Cut::from(flood);
        tracing::debug!(peer = ?self.connection.peer, why = why.word(), "client must calm down");
        self.registration.cut(why);
        let last = frames.goaway(why.word());
        self.mode = Mode::Calm(Box::new(Farewell::new(last)));
        // The reading side sees to it.
        state.waker.wake();
    }

    /// What others have found out about an HTTP/2 connection.
    fn check_calm(&mut self) {
        let Mode::H2(frames) = &mut self.mode else { return };
        let state = &self.connection.state;
        if state.ordered(Order::Calm) {
            state.done(Order::Calm);
            let (flood, refused) = state.streams.take_findings();
            let verdict = flood.map_or_else(|| frames.refused(refused, now_nanos()), Err);
            self.judge(verdict);
        }
    }

    /// Counts frames of which `count` bytes were written.
    fn note_frames<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>, mut count: usize) {
        let Mode::H2(frames) = &mut self.mode else { return };
        let state = &self.connection.state;
        state.streams.note_progress();
        // The time of the last read is near enough for credit.
        let now = state.active();
        let mut verdict = Ok(());
        for slice in slices {
            let written = slice.len().min(count);
            count -= written;
            verdict = verdict.and(frames.wrote(&slice[..written], now));
            if count == 0 {
                break;
            }
        }
        self.judge(verdict);
    }

    /// The common case: straight into hyper's buffer, scanned there.
    fn poll_read_through(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() {
            return Poll::Ready(Ok(true));
        }
        self.connection.state.touch();
        let Mode::Scan(scanner) = &mut self.mode else { return Poll::Ready(Ok(true)) };
        let scan = scanner.scan(bytes);
        if scan.pass == bytes.len() && scan.next == Next::More {
            return Poll::Ready(Ok(true));
        }
        self.pending.extend_from_slice(&bytes[scan.pass..]);
        buf.set_filled(before + scan.pass);
        self.follow(scan.next);
        Poll::Ready(Ok(scan.pass > 0))
    }

    fn poll_read_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; 4096];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Poll::Ready(Ok(false));
        }
        self.connection.state.touch();
        self.take_in(buf.filled());
        Poll::Ready(Ok(true))
    }

    /// Interim answers before what hyper writes now. In the middle of an answer they would destroy
    /// it: the client reads slowly and has pipelined, and does without them.
    fn poll_before_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.between {
            drop(self.connection.state.take_informational());
        }
        self.poll_informational(cx)
    }

    fn poll_informational(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(heads) = self.connection.state.take_informational() {
            self.informational.extend_from_slice(&heads);
        }
        while !self.informational.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.informational))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.informational.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn note_write<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.between &= !matches!(result, Poll::Ready(Ok(_)));
        let state = &self.connection.state;
        state.set_blocked(result.is_pending());
        if result.is_pending() && state.tunnel.load(Ordering::Relaxed) {
            // The driver of the connection has ended: nobody else would hear the order.
            state.waker.register(cx.waker());
            if state.ordered(Order::Kill) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.state.has_orders() {
            this.check_head_timeout();
            this.check_calm();
        }
        loop {
            if let Mode::Calm(farewell) = &mut this.mode {
                ready!(farewell.poll(&mut this.io, cx));
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if matches!(this.mode, Mode::H2(_)) {
                if ready!(this.poll_read_frames(cx, buf))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if this.ready > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.mode, Mode::Refused) {
                if this.connection.state.bad_body.load(Ordering::Relaxed) {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                return Poll::Pending;
            }
            if !this.decide() {
                // Read on, to notice a client that leaves. The decision wakes us.
                if this.pending.len() >= HELD_LIMIT {
                    return Poll::Pending;
                }
                if !ready!(this.poll_read_pending(cx))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if this.ready > 0 {
                continue;
            }
            if this.pending.is_empty() {
                if ready!(this.poll_read_through(cx, buf))? {
                    return Poll::Ready(Ok(()));
                }
            } else if !ready!(this.poll_read_pending(cx))? {
                // The client closed inside a head: there is nobody to answer.
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.mode, Mode::Calm(_)) {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(this.poll_before_write(cx))?;
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = result {
            this.note_frames(std::iter::once(bytes), count);
        }
        this.note_write(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.mode, Mode::Calm(_)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        ready!(this.poll_before_write(cx))?;
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(count)) = result {
            this.note_frames(slices.iter().map(|slice| &**slice), count);
        }
        this.note_write(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when its own buffer is empty.
        this.between = true;
        ready!(this.poll_informational(cx))?;
        let result = Pin::new(&mut this.io).poll_flush(cx);
        // TLS has a buffer of its own.
        this.connection.state.set_blocked(result.is_pending());
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Mode::Calm(farewell) = &mut this.mode {
            return farewell.poll(&mut this.io, cx).map(Ok);
        }
        let more = match &this.mode {
            // The answer came before the end of the body, which is still being sent.
            Mode::Scan(scanner) => scanner.is_in_body(),
            // More requests came, which nobody will answer.
            Mode::Heads(_) => !this.pending.is_empty(),
            _ => false,
        };
        if more {
            this.mode = Mode::Refused;
            this.linger.begin();
        }
        if matches!(this.mode, Mode::Heads(_)) && this.connection.tls.is_none() {
            // Closing the socket, which comes next, says the same.
            return Poll::Ready(Ok(()));
        }
        let state = &this.connection.state;
        state.closing.store(true, Ordering::Relaxed);
        let result = Pin::new(&mut this.io).poll_shutdown(cx);
        state.set_blocked(result.is_pending());
        ready!(result)?;
        this.linger.poll(&mut this.io, cx)
    }
}
