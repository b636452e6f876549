//! The one gate before routing, for both protocols: what must hold of a request head before
//! anybody matches, logs or forwards it. What may pass leaves with one host, one canonical path and
//! its hop-by-hop fields known.

#[cfg(test)]
mod tests;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, request::Parts, uri::PathAndQuery,
};

use crate::{
    config::model::ListenerLimits,
    error::{Error, Reason},
    routing::{Normalize, canonical},
};

/// What the gate learned of a request.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Host without port, lower case.
    pub(crate) host: Box<str>,
    /// Host as the client sent it, with its port.
    pub(crate) authority: Option<HeaderValue>,
    /// Canonical path and query.
    pub(crate) uri: Uri,
    /// Fields that need work.
    pub(crate) fields: Fields,
    /// Values the record wants.
    pub(crate) noted: Noted,
}

/// Values of fields that are wanted later, picked up in the same pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    host: Option<HeaderValue>,
    /// `User-Agent`.
    pub(crate) user_agent: Option<HeaderValue>,
    /// `Accept`.
    pub(crate) accept: Option<HeaderValue>,
    /// `Content-Type` says gRPC.
    pub(crate) grpc: bool,
}

impl Checked {
    /// What is known of a request that was refused.
    pub(crate) fn nothing() -> Self {
        Self {
            host: Box::default(),
            authority: None,
            uri: Uri::from_static("/"),
            fields: Fields::default(),
            noted: Noted::default(),
        }
    }
}

/// Which fields of interest a head has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) hosts: u8,
    lengths: u8,
    /// `Connection`.
    pub(crate) connection: bool,
    /// `Keep-Alive`, `Proxy-Connection`, `Proxy-Authorization`, `HTTP2-Settings`,
    /// `Transfer-Encoding`.
    pub(crate) hop: bool,
    /// `TE`.
    pub(crate) te: bool,
    /// `Upgrade`.
    pub(crate) upgrade: bool,
    /// `Expect`.
    pub(crate) expect: bool,
    /// `Forwarded`, `X-Forwarded-*`, `X-Real-IP`.
    pub(crate) forwarding: bool,
    /// `Via`.
    pub(crate) via: bool,
}

/// Field names the gateway writes or frames messages by, with `_` for `-`: many applications cannot
/// tell one from the other, so an alias would carry what we remove.
const ALIASES: [&str; 14] = [
    "content_length",
    "transfer_encoding",
    "host",
    "connection",
    "upgrade",
    "te",
    "via",
    "forwarded",
    "x_real_ip",
    "x_request_id",
    "x_client_ip",
    "proxy_connection",
    "http2_settings",
    "x_forwarded_",
];

/// Checks a head. The error is the answer.
pub(crate) fn check(
    head: &Parts,
    limits: ListenerLimits,
    rules: Normalize,
) -> Result<Checked, Error> {
    let h2 = head.version == Version::HTTP_2;
    let (fields, mut noted) = look(&head.headers, h2)?;
    if h2 {
        check_h2(head, limits)?;
    }
    check_method(&head.method, h2, &head.extensions)?;
    if fields.hosts > 1 {
        return Err(bad(Reason::BadHost, "more than one Host"));
    }
    if fields.lengths > 1 {
        return Err(bad(Reason::BadFraming, "more than one Content-Length"));
    }
    if fields.hosts == 0 && head.version == Version::HTTP_11 {
        // Not even an absolute target stands in for it (RFC 9112 section 3.2).
        return Err(bad(Reason::BadHost, "no Host"));
    }
    let authority = authority(head, noted.host.take())?;
    let host = match &authority {
        Some(value) => host_of(value)?,
        None if head.version == Version::HTTP_10 => Box::default(),
        None => return Err(bad(Reason::BadHost, "no Host")),
    };
    let uri = canonical_uri(&head.method, &head.uri, rules)?;
    Ok(Checked { host, authority, uri, fields, noted })
}

fn bad(reason: Reason, detail: &'static str) -> Error {
    Error::new(reason, detail).public(detail)
}

/// One pass over the fields.
fn look(headers: &HeaderMap, h2: bool) -> Result<(Fields, Noted), Error> {
    let (mut fields, mut noted) = (Fields::default(), Noted::default());
    for (name, value) in headers {
        match name.as_str() {
            "host" => {
                fields.hosts += 1;
                noted.host = Some(value.clone());
            }
            "user-agent" => noted.user_agent = Some(value.clone()),
            "accept" => noted.accept = Some(value.clone()),
            "content-type" => noted.grpc = value.as_bytes().starts_with(b"application/grpc"),
            "content-length" => {
                fields.lengths += 1;
                // h2 checks the digits, but takes none of them for 0.
                if value.is_empty() {
                    return Err(bad(Reason::BadFraming, "bad Content-Length"));
                }
            }
            "connection" => fields.connection = true,
            "transfer-encoding"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
            | "proxy-authorization" => fields.hop = true,
            "te" => fields.te = true,
            "upgrade" => fields.upgrade = true,
            "expect" => fields.expect = true,
            "via" => fields.via = true,
            "forwarded" | "x-real-ip" => fields.forwarding = true,
            other => look_at_other(other, &mut fields)?,
        }
        if h2 && let Some(detail) = oddity(name, value) {
            return Err(bad(Reason::BadRequest, detail));
        }
    }
    Ok((fields, noted))
}

/// What HTTP/2 must not carry (RFC 9113 section 8.2.1) and our libraries let pass: an upstream would
/// read something else than we have matched. Over HTTP/1 the scan has seen to it.
pub(crate) fn oddity(name: &HeaderName, value: &HeaderValue) -> Option<&'static str> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    if !bytes.is_ascii() {
        Some("8-bit byte in a header value")
    } else if blank(bytes.first()) || blank(bytes.last()) {
        Some("blank at the end of a header value")
    } else if memchr::memchr(b'"', name.as_str().as_bytes()).is_some() {
        Some("malformed header field name")
    } else {
        None
    }
}

fn look_at_other(name: &str, fields: &mut Fields) -> Result<(), Error> {
    if name.starts_with("x-forwarded-") {
        fields.forwarding = true;
    } else if memchr::memchr(b'_', name.as_bytes()).is_some() {
        let dashed = name.replace('-', "_");
        let alias =
            |owned: &str| dashed == owned || (owned.ends_with('_') && dashed.starts_with(owned));
        if ALIASES.into_iter().any(alias) {
            return Err(bad(Reason::BadRequest, "underscore alias of a reserved header"));
        }
    }
    Ok(())
}

fn check_h2(head: &Parts, limits: ListenerLimits) -> Result<(), Error> {
    if head.headers.len() > limits.header_count {
        return Err(bad(Reason::HeaderTooLarge, "too many header fields"));
    }
    if head.uri.path() == "*" && head.method != Method::OPTIONS {
        return Err(bad(Reason::BadRequest, "not a request target"));
    }
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.uri_length {
        return Err(bad(Reason::UriTooLong, "request target too long"));
    }
    // Of a path the canonical form asks the same.
    if head.uri.query().is_some_and(|query| !query.is_ascii()) {
        return Err(bad(Reason::BadRequest, "8-bit byte in the request target"));
    }
    Ok(())
}

fn check_method(method: &Method, h2: bool, extensions: &http::Extensions) -> Result<(), Error> {
    if *method == Method::CONNECT {
        let websocket = extensions.get::<hyper::ext::Protocol>();
        if !h2 || websocket.is_none() {
            return Err(bad(Reason::UnsupportedMethod, "CONNECT"));
        }
    }
    if h2 && method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(bad(Reason::BadRequest, "bad method"));
    }
    Ok(())
}

/// The one authority of a request: `:authority` or the absolute form and Host must agree.
fn authority(head: &Parts, host: Option<HeaderValue>) -> Result<Option<HeaderValue>, Error> {
    match (head.uri.authority(), host) {
        (None, host) => Ok(host),
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(bad(Reason::BadHost, "Host differs from the authority of the target"))
        }
        (Some(authority), _) => HeaderValue::from_str(authority.as_str())
            .map(Some)
            .map_err(|_| bad(Reason::BadHost, "bad authority")),
    }
}

/// Host without port, lower case, without a trailing dot (RFC 3986 section 3.2.2, no user-info).
fn host_of(value: &HeaderValue) -> Result<Box<str>, Error> {
    let malformed = || bad(Reason::BadHost, "malformed Host");
    let bytes = value.as_bytes();
    let end = match bytes {
        [b'[', ..] => address_end(bytes).ok_or_else(malformed)?,
        _ => bytes.iter().position(|&byte| !is_host_byte(byte)).unwrap_or(bytes.len()),
    };
    let (host, port) = bytes.split_at(end);
    let host = host.strip_suffix(b".").unwrap_or(host);
    // One dot ends the name of the root; a second would be a name that is never asked for.
    if host.is_empty() || host.ends_with(b".") || host.len() > 253 || !is_port(port) {
        return Err(malformed());
    }
    // What `is_host_byte` and an IPv6 address allow is ASCII.
    let mut host: Box<str> = std::str::from_utf8(host).map_err(|_| malformed())?.into();
    host.make_ascii_lowercase();
    Ok(host)
}

/// Where an address in brackets ends.
fn address_end(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b']', bytes)?;
    let address = std::str::from_utf8(&bytes[1..end]).ok()?;
    address.parse::<std::net::Ipv6Addr>().ok().map(|_| end + 1)
}

/// Nothing, or a colon and a port number.
fn is_port(bytes: &[u8]) -> bool {
    let [b':', digits @ ..] = bytes else { return bytes.is_empty() };
    let number = digits.iter().try_fold(0_u32, |sum, &digit| {
        (digit.is_ascii_digit() && sum <= 65_535).then(|| sum * 10 + u32::from(digit - b'0'))
    });
    !digits.is_empty() && number.is_some_and(|number| number <= 65_535)
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The path and query as they are matched, logged and sent.
fn canonical_uri(method: &Method, uri: &Uri, rules: Normalize) -> Result<Uri, Error> {
    let raw = uri.path_and_query();
    let path = raw.map_or("/", PathAndQuery::path);
    if path == "*" && method == Method::OPTIONS {
        return Ok(Uri::from_static("*"));
    }
    let path = if path.is_empty() { "/" } else { path };
    let canonical = canonical(path, rules).map_err(|error| {
        let text = error.to_string();
        Error::new(Reason::BadPath, text.clone()).public(text)
    })?;
    let query = raw.and_then(PathAndQuery::query);
    match (canonical, raw) {
        (std::borrow::Cow::Borrowed(path), Some(raw)) if path.len() == raw.path().len() => {
            let own = if uri.authority().is_none() { uri.clone() } else { raw.clone().into() };
            // Of `:path: #x`, taken for a target, nothing is left to be sent.
            if own.path().is_empty() {
                return Err(bad(Reason::BadRequest, "not a request target"));
            }
            Ok(own)
        }
        (path, _) => {
            let text = match query {
                Some(query) => format!("{path}?{query}"),
                None => path.into_owned(),
            };
            Uri::try_from(text).map_err(|_| bad(Reason::BadPath, "bad path"))
        }
    }
}

/// Removes a field named by a `Connection` token.
pub(crate) fn remove_named(headers: &mut HeaderMap, tokens: &[HeaderValue]) {
    for value in tokens {
        let Ok(text) = value.to_str() else { continue };
        for token in text.split(',').map(str::trim).filter(|token| !token.is_empty()) {
            // Framing and routing fields cannot be removed by naming them.
            let kept = ["host", "content-length", "close", "keep-alive", "upgrade"];
            if kept.iter().any(|name| token.eq_ignore_ascii_case(name)) {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token.as_bytes()) {
                headers.remove(name);
            }
        }
    }
}
