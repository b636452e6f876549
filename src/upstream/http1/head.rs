//! The head of an answer: found, read and freed from the buffer it came in.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use hyper::ext::ReasonPhrase;

use super::{Cause, framing::Framing};
use crate::server::forwarding::has_token;

/// Largest head an upstream may answer with.
const LIMIT: usize = 64 * 1024;
/// Most fields of one.
const FIELDS: usize = 100;

/// The head of an answer and what follows it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: http::Response<()>,
    pub(super) framing: Framing,
    /// The connection may be used again after the body.
    pub(super) keep: bool,
}

/// Takes a head out of the buffer once it is complete.
pub(super) fn take(buffer: &mut BytesMut, method: &Method) -> Result<Option<Head>, Cause> {
    let mut space = [MaybeUninit::uninit(); FIELDS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        buffer,
        &mut space,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) if length <= LIMIT => length,
        Ok(httparse::Status::Partial) if buffer.len() < LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Cause::TooLarge),
        Err(error) => return Err(Cause::Malformed(error)),
    };
    let malformed = || Cause::Malformed(httparse::Error::Status);
    let version = match answer.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(malformed)?;
    let reason = answer.reason.filter(|reason| status.canonical_reason() != Some(*reason));
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    // The places of the fields, so that the buffer can be let go of.
    let start = buffer.as_ptr() as usize;
    let place = |bytes: &[u8]| {
        let begin = bytes.as_ptr() as usize - start;
        begin..begin + bytes.len()
    };
    let mut response = http::Response::new(());
    let places: smallvec::SmallVec<[_; 16]> = answer
        .headers
        .iter()
        .map(|field| (HeaderName::from_bytes(field.name.as_bytes()), place(field.value)))
        .collect();
    let bytes = buffer.split_to(length).freeze();
    let headers = response.headers_mut();
    headers.reserve(places.len());
    for (name, place) in places {
        let name = name.map_err(|_| Cause::Malformed(httparse::Error::HeaderName))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(place))
            .map_err(|_| Cause::Malformed(httparse::Error::HeaderValue))?;
        headers.append(name, value);
    }
    *response.status_mut() = status;
    *response.version_mut() = version;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    let framing = framing(method, status, response.headers())?;
    let keep = keeps(version, response.headers()) && framing != Framing::UntilClose;
    Ok(Some(Head { response, framing, keep }))
}

/// RFC 9112 section 6.3. What contradicts itself is refused by `upstream/incoming`, which sees the
/// head next.
fn framing(method: &Method, status: StatusCode, fields: &HeaderMap) -> Result<Framing, Cause> {
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || status.is_informational() || *method == Method::HEAD {
        return Ok(Framing::Length(0));
    }
    if fields.contains_key(TRANSFER_ENCODING) {
        return Ok(Framing::chunked());
    }
    let Some(length) = fields.get(CONTENT_LENGTH) else { return Ok(Framing::UntilClose) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Framing::Length).ok_or(Cause::Malformed(httparse::Error::HeaderValue))
}

/// RFC 9112 section 9.3.
fn keeps(version: Version, fields: &HeaderMap) -> bool {
    let Some(connection) = fields.get(CONNECTION) else { return version == Version::HTTP_11 };
    match connection.as_bytes() {
        b"keep-alive" => true,
        b"close" => false,
        _ if has_token(fields, &CONNECTION, "close") => false,
        _ => version == Version::HTTP_11 || has_token(fields, &CONNECTION, "keep-alive"),
    }
}
