//! What both sides of HTTP/1 share: the chunked coding and bytes on their way out. Clients are
//! `server/http1`, upstreams are `upstream/http1`.

pub(crate) mod chunk;
mod outbox;

use http::{HeaderName, HeaderValue};

pub(crate) use self::outbox::Outbox;

/// Writes a field line.
pub(crate) fn write_field(text: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    write_line(text, name.as_str().as_bytes(), value.as_bytes());
}

/// Writes a `Content-Length`.
pub(crate) fn write_length(text: &mut Vec<u8>, length: u64) {
    write_line(text, b"content-length", itoa::Buffer::new().format(length).as_bytes());
}

/// Writes a field line of a name and a value that are known to be such.
pub(crate) fn write_line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // One look at the space that is left instead of four.
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}
