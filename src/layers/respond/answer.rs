//! How the gateway's own errors look.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::Value;

use super::accept::prefers_html;
use crate::{
    body::Body, config::model::ErrorFormat, error::Error, layers::Response,
    telemetry::exchange::Exchange,
};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The name of this server as `Proxy-Status` wants it: a token or a quoted string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(String);

// === impl ServerName ===

impl ServerName {
    /// The name of the configuration (`server.name`) as an item of a structured field.
    pub fn new(name: &str) -> Self {
        // RFC 9651 section 3.3.4.
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'*';
        let later = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b);
        let is_token = name.bytes().next().is_some_and(first) && name.bytes().all(later);
        Self(if is_token { name.to_owned() } else { quoted(name) })
    }

    /// The item.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string of a structured field: visible ASCII and blanks in quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// What a client gets to see of an error.
pub fn error_response(error: &Error, exchange: &Exchange, server: &ServerName) -> Response {
    if exchange.grpc {
        return grpc(error, server);
    }
    let html = match exchange.route.errors {
        ErrorFormat::Html => true,
        ErrorFormat::Auto => {
            let accept = exchange.accept.as_ref().and_then(|value| value.to_str().ok());
            accept.is_some_and(prefers_html)
        }
        ErrorFormat::Problem | ErrorFormat::Text => false,
    };
    let (content_type, body) = match exchange.route.errors {
        _ if html => ("text/html; charset=utf-8", page(error, exchange)),
        ErrorFormat::Text => ("text/plain; charset=utf-8", text(error, exchange)),
        _ => ("application/problem+json", problem(error, exchange)),
    };
    let mut response = head(error, server, error.reason().status(), content_type);
    *response.body_mut() = Body::full(Bytes::from(body));
    response
}

/// The answer when there is no exchange to tell more.
pub(super) fn bare(error: &Error, server: &ServerName) -> Response {
    head(error, server, error.reason().status(), "text/plain; charset=utf-8")
}

/// Status and header fields, and no body yet.
fn head(
    error: &Error,
    server: &ServerName,
    status: StatusCode,
    content_type: &'static str,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // 404 and 405 may be cached without being told so; ours may be cured by the next reload.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(proxy_status(error, server)) {
        headers.insert(PROXY_STATUS, value);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // What makes us say so passes quickly or not at all.
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    for (name, value) in error.headers() {
        if name == RETRY_AFTER {
            // Who knows better says so once.
            headers.remove(RETRY_AFTER);
        }
        headers.append(name, value.clone());
    }
    response
}

/// RFC 9209. Of the error types in use only `http_request_error` has a status of its own.
fn proxy_status(error: &Error, server: &ServerName) -> String {
    let (reason, server) = (error.reason(), server.as_str());
    let (kind, word) = (reason.proxy_status(), reason.word());
    let status = match kind {
        "http_request_error" => format!(";status-code={}", reason.status().as_u16()),
        _ => String::new(),
    };
    format!("{server};error={kind}{status};details=\"{word}\"")
}

/// A gRPC response that is all trailers: they travel in the head, and there is no body.
fn grpc(error: &Error, server: &ServerName) -> Response {
    let reason = error.reason();
    let mut response = head(error, server, StatusCode::OK, "application/grpc");
    let message = match error.public_detail() {
        Some(detail) => format!("{}: {detail}", reason.word()),
        None => format!("{}: {}", reason.word(), reason.title()),
    };
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(reason.grpc())));
    if let Ok(value) = HeaderValue::try_from(percent_encoded(&message)) {
        headers.insert(GRPC_MESSAGE, value);
    }
    response
}

/// As gRPC's protocol over HTTP/2 wants `grpc-message`: printable ASCII without `%`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// RFC 9457, the standard's own members first, and a line end for those who read it in a terminal.
fn problem(error: &Error, exchange: &Exchange) -> String {
    let reason = error.reason();
    let mut out = String::with_capacity(256);
    let mut set = |key: &str, value: Value| {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&format!("\"{key}\":{value}"));
    };
    let kind = error.kind();
    set(
        "type",
        match kind {
            Some(problem) => problem.kind.into(),
            None => format!("urn:tidegate:reason:{}", reason.word()).into(),
        },
    );
    set("title", reason.title().into());
    set("status", reason.status().as_u16().into());
    if let Some(detail) = error.public_detail() {
        set("detail", detail.into());
    }
    set("reason", reason.word().into());
    if !exchange.route.name.is_empty() {
        set("route", (*exchange.route.name).into());
    }
    if let Some(problem) = kind {
        let (name, value) = &problem.member;
        set(name, value.clone());
    }
    set("request_id", exchange.id.as_str().into());
    out.push_str("}\n");
    out
}

fn text(error: &Error, exchange: &Exchange) -> String {
    let (reason, id) = (error.reason(), exchange.id.as_str());
    let (status, title, word) = (reason.status().as_u16(), reason.title(), reason.word());
    let detail = error.public_detail().map(|d| format!("{d}\n")).unwrap_or_default();
    format!("{status} {title} ({word})\n{detail}request id: {id}\n")
}

fn page(error: &Error, exchange: &Exchange) -> String {
    let (reason, id) = (error.reason(), escaped(exchange.id.as_str()));
    let (status, title, word) = (reason.status().as_u16(), reason.title(), reason.word());
    let detail =
        error.public_detail().map(|d| format!("<p>{}</p>\n", escaped(d))).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{status} {title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34rem;\
         padding:0 1rem}}small{{color:GrayText}}</style>\n\
         <h1>{title}</h1>\n{detail}<p><small>{status} {word} · request id {id}</small></p>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
