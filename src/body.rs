//! The one body type of the crate: what requests and responses carry through every layer.
//! A struct, not an alias, so that layers name it and the compiler can prove futures `Send`.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    layers::observe::ObservedBody, telemetry::exchange::Exchange,
    upstream::response_body::UpstreamBody,
};

/// Any error a body can end with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A request or response body.
pub struct Body(Kind);

enum Kind {
    /// Where there is nothing, there is room for what the layers want to know of the request.
    Empty(Option<Arc<Exchange>>),
    Full(Box<Bytes>),
    Incoming(Box<Incoming>),
    /// The common answer of a proxied request. What is large is boxed, so that requests and responses
    /// stay small: they are moved some fifty times on their way.
    Upstream(Box<UpstreamBody>),
    /// What every answer is when it leaves its route.
    Observed(Box<ObservedBody>),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

/// Beyond this a move costs nearly twice as much: `memcpy` takes another way.
const _: () = assert!(size_of::<http::Request<Body>>() <= 256);

// === impl Body ===

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Kind::Empty(None))
    }

    /// Keeps the exchange of a request, which spares its head the extensions; gives it back if
    /// there is no room for it.
    pub(crate) fn keep(&mut self, exchange: Arc<Exchange>) -> Option<Arc<Exchange>> {
        match &mut self.0 {
            Kind::Empty(place) => {
                *place = Some(exchange);
                None
            }
            _ => Some(exchange),
        }
    }

    /// The exchange that was put there.
    pub(crate) const fn exchange(&self) -> Option<&Arc<Exchange>> {
        match &self.0 {
            Kind::Empty(exchange) => exchange.as_ref(),
            _ => None,
        }
    }

    /// All bytes at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(Box::new(bytes))) }
    }

    /// What hyper received.
    pub fn incoming(body: Incoming) -> Self {
        if http_body::Body::is_end_stream(&body) {
            Self::empty()
        } else {
            Self(Kind::Incoming(Box::new(body)))
        }
    }

    /// The body of an upstream's answer.
    pub(crate) fn upstream(body: UpstreamBody) -> Self {
        Self(Kind::Upstream(Box::new(body)))
    }

    /// The body of an answer that is observed.
    pub(crate) fn observed(body: ObservedBody) -> Self {
        Self(Kind::Observed(Box::new(body)))
    }

    /// Writes the fields of an answer's head that are left to the server, see `server/forwarding`.
    pub(crate) fn write_own(&self, text: &mut Vec<u8>) {
        if let Kind::Observed(body) = &self.0 {
            body.write_own(text);
        }
    }

    /// Any other body.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(MapError { body })))
    }

    /// Whether there is certainly nothing in it, trailers included.
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty(_) => Poll::Ready(None),
            Kind::Full(_) => {
                let Kind::Full(bytes) = std::mem::replace(&mut self.0, Kind::Empty(None)) else {
                    return Poll::Ready(None);
                };
                Poll::Ready(Some(Ok(Frame::data(*bytes))))
            }
            Kind::Incoming(body) => Pin::new(&mut **body).poll_frame(cx).map_err(Into::into),
            Kind::Upstream(body) => Pin::new(&mut **body).poll_frame(cx),
            Kind::Observed(body) => Pin::new(&mut **body).poll_frame(cx),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty(_) => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Observed(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty(_) => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Observed(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

pin_project_lite::pin_project! {
    /// Boxes the error of another body.
    struct MapError<B> {
        #[pin]
        body: B,
    }
}

impl<B> http_body::Body for MapError<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx).map_err(Into::into)
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
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_full_body_yields_its_bytes_once() {
        let body = Body::full("hello");
        assert!(!body.is_empty());
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
        assert_eq!(body.collect().await.expect("no error").to_bytes(), "hello");
        assert!(Body::full("").is_empty());
    }
}
