//! The body of an observed answer: counts its bytes and closes the record at its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::record::Recorder;
use crate::body::{Body, BoxError};

/// A body with the record it belongs to.
#[derive(Debug)]
pub(super) struct ObservedBody {
    inner: Body,
    /// Bytes the whole body has, if that is known.
    length: Option<u64>,
    recorder: Option<Recorder>,
}

// === impl ObservedBody ===

impl ObservedBody {
    pub(super) fn new(inner: Body, recorder: Recorder) -> Self {
        let length = inner.size_hint().exact();
        Self { inner, length, recorder: Some(recorder) }
    }

    fn finish(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.finish();
        }
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(recorder)) = (frame.data_ref(), &mut this.recorder) {
                    recorder.sent(data.len() as u64);
                }
                // hyper does not ask again for what it knows to be nothing.
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.finish();
                }
            }
            Some(Err(error)) => {
                if let Some(recorder) = this.recorder.take() {
                    recorder.failed(error);
                }
            }
            None => this.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        // With all bytes sent that were announced, HTTP/1 has no reason to ask for the end.
        if let Some(recorder) = self.recorder.take_if(|r| Some(r.bytes_out()) == self.length) {
            recorder.finish();
        }
    }
}
