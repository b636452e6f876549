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
    server::{client::Connection, streams::PIECE},
};

/// A body with the record it belongs to.
#[derive(Debug)]
pub(crate) struct ObservedBody {
    inner: Body,
    /// Bytes the whole body has, if that is known.
    length: Option<u64>,
    recorder: Option<Recorder>,
    stream: Option<Stream>,
}

/// What a body does for the sake of the other streams of an HTTP/2 connection: it comes in small
/// pieces, stops while the socket is full, and tells when a piece waits for the client's window.
#[derive(Debug)]
struct Stream {
    connection: Arc<Connection>,
    waits: bool,
    /// What did not fit into a piece.
    rest: Bytes,
}

/// Pieces shorter than this are copied rather than shared.
const SMALL: usize = 1024;

// === impl Stream ===

impl Stream {
    /// It waits from the start: a window may be closed before the first piece.
    fn new(connection: Arc<Connection>) -> Self {
        let mut stream = Self { connection, waits: false, rest: Bytes::new() };
        stream.set(true);
        stream
    }

    fn set(&mut self, waits: bool) {
        if self.waits != waits {
            self.waits = waits;
            let streams = &self.connection.state.streams;
            if waits { streams.hold() } else { streams.release() }
        }
    }

    fn poll_frame(
        &mut self,
        inner: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let state = &self.connection.state;
        state.streams.ask();
        let polled = if state.is_blocked() {
            state.streams.pause(cx.waker());
            Poll::Pending
        } else if self.rest.is_empty() {
            Pin::new(inner).poll_frame(cx).map_ok(|frame| self.cut(frame))
        } else {
            Poll::Ready(Some(Ok(self.piece())))
        };
        self.set(polled.is_ready());
        polled
    }

    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) if data.len() > PIECE => {
                self.rest = data;
                self.piece()
            }
            // A part of a buffer keeps the whole of it for as long as the client does not read.
            Ok(data) if data.len() < SMALL => Frame::data(Bytes::copy_from_slice(&data)),
            Ok(data) => Frame::data(data),
            Err(frame) => frame,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE);
        Frame::data(self.rest.split_to(length))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.set(false);
    }
}

// === impl ObservedBody ===

impl ObservedBody {
    pub(super) fn new(inner: Body, recorder: Recorder) -> Self {
        let length = inner.size_hint().exact();
        let stream = recorder.h2_connection().map(Stream::new);
        Self { inner, length, recorder: Some(recorder), stream }
    }

    /// Writes the fields of the head that are left to the server.
    pub(crate) fn write_own(&self, text: &mut Vec<u8>) {
        if let Some(recorder) = &self.recorder {
            recorder.write_lines(text);
        }
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
        let polled = panics::catch(|| match &mut this.stream {
            None => Pin::new(&mut this.inner).poll_frame(cx),
            Some(stream) => stream.poll_frame(&mut this.inner, cx),
        });
        let frame = ready!(match polled {
            Ok(frame) => frame,
            Err(error) => {
                this.inner = Body::empty();
                Poll::Ready(Some(Err(error.into())))
            }
        });
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(recorder)) = (frame.data_ref(), &mut this.recorder) {
                    recorder.sent(data.len() as u64);
                }
                // hyper does not ask again for what it knows to be nothing.
                if frame.is_trailers() || this.is_end_stream() {
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
            && self.stream.as_ref().is_none_or(|stream| stream.rest.is_empty())
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
