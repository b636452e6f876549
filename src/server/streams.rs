//! The streams of one HTTP/2 connection: how much of their answers waits for the client, and what
//! follows from it. A client that opens streams and takes nothing must not make the gateway hold more
//! and more: beyond a number of answers that wait, its next requests wait too, unheard; and a stream
//! that takes nothing for too long is reset, while the others go on.
//!
//! An answer waits visibly when a piece of it was handed to `h2` and the next was not asked for. The
//! last piece is asked for once and then out of our sight; streams still open on the wire whose task
//! has ended are those.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::{
    sync::Notify,
    time::{Instant, Sleep},
};

use super::{
    client::{Connection, Order},
    frames::Flood,
};

/// What the streams of a connection share.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Open as the wire sees it.
    open: AtomicU32,
    narrow: AtomicBool,
    /// Tasks that run.
    live: AtomicU32,
    /// Answers with a piece that waits for the client's window.
    held: AtomicU32,
    /// Pieces asked for so far.
    asked: AtomicU32,
    /// Requests that wait until answers have moved.
    waiting: AtomicU32,
    /// What the heads of those requests take, in bytes.
    waiting_bytes: AtomicUsize,
    moved: Notify,
    /// Bodies that wait until the socket takes bytes again.
    paused: Mutex<Vec<Waker>>,
    /// Requests the gate has refused and the wire has not heard of.
    refused: AtomicU32,
    flood: AtomicU8,
    /// Bytes have gone out since the last sweep.
    progress: AtomicBool,
    /// When the sweep first found answers on the wire that do not move; 0: none.
    stuck_since: AtomicU64,
}

/// Largest piece of an answer handed to `h2` at once: what it may hold unseen for each stream.
pub(crate) const PIECE: usize = 8 * 1024;
/// Requests that run at a time for a client to which answers cannot be sent.
const NARROW_LIMIT: u32 = 4;
/// Requests the gate may refuse before the wire hears of it: they come in one go.
const REFUSED: u32 = 32;
/// Most bytes the heads of waiting requests may take.
const WAITING: usize = 128 * 1024;
/// What a field of a head takes beside its name and value.
const FIELD: usize = 64;
/// What a head takes beside its fields.
const HEAD: usize = 256;

// === impl Streams ===

impl Streams {
    /// What the wire sees: so many streams are open, and the client's windows are too small to
    /// send anything worth it.
    pub(crate) fn set_wire(&self, open: usize, narrow: bool) {
        self.narrow.store(narrow, Relaxed);
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        if self.open.swap(open, Relaxed) > open {
            self.moved();
        }
    }

    /// An answer has a piece that waits.
    pub(crate) fn hold(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    /// It waits no longer.
    pub(crate) fn release(&self) {
        self.held.fetch_sub(1, Relaxed);
        self.moved();
    }

    /// The next piece of an answer was asked for: the one before is on its way.
    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    /// Whether one more request must wait. Where answers can be sent, those that wait for the
    /// client count; where they cannot, every request does.
    fn is_full(&self, limit: u32) -> bool {
        let live = self.live.load(Relaxed);
        let finishing = self.open.load(Relaxed).saturating_sub(live);
        self.held.load(Relaxed) + finishing >= limit
            || self.narrow.load(Relaxed)
                && live.saturating_sub(self.waiting.load(Relaxed)) >= NARROW_LIMIT
    }

    fn moved(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.moved.notify_waiters();
        }
    }

    /// What a request must do. Streams that are just beginning are counted among those that end;
    /// [`Waiting::admit`] knows better a moment later.
    pub(crate) fn entry(&self, limit: u32) -> Entry {
        if self.flood.load(Relaxed) != 0 {
            Entry::Never
        } else if self.is_full(limit) {
            Entry::Wait
        } else {
            Entry::Now
        }
    }

    /// The socket takes no bytes: the body asks again when it does.
    pub(crate) fn pause(&self, waker: &Waker) {
        self.paused.lock().push(waker.clone());
    }

    /// The socket takes bytes.
    pub(crate) fn resume(&self) {
        for waker in std::mem::take(&mut *self.paused.lock()) {
            waker.wake();
        }
    }

    // --- floods ---

    /// The connection must end.
    fn calm(&self, connection: &Connection, flood: Flood) {
        self.flood.store(flood as u8, Relaxed);
        connection.state.order(Order::Calm);
    }

    /// The gate has refused a request.
    pub(crate) fn refuse(&self, connection: &Connection) {
        if self.refused.fetch_add(1, Relaxed) >= REFUSED {
            return self.calm(connection, Flood::Resets);
        }
        connection.state.order(Order::Calm);
    }

    /// What was found out, for the wire: a flood, and requests refused.
    pub(crate) fn take_findings(&self) -> (Option<Flood>, u32) {
        (Flood::from_number(self.flood.load(Relaxed)), self.refused.swap(0, Relaxed))
    }

    // --- the sweep ---

    /// Bytes went out.
    pub(crate) fn note_progress(&self) {
        self.progress.store(true, Relaxed);
    }

    /// Since when, in nanoseconds, answers out of our sight have not moved. Asked once per sweep.
    pub(crate) fn stuck_since(&self, now: u64) -> Option<u64> {
        let finishing = self.open.load(Relaxed) > self.live.load(Relaxed);
        if self.progress.swap(false, Relaxed) || !finishing {
            self.stuck_since.store(0, Relaxed);
            return None;
        }
        let since = self.stuck_since.load(Relaxed);
        if since == 0 {
            self.stuck_since.store(now, Relaxed);
        }
        Some(if since == 0 { now } else { since })
    }
}

/// What a head takes in memory, roughly.
pub(crate) fn head_bytes<B>(request: &http::Request<B>) -> usize {
    let fields = request.headers().iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum();
    HEAD + fields + request.uri().path().len()
}

/// What a request must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Go on.
    Now,
    /// Wait for others, if it must.
    Wait,
    /// Its connection is at its end.
    Never,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Waiting {
    /// For a request whose head takes so much. `None`: no more may wait, and the connection ends.
    /// From clients that take no answers that is seen at once, from others in [`Self::admit`].
    pub(crate) fn new(connection: &Arc<Connection>, bytes: usize) -> Option<Self> {
        let streams = &connection.state.streams;
        streams.waiting.fetch_add(1, Relaxed);
        let before = streams.waiting_bytes.fetch_add(bytes, Relaxed);
        let waiting = Self { connection: Arc::clone(connection), bytes };
        if streams.narrow.load(Relaxed) && before + bytes > WAITING {
            streams.calm(connection, Flood::Memory);
            return None;
        }
        Some(waiting)
    }

    /// Waits until fewer than `limit` answers wait.
    pub(crate) async fn admit(self, limit: u32) {
        let streams = &self.connection.state.streams;
        if streams.is_full(limit) && streams.waiting_bytes.load(Relaxed) > WAITING {
            streams.calm(&self.connection, Flood::Memory);
        }
        loop {
            let moved = streams.moved.notified();
            if !streams.is_full(limit) {
                return;
            }
            moved.await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let streams = &self.connection.state.streams;
        streams.waiting.fetch_sub(1, Relaxed);
        streams.waiting_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

// === tasks ===

/// Runs the streams of one connection, each in a task of its own.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    connection: Arc<Connection>,
    /// How long an answer may wait for the client.
    limit: Duration,
}

impl Tasks {
    /// For the streams of this connection.
    pub(crate) const fn new(connection: Arc<Connection>, limit: Duration) -> Self {
        Self { connection, limit }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let connection = Arc::clone(&self.connection);
        connection.state.streams.live.fetch_add(1, Relaxed);
        let live = Live { connection };
        let limit = self.limit;
        tokio::spawn(Task { future, live, limit, held: false, timer: None });
    }
}

/// Counts a task.
struct Live {
    connection: Arc<Connection>,
}

impl Drop for Live {
    fn drop(&mut self) {
        let streams = &self.connection.state.streams;
        streams.live.fetch_sub(1, Relaxed);
        streams.moved();
    }
}

pin_project! {
    /// One stream. When it ends before its answer has, `h2` resets it.
    struct Task<F> {
        // Dropped first: what is then still open on the wire is what `h2` holds.
        #[pin]
        future: F,
        live: Live,
        limit: Duration,
        held: bool,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let streams = &this.live.connection.state.streams;
        let (held, asked) = (streams.held.load(Relaxed), streams.asked.load(Relaxed));
        if this.future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // All of this runs on one thread, so what has changed this stream has changed.
        let (held_now, asked_now) = (streams.held.load(Relaxed), streams.asked.load(Relaxed));
        *this.held = if *this.held { held_now >= held } else { held_now > held };
        if !*this.held {
            return Poll::Pending;
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(*this.limit)));
        if asked_now != asked {
            timer.as_mut().reset(Instant::now() + *this.limit);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        tracing::debug!(peer = ?this.live.connection.peer, "a stream takes nothing and is reset");
        Poll::Ready(())
    }
}
