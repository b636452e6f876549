//! An answer as bytes for an HTTP/1.1 client.

use std::cell::RefCell;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING},
    response::Parts,
};
use http_body::{Body as _, Frame};
use hyper::ext::ReasonPhrase;
use tokio::time::Instant;

use super::request::Asked;
use crate::{
    body::Body,
    http1::{Outbox, write_field, write_length},
    server::forwarding::has_token,
    telemetry::clock,
};

/// How the body of an answer is framed.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes follow.
    Length(u64),
    /// Chunks, and the trailer fields that may follow them.
    Chunked(Vec<HeaderName>),
}

/// The answer is not what it said: the client must see it cut.
#[derive(Debug)]
pub(super) struct Cut;

/// Writes the head. `asked.close` says afterwards whether the connection ends with this answer.
pub(super) fn begin(outbox: &mut Outbox, head: &Parts, body: &Body, asked: &mut Asked) -> Framing {
    let text = outbox.text();
    status_line(text, head);
    let (mut date, mut length) = (false, None);
    for (name, value) in &head.headers {
        if *name == CONNECTION {
            asked.close |= has_token(&head.headers, &CONNECTION, "close");
            continue;
        }
        if *name == TRANSFER_ENCODING {
            continue;
        }
        if *name == CONTENT_LENGTH {
            if head.status == StatusCode::NOT_MODIFIED {
                // That of the body nobody sends; some read one all the same.
                continue;
            }
            length = value.to_str().ok().and_then(|length| length.parse().ok());
        }
        date |= *name == DATE;
        write_field(text, name, value);
    }
    body.write_own(text);
    if asked.close {
        text.extend_from_slice(b"connection: close\r\n");
    }
    if !date {
        write_date(text, Instant::now());
    }
    let framing = framing(text, head, body, *asked, length);
    text.extend_from_slice(b"\r\n");
    framing
}

fn status_line(text: &mut Vec<u8>, head: &Parts) {
    if head.status == StatusCode::OK && head.extensions.is_empty() {
        text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(head.status.as_str().as_bytes());
    text.push(b' ');
    let phrase = head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
    let usual = || head.status.canonical_reason().unwrap_or_default().as_bytes();
    text.extend_from_slice(phrase.unwrap_or_else(usual));
    text.extend_from_slice(b"\r\n");
}

/// RFC 9112 section 6: what the head says wins, then what the body knows, then chunks.
fn framing(
    text: &mut Vec<u8>,
    head: &Parts,
    body: &Body,
    asked: Asked,
    said: Option<u64>,
) -> Framing {
    let status = head.status;
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if bodiless || asked.head {
        let known = body.size_hint().exact().filter(|length| *length > 0);
        if let (None, false, Some(length)) = (said, bodiless, known) {
            write_length(text, length);
        }
        return Framing::Length(0);
    }
    if let Some(length) = said {
        return Framing::Length(length);
    }
    if let Some(length) = body.size_hint().exact() {
        write_length(text, length);
        return Framing::Length(length);
    }
    text.extend_from_slice(b"transfer-encoding: chunked\r\n");
    Framing::Chunked(if asked.trailers { announced(&head.headers) } else { Vec::new() })
}

/// The fields a `Trailer` announces.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// A second and its name (RFC 9110 section 5.6.7).
struct Day {
    second: u64,
    line: String,
}

thread_local! {
    static DATE_LINE: RefCell<Day> = const { RefCell::new(Day { second: 0, line: String::new() }) };
}

fn write_date(text: &mut Vec<u8>, now: Instant) {
    let second = clock::unix_millis(now) / 1000;
    DATE_LINE.with_borrow_mut(|day| {
        if day.second != second {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            day.line = format!("date: {}\r\n", httpdate::HttpDate::from(time));
            day.second = second;
        }
        text.extend_from_slice(day.line.as_bytes());
    });
}

// === impl Framing ===

impl Framing {
    /// Whether nothing more may follow.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Adds a frame; `true` when it was the last.
    pub(super) fn add(&mut self, frame: Frame<Bytes>, outbox: &mut Outbox) -> Result<bool, Cut> {
        match (frame.into_data(), &mut *self) {
            (Ok(data), _) if data.is_empty() => {}
            (Ok(data), Self::Chunked(_)) => outbox.push_chunk(data),
            (Ok(data), Self::Length(left)) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Cut)?;
                outbox.push(data);
            }
            (Err(frame), Self::Chunked(allowed)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                outbox.end_chunks(trailers.iter().filter(|(name, _)| allowed.contains(name)));
                return Ok(true);
            }
            (Err(_), Self::Length(_)) => {}
        }
        Ok(self.is_end())
    }

    /// The body has ended without trailers.
    pub(super) fn end(&self, outbox: &mut Outbox) -> Result<(), Cut> {
        match self {
            Self::Length(0) => Ok(()),
            Self::Length(_) => Err(Cut),
            Self::Chunked(_) => {
                outbox.end_chunks(None);
                Ok(())
            }
        }
    }
}
