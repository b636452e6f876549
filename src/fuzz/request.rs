//! Request heads from text: what the scanner and hyper, or h2, would hand to the gate.

use http::{
    HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts, uri::PathAndQuery,
};
use hyper::ext::Protocol;

use crate::server::scan::{Limits, Next, Scan, Scanner};

const LIMITS: Limits = Limits { header_size: 32_768, header_count: 100, uri_length: 8192 };

/// Reads a request line and fields. `None`: nobody would hand on such a head. With `HTTP/2` the
/// target's authority stands for `:authority`, and a field `:protocol` is the pseudo-header.
pub(super) fn parse(data: &[u8]) -> Option<Parts> {
    let text = std::str::from_utf8(data).ok()?;
    let mut lines = text.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let (target, version) = rest.split_once(' ')?;
    let fields = lines.take_while(|line| !line.is_empty());
    let version = match version {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" => Version::HTTP_2,
        _ => return None,
    };
    if version != Version::HTTP_2 && !passes_scan(text) {
        return None;
    }
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let uri = match target.parse::<PathAndQuery>() {
        // What h2 makes of `:path`; it takes things for one that `Uri` does not.
        Ok(path) if version == Version::HTTP_2 => path.into(),
        _ => Uri::try_from(target).ok()?,
    };
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.version) = (method, uri, version);
    for line in fields {
        if let Some(protocol) = line.strip_prefix(":protocol:") {
            // hyper hands it on as it is; a value of its own can be made from static text only.
            let name = if protocol.trim() == "websocket" { "websocket" } else { "other" };
            head.extensions.insert(Protocol::from_static(name));
            continue;
        }
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        head.headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(head)
}

/// Whether the scanner lets such a head through.
fn passes_scan(text: &str) -> bool {
    let head = text.lines().take_while(|line| !line.is_empty());
    let bytes: String = head.chain([""]).flat_map(|line| [line, "\r\n"]).collect();
    let scan = Scanner::new(LIMITS).scan(bytes.as_bytes());
    scan == Scan { pass: bytes.len(), next: Next::More }
}
