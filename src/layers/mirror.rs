//! `mirror`: a copy of some requests goes to another upstream, whose answers no client sees. Shape zone:
//! behind the rewrite, before the total timeout and the tries, so that the copy is what the upstream
//! gets.
//!
//! The request itself is never delayed: its body is copied as it passes and the copy is sent when it
//! has passed whole. Copies are never tried again, limited in number and size, and end with a deadline
//! of their own. On demand the two answers are compared: a new version can be tried on real traffic
//! before it gets any.

mod body;
mod compare;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

use self::{
    body::{Copied, Copying, Digesting},
    compare::{Answer, Comparison},
};
use super::{Request, Response, copy, exchange_of, shared::BoxFuture};
use crate::{
    body::{Body, BoxError},
    config::model::{Compare, Name},
    error::Error,
    telemetry::{
        exchange::Exchange,
        metrics::{MirrorResult, RouteMetrics},
    },
    upstream::forward::{Forward, random},
};

/// What is copied, and where to.
#[derive(Debug)]
pub struct Settings {
    /// The upstream.
    pub to: Name,
    /// Share of the requests, in millionths.
    pub share: u64,
    /// What is compared.
    pub compare: Compare,
    /// Sends the copies.
    pub(crate) forward: Forward,
    /// Where they are counted.
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// Copies requests.
#[derive(Clone, Debug)]
pub struct MirrorLayer(Arc<Shared>);

/// The service of [`MirrorLayer`].
#[derive(Clone, Debug)]
pub struct Mirror<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    in_flight: AtomicUsize,
}

/// One of a limited number of copies.
#[derive(Debug)]
struct Place(Arc<Shared>);

/// What is sent once the body has passed.
struct Copy {
    request: Request,
    exchange: Arc<Exchange>,
    place: Place,
    comparison: Option<Comparison>,
}

/// A million is all of them.
pub const ALL: u64 = 1_000_000;
/// Most copies of a route at once. Whoever is too slow for that misses some.
const MOST: usize = 128;
/// Larger bodies are not copied.
const BODY_LIMIT: usize = 64 * 1024;
/// How long a copy may take in all.
const TIME: Duration = Duration::from_secs(30);

// === impl MirrorLayer ===

impl MirrorLayer {
    /// A layer that copies so.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, in_flight: AtomicUsize::new(0) }))
    }
}

impl<S> Layer<S> for MirrorLayer {
    type Service = Mirror<S>;

    fn layer(&self, inner: S) -> Mirror<S> {
        Mirror { inner, shared: Arc::clone(&self.0) }
    }
}

// === impl Mirror ===

impl<S> Service<Request> for Mirror<S>
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
        let (request, comparison) = self.shared.copy(request);
        let answer = self.inner.call(request);
        let Some(comparison) = comparison else { return Box::pin(answer) };
        Box::pin(async move { Ok(comparison.with_original(answer.await?)) })
    }
}

// === impl Shared ===

impl Shared {
    /// Copies a request if it is its turn, and says what its answer is compared with.
    fn copy(self: &Arc<Self>, mut request: Request) -> (Request, Option<Comparison>) {
        let settings = &self.settings;
        if random() % ALL >= settings.share {
            return (request, None);
        }
        let Some(exchange) = exchange_of(&request) else { return (request, None) };
        if exchange.hop.upgrade.is_some() || *request.method() == http::Method::CONNECT {
            return (request, None);
        }
        let Some(place) = Place::take(self) else {
            settings.metrics.mirrored(MirrorResult::Overloaded);
            return (request, None);
        };
        let exchange = exchange.detached(exchange.started, exchange.grpc, exchange.hop.trailers);
        let comparison = (!settings.compare.is_empty()).then(|| {
            Comparison::new(settings.compare.clone(), &exchange, &settings.to, &settings.metrics)
        });
        let copy = Copy {
            request: copy(&request, Body::empty()),
            exchange,
            place,
            comparison: comparison.clone(),
        };
        if request.body().is_empty() {
            copy.send(Bytes::new());
        } else {
            request = request.map(|body| {
                Body::wrap(Copying::new(body, BODY_LIMIT, move |copied| match copied {
                    Copied::Whole(bytes) => copy.send(bytes),
                    Copied::TooLarge => copy.refuse(MirrorResult::BodyTooLarge),
                    Copied::Cut => copy.refuse(MirrorResult::Cut),
                }))
            });
        }
        (request, comparison)
    }
}

// === impl Copy ===

impl Copy {
    /// Sends it, in a task of its own.
    fn send(self, body: Bytes) {
        let Self { mut request, exchange, place, comparison } = self;
        *request.body_mut() = Body::full(body);
        request.extensions_mut().insert(exchange);
        tokio::spawn(async move {
            let settings = &place.0.settings;
            let sent = tokio::time::timeout(TIME, receive(settings, request));
            match sent.await {
                Ok(Ok(answer)) => {
                    settings.metrics.mirrored(MirrorResult::Answered);
                    if let Some(comparison) = comparison {
                        comparison.copy_answered(answer);
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a mirrored request failed");
                    settings.metrics.mirrored(MirrorResult::Failed);
                }
                Err(_) => settings.metrics.mirrored(MirrorResult::Failed),
            }
        });
    }

    fn refuse(self, why: MirrorResult) {
        self.place.0.settings.metrics.mirrored(why);
    }
}

/// Sends a copy and takes in its whole answer.
async fn receive(settings: &Settings, request: Request) -> Result<Answer, BoxError> {
    let response = settings.forward.clone().oneshot(request).await?;
    let (head, body) = response.into_parts();
    let mut body = std::pin::pin!(Digesting::new(body, settings.compare.body));
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(Answer { status: head.status, headers: head.headers, digest: body.digest() })
}

// === impl Place ===

impl Place {
    fn take(of: &Arc<Shared>) -> Option<Self> {
        let before = of.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(of));
        (before < MOST).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
