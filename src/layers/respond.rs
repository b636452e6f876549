//! The boundary: within it layers fail with an [`Error`], outside of it there are only responses.
//! This is the one place where an error becomes an answer, in the form the client understands:
//! a problem (RFC 9457), a page, text, or a gRPC status. A panic within is an error as well.

mod accept;
mod answer;

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use self::answer::{ServerName, error_response};
use super::{Request, Response, exchange_of, panics, shedding::Shedding};
use crate::{
    config::model::Class,
    error::{Error, Fault, Reason},
    telemetry::exchange::Exchange,
};

/// Makes responses of errors.
#[derive(Clone, Debug)]
pub struct RespondLayer(Arc<Boundary>);

/// What all requests of a route find at its boundary.
#[derive(Debug)]
struct Boundary {
    server: Arc<ServerName>,
    /// How much its requests matter, where that is known here.
    shedding: Option<(Shedding, Class)>,
}

/// A service whose errors become responses.
#[derive(Debug)]
pub struct RespondService<S> {
    inner: S,
    boundary: Arc<Boundary>,
    /// The inner service failed before there was a request to answer.
    unready: Option<Error>,
}

pin_project! {
    /// The answer, or what is made of the error.
    #[derive(Debug)]
    pub struct RespondFuture<F> {
        #[pin]
        inner: Option<F>,
        // The inner service could not even begin.
        failed: Option<Error>,
        exchange: Option<Arc<Exchange>>,
        boundary: Arc<Boundary>,
    }
}

// === impl RespondLayer ===

impl RespondLayer {
    /// In the name of this server.
    pub fn new(server: Arc<ServerName>) -> Self {
        Self(Arc::new(Boundary { server, shedding: None }))
    }

    /// The same for requests of this class, which may be too many for the gateway.
    pub(crate) fn shedding(server: Arc<ServerName>, shedding: Shedding, class: Class) -> Self {
        Self(Arc::new(Boundary { server, shedding: Some((shedding, class)) }))
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = RespondService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RespondService { inner, boundary: Arc::clone(&self.0), unready: None }
    }
}

// === impl Boundary ===

impl Boundary {
    /// Refuses what is too much for the gateway, before it costs anything.
    #[inline]
    fn admit(&self) -> Result<(), Error> {
        match &self.shedding {
            Some((shedding, class)) => shedding.check(*class),
            None => Ok(()),
        }
    }
}

// === impl RespondService ===

/// A clone is a service of its own, as ready as its inner one.
impl<S: Clone> Clone for RespondService<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), boundary: Arc::clone(&self.boundary), unready: None }
    }
}

impl<S> Service<Request> for RespondService<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RespondFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Layers refuse in `call`, but those of others may fail here; `call` answers for it, as
        // there is no request yet.
        if self.unready.is_none() {
            self.unready = ready!(self.inner.poll_ready(cx)).err();
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let exchange = exchange_of(&request).map(Arc::clone);
        let boundary = Arc::clone(&self.boundary);
        let called = match (self.unready.take(), boundary.admit()) {
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(())) => panics::catch(|| self.inner.call(request)),
        };
        let (inner, failed) = match called {
            Ok(inner) => (Some(inner), None),
            Err(error) => (None, Some(error)),
        };
        RespondFuture { inner, failed, exchange, boundary }
    }
}

// === impl RespondFuture ===

impl<F> Future for RespondFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match (this.inner.as_pin_mut(), this.failed.take()) {
            (Some(inner), _) => match panics::catch(|| inner.poll(cx)) {
                Ok(result) => ready!(result),
                Err(error) => Err(error),
            },
            (None, error) => Err(error.unwrap_or_else(|| Reason::Internal.into())),
        };
        let server = &this.boundary.server;
        Poll::Ready(Ok(
            result.unwrap_or_else(|error| refuse(&error, this.exchange.as_deref(), server))
        ))
    }
}

/// Notes the error and answers it.
#[cold]
fn refuse(error: &Error, exchange: Option<&Exchange>, server: &ServerName) -> Response {
    let Some(exchange) = exchange else { return answer::bare(error, server) };
    exchange.note(|outcome| {
        outcome.reason = Some(error.reason());
        outcome.detail = Some(error.detail().into());
    });
    let (id, route) = (exchange.id.as_str(), &*exchange.route.name);
    match error.reason().fault() {
        // There are many of them, and a line for each is more to do; metrics have them.
        Fault::Gateway
            if matches!(error.reason(), Reason::Overloaded | Reason::LimitUnavailable) =>
        {
            tracing::debug!(request_id = id, route, %error, "request failed");
        }
        Fault::Gateway => tracing::warn!(request_id = id, route, %error, "request failed"),
        Fault::Upstream | Fault::Client => {
            tracing::debug!(request_id = id, route, %error, "request failed");
        }
    }
    error_response(error, exchange, server)
}
