//! One try of a request over one connection: how long it may wait for the response head, what its
//! failure means, and whether it may be repeated at once.

use std::{error::Error as StdError, future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::time::Instant;

use super::{endpoint::Endpoint, http1, http2};
use crate::{
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

// === time ===

/// Limits at least this long are looked at once per second by the sweep of the worker, which costs a
/// request nothing; shorter ones have a timer.
const COARSE: Duration = Duration::from_secs(5);

/// Waits for a response head as long as the route allows. The limit runs from the end of the request
/// body: an upload is not cut because it is long. While a body is being sent, the pause between two
/// of its pieces is limited instead.
///
/// The future is pinned by the caller: it is large, and every `async fn` that takes it moves it.
/// `alone`: nothing else of the request waits beside it, as the sweep knows one limit per connection.
pub(super) async fn within<F: Future>(
    timeouts: Timeouts,
    exchange: &Exchange,
    (started, alone): (Instant, bool),
    mut future: Pin<&mut F>,
) -> Result<F::Output, Error> {
    let Some(limit) = timeouts.per_try else { return Ok(future.await) };
    let mut due = started + limit;
    // The sweep wakes connections; streams of HTTP/2 run in tasks of their own.
    let coarse = alone && limit >= COARSE && exchange.version != http::Version::HTTP_2;
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
        cause => ended(exchange, &cause).unwrap_or_else(|| new(cause.reason(), endpoint, &cause)),
    };
    Failure { error, again, unsent }
}

/// What the end of an HTTP/2 try means for the request.
pub(super) fn explain_h2(
    failed: http2::Failed,
    endpoint: &Endpoint,
    exchange: &Exchange,
) -> Failure {
    let http2::Failed { cause, again, unsent } = failed;
    let error = match cause {
        http2::Cause::Refused(error) => error,
        cause => ended(exchange, &cause).unwrap_or_else(|| new(cause.reason(), endpoint, &cause)),
    };
    Failure { error, again, unsent }
}

fn new(reason: Reason, endpoint: &Endpoint, cause: &dyn StdError) -> Error {
    Error::new(reason, format!("{}: {cause}", endpoint.name))
}

/// What ended the request first, which is its body, says why.
fn ended(exchange: &Exchange, error: &dyn StdError) -> Option<Error> {
    let (reason, detail) = exchange.failure()?;
    Some(Error::new(reason, detail.map_or_else(|| error.to_string(), String::from)))
}
