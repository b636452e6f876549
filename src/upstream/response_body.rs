//! The body of an upstream's answer. With its end the connection goes back to the pool and the
//! permits are given up; if it breaks, the client sees it broken.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{attempt::Cause, endpoint::InFlight, http1, http2, incoming};
use crate::{
    admission::Permit,
    body::BoxError,
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// What is held until the answer, or the tunnel, has ended.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) in_flight: InFlight,
    pub(crate) permit: Permit,
}

/// Where the body of an answer comes from.
pub(crate) enum Source {
    /// A connection of its own.
    H1(http1::Answer),
    /// One stream of a shared connection.
    H2(http2::Answer),
}

/// The body of an upstream's answer.
pub(crate) struct UpstreamBody {
    source: Source,
    held: Option<Held>,
    exchange: Arc<Exchange>,
    idle: Option<IdleTimer>,
    /// What it ends with, once what came before has been written.
    error: Option<BoxError>,
}

/// Fires when nothing has happened for a while. The clock is only set when somebody waits, and
/// resetting it costs no more than reading the time.
pub(crate) struct IdleTimer {
    limit: Duration,
    /// When something happened last, and the clock, once somebody has waited.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl From<http1::Answer> for Source {
    fn from(answer: http1::Answer) -> Self {
        Self::H1(answer)
    }
}

impl From<http2::Answer> for Source {
    fn from(answer: http2::Answer) -> Self {
        Self::H2(answer)
    }
}

// === impl Source ===

/// Why a body ended before its end.
type Cut = (Reason, BoxError);

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self {
            Self::H1(answer) => answer.poll_frame(cx).map_err(cut),
            Self::H2(answer) => answer.poll_frame(cx).map_err(cut),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::H1(answer) => answer.is_end(),
            Self::H2(answer) => answer.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(answer) => answer.size_hint(),
            Self::H2(answer) => answer.size_hint(),
        }
    }
}

/// The connection of an answer that nobody wants, if all of it has come already: most answers of a
/// sick service are short, and connecting anew for each would not make it better.
pub(super) fn unwanted(mut response: http::Response<Source>) -> Option<Box<http1::Connection>> {
    /// Pieces that are taken from what is there.
    const MOST: usize = 4;
    incoming::accept(&mut response, None).ok()?;
    let Source::H1(mut answer) = response.into_body() else { return None };
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..MOST {
        if answer.is_end() || !matches!(answer.poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))) {
            break;
        }
    }
    answer.finish()
}

fn cut(cause: impl Cause + Send + Sync + 'static) -> Cut {
    (cause.reason(), cause.into())
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// The body of an answer, with what it holds until its end.
    pub(crate) fn new(
        source: Source,
        held: Held,
        exchange: Arc<Exchange>,
        idle: Option<Duration>,
    ) -> Self {
        let idle = idle.map(IdleTimer::new);
        let mut body = Self { source, held: Some(held), exchange, idle, error: None };
        if body.source.is_end() {
            body.release();
        }
        body
    }

    /// The answer has ended well: the connection may serve the next request.
    fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if let Source::H1(answer) = &mut self.source
            && let Some(connection) = answer.finish()
        {
            held.in_flight.0.keep(connection);
        }
    }

    fn fail(&mut self, reason: Reason, error: BoxError) -> BoxError {
        // Whatever comes on the connection now is not to be trusted.
        if let Source::H1(answer) = &mut self.source {
            drop(answer.finish());
        }
        self.held = None;
        self.exchange.note(|outcome| {
            outcome.reason.get_or_insert(reason);
            outcome.detail.get_or_insert_with(|| error.to_string().into());
        });
        error
    }
}

impl http_body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = this.source.poll_frame(cx);
        let Some(frame) = ready!(IdleTimer::watch(&mut this.idle, polled, cx)) else {
            let error = Error::new(Reason::UpstreamTimeout, "the answer stalled");
            return Poll::Ready(Some(Err(this.fail(Reason::UpstreamTimeout, error.into()))));
        };
        Poll::Ready(match frame {
            None => {
                this.release();
                None
            }
            Some(Ok(frame)) => {
                if this.source.is_end() {
                    this.release();
                }
                Some(Ok(cleaned(frame, incoming::clean_trailers)))
            }
            Some(Err((reason, error))) => {
                // hyper writes what it has when we make it wait, and never again after an error: the
                // client must see the half that came together with the end.
                this.error = Some(this.fail(reason, error));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

/// A frame whose trailers, if it is these, are cleaned so.
pub(crate) fn cleaned(frame: Frame<Bytes>, clean: impl FnOnce(&mut HeaderMap)) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            clean(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

// === impl IdleTimer ===

impl IdleTimer {
    /// A timer that has not been waited for yet.
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, waiting: None }
    }

    /// What was polled, or `None` when it has been pending for the whole limit, if there is one.
    pub(crate) fn watch<T>(
        idle: &mut Option<Self>,
        polled: Poll<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        match (polled, idle) {
            (Poll::Ready(value), idle) => {
                if let Some(idle) = idle {
                    idle.reset();
                }
                Poll::Ready(Some(value))
            }
            (Poll::Pending, Some(idle)) => idle.poll(cx).map(|()| None),
            (Poll::Pending, None) => Poll::Pending,
        }
    }

    /// Something happened.
    fn reset(&mut self) {
        if let Some((last, _)) = &mut self.waiting {
            *last = Instant::now();
        }
    }

    /// Ready when nothing has happened for the whole limit.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let (last, sleep) = self
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(limit))));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let due = *last + limit;
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}
