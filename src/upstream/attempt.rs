//! One try of a request over one connection: how long it may wait for the response head, what its
//! failure means, and whether it may be repeated at once.

use std::{error::Error as StdError, future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::time::Instant;

use super::endpoint::Endpoint;
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

/// The same as a connection says it, before anybody has asked whose fault it was.
#[derive(Debug)]
pub(crate) struct Failed<C> {
    pub(crate) cause: C,
    /// The request, if the upstream cannot have acted on it, or may do so twice.
    pub(crate) again: Option<Box<Request>>,
    /// Nothing of it has left.
    pub(crate) unsent: bool,
}

/// Why a connection, of either HTTP version, did not answer.
pub(crate) trait Cause: StdError + Sized {
    /// The reason word of it.
    fn reason(&self) -> Reason;

    /// The verdict, where an answer was there and was refused.
    fn refusal(self) -> Result<Error, Self>;
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

/// The times of one try.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    /// It began, and had no connection yet.
    pub(super) begun: Instant,
    /// It had one.
    pub(super) sent: Instant,
    /// Nothing else of the request waits beside it, as the sweep knows one limit per connection.
    pub(super) alone: bool,
}

/// Waits for a response head as long as the route allows. `first_byte` runs from the end of the request
/// body: an upload is not cut because it is long. While a body is being sent, the pause between two
/// of its pieces is limited instead. `per_try` takes all of it together.
///
/// The future is pinned by the caller: it is large, and every `async fn` that takes it moves it.
pub(super) fn within<'t, F: Future>(
    timeouts: &'t Timeouts,
    exchange: &'t Exchange,
    clock: Clock,
    mut future: Pin<&'t mut F>,
) -> impl Future<Output = Result<F::Output, Error>> + 't {
    let Clock { begun, sent, alone } = clock;
    let whole = timeouts.per_try.map(|limit| begun + limit);
    let due = earlier(timeouts.first_byte.map(|limit| sent + limit), whole);
    // Only what is needed later is kept: everything in here is moved with each request.
    async move {
        let Some(mut due) = due else { return Ok(future.await) };
        // The sweep wakes connections; streams of HTTP/2 run in tasks of their own.
        let coarse = alone
            && due.saturating_duration_since(sent) >= COARSE
            && exchange.version != http::Version::HTTP_2;
        loop {
            let output = if coarse {
                until_overdue(exchange, due, future.as_mut()).await
            } else {
                tokio::time::timeout_at(due, future.as_mut()).await.ok()
            };
            match output {
                Some(output) => return Ok(output),
                None => due = extend(timeouts, exchange, sent, whole)?,
            }
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.zip(b).map_or(a.or(b), |(a, b)| Some(a.min(b)))
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

/// When to look again, or the error if the time is up, be it that of the `whole` try.
fn extend(
    timeouts: &Timeouts,
    exchange: &Exchange,
    sent: Instant,
    whole: Option<Instant>,
) -> Result<Instant, Error> {
    let now = Instant::now();
    let upload = exchange.upload_age();
    if whole.is_some_and(|whole| now >= whole) {
        return Err(match upload {
            // Whose fault that is nobody knows.
            Some((_, false)) => Error::new(Reason::RequestTimeout, "still being sent"),
            _ => Error::new(Reason::UpstreamTimeout, "no response head within `per_try`"),
        });
    }
    let Some(limit) = timeouts.first_byte else { return Ok(whole.unwrap_or(now)) };
    let late = || Error::new(Reason::UpstreamTimeout, "no response head in time");
    let next = match upload {
        None => Err(late()),
        Some((age, true)) => {
            let waited = age.min(now - sent);
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
    }?;
    Ok(whole.map_or(next, |whole| next.min(whole)))
}

// === errors ===

/// What the end of a try means for the request.
pub(super) fn explain<C: Cause>(
    failed: Failed<C>,
    endpoint: &Endpoint,
    exchange: &Exchange,
) -> Failure {
    let Failed { cause, again, unsent } = failed;
    let error = cause.refusal().unwrap_or_else(|cause| {
        ended(exchange, &cause).unwrap_or_else(|| new(cause.reason(), endpoint, &cause))
    });
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

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use super::*;
    use crate::telemetry::testing;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a try waits that had its connection after 700 ms, and for what it ends.
    async fn waits(
        first_byte: Option<Duration>,
        per_try: Option<Duration>,
        upload: Option<bool>,
    ) -> (Duration, Reason) {
        let timeouts = Timeouts {
            request: None,
            first_byte,
            per_try,
            connect: None,
            idle: None,
            idle_written: false,
        };
        let exchange = Exchange::new(testing::head());
        if let Some(end) = upload {
            exchange.begin_upload();
            exchange.upload_progress(end);
        }
        let begun = Instant::now();
        tokio::time::advance(SECOND * 7 / 10).await;
        let clock = Clock { begun, sent: Instant::now(), alone: true };
        let error = within(&timeouts, &exchange, clock, pin!(pending::<()>())).await;
        (begun.elapsed(), error.expect_err("nothing else ends it").reason())
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_begins_before_it_is_sent_and_the_shorter_limit_ends_it() {
        let late = |millis| (Duration::from_millis(millis), Reason::UpstreamTimeout);
        assert_eq!(waits(Some(SECOND), None, None).await, late(1_700));
        assert_eq!(waits(None, Some(SECOND), None).await, late(1_000));
        assert_eq!(waits(Some(SECOND), Some(2 * SECOND), None).await, late(1_700));
        assert_eq!(waits(Some(3 * SECOND), Some(2 * SECOND), None).await, late(2_000));
        // Nothing is left of it.
        assert_eq!(waits(None, Some(SECOND / 2), None).await, late(700));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_ended_by_the_limit_of_the_try_and_nobody_is_to_blame() {
        let (took, reason) = waits(Some(SECOND), Some(3 * SECOND), Some(false)).await;
        assert_eq!((took, reason), (3 * SECOND, Reason::RequestTimeout));
        let (took, reason) = waits(None, Some(3 * SECOND), Some(true)).await;
        assert_eq!((took, reason), (3 * SECOND, Reason::UpstreamTimeout));
    }
}
