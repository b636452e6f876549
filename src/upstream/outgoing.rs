//! The heads that cross to the upstream and back: the request as the chosen connection wants it, the
//! answer without what belongs to the hop it came over.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
    request, response,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::endpoint::Endpoint;
use crate::{
    body::Body,
    error::{Error, Reason},
    server::{forwarding::HopRequest, gate},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes a head ready for an HTTP/1.1 connection.
pub(crate) fn for_h1(
    head: &mut request::Parts,
    endpoint: &Endpoint,
    host: Option<HeaderValue>,
    hop: &HopRequest,
) {
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    head.version = Version::HTTP_11;
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    } else if !head.headers.contains_key(HOST) {
        // Made ready for HTTP/2 before, the Host is in the target.
        let before = head.uri.authority().and_then(|it| HeaderValue::from_str(it.as_str()).ok());
        head.headers.insert(HOST, before.unwrap_or_else(|| endpoint.authority.clone()));
    }
    if head.uri.authority().is_some() {
        let path = head.uri.path_and_query().cloned();
        head.uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    if hop.trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if hop.expect {
        head.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
}

/// A body of unknown length goes in chunks. hyper does so by itself, but leaves the body of these two
/// methods out unless the head announces it.
pub(crate) fn frame_body(head: &mut request::Parts, body: &Body) {
    if matches!(head.method, Method::GET | Method::HEAD)
        && !body.is_empty()
        && !head.headers.contains_key(CONTENT_LENGTH)
        && http_body::Body::size_hint(body).exact().is_none()
    {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// HTTP/2 may split the Cookie field; HTTP/1.1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (crumbs.next(), crumbs.next()) else { return };
    let mut line = first.as_bytes().to_vec();
    for crumb in headers.get_all(COOKIE).iter().skip(1) {
        line.extend_from_slice(b"; ");
        line.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(COOKIE, line);
    }
}

/// Makes a head ready for an HTTP/2 connection.
pub(crate) fn for_h2(
    head: &mut request::Parts,
    endpoint: &Endpoint,
    host: Option<HeaderValue>,
    hop: &HopRequest,
) -> Result<(), Error> {
    head.version = Version::HTTP_2;
    let client = head.headers.remove(HOST);
    // A request that is sent again has been made ready once: its Host is in the target already.
    let before = || HeaderValue::from_str(head.uri.authority()?.as_str()).ok();
    let host = host.or(client).or_else(before).unwrap_or_else(|| endpoint.authority.clone());
    let authority = Authority::try_from(host.as_bytes())
        .map_err(|_| Error::new(Reason::BadHost, "a Host that is no authority"))?;
    let path = head.uri.path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    head.uri = Uri::from_parts(parts)
        .map_err(|_| Error::new(Reason::Internal, "a target that cannot be sent"))?;
    if hop.trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Takes what belongs to the upstream's hop out of an answer, and what `ours` names. Returns whether
/// there is a `Via`.
pub(crate) fn clean(head: &mut response::Parts, ours: &HeaderName) -> bool {
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    // One look at every field is cheaper than asking for each of these, which are seldom there.
    let (mut hop, mut via, mut own) = (false, false, false);
    for name in headers.keys() {
        match name.as_str() {
            "connection"
            | "keep-alive"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info" => hop = true,
            "via" => via = true,
            _ => own |= name == ours,
        }
    }
    if hop {
        let tokens: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
        headers.remove(CONNECTION);
        gate::remove_named(headers, &tokens);
        if headers.contains_key(TRANSFER_ENCODING) {
            // The chunks were what counted (RFC 9112 section 6.3), and they are gone.
            headers.remove(CONTENT_LENGTH);
        }
        for name in [KEEP_ALIVE, TRANSFER_ENCODING, UPGRADE, PROXY_CONNECTION] {
            headers.remove(name);
        }
        headers.remove(PROXY_AUTHENTICATE);
        headers.remove(PROXY_AUTHENTICATION_INFO);
    }
    if own {
        headers.remove(ours);
    }
    via
}

/// Trailer fields that would mean something else in a head are not passed on (RFC 9110 section
/// 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    const NEVER: [&str; 9] = [
        "content-length",
        "transfer-encoding",
        "host",
        "authorization",
        "connection",
        "te",
        "trailer",
        "forwarded",
        "x-real-ip",
    ];
    for name in NEVER {
        trailers.remove(name);
    }
    let claimed: Vec<_> =
        trailers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in claimed {
        trailers.remove(name);
    }
}
