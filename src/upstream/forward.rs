//! The innermost service of a forwarding route: an upstream by weight, an endpoint by its balancer,
//! a connection from the pool or a new one, and the exchange over it.

use std::{
    cell::Cell,
    error::Error as StdError,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, Method, StatusCode, request::Parts};
use hyper::{body::Incoming, client::conn::http1};
use tokio::time::Instant;
use tower::Service;

use super::{
    Upstream,
    connect::{self, Opened, Want},
    endpoint::{Endpoint, InFlight},
    outgoing,
    pool::Shared,
    response_body::{Held, HeldConnection, UpstreamBody},
    tunnel,
};
use crate::{
    body::Body,
    config::model::Timeouts,
    error::{Error, Reason},
    layers::{Request, Response, expect, shared::BoxFuture},
    server::{
        client::Upgrade,
        forwarding::{self, ViaValues},
    },
    telemetry::exchange::Exchange,
};

/// What a forwarding route needs.
#[derive(Debug)]
pub struct Settings {
    /// Upstreams and their weights.
    pub upstreams: Vec<(Arc<Upstream>, u32)>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Protocols a client may upgrade to, lower case.
    pub upgrade: Vec<String>,
    /// `Via` on answers.
    pub via: Option<ViaValues>,
    /// The request id header, which is ours.
    pub request_id: HeaderName,
}

/// Forwards requests.
#[derive(Clone, Debug)]
pub struct Forward {
    settings: Arc<Settings>,
}

/// A connection for one request.
enum Checkout {
    /// With how long it idled, if it came from the pool.
    H1(http1::SendRequest<Body>, Option<Duration>),
    H2(Shared),
}

/// A pooled connection that idled this long may be closing at this very moment; a request that can
/// be repeated keeps a copy of its head for that case.
const STALE: Duration = Duration::from_millis(1);

/// New connections tried when the one taken was closed before the request was sent.
const REPEATS: u32 = 2;

thread_local! {
    static SEED: Cell<u64> = Cell::new(rand::random::<u64>() | 1);
}

/// A cheap random number for choices that need no secrecy (xorshift64*).
pub(crate) fn random() -> u64 {
    SEED.with(|seed| {
        let mut state = seed.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        seed.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

// === impl Forward ===

impl Forward {
    /// A service for one route.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Service<Request> for Forward {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> BoxFuture<Error> {
        let settings = Arc::clone(&self.settings);
        Box::pin(async move { settings.forward(request).await })
    }
}

// === impl Settings ===

impl Settings {
    async fn forward(&self, request: Request) -> Result<Response, Error> {
        let (mut head, body) = request.into_parts();
        let exchange = head
            .extensions
            .remove::<Arc<Exchange>>()
            .ok_or_else(|| Error::new(Reason::Internal, "a request without an exchange"))?;
        let upstream = self.upstream();
        exchange.note(|outcome| outcome.upstream = Some(Arc::clone(&upstream.name)));
        if let Some(request) = tunnel::wanted(&mut head, &exchange, &self.upgrade)? {
            // Boxed: an ordinary request must not carry this large future about.
            return Box::pin(self.tunnel(upstream, head, request, exchange)).await;
        }
        // The wire waits for this word before it reads on.
        exchange.decide_upgrade(Upgrade::Refused);
        let permit = upstream.admission.enter(upstream.connect_timeout).await?;
        let (endpoint, mut checkout) = self.reach(upstream, &exchange, Want::Any).await?;
        let in_flight = InFlight::new(Arc::clone(&endpoint));
        let mut spare = Spare::of(&head, &body, &checkout);
        let mut request = (head, body);
        let mut repeats = REPEATS;
        loop {
            let sent = self.send(upstream, &endpoint, checkout, request, &exchange).await;
            let failure = match sent {
                Ok((response, connection)) => {
                    let held = Held { connection, in_flight, _permit: permit };
                    return Ok(self.answer(response, held, exchange));
                }
                Err(failure) => failure,
            };
            // A pooled connection was closed under the request: once more, on a new one.
            let Some(again) = failure.again.map(|again| *again).or_else(|| spare.take()) else {
                return Err(failure.error);
            };
            // An upstream that closes everything it accepts must not keep us busy for ever.
            repeats = match repeats.checked_sub(1) {
                Some(left) => left,
                None => return Err(failure.error),
            };
            spare = None;
            request = again;
            checkout = self.open(&endpoint, &exchange, Want::Any).await?;
        }
    }

    async fn tunnel(
        &self,
        upstream: &Arc<Upstream>,
        head: Parts,
        wanted: tunnel::Wanted,
        exchange: Arc<Exchange>,
    ) -> Result<Response, Error> {
        let permit = upstream.admission.enter(upstream.connect_timeout).await?;
        let (endpoint, _) = Self::choose(upstream, &exchange, &[])?;
        let opened = connect::open(&endpoint, Want::H1).await;
        note_try(&exchange, &endpoint);
        let Opened::H1(sender) = opened? else {
            return Err(Error::new(Reason::UpstreamTls, "the upstream insists on HTTP/2"));
        };
        let held =
            tunnel::Held { _in_flight: InFlight::new(Arc::clone(&endpoint)), _permit: permit };
        let host = upstream.host_for(&endpoint);
        let line = tunnel::Line { sender, endpoint, host, limit: self.timeouts.per_try, held };
        let idle = self.timeouts.idle.filter(|_| self.timeouts.idle_written);
        let response = tunnel::open(line, head, wanted, &exchange, idle).await?;
        Ok(self.finish(response))
    }

    /// An upstream by weight.
    fn upstream(&self) -> &Arc<Upstream> {
        if let [(only, _)] = &self.upstreams[..] {
            return only;
        }
        let total: u64 = self.upstreams.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = random() % total.max(1);
        for (upstream, weight) in &self.upstreams {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return upstream,
            }
        }
        // The weights add up to `total`, so the loop has returned; config refuses an empty list.
        &self.upstreams[0].0
    }

    fn choose(
        upstream: &Arc<Upstream>,
        exchange: &Exchange,
        tried: &[usize],
    ) -> Result<(Arc<Endpoint>, usize), Error> {
        let at = upstream
            .balancer
            .pick(|at| upstream.endpoints[at].load(), |at| !tried.contains(&at), random())
            .ok_or_else(|| Error::new(Reason::NoEndpoint, "no endpoint has a weight"))?;
        let endpoint = &upstream.endpoints[at];
        exchange.note(|outcome| outcome.endpoint = Some(Arc::clone(&endpoint.name)));
        Ok((Arc::clone(endpoint), at))
    }

    /// A connection to some endpoint. One that cannot be connected to has not seen the request, so
    /// the next is asked.
    async fn reach(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &Exchange,
        want: Want,
    ) -> Result<(Arc<Endpoint>, Checkout), Error> {
        let mut tried: smallvec::SmallVec<[usize; 4]> = smallvec::SmallVec::new();
        let mut last = None;
        while tried.len() < upstream.endpoints.len() {
            let (endpoint, at) = match Self::choose(upstream, exchange, &tried) {
                Ok(chosen) => chosen,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            match self.checkout(&endpoint, exchange, want).await {
                Ok(checkout) => return Ok((endpoint, checkout)),
                Err(error) => {
                    tried.push(at);
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::new(Reason::NoEndpoint, "no endpoint")))
    }

    async fn checkout(
        &self,
        endpoint: &Arc<Endpoint>,
        exchange: &Exchange,
        want: Want,
    ) -> Result<Checkout, Error> {
        if !endpoint.wants_h2(exchange.grpc) {
            if let Some((sender, age)) = endpoint.pool.take() {
                note_try(exchange, endpoint);
                return Ok(Checkout::H1(sender, Some(age)));
            }
            return self.open(endpoint, exchange, want).await;
        }
        if let Some(shared) = endpoint.pool.take_h2() {
            note_try(exchange, endpoint);
            return Ok(Checkout::H2(shared));
        }
        let _opening = endpoint.pool.opening().await;
        if let Some(shared) = endpoint.pool.take_h2() {
            note_try(exchange, endpoint);
            return Ok(Checkout::H2(shared));
        }
        // A connection of another worker is better than none: these are never given up while used.
        if endpoint.permits.available_permits() == 0
            && let Some(shared) = endpoint.pool.any_h2()
        {
            note_try(exchange, endpoint);
            return Ok(Checkout::H2(shared));
        }
        self.open(endpoint, exchange, Want::H2).await
    }

    async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        exchange: &Exchange,
        want: Want,
    ) -> Result<Checkout, Error> {
        let want = if endpoint.wants_h2(exchange.grpc) { Want::H2 } else { want };
        note_try(exchange, endpoint);
        Ok(match connect::open(endpoint, want).await? {
            Opened::H1(sender) => Checkout::H1(sender, None),
            Opened::H2(shared) => {
                endpoint.speaks_h2.store(true, std::sync::atomic::Ordering::Relaxed);
                Checkout::H2(shared)
            }
        })
    }

    async fn send(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        checkout: Checkout,
        request: (Parts, Body),
        exchange: &Arc<Exchange>,
    ) -> Result<(http::Response<Incoming>, HeldConnection), Failure> {
        let (mut head, body) = request;
        let host = upstream.host_for(endpoint);
        let sent = Instant::now();
        let limit = HeadLimit::new(self.timeouts, exchange);
        let result = match checkout {
            Checkout::H1(mut sender, _) => {
                outgoing::for_h1(&mut head, endpoint, host, &exchange.hop);
                outgoing::frame_body(&mut head, &body);
                let request = expect::prepare(http::Request::from_parts(head, body), exchange);
                let response = limit.run(sender.try_send_request(request)).await?;
                response.map(|response| (response, HeldConnection::H1(sender)))
            }
            Checkout::H2(mut shared) => {
                outgoing::for_h2(&mut head, endpoint, host, &exchange.hop)?;
                let stream = shared.stream();
                let request = http::Request::from_parts(head, body);
                let response = limit.run(shared.sender.try_send_request(request)).await?;
                response.map(|response| (response, HeldConnection::H2 { _stream: stream }))
            }
        };
        let took = sent.elapsed();
        exchange.note(|outcome| outcome.upstream_time = Some(took));
        result
            .map_err(|mut error| {
                let again = error.take_message().map(|request| Box::new(request.into_parts()));
                Failure { error: classify(error.error(), endpoint, exchange), again }
            })
            .and_then(|(response, connection)| {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let error = Error::new(Reason::BadResponse, "an unasked switch of protocols");
                    return Err(error.into());
                }
                Ok((response, connection))
            })
    }

    fn answer(
        &self,
        response: http::Response<Incoming>,
        held: Held,
        exchange: Arc<Exchange>,
    ) -> Response {
        let (head, body) = response.into_parts();
        let idle = self.idle_of(&head, &exchange);
        let body = Body::upstream(UpstreamBody::new(body, held, exchange, idle));
        self.finish(http::Response::from_parts(head, body))
    }

    /// The pause an answer may make. Streams that are meant to be quiet are only limited by a
    /// limit somebody wrote.
    fn idle_of(&self, head: &http::response::Parts, exchange: &Exchange) -> Option<Duration> {
        let quiet = exchange.grpc
            || head
                .headers
                .get(http::header::CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        self.timeouts.idle.filter(|_| self.timeouts.idle_written || !quiet)
    }

    fn finish(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        // A switch of protocols keeps the fields that say so.
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            let present = outgoing::clean(&mut head, &self.request_id);
            if let Some(via) = &self.via {
                forwarding::add_via(&mut head.headers, via, http::Version::HTTP_11, present);
            }
        }
        http::Response::from_parts(head, body)
    }
}

fn note_try(exchange: &Exchange, endpoint: &Endpoint) {
    exchange.note(|outcome| {
        outcome.tries += 1;
        outcome.endpoint = Some(Arc::clone(&endpoint.name));
    });
}

// === trying again ===

/// A failed try, and the request if it was never sent.
struct Failure {
    error: Error,
    /// Boxed: failures are rare and this is large.
    again: Option<Box<(Parts, Body)>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: None }
    }
}

/// A copy of a request that may be repeated (RFC 9110 section 9.2.2) on a connection that may be
/// closing.
struct Spare;

impl Spare {
    fn of(head: &Parts, body: &Body, checkout: &Checkout) -> Option<(Parts, Body)> {
        let stale = matches!(checkout, Checkout::H1(_, Some(age)) if *age > STALE);
        let repeatable = matches!(
            head.method,
            Method::GET
                | Method::HEAD
                | Method::OPTIONS
                | Method::PUT
                | Method::DELETE
                | Method::TRACE
        );
        if !stale || !repeatable || !body.is_empty() {
            return None;
        }
        let mut copy = http::Request::new(()).into_parts().0;
        copy.method = head.method.clone();
        copy.uri = head.uri.clone();
        copy.headers = head.headers.clone();
        Some((copy, Body::empty()))
    }
}

// === time ===

/// The limit on waiting for a response head. It runs from the end of the request body: an upload
/// is not cut because it is long. While a body is being sent, the pause between two of its pieces
/// is limited instead.
struct HeadLimit<'e> {
    timeouts: Timeouts,
    exchange: &'e Exchange,
}

impl<'e> HeadLimit<'e> {
    fn new(timeouts: Timeouts, exchange: &'e Exchange) -> Self {
        Self { timeouts, exchange }
    }

    async fn run<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let Some(limit) = self.timeouts.per_try else { return Ok(future.await) };
        let mut future = std::pin::pin!(future);
        let started = Instant::now();
        let mut due = started + limit;
        loop {
            match tokio::time::timeout_at(due, future.as_mut()).await {
                Ok(output) => return Ok(output),
                Err(_) => due = self.extend(started, limit)?,
            }
        }
    }

    /// When to look again, or the error if the time is up.
    fn extend(&self, started: Instant, limit: Duration) -> Result<Instant, Error> {
        let now = Instant::now();
        let late = || Error::new(Reason::UpstreamTimeout, "no response head in time");
        match self.exchange.upload_age() {
            None => Err(late()),
            Some((age, true)) => {
                let waited = age.min(now - started);
                if waited >= limit { Err(late()) } else { Ok(now + (limit - waited)) }
            }
            Some((age, false)) => {
                let quiet = self.exchange.grpc && !self.timeouts.idle_written;
                match self.timeouts.idle {
                    Some(idle) if !quiet && age >= idle => {
                        Err(Error::new(Reason::UpstreamTimeout, "the upstream stopped reading"))
                    }
                    Some(idle) if !quiet => Ok(now + (idle - age).min(limit)),
                    _ => Ok(now + limit),
                }
            }
        }
    }
}

// === errors ===

/// Which reason an error of hyper's client is.
fn classify(error: &hyper::Error, endpoint: &Endpoint, exchange: &Exchange) -> Error {
    // The request body failed first: its own reason is the true one.
    if let Some(reason) = exchange.reason() {
        return Error::new(reason, error.to_string());
    }
    let reason = if error.is_parse_too_large() {
        Reason::ResponseTooLarge
    } else if error.is_parse() || error.is_parse_status() {
        Reason::BadResponse
    } else if error.is_user() {
        Reason::BadBody
    } else {
        reason_of_cause(error)
    };
    Error::new(reason, format!("{}: {}", endpoint.name, chain(error)))
}

fn reason_of_cause(error: &hyper::Error) -> Reason {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return Reason::UpstreamTls;
        }
        cause = inner.source();
    }
    Reason::UpstreamReset
}

/// An error with its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
