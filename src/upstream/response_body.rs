//! The body of an upstream's answer. With its end the connection goes back to the pool and the
//! permits are given up; if it breaks, the client sees it broken.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

use super::{
    attempt::reason_of,
    endpoint::{Endpoint, InFlight},
    incoming,
    pool::Stream,
};
use crate::{
    body::{Body, BoxError},
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// What is held until the answer has ended.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: HeldConnection,
    pub(crate) in_flight: InFlight,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// The connection an answer comes on.
#[derive(Debug)]
pub(crate) enum HeldConnection {
    /// Ours alone; it goes back to the pool.
    H1(http1::SendRequest<Body>),
    /// One stream of a shared connection.
    H2 { _stream: Stream },
}

impl HeldConnection {
    fn is_h2(&self) -> bool {
        matches!(self, Self::H2 { .. })
    }
}

/// The body of an upstream's answer.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    held: Option<Held>,
    exchange: Arc<Exchange>,
    idle: Option<IdleTimer>,
}

/// Fires when nothing has happened for a while. The clock is only set when somebody waits, and
/// resetting it costs no more than reading the time.
pub(crate) struct IdleTimer {
    limit: Duration,
    /// When something happened last, and the clock, once somebody has waited.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// Wraps what hyper received.
    pub(crate) fn new(
        incoming: Incoming,
        held: Held,
        exchange: Arc<Exchange>,
        idle: Option<Duration>,
    ) -> Self {
        let mut body =
            Self { incoming, held: Some(held), exchange, idle: idle.map(IdleTimer::new) };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// The answer has ended well: the connection may serve the next request.
    fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if let HeldConnection::H1(sender) = held.connection {
            give_back(&held.in_flight.0, sender);
        }
    }

    /// hyper takes a reset without an error for the end of a body. Only END_STREAM is one.
    fn is_cut(&self) -> bool {
        let h2 = self.held.as_ref().is_some_and(|held| held.connection.is_h2());
        h2 && !self.incoming.is_end_stream()
    }

    fn fail(&mut self, reason: Reason, error: impl Into<BoxError>) -> BoxError {
        let error = error.into();
        // Dropping the sender closes the connection: whatever comes on it is not to be trusted.
        self.held = None;
        self.exchange.note(|outcome| {
            outcome.reason.get_or_insert(reason);
            outcome.detail.get_or_insert_with(|| error.to_string().into());
        });
        error
    }
}

/// Puts a connection back; its task may not have seen the end of the answer yet.
fn give_back(endpoint: &Endpoint, sender: http1::SendRequest<Body>) {
    if !sender.is_closed() {
        endpoint.keep(sender);
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
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        let Some(frame) = ready!(IdleTimer::watch(&mut this.idle, polled, cx)) else {
            let error = Error::new(Reason::UpstreamTimeout, "the answer stalled");
            return Poll::Ready(Some(Err(this.fail(Reason::UpstreamTimeout, error))));
        };
        match frame {
            None if this.is_cut() => {
                let error = Error::new(Reason::UpstreamReset, "the stream was reset half-way");
                Poll::Ready(Some(Err(this.fail(Reason::UpstreamReset, error))))
            }
            None => {
                this.release();
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                if this.incoming.is_end_stream() {
                    this.release();
                }
                Poll::Ready(Some(Ok(without_claims(frame))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(this.fail(reason_of(&error), error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Trailers without what must not stand there.
pub(crate) fn without_claims(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            incoming::clean_trailers(&mut trailers);
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
