//! Where in a request the key is, and how it is taken out before the upstream sees the request.
//! Nothing else of it changes by a byte.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, COOKIE},
    uri::PathAndQuery,
};

/// What carries the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The value of this header; of `authorization` what follows `Bearer`, if it begins so.
    Header(HeaderName),
    /// The first value of this parameter, with its escapes decoded.
    Query(String),
    /// The value of this cookie.
    Cookie(String),
}

/// What a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'r> {
    None,
    One(Cow<'r, [u8]>),
    /// Two services could read two different ones.
    Several,
}

// === impl Carrier ===

impl Carrier {
    /// Reads `header:NAME`, `query:NAME` or `cookie:NAME`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("header", name) => HeaderName::from_bytes(name.as_bytes()).ok().map(Self::Header),
            ("query", name) if !name.is_empty() => Some(Self::Query(name.to_owned())),
            // A cookie's name is a token, as a header's is; only that its case counts.
            ("cookie", name) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Some(Self::Cookie(name.to_owned()))
            }
            _ => None,
        }
    }

    /// What this request carries.
    pub(crate) fn take<'r>(&self, uri: &'r Uri, headers: &'r HeaderMap) -> Found<'r> {
        match self {
            Self::Header(name) => {
                let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
                let bearer = *name == AUTHORIZATION;
                only(values.map(|value| Cow::Borrowed(if bearer { token(value) } else { value })))
            }
            Self::Query(name) => {
                let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
                only(pairs.filter_map(|pair| parameter(pair, name)).map(unescaped))
            }
            Self::Cookie(name) => {
                let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
                let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
                only(pairs.filter_map(|pair| cookie(pair, name)).map(Cow::Borrowed))
            }
        }
    }

    /// Takes it out, all occurrences.
    pub(crate) fn remove(&self, uri: &mut Uri, headers: &mut HeaderMap) {
        match self {
            Self::Header(name) => {
                headers.remove(name);
            }
            Self::Query(name) => {
                let Some(query) = uri.query() else { return };
                let is_ours = |pair: &&str| parameter(pair, name).is_some();
                if query.split('&').any(|pair| is_ours(&pair)) {
                    let rest: Vec<_> = query.split('&').filter(|pair| !is_ours(pair)).collect();
                    let rest = (!rest.is_empty()).then(|| rest.join("&"));
                    *uri = with_query(uri, rest.as_deref());
                }
            }
            Self::Cookie(name) => remove_cookie(headers, name),
        }
    }
}

/// One, or why there is not one.
fn only<'r>(mut values: impl Iterator<Item = Cow<'r, [u8]>>) -> Found<'r> {
    match (values.next(), values.next()) {
        (None, _) => Found::None,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

// === headers ===

/// What follows `Bearer`, in any case; without it, everything.
fn token(value: &[u8]) -> &[u8] {
    match value.split_first_chunk::<7>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => value,
    }
}

// === the query ===

/// The value of a pair, as written, if it is one of `name`. Services decode names, so we do.
pub(crate) fn parameter<'q>(pair: &'q str, name: &str) -> Option<&'q str> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let is_it = key == name
        || (key.contains(['%', '+']) && *unescaped(&key.replace('+', " ")) == *name.as_bytes());
    is_it.then_some(value)
}

/// Without its percent escapes; a bad escape stands for itself. No key has a space in it, so `+` is
/// a plus: keys in base64 are often not escaped.
pub(crate) fn unescaped(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        plain.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(plain)
}

/// The same target with another query.
fn with_query(uri: &Uri, query: Option<&str>) -> Uri {
    let path = uri.path();
    let target = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.ok();
    // Parts of what was one are one. If they were not, the key must not go on all the same.
    Uri::from_parts(parts).unwrap_or_default()
}

// === cookies ===

/// The value of a pair if it is one of `name` (RFC 6265 section 5.2).
pub(crate) fn cookie<'h>(pair: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let at = memchr::memchr(b'=', pair)?;
    (pair[..at].trim_ascii() == name.as_bytes()).then(|| pair[at + 1..].trim_ascii())
}

fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
        line.as_bytes().split(|byte| *byte == b';')
    }
    let has_it = |line: &HeaderValue| pairs(line).any(|pair| cookie(pair, name).is_some());
    if !headers.get_all(COOKIE).iter().any(has_it) {
        return;
    }
    let lines: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        if !has_it(&line) {
            headers.append(COOKIE, line);
            continue;
        }
        let rest: Vec<_> = pairs(&line).filter(|pair| cookie(pair, name).is_none()).collect();
        let rest = rest.join(&b';');
        // The space that stood behind the first `;`.
        if let Ok(mut value) = HeaderValue::from_bytes(rest.trim_ascii_start())
            && !value.is_empty()
        {
            value.set_sensitive(line.is_sensitive());
            headers.append(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn header(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn one(value: &str) -> Found<'_> {
        Found::One(Cow::Borrowed(value.as_bytes()))
    }

    #[track_caller]
    fn finds(carrier: &str, target: &str, headers: &[(&str, &str)], expected: &Found<'_>) {
        let (uri, headers) = (target.parse().unwrap(), header(headers));
        let found = Carrier::parse(carrier).unwrap().take(&uri, &headers);
        assert_eq!(found, *expected, "{carrier} {target} {headers:?}");
    }

    /// What is left of the target and of the headers.
    #[track_caller]
    fn leaves(carrier: &str, target: &str, headers: &[(&str, &str)]) -> (String, HeaderMap) {
        let (mut uri, mut headers) = (target.parse().unwrap(), header(headers));
        let carrier = Carrier::parse(carrier).unwrap();
        carrier.remove(&mut uri, &mut headers);
        assert_eq!(carrier.take(&uri, &headers), Found::None, "{uri} {headers:?}");
        (uri.to_string(), headers)
    }

    #[test]
    fn carriers_have_a_kind_and_a_name() {
        let name = HeaderName::from_static("x-api-key");
        assert_eq!(Carrier::parse("header:X-Api-Key"), Some(Carrier::Header(name)));
        assert_eq!(Carrier::parse("query:key"), Some(Carrier::Query("key".into())));
        assert_eq!(Carrier::parse("cookie:Key"), Some(Carrier::Cookie("Key".into())));
        for wrong in ["", "header", "header:", "header:a b", "query:", "cookie:a=b", "body:key"] {
            assert_eq!(Carrier::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn from_a_header() {
        let from = "header:x-api-key";
        finds(from, "/", &[("x-other", "a")], &Found::None);
        finds(from, "/", &[("X-Api-Key", "Bearer a, b")], &one("Bearer a, b"));
        finds(from, "/", &[("x-api-key", "")], &one(""));
        finds(from, "/", &[("x-api-key", "a"), ("x-api-key", "a")], &Found::Several);
        let (_, left) = leaves(from, "/", &[("x-api-key", "a"), ("x-api-key", "b"), ("x", "y")]);
        assert_eq!(left, header(&[("x", "y")]));
    }

    #[test]
    fn from_authorization() {
        let from = "header:authorization";
        for (value, key) in [
            ("Bearer tg_key", "tg_key"),
            ("bEARER   tg_key", "tg_key"),
            ("tg_key", "tg_key"),
            ("ApiKey tg_key", "ApiKey tg_key"),
            ("Bearertg_key", "Bearertg_key"),
            ("Bearer", "Bearer"),
            ("Bearer ", ""),
        ] {
            finds(from, "/", &[("authorization", value)], &one(key));
        }
    }

    #[test]
    fn from_the_query() {
        for (target, found) in [
            ("/", Found::None),
            ("/?", Found::None),
            ("/key=a?keys=b&Key=c&a=key", Found::None),
            ("/?a=b&key=tg_a", one("tg_a")),
            ("/?key=a%2Bb+c%3d%3D&x", one("a+b+c==")),
            ("/?key=%zz%4", one("%zz%4")),
            ("/?k%65y=a", one("a")),
            ("/?key", one("")),
            ("/?key=a=b", one("a=b")),
            ("/?key=a&key=a", Found::Several),
            ("/?key=a&%6B%65%79=b", Found::Several),
            ("http://host/?key=a", one("a")),
        ] {
            finds("query:key", target, &[], &found);
        }
        finds("query:my key", "/?my+key=a", &[], &one("a"));
        finds("query:my key", "/?my%20key=a", &[], &one("a"));
    }

    #[test]
    fn out_of_the_query() {
        for (target, left) in [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?key=x", "/a"),
            ("/a?key=x&b=%c3&&c", "/a?b=%c3&&c"),
            ("/a?b=1&key=x&c=2&%6bey=y", "/a?b=1&c=2"),
            ("/a?&key", "/a?"),
            ("http://host:81/a/?b&key=x", "http://host:81/a/?b"),
            ("*", "*"),
            ("host:443", "host:443"),
        ] {
            assert_eq!(leaves("query:key", target, &[]).0, left, "{target}");
        }
    }

    #[test]
    fn from_and_out_of_a_cookie() {
        let from = "cookie:key";
        finds(from, "/", &[("cookie", "keys=a; key; Key=b; x=key=c")], &Found::None);
        finds(from, "/", &[("cookie", "a=b; key=c=d ;e")], &one("c=d"));
        finds(from, "/", &[("cookie", "a=b"), ("cookie", "key=c")], &one("c"));
        finds(from, "/", &[("cookie", "key=a"), ("cookie", "key=a")], &Found::Several);
        finds(from, "/", &[("cookie", "key=a;key=b")], &Found::Several);
        for (line, left) in [
            ("key=x", &[][..]),
            ("key=x; a=1; b=2", &[("cookie", "a=1; b=2")]),
            ("a=1;key=x;  b=\"2\"", &[("cookie", "a=1;  b=\"2\"")]),
            ("a=1; key = x", &[("cookie", "a=1")]),
        ] {
            assert_eq!(leaves(from, "/", &[("cookie", line)]).1, header(left), "{line}");
        }
        let lines = [("cookie", "a=1"), ("x", "y"), ("cookie", "key=x"), ("cookie", "b;key=y;")];
        let (_, left) = leaves(from, "/", &lines);
        assert_eq!(left, header(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b;")]));
        let (_, left) =
            leaves(from, "/", &[("cookie", " a=1"), ("cookie", ""), ("cookie", "key=x")]);
        assert_eq!(left, header(&[("cookie", " a=1"), ("cookie", "")]), "not ours, not touched");
    }

    fn pairs() -> impl Strategy<Value = Vec<(&'static str, String)>> {
        let names =
            ["key", "%6bey", "k%65y", "%6B%65%79", "keys", "ke", "Key", "a", "", "k+y", "%6"];
        vec((select(names.to_vec()), "(=[a-z%+=0-9]{0,6})?"), 0..8)
    }

    proptest! {
        #[test]
        fn the_rest_of_a_query_stays_byte_for_byte(pairs in pairs()) {
            let ours = ["key", "%6bey", "k%65y", "%6B%65%79"];
            let text = |ours_too: bool| {
                let kept = pairs.iter().filter(|(name, _)| ours_too || !ours.contains(name));
                kept.map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>()
            };
            let (before, after) = (text(true), text(false));
            let target = format!("/path/%41?{}", before.join("&"));
            let (left, _) = leaves("query:key", &target, &[]);
            let expected = if after.len() == before.len() {
                target
            } else if after.is_empty() {
                "/path/%41".to_owned()
            } else {
                format!("/path/%41?{}", after.join("&"))
            };
            prop_assert_eq!(left, expected);
        }

        #[test]
        fn the_other_cookies_stay_in_their_order(
            lines in vec(vec((select(vec!["key", "keys", "Key", "a", ""]), "=[a-z=\" ]{0,5}"), 1..6), 0..4),
            gap in select(vec!["; ", ";", ";  "]),
        ) {
            let shown = |with: bool| -> Vec<String> {
                let line = |pairs: &Vec<(&str, String)>| {
                    let kept = pairs.iter().filter(|(name, _)| with || *name != "key");
                    kept.map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>().join(gap)
                };
                lines.iter().map(line).collect()
            };
            let before = shown(true);
            let before: Vec<_> = before.iter().map(|line| ("cookie", line.as_str())).collect();
            let (_, left) = leaves("cookie:key", "/", &before);
            let after: Vec<_> = shown(false).into_iter().filter(|line| !line.is_empty()).collect();
            let left: Vec<_> = left.get_all(COOKIE).iter().map(|l| l.to_str().unwrap()).collect();
            prop_assert_eq!(left, after);
        }
    }
}
