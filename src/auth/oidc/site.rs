//! The site a request is for, as the browser knows it, and whether it is a person who asks.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCEPT, HOST, ORIGIN},
};

use super::cookies::Secure;
use crate::{server::forwarding::X_FORWARDED_PROTO, telemetry::exchange::Exchange};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Scheme and authority of a site that logins may be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// `https://shop.example.com`.
    pub(crate) origin: String,
    pub(crate) secure: Secure,
}

// === impl Site ===

impl Site {
    /// The site of a request; `None` if it is neither https nor this very machine. `https`, if known, is
    /// what the operator says.
    pub(crate) fn of(headers: &HeaderMap, exchange: &Exchange) -> Option<Self> {
        let forwarded = headers.get(X_FORWARDED_PROTO).filter(|_| exchange.trusted);
        let https = match forwarded {
            Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
            None => exchange.connection.tls.is_some(),
        };
        let authority = exchange.authority.as_ref().or_else(|| headers.get(HOST))?.to_str().ok()?;
        let scheme = if https { "https" } else { "http" };
        Self::new(format!("{scheme}://{authority}"))
    }

    /// The site of a URL of the operator's; `None` as above.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let end = url.find("://")? + 3;
        let end = url[end..].find(['/', '?', '#']).map_or(url.len(), |at| end + at);
        Self::new(url[..end].to_owned())
    }

    fn new(origin: String) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let secure = match scheme {
            "https" => Secure::Yes,
            "http" if is_loopback(authority) => Secure::Loopback,
            _ => return None,
        };
        Some(Self { origin, secure })
    }
}

/// Names that lead to this very machine in every browser.
fn is_loopback(authority: &str) -> bool {
    let authority: Option<http::uri::Authority> = authority.parse().ok();
    let Some(authority) = authority else { return false };
    let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Whether a person looks at a page: only they can log in. Everybody else is told that they must.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap, exchange: &Exchange) -> bool {
    if method != Method::GET || exchange.grpc || headers.contains_key(X_REQUESTED_WITH) {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => {
            let text = |value: &http::HeaderValue| {
                value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("text/html"))
            };
            headers.get_all(ACCEPT).iter().any(text)
        }
    }
}

/// Whether the site itself, or the person at the address bar, asks for this: a page of anybody else
/// cannot. Browsers that do not say are believed a form of this origin.
pub(crate) fn is_own_wish(method: &Method, headers: &HeaderMap, site: &Site) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(from) => from == "same-origin" || from == "none",
        None => {
            let same = |origin: &http::HeaderValue| {
                origin.as_bytes().eq_ignore_ascii_case(site.origin.as_bytes())
            };
            method == Method::POST && headers.get(ORIGIN).is_some_and(same)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_that_logins_may_be_for() {
        for (url, origin) in [
            ("https://shop.example.com/a", Some("https://shop.example.com")),
            ("https://shop.example.com:8443?a", Some("https://shop.example.com:8443")),
            ("http://localhost:8080/", Some("http://localhost:8080")),
            ("http://app.LOCALHOST", Some("http://app.LOCALHOST")),
            ("http://127.0.0.2/a", Some("http://127.0.0.2")),
            ("http://[::1]:80/a", Some("http://[::1]:80")),
            ("http://[::ffff:127.0.0.1]/a", Some("http://[::ffff:127.0.0.1]")),
            ("http://shop.example.com/", None),
            ("http://localhost.example.com/", None),
            ("http://127.0.0.1.example.com/", None),
            ("http://128.0.0.1/", None),
            ("ftp://localhost/", None),
            ("/a", None),
        ] {
            let site = Site::of_url(url);
            assert_eq!(site.as_ref().map(|it| &*it.origin), origin, "{url}");
            let secure = site.map(|it| it.secure);
            assert!(secure.is_none_or(|it| (it == Secure::Yes) == url.starts_with("https")));
        }
    }

    #[test]
    fn logouts_are_the_wish_of_the_site_or_of_the_person() {
        let site = Site::of_url("https://app.example.com/").unwrap();
        let own = "https://app.example.com";
        for (method, from, origin, expected) in [
            ("GET", Some("same-origin"), None, true),
            ("GET", Some("none"), None, true),
            ("POST", Some("same-origin"), Some(own), true),
            ("GET", Some("same-site"), None, false),
            ("GET", Some("cross-site"), None, false),
            ("POST", Some("cross-site"), Some(own), false),
            ("GET", None, None, false),
            ("GET", None, Some(own), false),
            ("POST", None, Some(own), true),
            ("POST", None, Some("https://evil.example.com"), false),
            ("POST", None, Some("null"), false),
            ("POST", None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(from) = from {
                headers.insert(SEC_FETCH_SITE, from.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            let method = method.parse().unwrap();
            assert_eq!(is_own_wish(&method, &headers, &site), expected, "{method} {headers:?}");
        }
    }
}
