//! Who the client really is: the peer, or what a trusted peer says. One answer per request, used by
//! matching, policies, forwarding and logs alike.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

use super::forwarding::X_FORWARDED_FOR;
use crate::config::model::{ClientIpFrom, Listener};

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; `None` on a Unix socket without a trusted header.
    pub(crate) ip: Option<IpAddr>,
    /// The peer is a trusted proxy, so what it forwards is believed.
    pub(crate) trusted: bool,
}

/// Finds the client.
pub(crate) fn resolve(
    peer: Option<SocketAddr>,
    listener: &Listener,
    headers: &HeaderMap,
) -> Client {
    let peer = peer.map(|peer| peer.ip().to_canonical());
    if listener.trusted_proxies.is_empty() {
        return Client { ip: peer, trusted: false };
    }
    let is_trusted = |ip: IpAddr| listener.trusted_proxies.iter().any(|net| net.contains(&ip));
    // A Unix socket is the machine's own: it is trusted as soon as anybody is.
    if peer.is_some_and(|peer| !is_trusted(peer)) {
        return Client { ip: peer, trusted: false };
    }
    let named = match &listener.client_ip_from {
        ClientIpFrom::XForwardedFor => {
            right_most(headers, &X_FORWARDED_FOR, &listener.trusted_proxies, parse_address)
        }
        ClientIpFrom::Forwarded => {
            right_most(headers, &FORWARDED, &listener.trusted_proxies, parse_forwarded)
        }
        ClientIpFrom::Header(name) => {
            headers.get(name).and_then(|value| value.to_str().ok()).and_then(parse_address)
        }
    };
    Client { ip: named.or(peer), trusted: true }
}

/// Walks a list field from the right over trusted hops; the first other address is the client. An
/// entry that is no address ends the walk: what stands left of it is not to be believed.
fn right_most(
    headers: &HeaderMap,
    name: &HeaderName,
    trusted: &[IpNet],
    parse: fn(&str) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    let mut last = None;
    for value in values.iter().rev() {
        for item in value.to_str().ok()?.rsplit(',') {
            let Some(ip) = parse(item.trim()) else { return last };
            last = Some(ip);
            if !trusted.iter().any(|net| net.contains(&ip)) {
                return last;
            }
        }
    }
    last
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// `for=` of one element of RFC 7239 `Forwarded`.
fn parse_forwarded(element: &str) -> Option<IpAddr> {
    let pair = element
        .split(';')
        .map(str::trim)
        .find(|pair| pair.get(..4).is_some_and(|key| key.eq_ignore_ascii_case("for=")))?;
    parse_address(&pair[4..])
}
