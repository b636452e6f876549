//! The outermost layer: it sees every request of a route and every answer, whoever made it. It
//! sets the request id, and writes metrics and log line when the *body* of the answer has ended,
//! or when the client is gone before that.

mod body;
mod record;

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Method, StatusCode};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub(crate) use self::body::ObservedBody;
use self::record::Recorder;
pub use self::record::Tunnel;
use super::{Request, Response, exchange_of, panics};
use crate::{
    body::Body,
    server::forwarding::Own,
    telemetry::{
        access_log::AccessLog,
        metrics::{Metrics, RouteMetrics},
    },
};

/// What the requests of one route are observed with.
#[derive(Debug)]
pub struct Observe {
    /// The numbers of all listeners.
    pub metrics: Arc<Metrics>,
    /// The numbers of the route.
    pub route: Arc<RouteMetrics>,
    /// Where lines go, if anywhere.
    pub access_log: Option<Arc<AccessLog>>,
    /// Our own fields; the request id tells the client its request's id.
    pub(crate) own: Own,
}

/// Observes a route.
#[derive(Clone, Debug)]
pub struct ObserveLayer(Arc<Observe>);

/// A service that is observed.
#[derive(Clone, Debug)]
pub struct ObserveService<S> {
    inner: S,
    observe: Arc<Observe>,
}

pin_project! {
    /// The answer to an observed request.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        recorder: Option<Recorder>,
    }
}

// === impl ObserveLayer ===

impl ObserveLayer {
    /// Observes with this.
    pub fn new(observe: Arc<Observe>) -> Self {
        Self(observe)
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService { inner, observe: Arc::clone(&self.0) }
    }
}

// === impl ObserveService ===

impl<S> Service<Request> for ObserveService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The gateway puts it there; without it there is nothing to record.
        let exchange = exchange_of(&request).map(Arc::clone);
        let recorder = exchange.map(|exchange| {
            Recorder::start(Arc::clone(&self.observe), exchange, request.headers())
        });
        ObserveFuture { inner: self.inner.call(request), recorder }
    }
}

// === impl ObserveFuture ===

impl<F> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The boundary has caught what panics within; this is for what stands outside of it.
        panics::catch(|| self.advance(cx))
            .unwrap_or_else(|_| Poll::Ready(Ok(panics::bare_answer(false))))
    }
}

impl<F> ObserveFuture<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response, Infallible>> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        let Some(mut recorder) = this.recorder.take() else { return Poll::Ready(Ok(response)) };
        recorder.head(&mut response);
        if let Some(tunnel) = response.extensions_mut().remove::<Arc<Tunnel>>() {
            recorder.write_own(response.headers_mut());
            tunnel.hold(recorder);
        } else if is_bodiless(recorder.method(), &response) {
            recorder.write_own(response.headers_mut());
            recorder.finish();
        } else {
            // The body alone is moved, not the head with it.
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = Body::observed(ObservedBody::new(body, recorder));
        }
        Poll::Ready(Ok(response))
    }
}

/// Whether nobody will ask for a body, whatever the response holds.
fn is_bodiless(method: &Method, response: &Response) -> bool {
    let status = response.status();
    method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status.is_informational()
        || response.body().is_end_stream()
}
