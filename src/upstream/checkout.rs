//! A connection for one try: one that waits in the pool of the endpoint, or a new one. Stands between
//! the choice of an endpoint and the exchange over the connection.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Upstream,
    choice::choose,
    connect::{self, Opened, Want},
    endpoint::Endpoint,
    http1::Connection,
    http2::Lease,
    wish::Wish,
};
use crate::{
    config::model::Timeouts,
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// A connection for one try.
pub(super) enum Checkout {
    H1(Box<Connection>),
    H2(Lease),
}

/// How long a try waits for a connection: as long as the upstream says, unless the route says less.
pub(super) fn connect_limit(endpoint: &Endpoint, timeouts: &Timeouts) -> Duration {
    let own = [timeouts.connect, timeouts.per_try].into_iter().flatten();
    own.fold(endpoint.shape.connect_timeout, Duration::min)
}

/// A connection to some endpoint, which one, and since when it was asked for. One that cannot be
/// connected to has not seen the request, so the next is asked.
pub(super) async fn reach(
    upstream: &Arc<Upstream>,
    mut first: Option<usize>,
    exchange: &Exchange,
    timeouts: &Timeouts,
) -> Result<(usize, Instant, Checkout), Error> {
    let mut tried: smallvec::SmallVec<[usize; 4]> = smallvec::SmallVec::new();
    let mut last = None;
    while tried.len() < upstream.endpoints.len() {
        let (endpoint, at) = match first.take() {
            Some(at) => (&upstream.endpoints[at], at),
            None => match choose(upstream, &tried, Wish::default()) {
                Ok(chosen) => chosen,
                Err(error) => return Err(last.unwrap_or(error)),
            },
        };
        let begun = Instant::now();
        match checkout(endpoint, exchange, timeouts).await {
            Ok(checkout) => return Ok((at, begun, checkout)),
            Err(error) => {
                tried.push(at);
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new(Reason::NoEndpoint, "no endpoint")))
}

/// A connection to this endpoint.
pub(super) async fn checkout(
    endpoint: &Arc<Endpoint>,
    exchange: &Exchange,
    timeouts: &Timeouts,
) -> Result<Checkout, Error> {
    if !endpoint.wants_h2(exchange.grpc) {
        if let Some(connection) = endpoint.pool.take(Instant::now()) {
            note_try(exchange, endpoint);
            return Ok(Checkout::H1(connection));
        }
        return open(endpoint, exchange, connect_limit(endpoint, timeouts)).await;
    }
    if let Some(lease) = endpoint.pool.take_h2() {
        note_try(exchange, endpoint);
        return Ok(Checkout::H2(lease));
    }
    // Another request may be opening one. It does so in its own time: who waits for it waits no longer
    // than for a connection of its own, and opens one in what is left of that when it has failed.
    let due = Instant::now() + connect_limit(endpoint, timeouts);
    let Ok(_opening) = tokio::time::timeout_at(due, endpoint.pool.opening()).await else {
        note_try(exchange, endpoint);
        return Err(connect::late(endpoint));
    };
    if let Some(lease) = endpoint.pool.take_h2() {
        note_try(exchange, endpoint);
        return Ok(Checkout::H2(lease));
    }
    // A connection of another worker is better than none: these are never given up while used.
    if endpoint.permits.available_permits() == 0
        && let Some(lease) = endpoint.pool.any_h2()
    {
        note_try(exchange, endpoint);
        return Ok(Checkout::H2(lease));
    }
    open(endpoint, exchange, due.saturating_duration_since(Instant::now())).await
}

/// A new connection to this endpoint, within this time.
pub(super) async fn open(
    endpoint: &Arc<Endpoint>,
    exchange: &Exchange,
    limit: Duration,
) -> Result<Checkout, Error> {
    let want = if endpoint.wants_h2(exchange.grpc) { Want::H2 } else { Want::Any };
    note_try(exchange, endpoint);
    Ok(match connect::open(endpoint, want, limit).await? {
        Opened::H1(connection) => Checkout::H1(connection),
        Opened::H2(lease) => {
            endpoint.speaks_h2.store(true, Ordering::Relaxed);
            Checkout::H2(lease)
        }
    })
}

/// Counts a try.
pub(super) fn note_try(exchange: &Exchange, endpoint: &Endpoint) {
    exchange.note(|outcome| {
        outcome.tries += 1;
        outcome.endpoint = Some(Arc::clone(&endpoint.name));
    });
}
