//! What the service is told of a request.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header::COOKIE};

use super::{
    super::alike,
    messages::{
        Address, AttributeRequest, Attributes, CheckRequest, HttpRequest, Peer, SocketAddress,
        Timestamp, TlsSession,
    },
};
use crate::{layers::Request, telemetry::exchange::Exchange};

/// What is told of a request. `names` are the headers that are, `None` is all.
pub(super) fn message(
    request: &Request,
    exchange: &Exchange,
    names: Option<&[HeaderName]>,
    body: &Bytes,
) -> CheckRequest {
    let (body, raw_body) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (text, Vec::new()),
        Err(bytes) => (String::new(), bytes.into_bytes()),
    };
    let size = http_body::Body::size_hint(request.body()).exact();
    let http = HttpRequest {
        id: String::from_utf8_lossy(exchange.id.as_bytes()).into_owned(),
        method: exchange.method.as_str().to_owned(),
        headers: headers(request.headers(), names),
        path: exchange.uri.to_string(),
        host: exchange.authority.as_ref().map(text).unwrap_or_default(),
        scheme: alike::scheme(exchange).to_owned(),
        size: size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
        protocol: protocol(exchange.version).to_owned(),
        body,
        raw_body,
    };
    let micros = exchange.started_unix;
    let time = Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or_default(),
        nanos: i32::try_from(micros % 1_000_000 * 1_000).unwrap_or_default(),
    };
    let connection = &exchange.connection;
    let local = SocketAddress { address: String::new(), port_value: connection.local_port.into() };
    let tls = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
    CheckRequest {
        attributes: Some(Attributes {
            source: Some(peer(source(exchange))),
            destination: Some(peer(local)),
            request: Some(AttributeRequest { time: Some(time), http: Some(http) }),
            context_extensions: HashMap::from([
                ("route".to_owned(), exchange.route.name.to_string()),
                ("listener".to_owned(), connection.listener.to_string()),
            ]),
            tls_session: tls.map(|sni| TlsSession { sni: sni.to_owned() }),
        }),
    }
}

/// The true client, with the port of its connection where it came directly.
fn source(exchange: &Exchange) -> SocketAddress {
    let peer = exchange.connection.peer;
    let ip = exchange.client_ip.or(peer.map(|peer| peer.ip()));
    let port = peer.filter(|peer| Some(peer.ip()) == ip).map_or(0, |peer: SocketAddr| peer.port());
    SocketAddress {
        address: ip.map(|ip| ip.to_string()).unwrap_or_default(),
        port_value: port.into(),
    }
}

fn peer(address: SocketAddress) -> Peer {
    Peer { address: Some(Address { socket_address: Some(address) }) }
}

fn headers(from: &HeaderMap, names: Option<&[HeaderName]>) -> HashMap<String, String> {
    let mut all: HashMap<String, String> = HashMap::new();
    for (name, value) in from {
        if names.is_some_and(|names| !names.contains(name)) {
            continue;
        }
        match all.get_mut(name.as_str()) {
            // What several lines of a field are in one (RFC 9110 section 5.3, RFC 9113 section 8.2.3).
            Some(known) => {
                known.push_str(if *name == COOKIE { "; " } else { "," });
                known.push_str(&text(value));
            }
            None => {
                all.insert(name.as_str().to_owned(), text(value));
            }
        }
    }
    all
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
