//! `Content-Digest` (RFC 9530): what the body must be. It is worked out while the body passes, and the piece
//! that would complete it is let through only if it is right. So an upstream may have seen a part of a body
//! nobody has signed, and never the whole of one; with `body: { buffer: true }` it sees nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::{self, SHA256, SHA512, digest};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame, SizeHint};
use sfv::{BareItem, Item, ListEntry};

use super::{super::Denied, input::dictionary};
use crate::body::{Body, BoxError};

/// Where it stands.
const FIELD: HeaderName = HeaderName::from_static("content-digest");

/// None, or none of an algorithm that is worth anything.
const NONE: Denied = Denied::wrong("digest_missing");
/// It is that of something else.
const WRONG: Denied = Denied::wrong("wrong_digest");

/// For the log.
const NOT_SIGNED: &str = "the body is not the one that was signed";

/// What a body must amount to. There is at least one.
#[derive(Debug)]
pub(super) struct Expected(Vec<(&'static digest::Algorithm, Vec<u8>)>);

/// A body that is held against what it must be.
struct Judged {
    body: Body,
    digests: Vec<(digest::Context, Vec<u8>)>,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    /// It came over HTTP/2.
    streamed: bool,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Open,
    Right,
    Wrong,
}

// === impl Expected ===

impl Expected {
    /// Reads the field. Algorithms nobody should use any more say nothing.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Denied> {
        let mut expected = Vec::new();
        for (name, entry) in dictionary(headers, &FIELD)?.ok_or(NONE)? {
            let algorithm = match name.as_str() {
                "sha-256" => &SHA256,
                "sha-512" => &SHA512,
                _ => continue,
            };
            match entry {
                ListEntry::Item(Item { bare_item: BareItem::ByteSequence(value), .. })
                    if value.len() == algorithm.output_len() =>
                {
                    expected.push((algorithm, value));
                }
                _ => return Err(WRONG),
            }
        }
        if expected.is_empty() { Err(NONE) } else { Ok(Self(expected)) }
    }

    /// Holds it against a body without a byte.
    pub(super) fn of_nothing(&self) -> Result<(), Denied> {
        let mut all = self.0.iter();
        if all.all(|(algorithm, value)| digest(algorithm, b"").as_ref() == value) {
            Ok(())
        } else {
            Err(WRONG)
        }
    }

    /// The same body, held against it. `streamed`: it comes over HTTP/2.
    pub(super) fn judge(self, body: Body, streamed: bool) -> Body {
        let left = body.size_hint().exact();
        let digests = self.0.into_iter();
        let digests =
            digests.map(|(algorithm, value)| (digest::Context::new(algorithm), value)).collect();
        Body::wrap(Judged { body, digests, left, streamed, verdict: Verdict::Open })
    }
}

// === impl Judged ===

impl Judged {
    /// Takes another piece. If the body ends with it, everything must be right now.
    fn take(&mut self, data: &[u8]) -> Result<(), BoxError> {
        for (context, _) in &mut self.digests {
            context.update(data);
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
        }
        if self.left == Some(0) || self.body.is_end_stream() { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), BoxError> {
        if self.verdict == Verdict::Open {
            let mut digests = std::mem::take(&mut self.digests).into_iter();
            let right = digests.all(|(context, value)| context.finish().as_ref() == value);
            self.verdict = if right { Verdict::Right } else { Verdict::Wrong };
        }
        match self.verdict {
            Verdict::Right => Ok(()),
            // As one that is malformed, for so it is.
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, NOT_SIGNED).into()),
        }
    }
}

impl http_body::Body for Judged {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(match frame {
            // hyper takes every reset of a stream without an error for the end of its body.
            None if this.streamed && !this.body.is_end_stream() => {
                let kind = io::ErrorKind::ConnectionReset;
                Some(Err(io::Error::new(kind, "the stream was reset in its body").into()))
            }
            None => this.end().err().map(Err),
            Some(Ok(frame)) => {
                let judged = match frame.data_ref() {
                    Some(data) => this.take(data),
                    None => this.end(),
                };
                Some(judged.map(|()| frame))
            }
            Some(Err(error)) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.verdict == Verdict::Right && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
