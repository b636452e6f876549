//! What nearly every request finds at once: a turn, an endpoint, and an idle connection to it. Stands
//! at the head of `forward`; where anything is missing, the long way goes on with what was found.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Upstream,
    attempt::Clock,
    checkout::Checkout,
    choice::choose,
    endpoint::InFlight,
    forward::{Settings, Try},
    wish::Wish,
};
use crate::{
    admission::Permit,
    layers::{Request, exchange_of},
    telemetry::exchange::Exchange,
};

/// Everything a request needs to go out at once, beside its connection.
pub(super) struct Line {
    pub(super) exchange: Arc<Exchange>,
    /// When it had its connection, which was at once.
    pub(super) now: Instant,
    pub(super) in_flight: InFlight,
    pub(super) permit: Permit,
}

/// What was chosen before it turned out that the direct way is closed. Choosing twice would take
/// two turns of a round.
#[derive(Default)]
pub(super) struct Start {
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) endpoint: Option<usize>,
}

// === impl Line ===

impl Line {
    pub(super) fn as_try(&self) -> Try<'_> {
        let Self { exchange, in_flight, .. } = self;
        Try { exchange, in_flight, clock: self.clock() }
    }

    pub(super) fn clock(&self) -> Clock {
        Clock { begun: self.now, sent: self.now, alone: true }
    }
}

// === impl Settings ===

impl Settings {
    /// Everything the request needs, if all of it is there without waiting.
    pub(super) fn line(&self, request: &Request) -> Result<(Line, Checkout), Start> {
        let Some(exchange) = exchange_of(request) else { return Err(Start::default()) };
        if exchange.hop.upgrade.is_some() || *request.method() == http::Method::CONNECT {
            return Err(Start::default());
        }
        self.current().with(|upstream| self.line_to(upstream, exchange))
    }

    fn line_to(
        &self,
        upstream: &Arc<Upstream>,
        exchange: &Arc<Exchange>,
    ) -> Result<(Line, Checkout), Start> {
        if self.is_careful(upstream) {
            return Err(Start { upstream: Some(Arc::clone(upstream)), endpoint: None });
        }
        let start = |endpoint| Start { upstream: Some(Arc::clone(upstream)), endpoint };
        let Some(permit) = upstream.admission.try_enter() else { return Err(start(None)) };
        let Ok((endpoint, at)) = choose(upstream, &[], Wish::default()) else {
            return Err(start(None));
        };
        let now = Instant::now();
        let checkout = if endpoint.wants_h2(exchange.grpc) {
            endpoint.pool.take_h2().map(Checkout::H2)
        } else {
            endpoint.pool.take(now).map(Checkout::H1)
        };
        let Some(checkout) = checkout else { return Err(start(Some(at))) };
        exchange.note(|outcome| {
            outcome.upstream = Some(Arc::clone(&upstream.name));
            outcome.endpoint = Some(Arc::clone(&endpoint.name));
            outcome.tries += 1;
        });
        let in_flight = InFlight::new(Arc::clone(endpoint), Arc::clone(upstream));
        Ok((Line { exchange: Arc::clone(exchange), now, in_flight, permit }, checkout))
    }
}
