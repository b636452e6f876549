//! The configuration as plain data: what the operator wrote, with defaults and inheritance already
//! applied and every name that can be wrong still carrying its place. No `Arc` to anything live, no
//! socket, no tower. `runtime/compile` turns it into what we run on.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

pub use self::{
    admission::*, asked::*, discovery::*, guard::*, limits::*, origins::*, overload::*,
    resilience::*, stores::*, suite::*, upstreams::*,
};
pub use super::diagnostic::Place;

mod admission;
mod asked;
mod discovery;
mod guard;
mod limits;
mod origins;
mod overload;
mod resilience;
mod stores;
mod suite;
mod upstreams;

/// A name chosen by the operator: the metric label, log field and identity of the thing it names.
pub type Name = Arc<str>;

/// A value and where in which file it was written.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

/// Two located values are the same configuration wherever they were written.
impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// The whole configuration of one process, of all files.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Sockets that accept, by name.
    pub listeners: BTreeMap<Name, Listener>,
    /// Certificates and TLS rules shared by the TLS listeners.
    pub tls: Tls,
    /// Services, by name. An upstream written inline as a URL is named by that URL.
    pub upstreams: BTreeMap<Name, Upstream>,
    /// Where several gateways count together, by name.
    pub stores: BTreeMap<Name, Store>,
    /// Routes, by name; disabled ones included.
    pub routes: BTreeMap<Name, Route>,
    /// Diagnostics and access log.
    pub logs: Logs,
    /// Metrics endpoint and buckets.
    pub metrics: Metrics,
    /// The admin listener and socket.
    pub admin: Admin,
    /// Settings of the process.
    pub server: Server,
    /// What is expected of requests.
    pub tests: Vec<Test>,
    /// Included files that are broken and kept apart; empty where that refuses everything.
    pub quarantined: Vec<Quarantined>,
    /// The lines of its files, for telling places.
    pub lines: Lines,
}

/// A broken file whose routes answer 503.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The file.
    pub file: PathBuf,
    /// Its routes.
    pub routes: Vec<Name>,
}

// === listeners ===

/// One accepting socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Where it was written.
    pub place: Place,
    /// What to bind.
    pub address: Located<Address>,
    /// TLS, and where the certificates come from.
    pub tls: ListenerTls,
    /// Whose certificates clients are asked for; `None` asks for none.
    pub client_auth: Option<ClientAuth>,
    /// Redirect every request to HTTPS with this status.
    pub https_redirect: Option<StatusCode>,
    /// HTTP versions accepted.
    pub protocols: Protocols,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which a trusted peer names the client.
    pub client_ip_from: ClientIpFrom,
    /// Connections beyond this are answered 503 and closed.
    pub max_connections: usize,
    /// Time limits of a connection.
    pub timeouts: ListenerTimeouts,
    /// Size limits of a request head.
    pub limits: ListenerLimits,
    /// What one client may hold; written under `limits` too.
    pub shares: ListenerShares,
}

/// What a listener binds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// `host:port`; no host means all addresses of both families.
    Tcp {
        /// An IP address, or `None` for every address.
        host: Option<IpAddr>,
        /// Port; 0 takes a free one.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
    /// `fd:NAME`: a socket passed by systemd under that name.
    Fd(String),
}

/// Where the certificates of a listener come from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ListenerTls {
    /// Plain text.
    #[default]
    None,
    /// `tls: true`: `tls.certificates` by SNI.
    Files,
    /// `tls: auto`: `tls.certificates`, then the development CA for local names.
    Auto,
    /// `tls: dev`: the development CA for every name.
    Dev,
}

/// Client certificates (`client_auth`).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientAuth {
    /// There is no connection without one.
    pub required: bool,
    /// The authorities whose certificates are accepted, PEM.
    pub ca: Located<PathBuf>,
    /// What they have revoked, PEM.
    pub crl: Option<Located<PathBuf>>,
}

/// HTTP versions a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.1 and 1.0.
    pub h1: bool,
    /// HTTP/2 by ALPN.
    pub h2: bool,
    /// HTTP/2 in plain text by prior knowledge.
    pub h2c: bool,
}

/// The header in which a trusted proxy names the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientIpFrom {
    /// `X-Forwarded-For`, right-most untrusted address.
    XForwardedFor,
    /// RFC 7239 `Forwarded`, right-most untrusted `for=`.
    Forwarded,
    /// Another header holding one address.
    Header(HeaderName),
}

/// Time limits of a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// TLS handshake; 10 s.
    pub handshake: Duration,
    /// A whole request head; 10 s.
    pub header: Duration,
    /// Keep-alive with no request; 75 s.
    pub idle: Duration,
    /// A client that takes nothing of what waits for it; 60 s.
    pub write: Duration,
}

/// Size limits of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of the whole head; 32 KiB.
    pub header_size: usize,
    /// Number of header fields; 100.
    pub header_count: usize,
    /// Bytes of the request target; 8 KiB.
    pub uri_length: usize,
    /// Concurrent HTTP/2 streams of a connection; 128.
    pub h2_streams: u32,
}

/// What one client may hold of what all clients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerShares {
    /// Connections of one client address; half of `max_connections`.
    pub connections_per_client: usize,
    /// TLS handshakes under way; 1000, at most half of them one client's.
    pub handshakes: usize,
}

// === tls ===

/// The `tls` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// `true` when TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Session tickets are issued.
    pub session_tickets: bool,
    /// Certificates from files, in the order written; the first is the fallback.
    pub certificates: Vec<Certificate>,
}

/// One certificate with its key, from files.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// PEM chain.
    pub cert: Located<PathBuf>,
    /// PEM key.
    pub key: Located<PathBuf>,
    /// Names it is served for; empty means the SANs of the certificate.
    pub hosts: Vec<String>,
}

// === routes ===

/// One route, with everything inherited already merged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where its name was written.
    pub place: Place,
    /// Which requests it takes: any of these. Never empty.
    pub matches: Vec<Match>,
    /// What it does with them.
    pub action: Action,
    /// Tie-breaker, higher first.
    pub priority: i32,
    /// `false` keeps it in the file and answers nothing.
    pub enabled: bool,
    /// Part of the path taken off before forwarding.
    pub path_rewrite: PathRewrite,
    /// Header changes, both ways.
    pub headers: Headers,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Further tries.
    pub retry: Option<Retry>,
    /// From which addresses.
    pub ip: Option<IpRules>,
    /// Who may pass.
    pub auth: Option<RouteAuth>,
    /// What those who are known may do.
    pub authorize: Option<RouteAuthorize>,
    /// How often; all of these hold.
    pub rate_limit: Vec<Arc<RateLimit>>,
    /// How many at once; all of these hold.
    pub concurrency: Vec<Arc<Concurrency>>,
    /// Who goes first when not all can.
    pub priority_class: PriorityClass,
    /// How many bytes a second.
    pub bandwidth: Option<Bandwidth>,
    /// A copy of the traffic elsewhere.
    pub mirror: Option<Mirror>,
    /// Protocols a client may upgrade to, lower case; `websocket` by default.
    pub upgrade: Vec<String>,
    /// Request body limits.
    pub body: BodyRule,
    /// The form of errors the gateway makes.
    pub errors: ErrorFormat,
    /// Write an access log line.
    pub access_log: bool,
    /// The operator's own layers, in the order written.
    pub layers: Vec<CustomLayer>,
    /// Shown in logs and the admin page.
    pub labels: BTreeMap<String, String>,
    /// Where all of this was written.
    pub origins: Origins,
}

impl Route {
    /// Whether requests come to it by this listener.
    pub fn is_on(&self, listener: &Name) -> bool {
        let named = |branch: &Match| branch.listeners.iter().any(|it| it.value == *listener);
        self.matches.iter().any(|branch| branch.listeners.is_empty() || named(branch))
    }
}

/// One entry of `match`: hosts × paths × methods, and conditions that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Where it was written.
    pub place: Place,
    /// Host patterns; empty is any host.
    pub hosts: Vec<Located<String>>,
    /// Path patterns; empty is any path.
    pub paths: Vec<Located<PathMatch>>,
    /// Methods; empty is any method.
    pub methods: Vec<Method>,
    /// Header conditions.
    pub headers: Vec<(HeaderName, Located<ValueMatch>)>,
    /// Query parameter conditions, by decoded key.
    pub query: Vec<(String, Located<ValueMatch>)>,
    /// Client networks; empty is any.
    pub client_ip: Vec<IpNet>,
    /// Listener names; empty is any.
    pub listeners: Vec<Located<Name>>,
}

/// A path pattern as written.
#[derive(Clone, Debug, PartialEq)]
pub enum PathMatch {
    /// `/a/{id}/**`.
    Pattern(String),
    /// `{ regex: "^/…" }`.
    Regex(String),
}

/// A condition on a header or query value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueMatch {
    /// Equal to this.
    Exact(String),
    /// There, whatever its value.
    Present,
    /// Not there.
    Absent,
    /// Matches this regular expression (unanchored unless it says so).
    Regex(String),
    /// Starts with this.
    Prefix(String),
}

/// What a route does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Forward to upstreams by weight. Weights are not all 0.
    Forward(Vec<(Located<Name>, u32)>),
    /// Answer a redirect.
    Redirect {
        /// URL template: `{path}`, `{host}`, `{query}` and names captured by the match.
        to: Located<String>,
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// Keep the query of the request.
        keep_query: bool,
    },
    /// Answer this.
    Respond {
        /// Status.
        status: StatusCode,
        /// Body.
        body: String,
        /// Header fields.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// Answer 503: the file it is written in is broken.
    Quarantined,
}

/// How the path changes on its way to the upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRewrite {
    /// Not at all.
    Keep,
    /// `strip_prefix: /orders`, or `true` for the literal part of the pattern.
    StripPrefix(Located<StripPrefix>),
    /// `rewrite: /v2/{id}/{**}`.
    Template(Located<String>),
}

/// What `strip_prefix` takes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StripPrefix {
    /// This path.
    Path(String),
    /// The literal leading part of the pattern that matched.
    Literal,
}

/// Header changes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Headers {
    /// On the request sent upstream.
    pub request: HeaderEdits,
    /// On the response sent to the client, the gateway's own errors too.
    pub response: HeaderEdits,
}

/// Edits of one header map, applied in the order remove, set, add.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeaderEdits {
    /// Replace or insert.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Append.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Take out.
    pub remove: Vec<HeaderName>,
}

/// Time limits of a request; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's head to the response's end; none by default.
    pub request: Option<Duration>,
    /// From the end of the request to the response head, per try; 30 s.
    pub first_byte: Option<Duration>,
    /// One whole try: connecting, sending, and waiting for the response head; none by default.
    pub per_try: Option<Duration>,
    /// Connecting, where that is shorter than the limit of the upstream.
    pub connect: Option<Duration>,
    /// Between two pieces of a body; 60 s.
    pub idle: Option<Duration>,
    /// `idle` was written by the operator, so it also holds for tunnels, event streams and gRPC.
    pub idle_written: bool,
}

/// Limits on a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRule {
    /// Largest body in bytes, 413 beyond; `None` is no limit; 10 MiB by default.
    pub max: Option<u64>,
    /// Read it whole before connecting upstream.
    pub buffer: bool,
}

/// The form of errors made by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ErrorFormat {
    /// problem+json unless `Accept` asks for HTML.
    #[default]
    Auto,
    /// Always problem+json (RFC 9457).
    Problem,
    /// Always HTML.
    Html,
    /// Always plain text.
    Text,
}

/// One of the operator's own tower layers.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomLayer {
    /// The name it was registered by in Rust.
    pub name: Located<String>,
    /// Where in the pipeline it stands.
    pub at: LayerPosition,
    /// Its settings, checked by the layer itself at load.
    pub config: Located<serde_json::Value>,
}

/// Places in the pipeline open to the operator's own layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerPosition {
    /// Before every policy.
    Start,
    /// After authentication.
    AfterAuth,
    /// Just before the upstream is chosen.
    BeforeUpstream,
}

// === logs, metrics, admin, server ===

/// The `logs` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Logs {
    /// Least severe level written: error, warn, info, debug, trace.
    pub level: tracing::Level,
    /// Form of diagnostics; `None` is pretty on a terminal and JSON otherwise.
    pub format: Option<LogFormat>,
    /// The access log; `None` is no access log.
    pub access: Option<AccessLog>,
}

/// Form of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// The access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Form of a line.
    pub format: AccessFormat,
    /// Where lines go.
    pub to: AccessTarget,
    /// Only these requests; any condition keeps the line. Empty keeps everything.
    pub only_status: Vec<(u16, u16)>,
    /// Only requests slower than this (a further condition of `only`).
    pub only_slower_than: Option<Duration>,
    /// Share of 2xx and 3xx that is written, 0.0 to 1.0.
    pub sample: f64,
    /// Request headers written in addition.
    pub request_headers: Vec<HeaderName>,
    /// Response headers written in addition.
    pub response_headers: Vec<HeaderName>,
    /// What happens to the query string.
    pub query: QueryLog,
}

/// Form of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object.
    Json,
    /// Common log format.
    Clf,
    /// Combined log format.
    Combined,
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
}

/// What the access log shows of a query string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryLog {
    /// As it is.
    Keep,
    /// Names kept, values replaced.
    Redact,
    /// Nothing.
    Drop,
}

/// The `metrics` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Path on the admin listener; `/metrics`.
    pub path: String,
    /// Upper bounds of the duration histograms, in seconds.
    pub buckets: Vec<f64>,
}

/// The `admin` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Metrics and probes over HTTP; `None` switches the listener off.
    pub address: Option<Located<Address>>,
    /// The socket the verbs `reload` and `drain` talk to; `None` is the default place.
    pub socket: Option<PathBuf>,
}

/// The `server` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Name in `Via` and `Proxy-Status`; the host name by default.
    pub name: String,
    /// How long readiness fails while requests are still accepted; 5 s.
    pub drain_delay: Duration,
    /// How long requests in flight may take to finish; 30 s.
    pub drain_timeout: Duration,
    /// Request id header.
    pub request_id_header: HeaderName,
    /// Whose request ids are kept.
    pub request_id_from: RequestIdFrom,
    /// `Via` is added upstream and in responses.
    pub via: bool,
    /// Request headers that are let through although clients are not believed in them.
    pub pass_headers: Vec<HeaderName>,
    /// Empty path segments are merged.
    pub merge_slashes: bool,
    /// `%2F` is data inside a segment instead of an error.
    pub keep_encoded_slash: bool,
    /// What is done when something runs short; `None`: nothing.
    pub overload: Option<Overload>,
    /// Worker threads; 0 is one per CPU of the quota. Needs a restart.
    pub workers: usize,
}

/// Whose request ids are kept instead of making a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestIdFrom {
    /// Those of trusted proxies.
    Trusted,
    /// Anybody's.
    Any,
    /// Nobody's.
    None,
}
