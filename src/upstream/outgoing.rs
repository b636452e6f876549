//! The head that crosses to the upstream: the request as the chosen connection wants it.

use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery, Scheme},
};

use super::endpoint::Endpoint;
use crate::{
    error::{Error, Reason},
    layers::Request,
    server::forwarding::HopRequest,
};

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
    let wanted = http_body::Body::size_hint(request.body()).exact() != Some(0);
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
    let headers = request.headers_mut();
    if headers.contains_key(CONNECTION) {
        // It was made ready for HTTP/1.1 before.
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        headers.remove(EXPECT);
    }
    if hop.trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}
