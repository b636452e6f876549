//! One line of the access log, written straight into the buffer of the worker.

use std::{io::Write as _, net::IpAddr, time::Duration};

use http::{HeaderName, HeaderValue, Version, header};

use super::{
    date::{clf_timestamp, timestamp},
    escape,
};
use crate::{
    config::model::QueryLog,
    limit::fields,
    server::client::TlsSession,
    telemetry::{
        clock::micros,
        exchange::{Exchange, Outcome},
    },
};

/// Header fields that were asked for, as they will be written.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

/// All that is known of a finished request.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The request.
    pub exchange: &'a Exchange,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Status sent.
    pub status: u16,
    /// Bytes of request body.
    pub bytes_in: u64,
    /// Bytes of response body.
    pub bytes_out: u64,
    /// When the request's head was complete, in microseconds since 1970.
    pub started: u64,
    /// From the request's head to the response's end.
    pub total: Duration,
    /// The part of it that was ours.
    pub gateway: Duration,
    /// Request header fields asked for.
    pub request_headers: &'a [(HeaderName, HeaderValue)],
    /// Response header fields asked for.
    pub response_headers: &'a [(HeaderName, HeaderValue)],
}

/// One JSON object and a line break.
pub(super) fn json(out: &mut Vec<u8>, record: &Record<'_>, query: QueryLog) {
    let (exchange, outcome) = (record.exchange, record.outcome);
    let query = private(query, outcome);
    out.extend_from_slice(b"{\"ts\":\"");
    timestamp(out, record.started);
    out.extend_from_slice(b"\",\"request_id\":\"");
    if exchange.id.is_own() {
        // Hexadecimal digits and dashes.
        out.extend_from_slice(exchange.id.as_bytes());
    } else {
        escape::json_part(out, exchange.id.as_bytes());
    }
    out.extend_from_slice(b"\",\"listener\":\"");
    // The names of listeners, routes and limits hold nothing to escape.
    out.extend_from_slice(exchange.connection.listener.as_bytes());
    match exchange.client_ip {
        Some(ip) => {
            out.extend_from_slice(b"\",\"client_ip\":\"");
            client(out, ip, exchange);
            // A method is a token and holds nothing to escape.
            out.extend_from_slice(b"\",\"method\":\"");
        }
        None => out.extend_from_slice(b"\",\"client_ip\":null,\"method\":\""),
    }
    out.extend_from_slice(exchange.method.as_str().as_bytes());
    out.extend_from_slice(b"\",\"host\":\"");
    escape::json_part(out, exchange.host.as_bytes());
    out.extend_from_slice(b"\",\"path\":\"");
    escape::json_part(out, exchange.uri.path().as_bytes());
    match exchange.uri.query().filter(|_| query != QueryLog::Drop) {
        Some(text) => {
            out.extend_from_slice(b"\",\"query\":\"");
            query_text(out, text, query, escape::json_part);
            out.extend_from_slice(b"\",\"protocol\":\"");
        }
        None => out.extend_from_slice(b"\",\"query\":null,\"protocol\":\""),
    }
    out.extend_from_slice(protocol(exchange.version).as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    number(out, u64::from(record.status));
    match outcome.reason {
        Some(reason) => {
            out.extend_from_slice(b",\"reason\":\"");
            out.extend_from_slice(reason.word().as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b",\"reason\":null"),
    }
    if let Some(detail) = outcome.detail.as_deref().filter(|detail| !detail.is_empty()) {
        out.extend_from_slice(b",\"detail\":");
        escape::json(out, detail.as_bytes());
    }
    match &*exchange.route.name {
        "" => out.extend_from_slice(b",\"route\":null"),
        name => {
            out.extend_from_slice(b",\"route\":\"");
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
    }
    json_rest(out, record);
    out.extend_from_slice(b"}\n");
}

/// From the upstream on.
fn json_rest(out: &mut Vec<u8>, record: &Record<'_>) {
    let (exchange, outcome) = (record.exchange, record.outcome);
    if let Some(consumer) = outcome.consumer.as_deref() {
        out.extend_from_slice(b",\"consumer\":");
        escape::json(out, consumer.as_bytes());
    }
    if let Some(limit) = fields::logged(&outcome.limits) {
        out.extend_from_slice(limit.as_bytes());
    }
    match outcome.upstream.as_deref() {
        Some(name) => {
            out.extend_from_slice(b",\"upstream\":\"");
            closed(out, name.as_bytes());
        }
        None => out.extend_from_slice(b",\"upstream\":null"),
    }
    match outcome.endpoint.as_deref() {
        Some(name) => {
            out.extend_from_slice(b",\"endpoint\":\"");
            closed(out, name.as_bytes());
        }
        None => out.extend_from_slice(b",\"endpoint\":null"),
    }
    out.extend_from_slice(b",\"tries\":");
    number(out, u64::from(outcome.tries));
    out.extend_from_slice(b",\"bytes_in\":");
    number(out, record.bytes_in);
    out.extend_from_slice(b",\"bytes_out\":");
    number(out, record.bytes_out);
    out.extend_from_slice(b",\"dur_ms\":");
    millis(out, record.total);
    out.extend_from_slice(b",\"gateway_ms\":");
    millis(out, record.gateway);
    out.extend_from_slice(b",\"upstream_ms\":");
    match outcome.upstream_time {
        Some(time) => millis(out, time),
        None => null(out),
    }
    match &exchange.connection.tls {
        Some(tls) => session(out, tls),
        None => out.extend_from_slice(b",\"tls\":null"),
    }
    match &exchange.user_agent {
        Some(agent) => {
            out.extend_from_slice(b",\"user_agent\":\"");
            closed(out, agent.as_bytes());
        }
        None => out.extend_from_slice(b",\"user_agent\":null"),
    }
    let labels = exchange.route.labels.iter();
    object(out, b",\"labels\":{", labels.map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    for (key, fields) in [
        (&b",\"request_headers\":{"[..], record.request_headers),
        (b",\"response_headers\":{", record.response_headers),
    ] {
        let pairs = fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        object(out, key, pairs);
    }
}

/// What is said of a TLS session.
fn session(out: &mut Vec<u8>, tls: &TlsSession) {
    out.extend_from_slice(b",\"tls\":{\"version\":\"");
    closed(out, tls.version.as_bytes());
    out.extend_from_slice(b",\"cipher\":\"");
    closed(out, tls.cipher.as_bytes());
    out.extend_from_slice(b",\"sni\":");
    match tls.sni.as_deref() {
        Some(name) => escape::json(out, name.as_bytes()),
        None => null(out),
    }
    out.push(b'}');
}

/// Common log format and a line break; with `Referer` and `User-Agent` it is the combined one.
pub(super) fn clf(out: &mut Vec<u8>, record: &Record<'_>, query: QueryLog, combined: bool) {
    let exchange = record.exchange;
    let query = private(query, record.outcome);
    match exchange.client_ip {
        Some(ip) => address(out, ip),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - - [");
    clf_timestamp(out, record.started / 1_000_000);
    out.extend_from_slice(b"] \"");
    out.extend_from_slice(exchange.method.as_str().as_bytes());
    out.push(b' ');
    escape::clf(out, exchange.uri.path().as_bytes());
    if let Some(text) = exchange.uri.query().filter(|_| query != QueryLog::Drop) {
        out.push(b'?');
        query_text(out, text, query, escape::clf);
    }
    out.push(b' ');
    out.extend_from_slice(protocol(exchange.version).as_bytes());
    out.extend_from_slice(b"\" ");
    number(out, u64::from(record.status));
    out.push(b' ');
    match record.bytes_out {
        0 => out.push(b'-'),
        bytes => number(out, bytes),
    }
    if combined {
        let referer = record.request_headers.iter().find(|(name, _)| *name == header::REFERER);
        for value in [referer.map(|(_, value)| value), exchange.user_agent.as_ref()] {
            out.extend_from_slice(b" \"");
            escape::clf(out, value.map_or(b"-", HeaderValue::as_bytes));
            out.push(b'"');
        }
    }
    out.push(b'\n');
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// The rest of a JSON string whose opening quote is written.
fn closed(out: &mut Vec<u8>, text: &[u8]) {
    escape::json_part(out, text);
    out.push(b'"');
}

/// A JSON object after `open`, or nothing if there are no pairs. A key that comes twice has its
/// values joined.
fn object<'a>(out: &mut Vec<u8>, open: &[u8], pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let mut last: Option<&[u8]> = None;
    for (key, value) in pairs {
        if last == Some(key) {
            out.pop();
            out.extend_from_slice(b", ");
        } else {
            out.extend_from_slice(if last.is_none() { open } else { b"," });
            escape::json(out, key);
            out.extend_from_slice(b":\"");
        }
        escape::json_part(out, value);
        out.push(b'"');
        last = Some(key);
    }
    if last.is_some() {
        out.push(b'}');
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(digit(value));
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// The last digit of a number.
#[allow(clippy::cast_possible_truncation)] // a digit
pub(super) const fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

/// Milliseconds with three decimals.
fn millis(out: &mut Vec<u8>, time: Duration) {
    let micros = micros(time);
    number(out, micros / 1000);
    let rest = micros % 1000;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// A number with leading zeros.
pub(super) fn digits(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(digit(value / 10u64.pow(place)));
    }
}

/// The client, who nearly always is the peer, whose address is a text already.
fn client(out: &mut Vec<u8>, ip: IpAddr, exchange: &Exchange) {
    let connection = &exchange.connection;
    if connection.peer.is_some_and(|peer| peer.ip() == ip) {
        out.extend_from_slice(connection.peer_value.as_bytes());
    } else {
        address(out, ip);
    }
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    if let IpAddr::V4(v4) = ip {
        for (i, octet) in v4.octets().into_iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            number(out, u64::from(octet));
        }
    } else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{ip}");
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}

/// The query as asked for, in the escapes of the format.
fn query_text(out: &mut Vec<u8>, text: &str, how: QueryLog, escape: fn(&mut Vec<u8>, &[u8])) {
    if how == QueryLog::Keep {
        return escape(out, text.as_bytes());
    }
    for (i, pair) in text.split('&').enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        match pair.split_once('=') {
            Some((name, _)) => {
                escape(out, name.as_bytes());
                out.extend_from_slice(b"=***");
            }
            None => escape(out, pair.as_bytes()),
        }
    }
}

/// A query that may hold a credential is never shown whole.
fn private(query: QueryLog, outcome: &Outcome) -> QueryLog {
    match (query, outcome.private_query) {
        (QueryLog::Keep, true) => QueryLog::Redact,
        (query, _) => query,
    }
}
