//! A request as it can be sent to several endpoints, or to one: what is kept of it before the first
//! try. Stands before the tries of the careful way.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};

use super::tape::Tape;
use crate::{
    body::Body,
    error::{Error, Reason},
    layers::{self, Request},
    telemetry::exchange::Exchange,
};

/// A request that may be sent more than once, or not.
pub(super) enum Sendable {
    Once(Option<Request>),
    /// Its body is kept.
    Often {
        head: Box<Request>,
        body: Bytes,
        trailers: Option<HeaderMap>,
        /// Its length is announced.
        sized: bool,
    },
    /// Its body is copied as it passes.
    Passing {
        head: Box<Request>,
        tape: Tape,
    },
}

impl Sendable {
    /// Keeps what is needed to send a request again, if its body is at most that long. `None` keeps
    /// nothing. A body that is known to be longer is not begun.
    pub(super) async fn new(
        request: Request,
        limit: Option<u64>,
        exchange: &Exchange,
    ) -> Result<Self, Error> {
        let Some(limit) = limit else { return Ok(Self::Once(Some(request))) };
        let size = request.body().size_hint().exact();
        let large = size.is_some_and(|size| size > limit);
        if large && !request.body().is_empty() {
            return Ok(Self::Once(Some(request)));
        }
        let known = size.is_some() || request.body().is_empty();
        let (head, body) = request.into_parts();
        let head = Box::new(Request::from_parts(head, Body::empty()));
        if !known {
            // It may never end, or be an answer to what the upstream says: it is not waited for.
            return Ok(Self::Passing { head, tape: Tape::new(body, limit) });
        }
        let collected = body.collect().await.map_err(|error| match exchange.failure() {
            Some((reason, detail)) => {
                Error::new(reason, detail.map_or_else(|| error.to_string(), String::from))
            }
            None => Error::new(Reason::BadBody, error.to_string()),
        })?;
        let trailers = collected.trailers().cloned();
        Ok(Self::Often { head, body: collected.to_bytes(), trailers, sized: true })
    }

    /// The request, once more if it may be sent often.
    pub(super) fn take(&mut self) -> Option<Request> {
        self.settle();
        match self {
            Self::Once(request) => request.take(),
            Self::Often { head, body, trailers, sized } => {
                let body = match (trailers, sized) {
                    (None, true) => Body::full(body.clone()),
                    (trailers, true) => {
                        let trailers = std::future::ready(trailers.clone().map(Ok));
                        Body::wrap(Full::new(body.clone()).with_trailers(trailers))
                    }
                    // Only a body without a length has room for trailers over HTTP/1.
                    (trailers, false) => {
                        let body = Some(Frame::data(body.clone())).filter(|_| !body.is_empty());
                        let trailers = trailers.clone().map(Frame::trailers);
                        let frames = body.into_iter().chain(trailers).map(Ok::<_, Infallible>);
                        Body::wrap(StreamBody::new(stream::iter(frames)))
                    }
                };
                Some(layers::copy(head, body))
            }
            Self::Passing { head, tape } => Some(layers::copy(head, tape.rewind()?)),
        }
    }

    /// A body that has passed whole is one that is kept.
    fn settle(&mut self) {
        if let Self::Passing { head, tape } = self
            && let Some((body, trailers)) = tape.whole()
        {
            let head = std::mem::take(head);
            *self = Self::Often { head, body, trailers, sized: false };
        }
    }

    /// It was not sent after all.
    pub(super) fn give_back(&mut self, request: Request) {
        if let Self::Once(place) = self {
            *place = Some(request);
        }
    }

    /// Whether there is something to send.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Once(request) => request.is_some(),
            Self::Often { .. } => true,
            Self::Passing { tape, .. } => tape.is_kept(),
        }
    }

    /// Keeps what is there for a further try: the last one reads no more of it. Whether it is still
    /// there.
    pub(super) fn hold(&self) -> bool {
        if let Self::Passing { tape, .. } = self {
            tape.stop();
        }
        self.is_there()
    }

    /// Whether it may be sent twice at a time, now or later.
    pub(super) const fn may_double(&self) -> bool {
        !matches!(self, Self::Once(_))
    }

    /// Whether it may be sent twice at a time.
    pub(super) fn is_often(&mut self) -> bool {
        self.settle();
        matches!(self, Self::Often { .. })
    }
}
