//! Bodies that are copied, or summed up, as they pass.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::{self, Digest, SHA256};
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use crate::body::{Body, BoxError};

/// What came of copying a body.
pub(super) enum Copied {
    /// All of it.
    Whole(Bytes),
    /// More than may be kept.
    TooLarge,
    /// It did not end as it should.
    Cut,
}

/// A request body that is copied as it passes.
pub(super) struct Copying<F: FnOnce(Copied)> {
    body: Body,
    left: usize,
    /// Copied into one buffer: the pieces may be small parts of large ones.
    copy: BytesMut,
    /// `None` once it is known what came of it.
    done: Option<F>,
}

/// A body whose digest is known at its end.
pub(super) struct Digesting {
    body: Body,
    /// `None`: nobody asks for it.
    context: Option<digest::Context>,
}

// === impl Copying ===

impl<F: FnOnce(Copied)> Copying<F> {
    /// Copies at most `limit` bytes of it.
    pub(super) fn new(body: Body, limit: usize, done: F) -> Self {
        Self { body, left: limit, copy: BytesMut::new(), done: Some(done) }
    }

    fn take(&mut self, data: &Bytes) {
        match self.left.checked_sub(data.len()) {
            Some(left) => {
                self.left = left;
                self.copy.extend_from_slice(data);
            }
            None => self.over(Copied::TooLarge),
        }
    }

    fn over(&mut self, what: Copied) {
        self.copy = BytesMut::new();
        if let Some(done) = self.done.take() {
            done(what);
        }
    }

    fn whole(&mut self) {
        let copy = std::mem::take(&mut self.copy).freeze();
        self.over(Copied::Whole(copy));
    }
}

impl<F: FnOnce(Copied) + Unpin> http_body::Body for Copying<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.done.is_some() {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.take(data);
                    }
                    if self.body.is_end_stream() {
                        self.whole();
                    }
                }
                Some(Err(_)) => self.over(Copied::Cut),
                None => self.whole(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<F: FnOnce(Copied)> Drop for Copying<F> {
    fn drop(&mut self) {
        self.over(Copied::Cut);
    }
}

// === impl Digesting ===

impl Digesting {
    /// `wanted`: whether somebody will ask.
    pub(super) fn new(body: Body, wanted: bool) -> Self {
        Self { body, context: wanted.then(|| digest::Context::new(&SHA256)) }
    }

    /// The digest of what has passed, if it was wanted.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.context.clone().map(digest::Context::finish)
    }
}

impl http_body::Body for Digesting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let (Some(data), Some(context)) = (frame.data_ref(), &mut self.context)
        {
            context.update(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
