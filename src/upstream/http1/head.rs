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
    let headers = response.headers_mut();
    headers.reserve(answer.headers.len());
    let mut noted = Noted::default();
    let mut places: smallvec::SmallVec<[_; 16]> = smallvec::SmallVec::new();
    for field in &*answer.headers {
        places.push((place(field.name.as_bytes()), place(field.value)));
    }
    let bytes = buffer.split_to(length).freeze();
    for (name, value) in &places {
        let name = HeaderName::from_bytes(&bytes[name.clone()])
            .map_err(|_| Cause::Malformed(httparse::Error::HeaderName))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(value.clone()))
            .map_err(|_| Cause::Malformed(httparse::Error::HeaderValue))?;
        if !noted.takes(&name, &value) {
            headers.append(name, value);
        }
    }
    *response.status_mut() = status;
    *response.version_mut() = version;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    let framing = noted.framing(method, status)?;
    let keep = noted.keeps(version, response.headers()) && framing != Framing::UntilClose;
    Ok(Some(Head { response, framing, keep }))
}

/// What the fields say of where an answer ends and what becomes of its connection: noted while they are
/// read, which is cheaper than to look for each of them.
#[derive(Default)]
struct Noted {
    chunked: bool,
    /// The first `Content-Length`; nothing in it if it is no number.
    length: Option<Option<u64>>,
    stays: bool,
    goes: bool,
    /// `Connection` says something else, or more.
    more: bool,
}

// === impl Noted ===

impl Noted {
    /// Notes a field; whether that was all there is to it. Nearly every answer says that its connection
    /// stays, and nobody else wants to know.
    fn takes(&mut self, name: &HeaderName, value: &HeaderValue) -> bool {
        if *name == CONNECTION {
            match value.as_bytes() {
                b"keep-alive" => self.stays = true,
                b"close" => self.goes = true,
                _ => {
                    self.more = true;
                    return false;
                }
            }
            return true;
        }
        if *name == CONTENT_LENGTH {
            let length = || value.to_str().ok().and_then(|length| length.parse().ok());
            self.length.get_or_insert_with(length);
        }
        self.chunked |= *name == TRANSFER_ENCODING;
        false
    }

    /// RFC 9112 section 6.3. What contradicts itself is refused by `upstream/incoming`, which sees the
    /// head next.
    fn framing(&self, method: &Method, status: StatusCode) -> Result<Framing, Cause> {
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless || status.is_informational() || *method == Method::HEAD {
            return Ok(Framing::Length(0));
        }
        if self.chunked {
            return Ok(Framing::chunked());
        }
        let Some(length) = self.length else { return Ok(Framing::UntilClose) };
        length.map(Framing::Length).ok_or(Cause::Malformed(httparse::Error::HeaderValue))
    }

    /// RFC 9112 section 9.3.
    fn keeps(&self, version: Version, fields: &HeaderMap) -> bool {
        let says = |token| self.more && has_token(fields, &CONNECTION, token);
        let stays = || version == Version::HTTP_11 || self.stays || says("keep-alive");
        !self.goes && !says("close") && stays()
    }
}
