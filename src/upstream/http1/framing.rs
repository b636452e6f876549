//! Where the body of an answer ends, and what of the bytes received belongs to it.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::Cause;
use crate::http1::chunk::Chunk;

/// The framing of a body (RFC 9112 section 6.3), and how far it has been read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are left.
    Length(u64),
    Chunked {
        at: Chunk,
        trailers: Vec<u8>,
    },
    /// The chunks are over.
    Ended,
    /// The end of the connection ends it.
    UntilClose,
}

/// Most fields in a trailer section.
const TRAILERS: usize = 32;

// === impl Framing ===

impl Framing {
    pub(super) const fn chunked() -> Self {
        Self::Chunked { at: Chunk::START, trailers: Vec::new() }
    }

    /// Whether all of the body was taken.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Ended)
    }

    /// What is left, if that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Ended => Some(0),
            Self::Chunked { .. } | Self::UntilClose => None,
        }
    }

    /// Takes the next piece out of the buffer. `None`: there is nothing of it yet.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Cause> {
        if buffer.is_empty() {
            return Ok(None);
        }
        match self {
            Self::Ended => Ok(None),
            Self::UntilClose => Ok(Some(Frame::data(buffer.split().freeze()))),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= count as u64;
                Ok((count > 0).then(|| Frame::data(buffer.split_to(count).freeze())))
            }
            Self::Chunked { at, trailers } => {
                let (frame, ended) = take_chunked(at, trailers, buffer)?;
                if ended {
                    *self = Self::Ended;
                }
                Ok(frame)
            }
        }
    }
}

/// Takes data, or the trailers, and says whether the body has ended.
fn take_chunked(
    at: &mut Chunk,
    trailers: &mut Vec<u8>,
    buffer: &mut BytesMut,
) -> Result<(Option<Frame<Bytes>>, bool), Cause> {
    while let Some(&byte) = buffer.first() {
        if let (Chunk::Size { value, digits: 1.. }, b' ' | b'\t') = (*at, byte) {
            // Old servers fill the line with spaces; what goes on is chunked anew.
            *at = Chunk::padded(value);
        }
        // The digits of a size by themselves, so that what follows them is seen here.
        let digits = match *at {
            Chunk::Size { .. } => buffer.iter().take_while(|byte| byte.is_ascii_hexdigit()).count(),
            _ => 0,
        };
        let some = if digits > 0 { &buffer[..digits] } else { &buffer[..] };
        let (taken, next) = at.scan(some).map_err(Cause::Chunk)?;
        let was = std::mem::replace(at, next.unwrap_or(Chunk::START));
        match was {
            Chunk::Data { .. } => {
                return Ok((Some(Frame::data(buffer.split_to(taken).freeze())), false));
            }
            Chunk::Trailer { .. } => trailers.extend_from_slice(&buffer[..taken]),
            _ => {}
        }
        buffer.advance(taken);
        if next.is_none() {
            return Ok((parse_trailers(trailers)?.map(Frame::trailers), true));
        }
    }
    Ok((None, false))
}

fn parse_trailers(text: &mut Vec<u8>) -> Result<Option<HeaderMap>, Cause> {
    if text.is_empty() {
        return Ok(None);
    }
    text.extend_from_slice(b"\r\n");
    let mut space = [httparse::EMPTY_HEADER; TRAILERS];
    let parsed = httparse::parse_headers(text, &mut space).map_err(Cause::Malformed)?;
    let httparse::Status::Complete((_, fields)) = parsed else {
        return Err(Cause::Chunk("trailers that do not end"));
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Cause::Chunk("malformed trailers"));
        };
        trailers.append(name, value);
    }
    Ok(Some(trailers))
}
