//! Upstreams: services, their endpoints, and how to reach them.

use std::{path::PathBuf, time::Duration};

use http::HeaderValue;

use super::{
    Adaptive, Breaker, Discover, HashOn, Health, Located, Name, Origins, Outlier, Place, Sticky,
};

/// One service: its endpoints and how to reach them.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Where it was written.
    pub place: Place,
    /// Where the service answers; empty where that is to be found.
    pub endpoints: Vec<Endpoint>,
    /// Where the endpoints are found.
    pub discover: Option<Discover>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Connect limit; 1 s.
    pub connect_timeout: Duration,
    /// HTTP version spoken to it.
    pub protocol: Protocol,
    /// The Host it sees.
    pub host_header: HostHeader,
    /// Idle connections kept.
    pub pool: Pool,
    /// Bounds on concurrent use.
    pub limits: UpstreamLimits,
    /// Requests in flight are bounded by how fast it answers, too.
    pub adaptive: Option<Adaptive>,
    /// TLS towards it; used for `https` endpoints.
    pub tls: UpstreamTls,
    /// What `lb: hash` hashes.
    pub hash_on: Option<HashOn>,
    /// How long an endpoint that is back warms up.
    pub slow_start: Option<Duration>,
    /// A cookie that pins a client to an endpoint.
    pub sticky: Option<Sticky>,
    /// Active checks.
    pub health: Option<Health>,
    /// Passive ejection.
    pub outlier: Option<Outlier>,
    /// Circuit breaker.
    pub breaker: Option<Breaker>,
    /// Where all of this was written.
    pub origins: Origins,
}

/// One endpoint of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The URL as written, normalised (`http://host:port`): its name in metrics and logs.
    pub url: Located<Name>,
    /// TLS towards it.
    pub tls: bool,
    /// `h2c://` was written: HTTP/2 in plain text.
    pub h2c: bool,
    /// Where it listens.
    pub target: Target,
    /// Share of the load; 0 takes it out of rotation.
    pub weight: u32,
    /// Used only when no other endpoint is usable.
    pub backup: bool,
    /// Used when no endpoint of a lower number is usable.
    pub priority: u32,
    /// What it is called where that is not the host of its URL: in `Host` and in certificates. So
    /// it is with an address that was found for a name.
    pub host: Option<String>,
}

/// What an endpoint connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A host name or IP literal (no brackets) and a port.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How an endpoint is chosen (`lb`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    /// One after the other, by weight.
    RoundRobin,
    /// Power of two choices by requests in flight.
    #[default]
    LeastRequests,
    /// At random, by weight.
    Random,
    /// Power of two choices by latency and requests in flight.
    PeakEwma,
    /// The same key to the same endpoint.
    Hash,
}

/// HTTP version towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// ALPN on https, HTTP/1.1 on http.
    #[default]
    Auto,
    /// HTTP/1.1.
    H1,
    /// HTTP/2, by prior knowledge on plain text.
    H2,
}

/// The Host header (or `:authority`) an upstream sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// What the client sent.
    #[default]
    Client,
    /// Host and port of the endpoint.
    Upstream,
    /// This text.
    Literal(HeaderValue),
}

/// Idle connections kept per endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How long one may idle; 60 s.
    pub idle: Duration,
    /// How many; 64.
    pub max_idle: usize,
}

/// Bounds on the concurrent use of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Connections per endpoint; 512.
    pub connections: usize,
    /// Requests in flight per upstream; 1024.
    pub requests: usize,
    /// Requests that may wait for one of the above; 256.
    pub queue: usize,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTls {
    /// Own CA bundle; `None` is the system's.
    pub ca: Option<Located<PathBuf>>,
    /// Client certificate and key.
    pub client: Option<(Located<PathBuf>, Located<PathBuf>)>,
    /// Name sent and verified instead of the endpoint's host.
    pub server_name: Option<String>,
    /// `false`: any certificate is accepted.
    pub verify: bool,
}

impl Default for UpstreamTls {
    /// Names the system trusts.
    fn default() -> Self {
        Self { ca: None, client: None, server_name: None, verify: true }
    }
}
