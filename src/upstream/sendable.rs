//! A request as it can be sent to several endpoints, or to one: what is kept of it before the first
//! try. Stands before the tries of the careful way.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};

use crate::{
    body::Body,
    error::{Error, Reason},
    layers::Request,
    telemetry::exchange::Exchange,
};

/// A request that may be sent more than once, or not.
pub(super) enum Sendable {
    Once(Option<Request>),
    Often { head: Box<Request>, body: Bytes, trailers: Option<HeaderMap> },
}

impl Sendable {
    /// Keeps what is needed to send a request again, if its body is at most that long. `None` keeps
    /// nothing. A body that may turn out to be longer is not begun: it would be held half and sent
    /// half.
    pub(super) async fn new(
        request: Request,
        limit: Option<u64>,
        exchange: &Exchange,
    ) -> Result<Self, Error> {
        let Some(limit) = limit else { return Ok(Self::Once(Some(request))) };
        let small = request.body().size_hint().exact().is_some_and(|size| size <= limit);
        if !small && !request.body().is_empty() {
            return Ok(Self::Once(Some(request)));
        }
        let (head, body) = request.into_parts();
        let collected = body.collect().await.map_err(|error| match exchange.failure() {
            Some((reason, detail)) => {
                Error::new(reason, detail.map_or_else(|| error.to_string(), String::from))
            }
            None => Error::new(Reason::BadBody, error.to_string()),
        })?;
        let trailers = collected.trailers().cloned();
        let head = Box::new(Request::from_parts(head, Body::empty()));
        Ok(Self::Often { head, body: collected.to_bytes(), trailers })
    }

    /// The request, once more if it may be sent often.
    pub(super) fn take(&mut self) -> Option<Request> {
        match self {
            Self::Once(request) => request.take(),
            Self::Often { head, body, trailers } => {
                let mut copy = Request::new(match trailers.clone() {
                    None => Body::full(body.clone()),
                    Some(trailers) => {
                        let trailers = std::future::ready(Some(Ok(trailers)));
                        Body::wrap(Full::new(body.clone()).with_trailers(trailers))
                    }
                });
                *copy.method_mut() = head.method().clone();
                *copy.uri_mut() = head.uri().clone();
                // What a head lacks depends on it: a Host, one line of cookies.
                *copy.version_mut() = head.version();
                *copy.headers_mut() = head.headers().clone();
                Some(copy)
            }
        }
    }

    /// It was not sent after all.
    pub(super) fn give_back(&mut self, request: Request) {
        if let Self::Once(place) = self {
            *place = Some(request);
        }
    }

    /// Whether there is something to send.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self, Self::Once(None))
    }

    /// Whether it may be sent twice at a time.
    pub(super) const fn is_often(&self) -> bool {
        matches!(self, Self::Often { .. })
    }
}
