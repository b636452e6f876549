//! The innermost service of a forwarding route: an upstream by weight, an endpoint by its balancer,
//! a connection from the pool or a new one, and the exchange over it.
//!
//! Nearly every request finds a turn and a connection at once; it takes the direct way, whose future is
//! small. Everything else (waiting, connecting, tunnels, a second try) is the long way.

use std::{
    cell::Cell,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;
use tower::Service;

use super::{
    Current, Upstream,
    attempt::{Clock, Failure, explain, within},
    checkout::{Checkout, checkout, connect_limit, open, reach},
    direct::{direct, direct_h2},
    endpoint::InFlight,
    incoming,
    line::{Line, Start},
    outgoing,
    response_body::{Held, Source, UpstreamBody},
    trial::status_of,
    tries::Again,
    tunnel,
};
use crate::{
    admission::{Permit, Shed},
    body::Body,
    config::model::Timeouts,
    error::{Error, Reason},
    layers::{
        Request, Response, exchange_of,
        expect::{self, Interim},
        grpc_timeout,
        shared::BoxFuture,
        timeout,
    },
    server::{
        client::Upgrade,
        forwarding::{self, Own},
    },
    telemetry::{
        exchange::{Exchange, Late},
        metrics::RouteMetrics,
    },
};

/// What a forwarding route needs.
#[derive(Debug)]
pub struct Settings {
    /// Upstreams and their weights.
    pub upstreams: Vec<(Current, u32)>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Protocols a client may upgrade to, lower case.
    pub upgrade: Vec<String>,
    /// Our own fields.
    pub(crate) own: Own,
    /// Further tries.
    pub(crate) again: Option<Again>,
    /// Where further tries are counted.
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// Forwards requests.
#[derive(Clone, Debug)]
pub struct Forward {
    settings: Arc<Settings>,
}

/// One try: of which request, at which endpoint, since when.
#[derive(Clone, Copy)]
pub(super) struct Try<'t> {
    pub(super) exchange: &'t Arc<Exchange>,
    pub(super) in_flight: &'t InFlight,
    pub(super) clock: Clock,
}

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

    fn call(&mut self, mut request: Request) -> BoxFuture<Error> {
        match self.settings.deadline(&mut request) {
            None => self.send(request),
            Some((due, exchange)) => timeout::until(due, self.send(request), Some(exchange)),
        }
    }
}

impl Forward {
    fn send(&self, request: Request) -> BoxFuture<Error> {
        match self.settings.line(&request) {
            Ok((line, Checkout::H1(connection))) => {
                direct(&self.settings, line, connection, Box::new(request))
            }
            Ok((line, Checkout::H2(lease))) => direct_h2(&self.settings, line, lease, request),
            Err(start) => {
                let settings = Arc::clone(&self.settings);
                Box::pin(async move { settings.forward(request, start).await })
            }
        }
    }
}

// === impl Settings ===

impl Settings {
    /// When a gRPC call must be over, if its client says so.
    fn deadline(&self, request: &mut Request) -> Option<(Instant, Arc<Exchange>)> {
        let exchange = exchange_of(request).filter(|exchange| exchange.grpc)?;
        if !request.headers().contains_key(grpc_timeout::GRPC_TIMEOUT) {
            return None;
        }
        let exchange = Arc::clone(exchange);
        let limit = self.timeouts.request;
        let due = grpc_timeout::deadline(request.headers_mut(), &exchange, limit, Instant::now())?;
        Some((due, exchange))
    }

    /// Whether somebody wants to know what becomes of a try.
    pub(super) fn is_careful(&self, upstream: &Upstream) -> bool {
        self.again.is_some() || upstream.care.watches
    }

    /// The long way.
    async fn forward(&self, mut request: Request, start: Start) -> Result<Response, Error> {
        let exchange = exchange_of(&request)
            .cloned()
            .ok_or_else(|| Error::new(Reason::Internal, "a request without an exchange"))?;
        self.own.insert_late(request.headers_mut(), &exchange);
        let mut upstream = start.upstream.unwrap_or_else(|| self.current().get());
        if let Some(awaited) = &upstream.awaited {
            awaited.wait(&upstream, self.timeouts.connect).await?;
            upstream = self.current().get();
        }
        let upstream = &upstream;
        exchange.note(|outcome| outcome.upstream = Some(Arc::clone(&upstream.name)));
        if let Some(wanted) = tunnel::wanted(&mut request, &exchange, &self.upgrade)? {
            return self.tunnel(upstream, request, wanted, exchange).await;
        }
        // The wire waits for this word before it reads on.
        exchange.decide_upgrade(Upgrade::Refused);
        if self.is_careful(upstream) {
            return Box::pin(self.careful(upstream, request, exchange)).await;
        }
        let permit = self.turn_at(upstream, &exchange).await?;
        let limits = &self.timeouts;
        let (at, begun, checkout) = reach(upstream, start.endpoint, &exchange, limits).await?;
        let in_flight = InFlight::new(Arc::clone(&upstream.endpoints[at]), Arc::clone(upstream));
        let line = Line { exchange, now: Instant::now(), in_flight, permit };
        let clock = Clock { begun, ..line.clock() };
        let one = Try { clock, ..line.as_try() };
        let response = self.repeatedly(one, checkout, request).await?;
        self.answer_to(response, line)
    }

    /// A request over a connection, and over another one if that was closed under it.
    pub(super) async fn repeatedly(
        &self,
        line: Try<'_>,
        checkout: Checkout,
        request: Request,
    ) -> Result<http::Response<Source>, Error> {
        match self.send(line, checkout, request).await {
            Ok(response) => Ok(response),
            Err(failure) => self.once_more(failure, line).await,
        }
    }

    /// The same with all that is held for a direct try.
    pub(super) async fn once_more_for(
        &self,
        failure: Failure,
        line: Line,
    ) -> Result<Response, Error> {
        let response = self.once_more(failure, line.as_try()).await?;
        self.answer_to(response, line)
    }

    /// A pooled connection was closed under the request, or the upstream did not act on it: again, on
    /// another one.
    async fn once_more(
        &self,
        mut failure: Failure,
        mut line: Try<'_>,
    ) -> Result<http::Response<Source>, Error> {
        // An upstream that closes everything it accepts must not keep us busy for ever.
        let mut repeated = false;
        for _ in 0..REPEATS {
            let unsent = failure.unsent;
            let Some(mut again) = failure.again.take().filter(|_| unsent || !repeated) else {
                break;
            };
            repeated |= !unsent;
            self.own.insert_late(again.headers_mut(), line.exchange);
            let endpoint = &line.in_flight.0;
            let checkout = if endpoint.wants_h2(line.exchange.grpc) {
                checkout(endpoint, line.exchange, &self.timeouts).await?
            } else {
                open(endpoint, line.exchange, connect_limit(endpoint, &self.timeouts)).await?
            };
            line.clock.sent = Instant::now();
            match self.send(line, checkout, *again).await {
                Ok(response) => return Ok(response),
                Err(next) => failure = next,
            }
        }
        Err(failure.error)
    }

    /// A turn at the upstream, waited for as long as for a connection.
    pub(super) async fn turn_at(
        &self,
        upstream: &Upstream,
        exchange: &Exchange,
    ) -> Result<Permit, Error> {
        let class = exchange.class();
        upstream.admission.enter(class, upstream.connect_timeout).await.map_err(|shed| {
            self.metrics.shed(class, shed.word());
            Error::new(
                Reason::Overloaded,
                match shed {
                    Shed::Full => "the queue of the upstream is full",
                    Shed::Outranked => "requests that matter more came to the upstream",
                    Shed::Late => "no turn at the upstream in time",
                },
            )
        })
    }

    /// An upstream by weight.
    pub(super) fn current(&self) -> &Current {
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

    /// One try.
    async fn send(
        &self,
        line: Try<'_>,
        checkout: Checkout,
        mut request: Request,
    ) -> Result<http::Response<Source>, Failure> {
        let Try { exchange, clock, in_flight } = line;
        let endpoint = &in_flight.0;
        let sent = match checkout {
            Checkout::H1(connection) => {
                outgoing::for_h1(&mut request, endpoint, in_flight.host(), &exchange.hop);
                let interim = expect::prepare(&mut request, exchange);
                let sending = connection.send(Box::new(request), interim, |_| ());
                let sent = within(&self.timeouts, exchange, clock, pin!(sending)).await?;
                sent.map(|response| response.map(Source::H1))
                    .map_err(|failed| explain(failed, endpoint, exchange))
            }
            Checkout::H2(lease) => {
                outgoing::for_h2(&mut request, endpoint, in_flight.host(), &exchange.hop)?;
                let interim = Interim::new(Arc::clone(exchange));
                let sent = match lease.send(request, interim) {
                    Ok(sending) => within(&self.timeouts, exchange, clock, pin!(sending)).await?,
                    Err(failed) => Err(failed),
                };
                sent.map(|response| response.map(Source::H2))
                    .map_err(|failed| explain(failed, endpoint, exchange))
            }
        };
        judge(sent, exchange, clock.sent)
    }

    /// What came back, if it may go on. If not, what is held is dropped, and the connection with it.
    pub(super) fn answer_to(
        &self,
        response: http::Response<impl Into<Source>>,
        line: Line,
    ) -> Result<Response, Error> {
        let Line { exchange, in_flight, permit, .. } = line;
        self.answer(response, exchange, Held { in_flight, permit })
    }

    /// The same with what is held until its end.
    pub(super) fn answer(
        &self,
        mut response: http::Response<impl Into<Source>>,
        exchange: Arc<Exchange>,
        mut held: Held,
    ) -> Result<Response, Error> {
        if held.permit.is_measured() {
            let status = status_of(response.status(), response.headers(), exchange.grpc);
            held.permit.answered(exchange.upstream_latency(), status);
        }
        let stream = self.finish(&mut response, &exchange)?;
        let idle = self.idle_of(stream || exchange.grpc);
        Ok(response
            .map(|source| Body::upstream(UpstreamBody::new(source.into(), held, exchange, idle))))
    }

    /// The pause an answer may make. Streams that are meant to be quiet are only limited by a
    /// limit somebody wrote.
    fn idle_of(&self, is_stream: bool) -> Option<Duration> {
        self.timeouts.idle.filter(|_| self.timeouts.idle_written || !is_stream)
    }

    /// Judges an answer; whether it is a stream of events.
    pub(super) fn finish<B>(
        &self,
        response: &mut http::Response<B>,
        exchange: &Exchange,
    ) -> Result<bool, Error> {
        let mut stream = false;
        // A switch of protocols keeps the fields that say so.
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            stream = incoming::accept(response, Some(&self.own.request_id))?;
            *response.version_mut() = http::Version::HTTP_11;
            if exchange.owes(Late::Answer) {
                exchange.owe(Late::Via);
            } else if let Some(via) = &self.own.via {
                let version = http::Version::HTTP_11;
                forwarding::add_via(response.headers_mut(), via, version);
            }
        }
        Ok(stream)
    }
}

/// What came of a try.
pub(super) fn judge<B>(
    sent: Result<http::Response<B>, Failure>,
    exchange: &Exchange,
    started: Instant,
) -> Result<http::Response<B>, Failure> {
    let took = started.elapsed();
    exchange.note(|outcome| outcome.upstream_time = Some(took));
    match sent {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Err(Error::new(Reason::BadResponse, "an unasked switch of protocols").into())
        }
        sent => sent,
    }
}
