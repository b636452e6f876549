//! A request as bytes: its head, and its body in the framing the head announces.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, Method,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::{Body as _, Frame};

use crate::{
    body::{Body, BoxError},
    http1::{Outbox, write_field, write_length},
    layers::Request,
};

/// A request body that is being sent.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    framing: Framing,
}

/// Where a request body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes follow.
    Length(u64),
    Chunked,
}

/// Writes the head, with the fields `own` adds; what is left is the body, if there is one.
pub(super) fn begin(
    request: &mut Request,
    outbox: &mut Outbox,
    own: impl FnOnce(&mut Vec<u8>),
) -> Option<Upload> {
    let upload = Upload::of(request);
    let text = outbox.text();
    text.extend_from_slice(request.method().as_str().as_bytes());
    text.push(b' ');
    let target = request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    if !target.starts_with(['/', '*']) {
        text.push(b'/');
    }
    text.extend_from_slice(target.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        write_field(text, name, value);
    }
    own(text);
    let announced = || request.headers().contains_key(CONTENT_LENGTH);
    match &upload {
        // Methods that mean to send something say that it is nothing (RFC 9110 section 8.6).
        None if expects_body(request.method()) && !announced() => {
            write_length(text, 0);
        }
        Some(Upload { framing: Framing::Length(length), .. }) if !announced() => {
            write_length(text, *length);
        }
        Some(Upload { framing: Framing::Chunked, .. }) => {
            text.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        _ => {}
    }
    text.extend_from_slice(b"\r\n");
    upload
}

fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

// === impl Upload ===

impl Upload {
    /// Takes the body out of a request that has one, and whatever the head says of another framing.
    fn of(request: &mut Request) -> Option<Self> {
        if request.body().is_empty() {
            return None;
        }
        let body = std::mem::take(request.body_mut());
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let framing = match announced.or_else(|| body.size_hint().exact()) {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        request.headers_mut().remove(TRANSFER_ENCODING);
        Some(Self { body, framing })
    }

    /// Adds the next piece; `false` when that was the end.
    pub(super) fn poll_piece(
        &mut self,
        outbox: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, BoxError>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
            return Poll::Ready(self.end(&HeaderMap::new(), outbox).map(|()| false));
        };
        Poll::Ready(self.add(frame?, outbox))
    }

    fn add(&mut self, frame: Frame<bytes::Bytes>, outbox: &mut Outbox) -> Result<bool, BoxError> {
        let piece = match frame.into_data() {
            Ok(piece) => piece,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                return self.end(&trailers, outbox).map(|()| false);
            }
        };
        match &mut self.framing {
            _ if piece.is_empty() => return Ok(true),
            Framing::Chunked => outbox.push_chunk(piece),
            Framing::Length(left) => {
                let length = piece.len() as u64;
                *left = left.checked_sub(length).ok_or("a body longer than its length")?;
                outbox.push(piece);
            }
        }
        // Nobody is asked again who has said that this was all.
        let end = self.framing == Framing::Length(0) || self.body.is_end_stream();
        if end {
            self.end(&HeaderMap::new(), outbox)?;
        }
        Ok(!end)
    }

    fn end(&self, trailers: &HeaderMap, outbox: &mut Outbox) -> Result<(), BoxError> {
        match self.framing {
            Framing::Length(0) => Ok(()),
            Framing::Length(_) => Err("a body shorter than its length".into()),
            Framing::Chunked => {
                outbox.end_chunks(trailers);
                Ok(())
            }
        }
    }
}
