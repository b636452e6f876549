//! Bodies that are copied, or summed up, as they pass.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::{self, SHA256};
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
    pieces: Vec<Bytes>,
    /// `None` once it is known what came of it.
    done: Option<F>,
}

/// A body whose digest is known at its end.
pub(super) struct Digesting {
    body: Body,
    context: digest::Context,
}

// === impl Copying ===

impl<F: FnOnce(Copied)> Copying<F> {
    /// Copies at most `limit` bytes of it.
    pub(super) fn new(body: Body, limit: usize, done: F) -> Self {
        Self { body, left: limit, pieces: Vec::new(), done: Some(done) }
    }

    fn take(&mut self, data: &Bytes) {
        match self.left.checked_sub(data.len()) {
            Some(left) => {
                self.left = left;
                self.pieces.push(data.clone());
            }
            None => self.over(Copied::TooLarge),
        }
    }

    fn over(&mut self, what: Copied) {
        self.pieces = Vec::new();
        if let Some(done) = self.done.take() {
            done(what);
        }
    }

    fn whole(&mut self) {
        let copy = match &mut self.pieces[..] {
            [only] => std::mem::take(only),
            pieces => {
                let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        };
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
    pub(super) fn new(body: Body) -> Self {
        Self { body, context: digest::Context::new(&SHA256) }
    }

    /// The digest of what has passed.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.context.clone().finish().as_ref());
        bytes
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
            && let Some(data) = frame.data_ref()
        {
            self.context.update(data);
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
