//! A connection for one try: one that waits in the pool of the endpoint, or a new one. Stands between
//! the choice of an endpoint and the exchange over the connection.

use std::sync::{Arc, atomic::Ordering};

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
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// A connection for one try.
pub(super) enum Checkout {
    H1(Box<Connection>),
    H2(Lease),
}

/// A connection to some endpoint. One that cannot be connected to has not seen the request, so
/// the next is asked.
pub(super) async fn reach(
    upstream: &Arc<Upstream>,
    mut first: Option<usize>,
    exchange: &Exchange,
) -> Result<(Arc<Endpoint>, Checkout), Error> {
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
        match checkout(endpoint, exchange).await {
            Ok(checkout) => return Ok((Arc::clone(endpoint), checkout)),
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
) -> Result<Checkout, Error> {
    if !endpoint.wants_h2(exchange.grpc) {
        if let Some(connection) = endpoint.pool.take(Instant::now()) {
            note_try(exchange, endpoint);
            return Ok(Checkout::H1(connection));
        }
        return open(endpoint, exchange).await;
    }
    if let Some(lease) = endpoint.pool.take_h2() {
        note_try(exchange, endpoint);
        return Ok(Checkout::H2(lease));
    }
    let _opening = endpoint.pool.opening().await;
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
    open(endpoint, exchange).await
}

/// A new connection to this endpoint.
pub(super) async fn open(endpoint: &Arc<Endpoint>, exchange: &Exchange) -> Result<Checkout, Error> {
    let want = if endpoint.wants_h2(exchange.grpc) { Want::H2 } else { Want::Any };
    note_try(exchange, endpoint);
    Ok(match connect::open(endpoint, want).await? {
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
