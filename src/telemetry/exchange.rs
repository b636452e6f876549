//! One request and its answer, from the moment its head is complete until the end of the response
//! body: what the layers learn of it and what the record of it is written from. The gateway makes
//! it once per request and puts it into the request's extensions as `Arc<Exchange>`.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Uri, Version};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::request_id::RequestId;
use crate::{
    admission::Permit,
    auth::Claims,
    config::model::{Class, ErrorFormat, Name},
    error::Reason,
    limit::Told,
    routing::PathPattern,
    server::{
        client::{Connection, Upgrade, now_nanos},
        forwarding::HopRequest,
    },
};

/// What a record says of the route that was taken. Shared by all requests of a route; the built-in
/// route of unmatched and refused requests has the empty name.
#[derive(Debug)]
pub struct RouteInfo {
    /// Name in the file; empty for the built-in route.
    pub name: Name,
    /// The form of errors.
    pub errors: ErrorFormat,
    /// Write an access log line.
    pub access_log: bool,
    /// How much its requests matter, until more is known of one.
    pub class: Class,
    /// Shown in logs.
    pub labels: BTreeMap<String, String>,
}

/// One request and its answer. What was known at its beginning is the [`Head`] it dereferences to.
#[derive(Debug)]
pub struct Exchange {
    head: Head,
    /// Bytes of request body received.
    pub bytes_in: AtomicU64,
    /// Nanoseconds since the epoch of the last piece of request body taken by the upstream.
    progress: AtomicU64,
    /// The request body has been taken whole (or there was none).
    sent: AtomicBool,
    /// What of our own is still to be written, see [`Late`].
    late: AtomicU8,
    /// How much it matters, see [`Class`].
    class: AtomicU8,
    /// Whose the bytes after an upgrade request are has been decided.
    decided: AtomicBool,
    /// What became of it.
    outcome: Mutex<Outcome>,
}

/// Fields of ours that are written past the map, by whoever writes the head, as nobody looks for them
/// on the way: see `server/forwarding`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Late {
    /// All those of the request.
    Request = 1,
    /// All those of the answer.
    Answer = 2,
    /// Among these is a `Via`.
    Via = 4,
    /// What limits say of it, into whatever form the head of the answer has.
    Limits = 8,
}

/// What became of a request; filled on the way.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the gateway failed it.
    pub reason: Option<Reason>,
    /// For the log only.
    pub detail: Option<Box<str>>,
    /// Upstream chosen.
    pub upstream: Option<Name>,
    /// Endpoint chosen last.
    pub endpoint: Option<Name>,
    /// Tries made.
    pub tries: u32,
    /// Who it is from.
    pub consumer: Option<Name>,
    /// What the issuer says of them.
    pub(crate) claims: Option<Arc<Claims>>,
    /// What is told of limits.
    pub(crate) limits: SmallVec<[Told; 1]>,
    /// Places it takes up until its end.
    pub(crate) held: Vec<Permit>,
    /// Its query may hold a secret.
    pub private_query: bool,
    /// Time from sending to the upstream until its response head, of the last try.
    pub upstream_time: Option<Duration>,
}

/// What is known of a request when its stack begins.
#[derive(Debug)]
pub struct Head {
    /// Its id.
    pub id: RequestId,
    /// When its head was complete.
    pub started: Instant,
    /// The same in microseconds since 1970.
    pub started_unix: u64,
    /// The connection it came on.
    pub connection: Arc<Connection>,
    /// The true client address; `None` on a Unix socket that names nobody.
    pub client_ip: Option<IpAddr>,
    /// The peer is one of the listener's trusted proxies.
    pub trusted: bool,
    /// Method as received.
    pub method: Method,
    /// Host as received, with its port.
    pub authority: Option<HeaderValue>,
    /// Host without port, lower case; empty if there was none.
    pub host: Arc<str>,
    /// The canonical path and the query, as matched, logged and sent.
    pub uri: Uri,
    /// HTTP version the client spoke.
    pub version: Version,
    /// `User-Agent` as received.
    pub user_agent: Option<HeaderValue>,
    /// The answer must be one a gRPC client understands.
    pub grpc: bool,
    /// The `Accept` header, for the form of errors.
    pub accept: Option<HeaderValue>,
    /// The route taken.
    pub route: Arc<RouteInfo>,
    /// The path pattern that matched, for routes that use what it captures.
    pub(crate) pattern: Option<Arc<PathPattern>>,
    /// What the client asked of this hop only.
    pub(crate) hop: HopRequest,
}

// === impl Exchange ===

impl Exchange {
    /// An exchange whose outcome is still open.
    pub fn new(head: Head) -> Self {
        Self {
            class: AtomicU8::new(head.route.class as u8),
            head,
            bytes_in: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            sent: AtomicBool::new(true),
            late: AtomicU8::new(0),
            decided: AtomicBool::new(false),
            outcome: Mutex::new(Outcome::default()),
        }
    }

    /// An exchange nobody waits for, of what the gateway itself asks or copies because of this one: what
    /// becomes of that must not stand in the record of the request. Its time runs from `started`.
    pub(crate) fn detached(&self, started: Instant, grpc: bool, trailers: bool) -> Arc<Self> {
        let from = &self.connection;
        let listener = Arc::clone(&from.listener);
        let connection =
            Connection::new(listener, from.listener_id, from.peer, from.local_port, None);
        // The exchange ends it.
        connection.state.begin_request();
        Arc::new(Self::new(Head {
            id: self.id.clone(),
            started,
            started_unix: self.started_unix,
            connection: Arc::new(connection),
            client_ip: self.client_ip,
            trusted: self.trusted,
            method: self.method.clone(),
            authority: self.authority.clone(),
            host: Arc::clone(&self.host),
            uri: self.uri.clone(),
            // Its connection has no sweep: its limits have timers of their own.
            version: Version::HTTP_2,
            user_agent: None,
            grpc,
            accept: None,
            route: Arc::clone(&self.route),
            pattern: None,
            hop: HopRequest { trailers, ..HopRequest::default() },
        }))
    }

    /// Leaves fields to whoever writes the head.
    pub(crate) fn owe(&self, what: Late) {
        self.late.store(self.late.load(Ordering::Relaxed) | what as u8, Ordering::Relaxed);
    }

    /// Whether they still have to be written.
    pub(crate) fn owes(&self, what: Late) -> bool {
        self.late.load(Ordering::Relaxed) & what as u8 != 0
    }

    /// Whether they still have to be written, by the one who asks.
    pub(crate) fn take_owed(&self, what: Late) -> bool {
        let owed = self.owes(what);
        self.late.store(self.late.load(Ordering::Relaxed) & !(what as u8), Ordering::Relaxed);
        owed
    }

    /// Changes the outcome. The lock is never contended: a request lives on one core.
    pub fn note(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock());
    }

    /// Has the client told of a limit.
    #[inline(always)]
    pub(crate) fn tell(&self, told: Told) {
        self.note(|outcome| outcome.limits.push(told));
        self.owe(Late::Limits);
    }

    /// Looks something up in the outcome so far.
    pub(crate) fn with_outcome<T>(&self, look: impl FnOnce(&Outcome) -> T) -> T {
        look(&self.outcome.lock())
    }

    /// How much it matters, as far as is known.
    pub(crate) fn class(&self) -> Class {
        Class::ALL.get(usize::from(self.class.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Now it is known.
    pub(crate) fn set_class(&self, class: Class) {
        self.class.store(class as u8, Ordering::Relaxed);
    }

    /// How long the upstream has taken for the head of its answer. It is not held against it that a
    /// client took its time to send the body.
    pub(crate) fn upstream_latency(&self) -> Option<Duration> {
        let whole = self.with_outcome(|outcome| outcome.upstream_time)?;
        Some(match self.upload_age() {
            Some((since_end, true)) => whole.min(since_end),
            Some((_, false)) | None => whole,
        })
    }

    /// Has the record written, and gives back what is held until then. It stays where it is: it is large.
    pub(crate) fn conclude(&self, record: impl FnOnce(&mut Outcome)) {
        let outcome = &mut *self.outcome.lock();
        record(outcome);
        outcome.held.clear();
    }

    /// Takes the outcome.
    pub fn take_outcome(&self) -> Outcome {
        std::mem::take(&mut *self.outcome.lock())
    }

    /// Why the gateway failed it, so far.
    pub fn reason(&self) -> Option<Reason> {
        self.outcome.lock().reason
    }

    /// Why the gateway failed it, so far, and what the log is told of that.
    pub(crate) fn failure(&self) -> Option<(Reason, Option<Box<str>>)> {
        let outcome = self.outcome.lock();
        Some((outcome.reason?, outcome.detail.clone()))
    }

    /// Counts request body bytes.
    pub fn received(&self, bytes: u64) {
        // A request lives on one core: a plain load and store is enough and cheaper than a locked add.
        self.bytes_in.store(self.bytes_in.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }

    /// Decides whose the bytes after an upgrade request are. Only the first word counts: a second one
    /// would decide for the next request of the connection.
    pub(crate) fn decide_upgrade(&self, decision: Upgrade) {
        // HTTP/2 holds nothing back.
        let waits = self.hop.held && self.version != Version::HTTP_2;
        if waits && !self.decided.swap(true, Ordering::Relaxed) {
            self.connection.state.decide_upgrade(decision);
        }
    }

    /// A request body is about to be sent.
    pub(crate) fn begin_upload(&self) {
        self.sent.store(false, Ordering::Relaxed);
        self.progress.store(now_nanos(), Ordering::Relaxed);
    }

    /// A piece of the request body was taken, or its end.
    pub(crate) fn upload_progress(&self, end: bool) {
        self.progress.store(now_nanos(), Ordering::Relaxed);
        if end {
            self.sent.store(true, Ordering::Relaxed);
        }
    }

    /// How long ago the last piece of the request body was taken, and whether it was the last of
    /// all. `None`: there was no body.
    pub(crate) fn upload_age(&self) -> Option<(Duration, bool)> {
        let last = self.progress.load(Ordering::Relaxed);
        (last != 0).then(|| {
            let age = Duration::from_nanos(now_nanos().saturating_sub(last));
            (age, self.sent.load(Ordering::Relaxed))
        })
    }
}

impl Deref for Exchange {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Bytes held after an upgrade request belong to the next request, unless it was accepted.
        self.decide_upgrade(Upgrade::Refused);
        self.connection.state.end_request();
    }
}
