//! One endpoint: what of it outlives a reload (requests in flight, connections), and how a request
//! gets a connection to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::sync::Semaphore;

use super::{Upstream, Waiter, dns::Resolved, http1::Connection, pool::Pool, vitals::Vitals};
use crate::{
    config::model::{self, Name, Protocol, Target},
    error::{Error, Reason},
};

/// One endpoint of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Its URL as written.
    pub name: Name,
    /// Host and port, as a Host header.
    pub authority: HeaderValue,
    /// What shapes its connections; a reload that changes it makes a new endpoint.
    pub shape: Shape,
    /// TLS towards it.
    pub(crate) tls: Option<TlsClient>,
    /// Where its name points; `None` for Unix sockets.
    pub(crate) resolved: Option<Arc<Resolved>>,
    /// Requests in flight, over all workers.
    pub(crate) in_flight: AtomicUsize,
    /// Connections that may still be opened.
    pub(crate) permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The endpoint chose HTTP/2 in ALPN.
    pub(crate) speaks_h2: AtomicBool,
    /// Idle connections, by worker.
    pub(crate) pool: Pool,
    /// What was learned about it.
    pub(crate) vitals: Arc<Vitals>,
}

/// Everything that shapes the connections of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What it connects to.
    pub target: Target,
    /// What it is called where that is not the host it connects to.
    pub host: Option<String>,
    /// HTTP version.
    pub protocol: Wire,
    /// TLS settings, if it is spoken to in TLS.
    pub tls: Option<model::UpstreamTls>,
    /// Identity of the TLS files' contents.
    pub tls_contents: u64,
    /// Connect limit.
    pub connect_timeout: Duration,
    /// Idle connections kept.
    pub pool: model::Pool,
    /// Connections, and requests waiting for one.
    pub limits: model::UpstreamLimits,
}

/// HTTP version spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1; gRPC requests go as HTTP/2 by prior knowledge, for nothing else could work.
    PlainAuto,
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
    /// What ALPN says.
    Alpn,
}

/// TLS towards an endpoint.
#[derive(Debug)]
pub(crate) struct TlsClient {
    /// For requests.
    pub(crate) config: Arc<ClientConfig>,
    /// For upgrades, which only HTTP/1.1 can do.
    pub(crate) h1_config: Arc<ClientConfig>,
    /// The name that is sent and verified.
    pub(crate) server_name: ServerName<'static>,
}

/// Counts a request in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Arc<Endpoint>, Arc<Upstream>);

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint nobody has used yet.
    pub(crate) fn new(
        name: Name,
        shape: Shape,
        tls: Option<TlsClient>,
        resolved: Option<Arc<Resolved>>,
        vitals: Arc<Vitals>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(shape.limits.connections));
        Self {
            authority: authority(&shape),
            pool: Pool::new(shape.pool),
            name,
            shape,
            tls,
            resolved,
            in_flight: AtomicUsize::new(0),
            permits,
            waiting: AtomicUsize::new(0),
            speaks_h2: AtomicBool::new(false),
            vitals,
        }
    }

    /// Requests in flight.
    pub fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a request goes to it as HTTP/2, as far as is known before connecting.
    pub(crate) fn wants_h2(&self, grpc: bool) -> bool {
        match self.shape.protocol {
            Wire::H1 => false,
            Wire::H2 => true,
            Wire::PlainAuto => grpc,
            Wire::Alpn => self.speaks_h2.load(Ordering::Relaxed),
        }
    }

    /// Waits for the right to open a connection, at most that long.
    pub(crate) async fn permit(
        &self,
        patience: Duration,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiter = Waiter::join(&self.waiting, self.shape.limits.queue).ok_or_else(|| {
            Error::new(Reason::Overloaded, "too many requests wait for a connection")
        })?;
        // Idle connections of other workers hold permits nobody else can use: close one. One that
        // becomes idle after this look is closed by `keep`, which sees us wait.
        self.pool.close_one_idle();
        let acquire = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(patience, acquire).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                Err(Error::new(Reason::Overloaded, "no connection became free in time"))
            }
        }
    }

    /// Keeps a connection for the next request, unless somebody waits for the right to open one.
    pub(crate) fn keep(&self, connection: Box<Connection>) {
        if self.has_waiters() {
            return;
        }
        self.pool.put(connection);
        // Somebody may have begun to wait after looking for an idle one and before this was there.
        if self.has_waiters() {
            self.pool.close_one_idle();
        }
    }

    /// Whether somebody waits for a connection, so that none should be kept idle.
    fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

fn authority(shape: &Shape) -> HeaderValue {
    let text = match &shape.target {
        Target::Unix(_) => "localhost".to_owned(),
        Target::Tcp { host, port } => {
            let default = if shape.tls.is_some() { 443 } else { 80 };
            let host = shape.host.as_ref().unwrap_or(host);
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            if *port == default { host } else { format!("{host}:{port}") }
        }
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

impl Wire {
    /// The version for an endpoint as it was written.
    pub(crate) fn of(endpoint: &model::Endpoint, protocol: Protocol) -> Self {
        match (protocol, endpoint.tls, endpoint.h2c) {
            (_, false, true) | (Protocol::H2, ..) => Self::H2,
            (Protocol::H1, ..) => Self::H1,
            (Protocol::Auto, true, _) => Self::Alpn,
            (Protocol::Auto, false, false) => Self::PlainAuto,
        }
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn new(endpoint: Arc<Endpoint>, upstream: Arc<Upstream>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(endpoint, upstream)
    }

    /// The `Host` the endpoint sees instead of the client's, if the upstream wants one.
    pub(crate) fn host(&self) -> Option<HeaderValue> {
        self.1.host_for(&self.0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
