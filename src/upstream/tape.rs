//! A request body of unknown length that is copied while a first try sends it, so that a further try can
//! send it too: the copy from its beginning, then what the client still sends. Stands between the
//! body as the layers left it and the tries of the careful way.
//!
//! The copy is one buffer of at most `body_limit` bytes: pieces kept as they came would keep what
//! they were read into, which a client that sends byte by byte could make a thousand times larger.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use parking_lot::Mutex;

use crate::body::{Body, BoxError};

/// The right to send a body again. Dropped when no further try can come, which frees the copy.
pub(super) struct Tape(Arc<Mutex<Recording>>);

/// What tries share of a body.
struct Recording {
    /// What the client still sends.
    rest: Body,
    copy: Kept,
    /// Whose turn it is to read on: tries are counted.
    turn: u32,
    /// Who waits for the client.
    waiting: Option<Waker>,
}

/// What has passed.
enum Kept {
    /// All of it so far, and how much more may be kept.
    Growing(BytesMut, u64),
    /// The whole body.
    Whole(Bytes, Option<HeaderMap>),
    /// It was too long, or it broke, or nobody needs it any more.
    Gone,
}

/// The body as one try sends it.
struct Reader {
    recording: Arc<Mutex<Recording>>,
    turn: u32,
    /// What earlier tries have read.
    past: Bytes,
}

// === impl Tape ===

impl Tape {
    /// Copies at most `limit` bytes of a body.
    pub(super) fn new(rest: Body, limit: u64) -> Self {
        let copy = Kept::Growing(BytesMut::new(), limit);
        Self(Arc::new(Mutex::new(Recording { rest, copy, turn: 0, waiting: None })))
    }

    /// Whoever reads the body gets no more of it.
    pub(super) fn stop(&self) {
        let mut recording = self.0.lock();
        recording.turn += 1;
        let waiting = recording.waiting.take();
        drop(recording);
        // It learns that it waits in vain.
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The body from its beginning, for one reader at a time. `None`: all of it has passed, see
    /// `whole`, or what has passed was not kept.
    pub(super) fn rewind(&self) -> Option<Body> {
        self.stop();
        let recording = self.0.lock();
        let Kept::Growing(copy, _) = &recording.copy else { return None };
        let (past, turn) = (Bytes::copy_from_slice(copy), recording.turn);
        Some(Body::wrap(Reader { recording: Arc::clone(&self.0), turn, past }))
    }

    /// The whole body, once all of it has passed.
    pub(super) fn whole(&self) -> Option<(Bytes, Option<HeaderMap>)> {
        match &self.0.lock().copy {
            Kept::Whole(body, trailers) => Some((body.clone(), trailers.clone())),
            Kept::Growing(..) | Kept::Gone => None,
        }
    }

    /// Whether all that has passed was kept.
    pub(super) fn is_kept(&self) -> bool {
        !matches!(self.0.lock().copy, Kept::Gone)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.0.lock().copy = Kept::Gone;
    }
}

// === impl Recording ===

impl Recording {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.rest).poll_frame(cx);
        if polled.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        let frame = ready!(polled);
        self.waiting = None;
        match &frame {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.copy = Kept::Gone,
            None => self.end(None),
        }
        Poll::Ready(frame)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Kept::Growing(copy, left) = &mut self.copy else { return };
        let Some(rest) = left.checked_sub(length(frame)) else {
            self.copy = Kept::Gone;
            return;
        };
        *left = rest;
        if let Some(data) = frame.data_ref() {
            copy.extend_from_slice(data);
        }
        let trailers = frame.trailers_ref().cloned();
        if trailers.is_some() || self.rest.is_end_stream() {
            self.end(trailers);
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        if let Kept::Growing(copy, _) = &mut self.copy {
            self.copy = Kept::Whole(std::mem::take(copy).freeze(), trailers);
        }
    }
}

/// What a frame counts: trailers are held like any other part.
fn length(frame: &Frame<Bytes>) -> u64 {
    let data = frame.data_ref().map_or(0, Bytes::len);
    let trailers = frame.trailers_ref().into_iter().flatten();
    (trailers.map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() + data) as u64
}

// === impl Reader ===

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.past.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.past)))));
        }
        let mut recording = self.recording.lock();
        if recording.turn != self.turn {
            // Nothing is wrong with the body: its stream is let go of.
            return Poll::Ready(Some(Err(h2::Error::from(h2::Reason::CANCEL).into())));
        }
        recording.poll_rest(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.past.is_empty() && self.recording.lock().rest.is_empty()
    }
}

#[cfg(test)]
mod tests;
