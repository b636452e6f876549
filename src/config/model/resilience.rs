//! What an upstream and a route say about endpoints that fail: health checks, ejection, the circuit
//! breaker, further tries, stickiness.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue};

/// What `lb: hash` hashes (`hash_on`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address.
    ClientIp,
    /// A header of the request.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// The canonical path.
    Path,
}

/// A cookie that pins a client to an endpoint (`sticky`).
#[derive(Clone, PartialEq, Eq)]
pub struct Sticky {
    /// Name of the cookie.
    pub cookie: String,
    /// Its life; that of the browser's session by default.
    pub ttl: Option<Duration>,
    /// What signs it; one made at start by default.
    pub secret: Option<String>,
}

/// Active checks of every endpoint (`health`).
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// Interval, ±10 %; 10 s.
    pub every: Duration,
    /// Limit of one check; 2 s.
    pub timeout: Duration,
    /// Good statuses; 200-299.
    pub expect: Statuses,
    /// Good checks in a row; 2.
    pub healthy_after: u32,
    /// Bad checks in a row; 3.
    pub unhealthy_after: u32,
    /// The Host sent; the endpoint's by default.
    pub host: Option<HeaderValue>,
    /// What holds until the first check.
    pub initial: Initial,
    /// What if no endpoint is healthy.
    pub on_none_healthy: NoneHealthy,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path.
    Http(String),
    /// `grpc.health.v1.Health/Check` of this service; the empty name is the whole server.
    Grpc(String),
}

/// What is believed of an endpoint before its first check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Initial {
    /// It may be used.
    #[default]
    Healthy,
    /// It may not.
    Unhealthy,
}

/// What happens when no endpoint is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NoneHealthy {
    /// 503.
    #[default]
    Fail,
    /// All are used, as if all were healthy.
    UseAll,
}

/// Passive ejection of endpoints (`outlier`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Failures in a row; 5.
    pub after: u32,
    /// Time out of rotation, doubled with each repeat up to 5 min; 30 s.
    pub eject_for: Duration,
    /// Share of the endpoints that may be out; 0.5.
    pub max_ejected: f64,
}

/// The circuit breaker of an upstream (`breaker`).
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Share of errors that opens it; 0.5.
    pub errors: f64,
    /// What is an error; 5xx, timeout, connect.
    pub count: Causes,
    /// Below it the share is ignored; 20.
    pub min_requests: u32,
    /// Over which it is measured; 10 s.
    pub window: Duration,
    /// Time before the first probe; 30 s.
    pub open_for: Duration,
    /// Good probes before it closes; 3.
    pub probes: u32,
}

/// Further tries (`retry`).
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// What is tried again; connect, reset, 502, 503, 504.
    pub when: Causes,
    /// Which requests.
    pub methods: Methods,
    /// First pause; 25 ms.
    pub backoff: Duration,
    /// Longest pause; 1 s.
    pub max_backoff: Duration,
    /// Share of the requests that may be further tries; 0.2.
    pub budget: f64,
    /// Larger bodies are not sent twice; 64 KiB.
    pub body_limit: u64,
    /// A second try beside the first, once it takes longer than this share of the others did.
    pub hedge: Option<f64>,
}

/// A copy of the traffic elsewhere (`mirror`).
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// The upstream.
    pub to: super::Located<super::Name>,
    /// Share of the requests; 1.
    pub share: f64,
    /// What is compared of the answers.
    pub compare: Compare,
}

/// What is compared of two answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compare {
    /// Their statuses.
    pub status: bool,
    /// These fields.
    pub headers: Vec<HeaderName>,
    /// Digests of their bodies.
    pub body: bool,
}

/// Which requests may be sent twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Those that change nothing when repeated (RFC 9110 section 9.2.2).
    Idempotent,
    /// All of them: the operator knows.
    Any,
    /// These.
    List(Vec<http::Method>),
}

/// Ways in which a try fails.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Causes {
    /// No connection.
    pub connect: bool,
    /// A connection that broke, or an answer that was none.
    pub reset: bool,
    /// No answer in time.
    pub timeout: bool,
    /// Answers with these statuses.
    pub statuses: Statuses,
}

/// A set of statuses, as ranges.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Statuses(pub Vec<(u16, u16)>);

// === impl Sticky ===

impl fmt::Debug for Sticky {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "«redacted»");
        f.debug_struct("Sticky")
            .field("cookie", &self.cookie)
            .field("ttl", &self.ttl)
            .field("secret", &secret)
            .finish()
    }
}

// === impl Statuses ===

impl Statuses {
    /// Whether it is one of them.
    pub fn contains(&self, status: http::StatusCode) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16()))
    }
}

// === impl Compare ===

impl Compare {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        !self.status && self.headers.is_empty() && !self.body
    }
}

// === impl Methods ===

impl Methods {
    /// Whether a request of this method may be sent twice.
    pub fn contain(&self, method: &http::Method) -> bool {
        match self {
            Self::Any => true,
            Self::Idempotent => method.is_idempotent(),
            Self::List(methods) => methods.contains(method),
        }
    }
}
