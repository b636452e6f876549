//! The fields that tell an upstream who asked and how: hop-by-hop fields out first (RFC 9110 section
//! 7.6.1), so that a client cannot name ours in `Connection`, then what a client may not say. That
//! happens before a route is looked for, so that routes and policies see no field the upstream will
//! not see; only the fixed ones of this hop (`Upgrade` and its kin) stay until a route is found, as
//! routes may ask for them. Ours are added when it is known that the request goes on.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, EXPECT, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA},
};

use super::{
    client::Connection,
    client_addr::Client,
    gate::{self, Fields},
};
use crate::{
    config::model::ClientIpFrom,
    http1::{write_field, write_line},
    limit::fields,
    telemetry::exchange::{Exchange, Late},
};

/// `X-Forwarded-For`.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`.
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Real-IP`.
pub(crate) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What a client asked of this hop, taken out of the head and put back by the upstream side as far
/// as it applies there.
#[derive(Clone, Debug, Default)]
pub(crate) struct HopRequest {
    /// The protocol of `Upgrade`, when `Connection: upgrade` asked for it.
    pub(crate) upgrade: Option<HeaderValue>,
    /// There was an `Upgrade`, asked for or not: the wire holds what follows the request.
    pub(crate) held: bool,
    /// `TE: trailers`.
    pub(crate) trailers: bool,
    /// `Expect: 100-continue`.
    pub(crate) expect: bool,
}

/// Takes the fixed hop-by-hop fields out. Those named by `Connection` are gone already.
pub(crate) fn strip(headers: &mut HeaderMap, fields: Fields) -> HopRequest {
    let mut hop = HopRequest::default();
    if fields.te {
        hop.trailers = has_token(headers, &TE, "trailers");
        headers.remove(TE);
    }
    if fields.upgrade {
        let asked = has_token(headers, &CONNECTION, "upgrade");
        hop.upgrade = headers.remove(UPGRADE).filter(|_| asked);
        hop.held = true;
    }
    if fields.expect {
        let expectation = headers.remove(EXPECT);
        hop.expect =
            expectation.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    }
    if fields.connection {
        headers.remove(CONNECTION);
    }
    if fields.hop {
        headers.remove(TRANSFER_ENCODING);
        headers.remove(KEEP_ALIVE);
        headers.remove(PROXY_CONNECTION);
        headers.remove(HTTP2_SETTINGS);
        headers.remove(PROXY_AUTHORIZATION);
    }
    hop
}

/// Takes `Connection` out, and the fields it names.
pub(crate) fn remove_connection(headers: &mut HeaderMap) {
    remove_named(headers);
    headers.remove(CONNECTION);
}

/// Whether a `Connection` only says whether the connection stays.
pub(crate) fn names_nothing(value: &HeaderValue) -> bool {
    match value.as_bytes() {
        b"keep-alive" | b"close" => true,
        other => other.eq_ignore_ascii_case(b"keep-alive") || other.eq_ignore_ascii_case(b"close"),
    }
}

/// Takes out the fields `Connection` names. Most only say whether the connection stays.
fn remove_named(headers: &mut HeaderMap) {
    if headers.get_all(CONNECTION).iter().all(names_nothing) {
        return;
    }
    let tokens: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
    gate::remove_named(headers, &tokens);
}

/// Whether a list field holds `token`.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|item| {
            let item = item.split(';').next().unwrap_or_default();
            item.trim().eq_ignore_ascii_case(token)
        })
    })
}

/// Takes out what is not meant for us (named by `Connection`) and what this client may not say:
/// overrides of path and method, whoever it is, and claims of who asks, unless it is a trusted proxy.
pub(crate) fn remove_unwanted(
    headers: &mut HeaderMap,
    fields: Fields,
    rules: &gate::Rules,
    trusted: bool,
    client_ip_from: &ClientIpFrom,
) {
    if fields.connection {
        remove_named(headers);
    }
    if fields.overrides {
        remove_where(headers, |name| gate::is_override(name.as_str()) && !rules.passes(name));
    }
    if trusted {
        return;
    }
    if fields.claims {
        remove_where(headers, |name| gate::is_claim(name.as_str()) && !rules.passes(name));
    }
    if let ClientIpFrom::Header(name) = client_ip_from {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Writes our fields. What a trusted proxy said stays.
pub(crate) fn add(
    headers: &mut HeaderMap,
    connection: &Connection,
    authority: Option<&HeaderValue>,
    client: Client,
    claims: bool,
) {
    let keep = client.trusted && claims;
    // Room for all of them at once.
    headers.reserve(8);
    let chain = if keep { headers.get_all(X_FORWARDED_FOR).iter().next().cloned() } else { None };
    match chain {
        Some(chain) => append_address(headers, &chain, &connection.peer_value),
        None => {
            headers.insert(X_FORWARDED_FOR, connection.peer_value.clone());
        }
    }
    let real = match client.ip {
        Some(ip) if client.trusted => HeaderValue::from_str(&ip.to_string()).ok(),
        _ => None,
    };
    headers.insert(X_REAL_IP, real.unwrap_or_else(|| connection.peer_value.clone()));
    if !(keep && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto(connection)));
    }
    if !(keep && headers.contains_key(X_FORWARDED_PORT)) {
        headers.insert(X_FORWARDED_PORT, connection.port_value.clone());
    }
    if let Some(authority) = authority
        && !(keep && headers.contains_key(X_FORWARDED_HOST))
    {
        headers.insert(X_FORWARDED_HOST, authority.clone());
    }
}

/// Of our own fields, those the configuration decides.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Carries the request id.
    pub(crate) request_id: HeaderName,
    /// `Via`, unless it is switched off.
    pub(crate) via: Option<ViaValues>,
}

impl Own {
    /// Whether our fields may be written late: without them nothing of ours is in the head of a client
    /// that is not trusted, as the gate can tell when this is so.
    pub(crate) fn can_be_late(&self) -> bool {
        let id = self.request_id.as_str();
        id.starts_with("x-") && !gate::is_claim(id) && !gate::is_override(id)
    }

    /// Writes what [`add`] and its kin would put into the map, as lines: for a request whose head
    /// nobody looks at on its way, from a client that is not trusted.
    pub(crate) fn write(&self, text: &mut Vec<u8>, exchange: &Exchange) {
        let connection = &exchange.connection;
        text.extend_from_slice(connection.lines.lock().get_or_insert_with(|| lines(connection)));
        if let Some(authority) = &exchange.authority {
            write_field(text, &X_FORWARDED_HOST, authority);
        }
        self.write_id(text, exchange);
        if let Some(via) = &self.via {
            write_field(text, &VIA, via.of(exchange.version));
        }
    }

    /// Writes the fields of an answer that were left to whoever writes its head.
    pub(crate) fn write_answer(&self, text: &mut Vec<u8>, exchange: &Exchange) {
        if exchange.take_owed(Late::Answer) {
            self.write_id(text, exchange);
        }
        if exchange.take_owed(Late::Limits) {
            exchange.note(|outcome| fields::write(text, &outcome.limits));
        }
        if let Some(via) = self.via.as_ref().filter(|_| exchange.take_owed(Late::Via)) {
            write_field(text, &VIA, &via.h11);
        }
    }

    /// The same into a map, if they have to go there after all.
    pub(crate) fn insert_answer(&self, headers: &mut HeaderMap, exchange: &Exchange) {
        if exchange.take_owed(Late::Answer) {
            headers.insert(self.request_id.clone(), exchange.id.to_header());
        }
        if exchange.take_owed(Late::Limits) {
            exchange.note(|outcome| fields::insert(headers, &outcome.limits));
        }
        if let Some(via) = self.via.as_ref().filter(|_| exchange.take_owed(Late::Via)) {
            add_via(headers, via, Version::HTTP_11);
        }
    }

    fn write_id(&self, text: &mut Vec<u8>, exchange: &Exchange) {
        write_line(text, self.request_id.as_str().as_bytes(), exchange.id.as_bytes());
    }

    /// Those of a late request into a map, if they have to go there after all.
    pub(crate) fn insert_late(&self, headers: &mut HeaderMap, exchange: &Exchange) {
        if exchange.take_owed(Late::Request) {
            let client = Client { ip: exchange.client_ip, trusted: false };
            self.insert(headers, exchange, client, false);
        }
    }

    /// Those of a request into a map.
    pub(crate) fn insert(
        &self,
        headers: &mut HeaderMap,
        exchange: &Exchange,
        client: Client,
        claims: bool,
    ) {
        add(headers, &exchange.connection, exchange.authority.as_ref(), client, claims);
        headers.insert(self.request_id.clone(), exchange.id.to_header());
        if let Some(via) = &self.via {
            add_via(headers, via, exchange.version);
        }
    }
}

/// The fields every request of a connection has.
fn lines(connection: &Connection) -> Box<[u8]> {
    let mut text = Vec::with_capacity(128);
    write_field(&mut text, &X_FORWARDED_FOR, &connection.peer_value);
    write_field(&mut text, &X_REAL_IP, &connection.peer_value);
    write_field(&mut text, &X_FORWARDED_PROTO, &HeaderValue::from_static(proto(connection)));
    write_field(&mut text, &X_FORWARDED_PORT, &connection.port_value);
    text.into()
}

const fn proto(connection: &Connection) -> &'static str {
    if connection.tls.is_some() { "https" } else { "http" }
}

fn append_address(headers: &mut HeaderMap, first: &HeaderValue, peer: &HeaderValue) {
    let mut chain = first.as_bytes().to_vec();
    for more in headers.get_all(X_FORWARDED_FOR).iter().skip(1) {
        chain.extend_from_slice(b", ");
        chain.extend_from_slice(more.as_bytes());
    }
    chain.extend_from_slice(b", ");
    chain.extend_from_slice(peer.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&chain) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

/// Adds this hop to `Via` (RFC 9110 section 7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, via: &ViaValues, version: Version) {
    headers.append(VIA, via.of(version).clone());
}

/// How often our own name stands in `Via`.
pub(crate) fn times_seen(headers: &HeaderMap, name: &str) -> usize {
    let values = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter(|item| item.split_whitespace().nth(1) == Some(name))
        .count()
}

/// The `Via` of this gateway, one per version received.
#[derive(Clone, Debug)]
pub(crate) struct ViaValues {
    h10: HeaderValue,
    h11: HeaderValue,
    h2: HeaderValue,
}

// === impl ViaValues ===

impl ViaValues {
    /// `1.1 edge-1` and so on.
    pub(crate) fn new(name: &str) -> Self {
        let value = |version: &str| {
            HeaderValue::from_str(&format!("{version} {name}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 tidegate"))
        };
        Self { h10: value("1.0"), h11: value("1.1"), h2: value("2") }
    }

    fn of(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_2 => &self.h2,
            Version::HTTP_10 => &self.h10,
            _ => &self.h11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing;

    #[test]
    fn lines_and_map_say_the_same() {
        let request_id = HeaderName::from_static("x-request-id");
        let own = Own { request_id, via: Some(ViaValues::new("edge-1")) };
        assert!(own.can_be_late());
        let exchange = Exchange::new(testing::head());
        let (mut text, mut map, mut lines) = (Vec::new(), HeaderMap::new(), Vec::new());
        own.write(&mut text, &exchange);
        exchange.owe(Late::Request);
        own.insert_late(&mut map, &exchange);
        assert!(!exchange.owes(Late::Request));
        map.iter().for_each(|(name, value)| write_field(&mut lines, name, value));
        let sorted = |text: Vec<u8>| {
            let text = String::from_utf8(text).expect("text");
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let lines = sorted(lines);
        assert_eq!(sorted(text), lines);
        assert_eq!(lines.len(), 7);
        assert!(lines.contains(&"via: 2 edge-1".to_owned()), "{lines:?}");
    }

    #[test]
    fn an_id_that_is_one_of_our_own_fields_is_never_late() {
        for name in ["x-forwarded-for", "x-real-ip", "x-forwarded-trace", "via", "host"] {
            let own = Own { request_id: HeaderName::from_static(name), via: None };
            assert!(!own.can_be_late(), "{name}");
        }
    }
}
