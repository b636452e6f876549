//! What a request wishes of the choice of an endpoint: the one its sticky cookie names, or the one its
//! key hashes to. Read once per request, before the first try.

use http::{HeaderMap, HeaderValue, header};

use super::{balance::hash, care::Care, sticky::Sticky};
use crate::{config::model::HashOn, layers::Request, telemetry::exchange::Exchange};

/// A cookie that names the endpoint of a client.
#[derive(Debug)]
pub(crate) struct StickyCookie {
    /// Its name.
    pub(crate) name: String,
    /// `; Max-Age=…`, or nothing.
    pub(crate) life: String,
    /// The value of each endpoint.
    pub(crate) values: Sticky,
}

/// What a request wishes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// The endpoint its cookie names.
    pub(crate) sticky: Option<usize>,
    /// The hash of its key.
    pub(crate) key: Option<u64>,
}

// === impl Wish ===

impl Wish {
    /// The wish of this request.
    pub(crate) fn of(request: &Request, care: &Care, exchange: &Exchange) -> Self {
        let headers = request.headers();
        let sticky = care.sticky.as_ref().and_then(|sticky| {
            cookies(headers, sticky.name.as_bytes())
                .filter_map(|value| std::str::from_utf8(value).ok())
                .find_map(|value| sticky.values.find(value))
        });
        let key = care.hash_on.as_ref().and_then(|on| key(on, request, exchange));
        Self { sticky, key }
    }
}

/// The hash of what `hash_on` names; `None` if the request does not have it.
fn key(on: &HashOn, request: &Request, exchange: &Exchange) -> Option<u64> {
    match on {
        HashOn::ClientIp => match exchange.client_ip?.to_canonical() {
            std::net::IpAddr::V4(address) => Some(hash::of(&address.octets())),
            std::net::IpAddr::V6(address) => Some(hash::of(&address.octets())),
        },
        HashOn::Header(name) => request.headers().get(name).map(|value| hash::of(value.as_bytes())),
        HashOn::Cookie(name) => cookies(request.headers(), name.as_bytes()).next().map(hash::of),
        HashOn::Query(name) => {
            query(exchange.uri.query()?, name).map(|value| hash::of(value.as_bytes()))
        }
        HashOn::Path => Some(hash::of(exchange.uri.path().as_bytes())),
    }
}

/// The values of a cookie, in the order sent (RFC 6265 section 4.2).
fn cookies<'h>(headers: &'h HeaderMap, name: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    pairs.flat_map(|value| value.split(|byte| *byte == b';')).filter_map(move |pair| {
        let pair = pair.trim_ascii();
        pair.strip_prefix(name)?.strip_prefix(b"=").map(<[u8]>::trim_ascii)
    })
}

/// The value of a query parameter, as written.
fn query<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

// === impl StickyCookie ===

impl StickyCookie {
    /// The `Set-Cookie` that pins a client to the endpoint at this position.
    pub(crate) fn set(&self, at: usize, secure: bool) -> Option<HeaderValue> {
        let value = self.values.value(at)?;
        let secure = if secure { "; Secure" } else { "" };
        let text =
            format!("{}={value}; Path=/{}; HttpOnly; SameSite=Lax{secure}", self.name, self.life);
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others_and_never_by_a_part_of_their_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; tg=x; xtg=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("tgx=z;tg = no; tg=last"));
        let all: Vec<_> = cookies(&headers, b"tg").collect();
        assert_eq!(all, [b"x".as_slice(), b"last"]);
    }

    #[test]
    fn a_query_parameter_is_its_first_value() {
        assert_eq!(query("a=1&b=2&b=3", "b"), Some("2"));
        assert_eq!(query("flag&b", "flag"), Some(""));
        assert_eq!(query("ab=1", "a"), None);
    }
}
