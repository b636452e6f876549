//! Header edits of a route: remove, set, add, in this order. Request edits stand in the shape zone;
//! response edits stand outside the boundary, so that the gateway's own errors carry them too.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::HeaderMap;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Request, Response};
use crate::config::model::HeaderEdits;

/// Edits the request.
#[derive(Clone, Debug)]
pub struct RequestHeadersLayer {
    edits: Arc<HeaderEdits>,
}

/// Edits the response.
#[derive(Clone, Debug)]
pub struct ResponseHeadersLayer {
    edits: Arc<HeaderEdits>,
}

/// The service of [`RequestHeadersLayer`].
#[derive(Clone, Debug)]
pub struct RequestHeaders<S> {
    inner: S,
    edits: Arc<HeaderEdits>,
}

/// The service of [`ResponseHeadersLayer`].
#[derive(Clone, Debug)]
pub struct ResponseHeaders<S> {
    inner: S,
    edits: Arc<HeaderEdits>,
}

/// Applies edits.
pub fn apply(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name.clone(), value.clone());
    }
}

/// Whether there is nothing to do.
pub fn is_empty(edits: &HeaderEdits) -> bool {
    edits.remove.is_empty() && edits.set.is_empty() && edits.add.is_empty()
}

// === request ===

impl RequestHeadersLayer {
    /// A layer with these edits.
    pub fn new(edits: HeaderEdits) -> Self {
        Self { edits: Arc::new(edits) }
    }
}

impl<S> Layer<S> for RequestHeadersLayer {
    type Service = RequestHeaders<S>;

    fn layer(&self, inner: S) -> RequestHeaders<S> {
        RequestHeaders { inner, edits: Arc::clone(&self.edits) }
    }
}

impl<S: Service<Request>> Service<Request> for RequestHeaders<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        apply(&self.edits, request.headers_mut());
        self.inner.call(request)
    }
}

// === response ===

impl ResponseHeadersLayer {
    /// A layer with these edits.
    pub fn new(edits: HeaderEdits) -> Self {
        Self { edits: Arc::new(edits) }
    }
}

impl<S> Layer<S> for ResponseHeadersLayer {
    type Service = ResponseHeaders<S>;

    fn layer(&self, inner: S) -> ResponseHeaders<S> {
        ResponseHeaders { inner, edits: Arc::clone(&self.edits) }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for ResponseHeaders<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Edited<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Edited { answer: self.inner.call(request), edits: Arc::clone(&self.edits) }
    }
}

pin_project! {
    /// An answer whose headers are edited when it comes.
    pub struct Edited<F> {
        #[pin]
        answer: F,
        edits: Arc<HeaderEdits>,
    }
}

impl<F, E> Future for Edited<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx))?;
        apply(this.edits, response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn edits_are_applied_in_the_order_remove_set_add() {
        let name = |text: &'static str| HeaderName::from_static(text);
        let value = |text: &'static str| HeaderValue::from_static(text);
        let edits = HeaderEdits {
            remove: vec![name("x-a"), name("x-c")],
            set: vec![(name("x-a"), value("2")), (name("x-b"), value("2"))],
            add: vec![(name("x-b"), value("3"))],
        };
        let mut headers = HeaderMap::new();
        headers.append("x-a", value("1"));
        headers.append("x-b", value("1"));
        headers.append("x-c", value("1"));
        apply(&edits, &mut headers);
        assert_eq!(headers["x-a"], "2");
        let b: Vec<_> = headers.get_all("x-b").iter().collect();
        assert_eq!(b, ["2", "3"]);
        assert!(!headers.contains_key("x-c"));
    }
}
