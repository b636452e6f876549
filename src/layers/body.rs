//! The request body: counted, limited in size and in pauses, and read whole first where the route
//! says `buffer`. Guard zone: before the body costs an upstream anything.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{self, Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, ready};
use http::{Version, header::CONTENT_LENGTH};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service};

use super::{Request, Response, shared::BoxFuture};
use crate::{
    body::{Body, BoxError},
    config::model::{BodyRule, Timeouts},
    error::{Error, Reason},
    server::gate,
    telemetry::exchange::Exchange,
    upstream::{
        incoming,
        response_body::{IdleTimer, cleaned},
    },
};

/// Counts and limits request bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLayer {
    rule: BodyRule,
    timeouts: Timeouts,
}

/// The service of [`BodyLayer`].
#[derive(Clone, Debug)]
pub struct BodyLimit<S> {
    inner: S,
    /// Shared: it is cloned with each request.
    layer: Arc<BodyLayer>,
}

/// A request body under its limits.
struct Limited {
    body: Body,
    exchange: Arc<Exchange>,
    left: Option<u64>,
    idle: Option<IdleTimer>,
}

// === impl BodyLayer ===

impl BodyLayer {
    /// A layer with the rules of a route.
    pub const fn new(rule: BodyRule, timeouts: Timeouts) -> Self {
        Self { rule, timeouts }
    }

    /// Whether the head announces more than may come.
    pub(crate) fn refuses(&self, request: &Request) -> Option<Error> {
        let (max, length) = (self.rule.max?, announced(request)?);
        (length > max).then(|| too_large(max))
    }

    fn limit(&self, request: Request) -> Result<Request, Error> {
        let Some(exchange) = request.extensions().get::<Arc<Exchange>>().cloned() else {
            return Ok(request);
        };
        if let Some(error) = self.refuses(&request) {
            return Err(error);
        }
        exchange.begin_upload();
        let quiet = exchange.grpc && !self.timeouts.idle_written;
        let idle = self.timeouts.idle.filter(|_| !quiet).map(IdleTimer::new);
        let left = self.rule.max;
        Ok(request.map(|body| Body::wrap(Limited { body, exchange, left, idle })))
    }
}

fn announced(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max: u64) -> Error {
    Error::new(Reason::BodyTooLarge, format!("larger than {max} bytes"))
        .public(format!("this route takes bodies of at most {max} bytes"))
}

impl<S> Layer<S> for BodyLayer {
    type Service = BodyLimit<S>;

    fn layer(&self, inner: S) -> BodyLimit<S> {
        BodyLimit { inner, layer: Arc::new(*self) }
    }
}

// === impl BodyLimit ===

impl<S> Service<Request> for BodyLimit<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Error;
    // What is rare is boxed, so that the future of all others is small.
    type Future = Either<S::Future, BoxFuture<Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.body().is_empty() {
            return Either::Left(self.inner.call(request));
        }
        let request = match self.layer.limit(request) {
            Ok(request) => request,
            Err(error) => return Either::Right(Box::pin(ready(Err(error)))),
        };
        if !self.layer.rule.buffer {
            return Either::Left(self.inner.call(request));
        }
        // The one that was polled ready goes into the future, its clone stays for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Either::Right(Box::pin(async move {
            let request = read_whole(request).await?;
            inner.call(request).await
        }))
    }
}

async fn read_whole(request: Request) -> Result<Request, Error> {
    let exchange = request.extensions().get::<Arc<Exchange>>().cloned();
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(|error| {
        let reason = exchange.and_then(|exchange| exchange.reason()).unwrap_or(Reason::BadBody);
        Error::new(reason, error.to_string())
    })?;
    Ok(Request::from_parts(head, Body::full(bytes.to_bytes())))
}

// === impl Limited ===

impl Limited {
    fn fail(&self, error: Error) -> BoxError {
        self.exchange.note(|outcome| {
            outcome.reason.get_or_insert(error.reason());
        });
        error.into()
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Error> {
        let Some(data) = frame.data_ref() else { return check_trailers(frame) };
        self.exchange.received(data.len() as u64);
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| Error::new(Reason::BodyTooLarge, "larger than allowed"))?;
        }
        Ok(())
    }

    /// The client's own fault, or its absence.
    fn broken(&self, error: &BoxError) -> Error {
        let state = &self.exchange.connection.state;
        if state.bad_body.load(Ordering::Relaxed) {
            let detail = state.refusal().map_or("broken framing", |refusal| refusal.detail);
            return Error::new(Reason::BadBody, detail).public(detail);
        }
        let reason = if is_malformed(&**error) { Reason::BadBody } else { Reason::ClientGone };
        Error::new(reason, error.to_string())
    }
}

/// What the gate asks of fields over HTTP/2; over HTTP/1 they were scanned.
fn check_trailers(frame: &Frame<Bytes>) -> Result<(), Error> {
    for (name, value) in frame.trailers_ref().into_iter().flatten() {
        gate::check_h2_field(name.as_str(), value.as_bytes()).map_err(|error| {
            Error::new(Reason::BadBody, error.detail().to_owned()).public("malformed trailers")
        })?;
    }
    Ok(())
}

/// hyper could not read what came: trailers that are no fields, too many extensions.
fn is_malformed(error: &(dyn StdError + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
        || error.source().is_some_and(is_malformed)
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let Some(frame) = task::ready!(IdleTimer::watch(&mut this.idle, polled, cx)) else {
            let error = Error::new(Reason::BodyTimeout, "the request body stalled");
            return Poll::Ready(Some(Err(this.fail(error))));
        };
        Poll::Ready(match frame {
            // hyper takes every reset of a stream without an error for the end of its body.
            None if this.exchange.version == Version::HTTP_2 && !this.body.is_end_stream() => {
                let error = Error::new(Reason::ClientGone, "the stream was reset in its body");
                Some(Err(this.fail(error)))
            }
            None => {
                this.exchange.upload_progress(true);
                None
            }
            Some(Ok(frame)) => Some(match this.count(&frame) {
                Ok(()) => {
                    this.exchange.upload_progress(this.body.is_end_stream());
                    Ok(cleaned(frame, incoming::clean_request_trailers))
                }
                Err(error) => Err(this.fail(error)),
            }),
            Some(Err(error)) => Some(Err(this.fail(this.broken(&error)))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
