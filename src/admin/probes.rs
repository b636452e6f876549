//! The answers of the admin listener: `/metrics`, `/livez`, `/readyz`, `/startupz`.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;

use super::Control;

/// The text format of Prometheus.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers a request on the admin listener.
pub(super) fn answer<B>(control: &Control, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let path = request.uri().path();
    let verbose = request.uri().query().is_some_and(|query| {
        query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
    });
    if path == control.reloader.config().metrics.path {
        return response(StatusCode::OK, PROMETHEUS, (control.metrics)());
    }
    match path {
        // Whoever reads this answer has proof: the control runtime turns.
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(control, verbose),
        "/startupz" if control.health.is_started() => text(StatusCode::OK, "ok\n"),
        "/startupz" => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => text(StatusCode::NOT_FOUND, "see /metrics, /livez, /readyz?verbose, /startupz\n"),
    }
}

fn ready(control: &Control, verbose: bool) -> Response<Full<Bytes>> {
    let (started, draining) = (control.health.is_started(), control.health.is_draining());
    let (status, word) = match (started, draining) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (true, false) => (StatusCode::OK, "ok"),
    };
    if !verbose {
        return text(status, format!("{word}\n"));
    }
    let reload = control.reloader.status();
    let mut body = String::new();
    let mut line = |ok: bool, name: &str, note: &str| {
        let sign = if ok { '+' } else { '-' };
        let _ = writeln!(body, "[{sign}] {name}{note}");
    };
    line(started, "config live", &format!(": {reload}"));
    line(started, "listeners bound", "");
    line(!draining, "not draining", "");
    // For information: the configuration that was there before goes on serving.
    line(reload.error.is_none(), "last reload", " (does not count)");
    line(reload.quarantined.is_empty(), "no file quarantined", " (does not count)");
    let _ = writeln!(body, "{word}");
    text(status, body)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, TEXT, body)
}

/// An answer nobody may keep.
pub(super) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
