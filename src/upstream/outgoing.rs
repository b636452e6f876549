//! The heads that cross to the upstream and back: the request as the chosen connection wants it, the
//! answer without what belongs to the hop it came over.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
    uri::{Authority, PathAndQuery, Scheme},
};

use super::endpoint::Endpoint;
use crate::{
    error::{Error, Reason},
    layers::Request,
    server::forwarding::{self, HopRequest},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes a head ready for an HTTP/1.1 connection.
pub(crate) fn for_h1(
    request: &mut Request,
    endpoint: &Endpoint,
    host: Option<HeaderValue>,
    hop: &HopRequest,
) {
    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    let before = take_authority(request);
    // An expectation without a body is none (RFC 9110 section 10.1.1).
    let wanted = !request.body().is_empty();
    let headers = request.headers_mut();
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
    if let Some(host) = host {
        headers.insert(HOST, host);
    } else if version != Version::HTTP_11 && !headers.contains_key(HOST) {
        // HTTP/1.0 may come without one; made ready for HTTP/2 before, the Host is in the target.
        headers.insert(HOST, before.unwrap_or_else(|| endpoint.authority.clone()));
    }
    if hop.trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if hop.expect && wanted {
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
    frame_body(request);
}

/// A body of unknown length goes in chunks. hyper does so by itself, but leaves the body of these two
/// methods out unless the head announces it.
fn frame_body(request: &mut Request) {
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.body().is_empty()
        && !request.headers().contains_key(CONTENT_LENGTH)
        && http_body::Body::size_hint(request.body()).exact().is_none()
    {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// A request that was made ready for HTTP/2 before has its Host in the target; it comes out of there.
fn take_authority(request: &mut Request) -> Option<HeaderValue> {
    let authority = HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    authority
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
    request: &mut Request,
    endpoint: &Endpoint,
    host: Option<HeaderValue>,
    hop: &HopRequest,
) -> Result<(), Error> {
    *request.version_mut() = Version::HTTP_2;
    let client = request.headers_mut().remove(HOST);
    // A request that is sent again has been made ready once: its Host is in the target already.
    let before = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
    let host = host.or(client).or_else(before).unwrap_or_else(|| endpoint.authority.clone());
    let authority = Authority::try_from(host.as_bytes())
        .map_err(|_| Error::new(Reason::BadHost, "a Host that is no authority"))?;
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts)
        .map_err(|_| Error::new(Reason::Internal, "a target that cannot be sent"))?;
    if hop.trailers {
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Takes what belongs to the upstream's hop out of an answer, and what `ours` names. Returns whether
/// there is a `Via`.
pub(crate) fn clean(headers: &mut HeaderMap, ours: &HeaderName) -> bool {
    // One look at every field is cheaper than asking for each of these, which are seldom there.
    let (mut connection, mut hop, mut via, mut own) = (false, false, false, false);
    for name in headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "keep-alive"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info" => hop = true,
            "via" => via = true,
            other => own |= other == ours.as_str(),
        }
    }
    if connection {
        forwarding::remove_connection(headers);
    }
    if hop {
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
    let claims = |name: &str| NEVER.contains(&name) || name.starts_with("x-forwarded-");
    // Many applications cannot tell `_` from `-`.
    let alias = |name: &str| name.contains('_') && claims(&name.replace('_', "-"));
    let claimed = trailers.keys().filter(|name| claims(name.as_str()) || alias(name.as_str()));
    for name in claimed.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
}
