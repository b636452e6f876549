//! The body of an observed answer: counts its bytes and closes the record at its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::record::Recorder;
use crate::{
    body::{Body, BoxError},
    layers::panics,
    server::client::Connection,
};

/// A body with the record it belongs to.
#[derive(Debug)]
pub(super) struct ObservedBody {
    inner: Body,
    /// Bytes the whole body has, if that is known.
    length: Option<u64>,
    recorder: Option<Recorder>,
    /// Over HTTP/2, the connection that is told when a piece waits for the client's window.
    stream: Option<Held>,
}

/// Tells a connection that one of its answers waits for the client.
#[derive(Debug)]
struct Held {
    connection: Arc<Connection>,
    waits: bool,
}

// === impl Held ===

impl Held {
    /// It waits from the start: a window may be closed before the first piece.
    fn new(connection: Arc<Connection>) -> Self {
        let mut held = Self { connection, waits: false };
        held.set(true);
        held
    }

    fn set(&mut self, waits: bool) {
        if self.waits != waits {
            self.waits = waits;
            let state = &self.connection.state;
            if waits { state.hold_answer() } else { state.release_answer() }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(false);
    }
}

// === impl ObservedBody ===

impl ObservedBody {
    pub(super) fn new(inner: Body, recorder: Recorder) -> Self {
        let length = inner.size_hint().exact();
        let stream = recorder.h2_connection().map(Held::new);
        Self { inner, length, recorder: Some(recorder), stream }
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
        // A body that panics is a body that fails: the answer is cut, and nothing else.
        let frame = match panics::catch(|| Pin::new(&mut this.inner).poll_frame(cx)) {
            Ok(frame) => frame,
            Err(error) => {
                this.inner = Body::empty();
                Poll::Ready(Some(Err(error.into())))
            }
        };
        if let Some(stream) = &mut this.stream {
            stream.set(frame.is_ready());
        }
        let frame = ready!(frame);
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
