//! What is counted of one listener: its connections and the requests on them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::families::{self, Scrape};
use crate::config::model::Name;

/// What a client connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Not known yet: TLS handshake or first bytes.
    Handshake,
    /// HTTP/1.1 or 1.0.
    H1,
    /// HTTP/2.
    H2,
    /// Upgraded: a WebSocket or another tunnel.
    Tunnel,
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handshake {
    /// Done.
    Ok,
    /// The client's side failed: no common version or cipher, bad certificate, closed.
    Failed,
    /// It took too long.
    Timeout,
}

/// Why the gateway turned a connection away, or ended one that was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The listener has all the connections it may have.
    MaxConnections,
    /// Its client has all the connections one client may have.
    ConnectionsPerClient,
    /// The gateway has too much to do.
    Overload,
    /// Too many TLS handshakes are under way, in all or from this client.
    Handshakes,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// No whole request head came in time.
    HeaderTimeout,
    /// The client took nothing of its answer for too long.
    WriteTimeout,
    /// HTTP/2: too many frames that ask for nothing.
    H2ControlFrames,
    /// HTTP/2: too many streams reset by either side, or refused.
    H2Resets,
    /// HTTP/2: too many requests that had to wait because the client takes no answers.
    H2Memory,
}

/// The numbers of one listener.
#[derive(Debug)]
pub struct ListenerMetrics {
    name: Name,
    id: usize,
    in_flight: AtomicI64,
    connections: [AtomicI64; Protocol::ALL.len()],
    accept_errors: AtomicU64,
    cut: [AtomicU64; Cut::ALL.len()],
    /// By version and result. A handshake costs far more than this lock.
    handshakes: Mutex<BTreeMap<(&'static str, Handshake), u64>>,
}

/// Counts a connection as open until dropped.
#[derive(Debug)]
pub struct ConnectionGuard {
    listener: Arc<ListenerMetrics>,
    protocol: Protocol,
}

// === impl Protocol ===

impl Protocol {
    const ALL: [Self; 4] = [Self::Handshake, Self::H1, Self::H2, Self::Tunnel];

    fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Tunnel => "tunnel",
        }
    }
}

// === impl Handshake ===

impl Handshake {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

// === impl Cut ===

impl Cut {
    /// In the order of the enum: each counts at its position.
    const ALL: [Self; 10] = [
        Self::MaxConnections,
        Self::ConnectionsPerClient,
        Self::Overload,
        Self::Handshakes,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::WriteTimeout,
        Self::H2ControlFrames,
        Self::H2Resets,
        Self::H2Memory,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::Overload => "overload",
            Self::ConnectionsPerClient => "connections_per_client",
            Self::Handshakes => "handshakes",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::H2ControlFrames => "h2_control_frames",
            Self::H2Resets => "h2_resets",
            Self::H2Memory => "h2_memory",
        }
    }
}

// === impl ListenerMetrics ===

impl ListenerMetrics {
    pub(super) fn new(name: Name, id: usize) -> Self {
        Self {
            name,
            id,
            in_flight: AtomicI64::new(0),
            connections: [const { AtomicI64::new(0) }; Protocol::ALL.len()],
            accept_errors: AtomicU64::new(0),
            cut: [const { AtomicU64::new(0) }; Cut::ALL.len()],
            handshakes: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its position, for [`crate::server::client::Connection::listener_id`]. It is the same
    /// for a listener of the same name as long as the process runs.
    pub fn id(&self) -> usize {
        self.id
    }

    /// A connection was accepted; counted until the guard is dropped.
    pub fn connection(self: &Arc<Self>, protocol: Protocol) -> ConnectionGuard {
        self.connections[protocol as usize].fetch_add(1, Relaxed);
        ConnectionGuard { listener: Arc::clone(self), protocol }
    }

    /// Accepting failed.
    pub fn accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    /// A connection was turned away or ended.
    pub fn cut(&self, why: Cut) {
        self.cut[why as usize].fetch_add(1, Relaxed);
    }

    /// A TLS handshake ended; `version` is empty when none was agreed on.
    pub fn handshake(&self, version: &'static str, result: Handshake) {
        *self.handshakes.lock().entry((version, result)).or_default() += 1;
    }

    /// A request begins.
    pub(crate) fn request_started(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request has ended.
    pub(crate) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        let name = &*self.name;
        out.gauge(families::IN_FLIGHT, &[name], self.in_flight.load(Relaxed) as f64);
        for (protocol, count) in Protocol::ALL.iter().zip(&self.connections) {
            let labels = [name, protocol.word()];
            out.gauge(families::CONNECTIONS, &labels, count.load(Relaxed) as f64);
        }
        let errors = self.accept_errors.load(Relaxed) as f64;
        out.counter(families::ACCEPT_ERRORS, &[name], errors);
        for (why, count) in Cut::ALL.iter().zip(&self.cut) {
            out.counter(families::CUT, &[name, why.word()], count.load(Relaxed) as f64);
        }
        for ((version, result), count) in &*self.handshakes.lock() {
            let labels = [name, version, result.word()];
            out.counter(families::HANDSHAKES, &labels, *count as f64);
        }
    }
}

// === impl ConnectionGuard ===

impl ConnectionGuard {
    /// The connection now speaks this.
    pub fn set(&mut self, protocol: Protocol) {
        self.listener.connections[protocol as usize].fetch_add(1, Relaxed);
        self.listener.connections[self.protocol as usize].fetch_sub(1, Relaxed);
        self.protocol = protocol;
    }

    /// The numbers of its listener.
    pub fn listener(&self) -> &Arc<ListenerMetrics> {
        &self.listener
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.listener.connections[self.protocol as usize].fetch_sub(1, Relaxed);
    }
}
