//! One try of a request over one connection: how long it may wait for the response head, what its
//! failure means, and whether it may be repeated at once.

use std::{error::Error as StdError, future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::time::Instant;

use super::{endpoint::Endpoint, http1, tls};
use crate::{
    body::Body,
    config::model::Timeouts,
    error::{Error, Reason},
    layers::Request,
    telemetry::exchange::Exchange,
};

/// A failed try, and the request if it may be sent once more at once.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Boxed: failures are rare and this is large.
    pub(super) again: Option<Box<Request>>,
    /// Nothing of it has left.
    pub(super) unsent: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: None, unsent: false }
    }
}

/// A copy of a request that may be repeated (RFC 9110 section 9.2.2).
pub(super) fn copy(request: &Request) -> Option<Box<Request>> {
    if !request.body().is_empty() || !http1::is_idempotent(request.method()) {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}

// === time ===

/// Limits at least this long are looked at once per second by the sweep of the worker, which costs a
/// request nothing; shorter ones have a timer.
const COARSE: Duration = Duration::from_secs(5);

/// Waits for a response head as long as the route allows. The limit runs from the end of the request
/// body: an upload is not cut because it is long. While a body is being sent, the pause between two
/// of its pieces is limited instead.
///
/// The future is pinned by the caller: it is large, and every `async fn` that takes it moves it.
pub(super) async fn within<F: Future>(
    timeouts: Timeouts,
    exchange: &Exchange,
    started: Instant,
    mut future: Pin<&mut F>,
) -> Result<F::Output, Error> {
    let Some(limit) = timeouts.per_try else { return Ok(future.await) };
    let mut due = started + limit;
    // The sweep wakes connections; streams of HTTP/2 run in tasks of their own.
    let coarse = limit >= COARSE && exchange.version != http::Version::HTTP_2;
    loop {
        let output = if coarse {
            until_overdue(exchange, due, future.as_mut()).await
        } else {
            tokio::time::timeout_at(due, future.as_mut()).await.ok()
        };
        match output {
            Some(output) => return Ok(output),
            None => due = extend(timeouts, exchange, started, limit)?,
        }
    }
}

/// The output of the future, or `None` when the sweep finds it overdue.
async fn until_overdue<F: Future>(
    exchange: &Exchange,
    due: Instant,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let state = &exchange.connection.state;
    state.set_due(Some(due));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            state.set_due(None);
            return Poll::Ready(Some(output));
        }
        if state.is_overdue() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// When to look again, or the error if the time is up.
fn extend(
    timeouts: Timeouts,
    exchange: &Exchange,
    started: Instant,
    limit: Duration,
) -> Result<Instant, Error> {
    let now = Instant::now();
    let late = || Error::new(Reason::UpstreamTimeout, "no response head in time");
    match exchange.upload_age() {
        None => Err(late()),
        Some((age, true)) => {
            let waited = age.min(now - started);
            if waited >= limit { Err(late()) } else { Ok(now + (limit - waited)) }
        }
        Some((age, false)) => {
            let quiet = exchange.grpc && !timeouts.idle_written;
            match timeouts.idle {
                Some(idle) if !quiet && age >= idle => {
                    Err(Error::new(Reason::UpstreamTimeout, "the upstream stopped reading"))
                }
                Some(idle) if !quiet => Ok(now + (idle - age).min(limit)),
                _ => Ok(now + limit),
            }
        }
    }
}

// === errors ===

/// What the end of an HTTP/1 try means for the request.
pub(super) fn explain(failed: http1::Failed, endpoint: &Endpoint, exchange: &Exchange) -> Failure {
    let http1::Failed { cause, again, unsent } = failed;
    let error = match cause {
        http1::Cause::Refused(error) => error,
        cause => ended(exchange, &cause)
            .unwrap_or_else(|| Error::new(cause.reason(), format!("{}: {cause}", endpoint.name))),
    };
    Failure { error, again, unsent }
}

/// What an error of hyper's client means for the request.
pub(super) fn classify(error: &hyper::Error, endpoint: &Endpoint, exchange: &Exchange) -> Error {
    ended(exchange, error).unwrap_or_else(|| {
        Error::new(reason_of(error), format!("{}: {}", endpoint.name, chain(error)))
    })
}

/// What ended the request first, which is its body, says why.
fn ended(exchange: &Exchange, error: &dyn StdError) -> Option<Error> {
    let (reason, detail) = exchange.failure()?;
    Some(Error::new(reason, detail.map_or_else(|| error.to_string(), String::from)))
}

/// Which reason an error of hyper's client is, in a head or in a body.
pub(super) fn reason_of(error: &hyper::Error) -> Reason {
    if error.is_user() {
        Reason::BadBody
    } else if tls::proxy_status(error).is_some() {
        Reason::UpstreamTls
    } else if h2_error(error).is_some_and(h2::Error::is_library) {
        // h2 has found something that may not be.
        Reason::BadResponse
    } else {
        Reason::UpstreamReset
    }
}

/// Whether the upstream says that it has not acted on the request (RFC 9113 section 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| {
        // A stream that GOAWAY counts as processed does not end with this error.
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away())
    })
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
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
