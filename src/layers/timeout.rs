//! The total time limit of a route (`timeouts.request`): from the request's head to the end of the
//! answer's body. Shape zone: around every try.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use super::{Request, Response, shared::BoxFuture};
use crate::{
    body::{Body, BoxError},
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// Limits the whole of a request.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
}

/// The service of [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

/// A body that must end in time.
struct DeadlineBody {
    body: Body,
    sleep: Pin<Box<Sleep>>,
    exchange: Option<Arc<Exchange>>,
}

// === impl TimeoutLayer ===

impl TimeoutLayer {
    /// A layer with this limit.
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limit: self.limit }
    }
}

// === impl Timeout ===

impl<S> Service<Request> for Timeout<S>
where
    S: Service<Request, Response = Response, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> BoxFuture<Error> {
        let exchange = request.extensions().get::<Arc<Exchange>>().cloned();
        let started = exchange.as_ref().map_or_else(Instant::now, |exchange| exchange.started);
        let deadline = started + self.limit;
        until(deadline, self.inner.call(request), exchange)
    }
}

/// An answer that must have ended by then, with its body.
pub(crate) fn until<F>(
    deadline: Instant,
    answer: F,
    exchange: Option<Arc<Exchange>>,
) -> BoxFuture<Error>
where
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    Box::pin(async move {
        let response = tokio::time::timeout_at(deadline, answer)
            .await
            .map_err(|_| Error::new(Reason::RequestTimeout, "no answer in the total time"))??;
        if response.body().is_empty() {
            return Ok(response);
        }
        let sleep = Box::pin(tokio::time::sleep_until(deadline));
        Ok(response.map(|body| Body::wrap(DeadlineBody { body, sleep, exchange })))
    })
}

// === impl DeadlineBody ===

impl http_body::Body for DeadlineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // The time first: an answer that always has more would never be looked at otherwise.
        if self.sleep.as_mut().poll(cx).is_pending() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        if let Some(exchange) = &self.exchange {
            exchange.note(|outcome| {
                outcome.reason.get_or_insert(Reason::RequestTimeout);
            });
        }
        let error = Error::new(Reason::RequestTimeout, "the answer did not end in the total time");
        Poll::Ready(Some(Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    fn request() -> Request {
        http::Request::new(Body::empty())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_late_is_a_request_timeout() {
        let slow = service_fn(|_: Request| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok::<_, Error>(Response::new(Body::empty()))
        });
        let error = TimeoutLayer::new(Duration::from_secs(2)).layer(slow).oneshot(request()).await;
        assert_eq!(error.expect_err("late").reason(), Reason::RequestTimeout);
        let answer = TimeoutLayer::new(Duration::from_secs(4)).layer(slow).oneshot(request()).await;
        assert!(answer.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_always_has_more_is_cut() {
        use http_body_util::{BodyExt, StreamBody};
        let flood = service_fn(|_: Request| async {
            let piece = || Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x")));
            let body = StreamBody::new(futures_util::stream::repeat_with(piece));
            Ok::<_, Error>(Response::new(Body::wrap(body)))
        });
        let layer = TimeoutLayer::new(Duration::from_secs(2));
        let mut body = layer.layer(flood).oneshot(request()).await.expect("a head").into_body();
        assert!(body.frame().await.expect("more").is_ok());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(body.frame().await.expect("an end").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_cut() {
        use http_body_util::{BodyExt, StreamBody};
        let endless = service_fn(|_: Request| async {
            let body = StreamBody::new(futures_util::stream::pending::<Result<_, BoxError>>());
            Ok::<_, Error>(Response::new(Body::wrap(body)))
        });
        let layer = TimeoutLayer::new(Duration::from_secs(2));
        let answer = layer.layer(endless).oneshot(request()).await.expect("a head");
        assert!(answer.into_body().collect().await.is_err());
    }
}
