//! A request body on its way into its stream.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::body::{Body, BoxError};

/// A request body that is being sent.
pub(super) struct Upload {
    body: Body,
    stream: SendStream<Bytes>,
    /// A piece that waits for room, and whether it is the last one.
    piece: Option<(Bytes, bool)>,
    begun: bool,
}

// === impl Upload ===

impl Upload {
    pub(super) const fn new(body: Body, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, piece: None, begun: false }
    }

    /// Sends what there is. Ready when that was all, or when nobody wants the rest: the answer says why. An
    /// error of the body has reset the stream.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            if let Some((piece, end)) = self.piece.take() {
                if !self.has_room(&piece) {
                    match self.stream.poll_capacity(cx) {
                        Poll::Pending => {
                            self.piece = Some((piece, end));
                            return Poll::Pending;
                        }
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(Ok(())),
                    }
                }
                self.begun = true;
                if self.stream.send_data(piece, end).is_err() || end {
                    return Poll::Ready(Ok(()));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                // Nobody may want the rest. Then nobody waits for it.
                ready!(self.stream.poll_reset(cx)).ok();
                return Poll::Ready(Ok(()));
            };
            let frame = match frame {
                None => {
                    self.stream.send_data(Bytes::new(), true).ok();
                    return Poll::Ready(Ok(()));
                }
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.stream.send_reset(code(&*error));
                    return Poll::Ready(Err(error));
                }
            };
            match frame.into_data() {
                Ok(piece) => {
                    let end = self.body.is_end_stream();
                    self.piece = Some((piece, end));
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    if self.stream.send_trailers(trailers).is_err() {
                        // Without an end the upstream would wait for one.
                        self.stream.send_reset(Reason::INTERNAL_ERROR);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Whether the piece may be given to h2, which holds what the windows do not let through. The first
    /// one may always: most bodies have no other. No more than one byte is asked for, as what one stream
    /// has been promised is kept from all others.
    fn has_room(&mut self, piece: &Bytes) -> bool {
        if !self.begun || piece.is_empty() {
            return true;
        }
        self.stream.reserve_capacity(1);
        self.stream.capacity() > 0
    }
}

/// Without the head to wait for.
impl Future for Upload {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_send(cx).map(|result| {
            if let Err(error) = result {
                tracing::debug!(error = %error, "a request body ended");
            }
        })
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// What a stream is reset with when its body has ended with this: the code of the client, unless it
/// claims that all is well.
fn code(error: &(dyn StdError + Send + Sync + 'static)) -> Reason {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return match error.reason() {
                Some(Reason::NO_ERROR) => Reason::CANCEL,
                reason => reason.unwrap_or(Reason::INTERNAL_ERROR),
            };
        }
        next = error.source();
    }
    Reason::INTERNAL_ERROR
}
