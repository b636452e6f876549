//! The body of an answer on its way from its stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;

use super::{Cause, Place, upload::Upload};

/// What follows the head of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` after its end.
    stream: Option<RecvStream>,
    /// What is left of it, if that is known.
    left: Option<u64>,
    /// The task that sends the rest of the request body.
    upload: Option<AbortHandle>,
    _place: Option<Place>,
}

// === impl Answer ===

impl Answer {
    /// An answer whose head is here, and what is left of its request.
    pub(super) fn of(
        response: http::Response<RecvStream>,
        place: Option<Place>,
        upload: Option<Upload>,
    ) -> http::Response<Self> {
        let length = response.headers().get(CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        // Whoever takes the answer need not take it at once: the body must not wait for that.
        let upload = upload.map(|upload| tokio::spawn(upload).abort_handle());
        response.map(|stream| {
            let ended = stream.is_end_stream();
            let stream = (!ended).then_some(stream);
            let left = left.or_else(|| ended.then_some(0));
            Self { stream, left, upload, _place: place }
        })
    }

    /// Whether all of it was read.
    pub(crate) const fn is_end(&self) -> bool {
        self.stream.is_none()
    }

    /// What is left of it, if that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// The next piece of the body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let frame = match ready!(stream.poll_data(cx)) {
            Some(Ok(piece)) => {
                let length = piece.len();
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(length as u64);
                }
                let ended = stream.is_end_stream();
                // The last piece is given back with the stream, unless that is still used.
                if !ended || self.upload.is_some() {
                    stream.flow_control().release_capacity(length).ok();
                }
                if ended {
                    self.stream = None;
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            Some(Err(error)) => Some(Err(error)),
            None => ready!(stream.poll_trailers(cx)).transpose(),
        };
        match frame {
            // It has not ended: dropping it stops the rest of the request.
            Some(Err(error)) => Poll::Ready(Some(Err(Cause::Stream(error)))),
            frame => {
                self.stream = None;
                Poll::Ready(frame.map(|frame| frame.map(Frame::trailers).map_err(Cause::Stream)))
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Nobody waits for this answer any more. After its end the upstream decides whether it wants the rest.
        if let Some(upload) = self.upload.take().filter(|_| self.stream.is_some()) {
            upload.abort();
        }
    }
}
