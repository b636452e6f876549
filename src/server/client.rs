//! The state of one client connection, shared by its bytes (`wire`), its driver (`connection`), its
//! requests and the worker's sweep. A connection lives on one core, so the atomics are never
//! contended; they are here because everything stays `Send + Sync`.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{peer::Peer, scan::Refusal, streams::Streams};
use crate::{
    admission::Buckets,
    config::model::{Name, Rates},
    telemetry::metrics::{ListenerMetrics, Metrics},
};

/// The moment all coarse times count from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What is known of a client connection once it is accepted (and its handshake done).
#[derive(Debug)]
pub struct Connection {
    /// Name of the listener.
    pub listener: Name,
    /// Position of the listener's metrics.
    pub listener_id: usize,
    /// Address of the peer; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Port it connected to; 0 on a Unix socket.
    pub local_port: u16,
    /// The TLS session, if there is one.
    pub tls: Option<TlsSession>,
    /// The peer's address as a header value.
    pub(crate) peer_value: HeaderValue,
    /// The local port as a header value.
    pub(crate) port_value: HeaderValue,
    /// What upstreams are told of the connection, as lines; made when it is needed, given up while it
    /// idles.
    pub(crate) lines: Mutex<Option<Box<[u8]>>>,
    /// Its bandwidth, on routes that limit it.
    buckets: Mutex<Vec<Arc<Buckets>>>,
    /// The numbers of its listener, once they have been asked for.
    metrics: OnceLock<Option<Arc<ListenerMetrics>>>,
    /// What it is doing.
    pub(crate) state: ClientState,
}

/// What a log line says of a TLS session.
#[derive(Debug)]
pub struct TlsSession {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: &'static str,
    /// Cipher suite in IANA words.
    pub cipher: String,
    /// The name the client asked for.
    pub sni: Option<Box<str>>,
    /// The certificate it has shown, where the listener asks for one.
    pub peer: Option<Box<Peer>>,
}

/// What a connection is doing, and what it is asked to do.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    /// Wakes the driver of the connection.
    pub(crate) waker: AtomicWaker,
    orders: AtomicU8,
    /// Requests whose answer has not ended.
    in_flight: AtomicU32,
    /// Nanoseconds since the epoch of the last byte read, or of the last end of an answer.
    active: AtomicU64,
    /// Nanoseconds since the epoch of the first byte of a head not complete yet; 0: none.
    head_since: AtomicU64,
    /// Nanoseconds since the epoch at which a write began to block; 0: none does.
    blocked_since: AtomicU64,
    /// Nanoseconds since the epoch at which the request in flight must have a response head; 0:
    /// no coarse limit runs.
    due: AtomicU64,
    /// The sweep has found that moment past.
    overdue: AtomicBool,
    /// What its streams share, over HTTP/2.
    pub(crate) streams: Streams,
    /// At least one request was read.
    pub(crate) served: AtomicBool,
    /// Its driver has dropped the protocol and waits for the next byte.
    pub(crate) parked: AtomicBool,
    /// Everything was written and the end of it said: only the client's end is waited for.
    pub(crate) closing: AtomicBool,
    /// It became a tunnel.
    pub(crate) tunnel: AtomicBool,
    upgrade: AtomicU8,
    /// The client broke the framing of the body being read.
    pub(crate) bad_body: AtomicBool,
    /// Why the request behind [`REFUSED_METHOD`] was refused.
    refusal: Mutex<Option<Refusal>>,
    /// 1xx answers to be written before the final one.
    informational: Mutex<Vec<u8>>,
    has_informational: AtomicBool,
}

/// What the sweep or a drain asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Finish the requests in flight and close.
    Drain = 1,
    /// Close now.
    Kill = 2,
    /// Nothing is going on: give back the memory of the protocol.
    Park = 4,
    /// A head took too long: answer so and close.
    HeadTimeout = 8,
    /// HTTP/2: look at what was found out about its streams.
    Calm = 16,
}

/// Whether bytes after an upgrade request belong to the new protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// No answer yet.
    Undecided,
    /// They do.
    Accepted,
    /// They are the next request.
    Refused,
}

/// How long a drain waits for the first request of a new connection.
const FRESH: Duration = Duration::from_secs(1);

/// The method of the well-formed request that takes the place of a refused one; no route sees it.
pub(crate) const REFUSED_METHOD: &str = "TIDEGATE-REFUSED";

// === impl Connection ===

impl Connection {
    /// A connection that was just accepted.
    pub fn new(
        listener: Name,
        listener_id: usize,
        peer: Option<SocketAddr>,
        local_port: u16,
        tls: Option<TlsSession>,
    ) -> Self {
        let peer_value = peer.map_or_else(
            || HeaderValue::from_static("unknown"),
            |peer| value_of(&peer.ip().to_canonical().to_string()),
        );
        Self {
            listener,
            listener_id,
            peer,
            local_port,
            tls,
            peer_value,
            port_value: HeaderValue::from(local_port),
            lines: Mutex::new(None),
            buckets: Mutex::default(),
            metrics: OnceLock::new(),
            state: ClientState::default(),
        }
    }

    /// Its part of the bandwidth with this id, at these rates.
    pub(crate) fn buckets(&self, id: u64, rates: Rates) -> Arc<Buckets> {
        let mut all = self.buckets.lock();
        if let Some(known) = all.iter().find(|it| it.id() == id && it.rates() == rates) {
            return Arc::clone(known);
        }
        // Those with other rates are of a configuration before.
        all.retain(|it| it.id() != id);
        let new = Arc::new(Buckets::with(id, rates, Instant::now()));
        all.push(Arc::clone(&new));
        new
    }

    /// The numbers of its listener, which are looked up once.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> Option<&ListenerMetrics> {
        self.metrics.get_or_init(|| metrics.listener_of(self.listener_id)).as_deref()
    }
}

fn value_of(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

// === impl ClientState ===

impl ClientState {
    /// Asks something of the connection and wakes it.
    pub(crate) fn order(&self, order: Order) {
        self.orders.fetch_or(order as u8, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Whether this was asked.
    pub(crate) fn ordered(&self, order: Order) -> bool {
        self.orders.load(Ordering::Relaxed) & order as u8 != 0
    }

    /// Whether anything was asked.
    pub(crate) fn has_orders(&self) -> bool {
        self.orders.load(Ordering::Relaxed) != 0
    }

    /// Opened a moment ago, its first request still under way: no client expects to lose that one.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.served.load(Ordering::Relaxed) && self.ages(now_nanos()).idle < FRESH
    }

    /// Takes an order back.
    pub(crate) fn done(&self, order: Order) {
        self.orders.fetch_and(!(order as u8), Ordering::Relaxed);
    }

    /// Bytes came in now.
    pub(crate) fn touch(&self) -> u64 {
        let now = now_nanos();
        self.active.store(now, Ordering::Relaxed);
        now
    }

    /// When bytes last came in, in nanoseconds since the epoch.
    pub(crate) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// When bytes last came in.
    pub(crate) fn last_active(&self) -> Instant {
        *EPOCH + Duration::from_nanos(self.last_active_nanos())
    }

    /// The same in nanoseconds since the epoch.
    pub(crate) fn last_active_nanos(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// A head is (or is no longer) incomplete.
    pub(crate) fn set_head_pending(&self, pending: bool) {
        if !pending {
            self.head_since.store(0, Ordering::Relaxed);
        } else if self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(now_nanos(), Ordering::Relaxed);
        }
    }

    /// A write blocked, or went through again.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        let was = self.blocked_since.load(Ordering::Relaxed) != 0;
        if was != blocked {
            let since = if blocked { now_nanos().max(1) } else { 0 };
            self.blocked_since.store(since, Ordering::Relaxed);
            if !blocked {
                self.streams.resume();
            }
        }
    }

    /// Whether the socket takes no bytes.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != 0
    }

    /// Sets, or takes off, the moment by which the sweep is to wake the request in flight.
    pub(crate) fn set_due(&self, due: Option<Instant>) {
        let nanos = due.map_or(0, |due| nanos(due.saturating_duration_since(*EPOCH)).max(1));
        self.due.store(nanos, Ordering::Relaxed);
        if nanos != 0 {
            self.overdue.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the sweep has found that moment past.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Wakes a request that is overdue.
    pub(crate) fn check_due(&self, now: u64) {
        let due = self.due.load(Ordering::Relaxed);
        if due != 0 && now >= due {
            self.due.store(0, Ordering::Relaxed);
            self.overdue.store(true, Ordering::Relaxed);
            self.waker.wake();
        }
    }

    /// A request begins.
    pub(crate) fn begin_request(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
    }

    /// Its answer has ended.
    pub(crate) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests whose answer has not ended.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Decides whose the bytes after an upgrade request are.
    pub(crate) fn decide_upgrade(&self, decision: Upgrade) {
        self.upgrade.store(decision as u8, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Takes the decision.
    pub(crate) fn take_upgrade(&self) -> Upgrade {
        match self.upgrade.swap(Upgrade::Undecided as u8, Ordering::Relaxed) {
            1 => Upgrade::Accepted,
            2 => Upgrade::Refused,
            _ => Upgrade::Undecided,
        }
    }

    /// Remembers why the request that follows was refused.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock() = Some(refusal);
    }

    /// Why it was refused.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().clone()
    }

    /// Queues a 1xx answer.
    pub(crate) fn inform(&self, head: &[u8]) {
        self.informational.lock().extend_from_slice(head);
        self.has_informational.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Takes the queued 1xx answers.
    pub(crate) fn take_informational(&self) -> Option<Vec<u8>> {
        if !self.has_informational.load(Ordering::Relaxed) {
            return None;
        }
        self.has_informational.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut *self.informational.lock()))
    }

    /// How long ago, if ever, each limit began to run.
    pub(crate) fn ages(&self, now: u64) -> Ages {
        let age =
            |since: u64| (since != 0).then(|| Duration::from_nanos(now.saturating_sub(since)));
        Ages {
            idle: Duration::from_nanos(now.saturating_sub(self.active.load(Ordering::Relaxed))),
            head: age(self.head_since.load(Ordering::Relaxed)),
            blocked: age(self.blocked_since.load(Ordering::Relaxed)),
            stuck: age(self.streams.stuck_since(now).unwrap_or(0)),
        }
    }
}

/// How long things have lasted on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    /// Since the last byte came in.
    pub(crate) idle: Duration,
    /// Since the first byte of a head that is not complete.
    pub(crate) head: Option<Duration>,
    /// Since a write began to block.
    pub(crate) blocked: Option<Duration>,
    /// Since HTTP/2 answers that nobody can see any more have not moved.
    pub(crate) stuck: Option<Duration>,
}

/// Nanoseconds since the epoch, at least 1.
pub(crate) fn now_nanos() -> u64 {
    nanos_of(Instant::now()).max(1)
}

/// Nanoseconds from the epoch to a moment after it.
pub(crate) fn nanos_of(instant: Instant) -> u64 {
    nanos(instant.saturating_duration_since(*EPOCH))
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}
