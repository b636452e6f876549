//! What rules say of one request, which of them are refused, and what they may cost.

mod agree;
mod bounds;
mod refused;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::{
    auth::Claims,
    body::Body,
    layers::Request,
    telemetry::{exchange::Exchange, exchange::Head, testing},
};

/// A request as rules see it: that of [`testing::head`], with these fields and claims.
pub(super) struct Asked {
    request: Request,
    exchange: Exchange,
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(head: Head, claims: serde_json::Value) -> Self {
        let exchange = Exchange::new(head);
        let serde_json::Value::Object(claims) = claims else { panic!("claims are a map") };
        exchange.note(|outcome| {
            outcome.consumer = Some("ann".into());
            outcome.claims = Some(Arc::<Claims>::new(claims));
        });
        let mut request = Request::new(Body::empty());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "text/html"),
            ("accept", "*/*"),
            ("x-team", "blue"),
            ("x-real", "10.1.2.3"),
            ("x-latin", "caf\u{e9}"),
        ] {
            let bytes: Vec<u8> =
                value.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let value = HeaderValue::from_bytes(&bytes).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        *request.headers_mut() = headers;
        Self { request, exchange }
    }

    pub(super) fn usual() -> Self {
        let mut head = testing::head();
        head.uri = "/orders/7?page=2&x=1&x=2&n+m=a+b%21&bad=%ff".parse().unwrap();
        head.started_unix = 1_795_250_026_500_000; // Saturday 2026-11-21T08:33:46.5Z
        let claims = json!({
            "sub": "u-7", "level": 3, "score": 0.5, "big": u64::MAX, "none": null, "staff": true,
            "groups": ["admin", "dev", 7], "scope": "read write", "auth_time": 1_795_250_000,
            "nested": { "team": { "id": 9 } }, "empty": [],
        });
        Self::new(head, claims)
    }

    #[track_caller]
    pub(super) fn says(&self, text: &str) -> Result<bool, Failed> {
        let rule = match Rule::compile(text) {
            Ok(rule) => rule,
            Err(problem) => panic!("{text}: {problem:?}"),
        };
        rule.holds(&Facts::new(&self.request, &self.exchange, rule.asks_who))
    }
}

/// Each holds.
const TRUE: &[&str] = &[
    "true",
    "request.method == 'GET' && request.method != \"POST\"",
    "request.path == '/orders/7' && request.path.startsWith('/orders/')",
    "request.path.endsWith('/7') && request.path.contains('ders') && !request.path.contains('?')",
    "request.path.matches('^/orders/[0-9]+$') && !request.path.matches(r'\\.\\.')",
    "request.host == 'shop.example.com'",
    "request.query['page'] == '2' && request.query.page == '2' && 'page' in request.query",
    "request.query['n m'] == 'a b!'",
    "!('y' in request.query) && !has(request.query.y) && has(request.query.page)",
    "request.headers['accept'] == 'text/html, */*' && request.headers.accept.contains('*/*')",
    "'x-team' in request.headers && !('x-other' in request.headers)",
    "request.protocol == 'HTTP/2' && request.scheme == 'https'",
    "client.ip == '203.0.113.9' && client.tls && client.listener == 'web'",
    "inNetwork(client.ip, '203.0.113.0/24') && !inNetwork(client.ip, '10.0.0.0/8')",
    "inNetwork(client.ip, ['10.0.0.0/8', '203.0.113.9', 'fd00::/8'])",
    "inNetwork(request.headers['x-real'], '10.0.0.0/8')",
    "consumer == 'ann' && consumer in ['bob', 'ann']",
    "claims.sub == 'u-7' && claims['sub'] == 'u-7' && has(claims.sub) && !has(claims.email)",
    "'admin' in claims.groups && !('root' in claims.groups) && 7 in claims.groups",
    "claims.groups.exists(g, g == 'dev') && claims.groups.exists(g, g.startsWith('ad'))",
    "claims.groups.exists_one(g, g == 'dev') && !claims.groups.all(g, g == 'dev')",
    "claims.groups.filter(g, g != 7).all(g, g in ['admin', 'dev'])",
    "claims.groups.filter(g, g != 7).map(g, g.upperAscii()) == ['ADMIN', 'DEV']",
    "claims.groups.map(g, g != 7, size(g)) == [5, 3] && claims.groups.size() == 3",
    "claims.empty.all(x, x == 1) && !claims.empty.exists(x, x == 1) && size(claims.empty) == 0",
    "'write' in claims.scope.split(' ') && !('rea' in claims.scope.split(' '))",
    "claims.level >= 3 && claims.level < 3.5 && claims.level == 3.0 && claims.score == 0.5",
    "claims.big > 0 && claims.big == 18446744073709551615u && claims.none == null",
    "claims.nested.team.id == 9 && has(claims.nested.team) && claims.nested == claims.nested",
    "claims.exists(k, k == 'sub') && claims.nested.all(k, k == 'team')",
    "claims.staff && !(!claims.staff) && (claims.staff ? 1 : 2) == 1",
    "route.name == 'orders' && route.labels['team'] == 'checkout' && 'team' in route.labels",
    "now > timestamp('2026-11-21T08:33:46Z') && now < timestamp('2026-11-21T09:33:47+01:00')",
    "now - timestamp(claims.auth_time) < duration('5m') && now - duration('1h30m') < now",
    "now.getFullYear() == 2026 && now.getMonth() == 10 && now.getDate() == 21",
    "now.getDayOfWeek() == 6 && now.getHours() == 8 && now.getMinutes() == 33",
    "int(now) == 1795250026 && int('7') == 7 && int(7.9) == 7 && string(7) == '7'",
    "double('0.5') == 0.5 && double(1) == 1.0 && -1 < 0 && -claims.level == -3",
    "1 + 2 * 3 == 7 && 7 / 2 == 3 && 7 % 4 == 3 && 'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
    "'ABC'.lowerAscii() == 'abc' && size('äö') == 2 && [1, 'a', null][1] == 'a'",
    "[[1, 2], [3]].exists(x, x.exists(y, y == 3)) && claims.level != 'a' && [1] != ['1'] && null != 1",
    // What decides does so whatever is wrong beside it.
    "claims.missing == 1 || true",
    "!(false && claims.missing == 1) && !(claims.missing == 1 && false)",
    "claims.groups.exists(g, g.startsWith('dev')) && !['a', 1].all(g, g.startsWith('b'))",
];

/// Neither holds nor does not.
const FAILING: &[(&str, Failed)] = &[
    ("claims.missing == 1", Failed::NoSuchKey),
    ("claims.missing != 1", Failed::NoSuchKey),
    ("!(claims.missing == 1)", Failed::NoSuchKey),
    ("claims.missing == 1 || false", Failed::NoSuchKey),
    ("true && claims.missing == 1", Failed::NoSuchKey),
    ("request.headers['x-other'] == ''", Failed::NoSuchKey),
    ("request.query['y'] == ''", Failed::NoSuchKey),
    ("request.query['x'] == '1'", Failed::Ambiguous),
    ("'x' in request.query", Failed::Ambiguous),
    ("request.query['bad'] == 'a'", Failed::NoText),
    ("request.headers['x-latin'] == 'a'", Failed::NoText),
    ("claims.sub", Failed::WrongType),
    ("claims.sub && true", Failed::WrongType),
    ("claims.level > 'a'", Failed::WrongType),
    ("claims.sub + 1 == 2", Failed::WrongType),
    ("claims.sub.team == 1", Failed::WrongType),
    ("has(claims.sub.team)", Failed::WrongType),
    ("has(claims.missing.team)", Failed::NoSuchKey),
    ("claims.sub.all(x, true)", Failed::WrongType),
    (
        "claims.groups.all(g, g != 'admin' || g > 1) || claims.groups.all(g, g.size() > 0)",
        Failed::WrongType,
    ),
    ("claims.groups[3] == 1", Failed::NoSuchKey),
    ("claims.groups[-1] == 1", Failed::NoSuchKey),
    ("inNetwork(claims.sub, '10.0.0.0/8')", Failed::NoAddress),
    ("claims.big + 1u > 0u", Failed::OutOfRange),
    ("claims.level / 0 == 1", Failed::OutOfRange),
    ("claims.level % 0 == 1", Failed::OutOfRange),
    ("-9223372036854775808 / -1 == 1", Failed::OutOfRange),
    ("9223372036854775807 + claims.level > 0", Failed::OutOfRange),
    ("timestamp(claims.big) > now", Failed::OutOfRange),
    ("int(claims.score * 1e300) == 1", Failed::OutOfRange),
    ("int(claims.sub) == 7", Failed::WrongType),
    ("claims.scope.split('') == []", Failed::WrongType),
];

#[test]
fn what_rules_say() {
    let asked = Asked::usual();
    for text in TRUE {
        assert_eq!(asked.says(text), Ok(true), "{text}");
        assert_eq!(asked.says(&format!("!({text})")), Ok(false), "{text}");
    }
}

#[test]
fn what_cannot_be_evaluated_says_nothing() {
    let asked = Asked::usual();
    for (text, why) in FAILING {
        assert_eq!(asked.says(text), Err(*why), "{text}");
        // Nor the other way round.
        if asked.says(text) != Err(Failed::WrongType) {
            assert_eq!(asked.says(&format!("!({text})")), Err(*why), "{text}");
        }
    }
}

#[test]
fn nobody_known_has_no_name_and_no_claims_and_no_address_is_in_no_network() {
    let mut head = testing::head();
    head.client_ip = None;
    let asked = Asked { request: Request::new(Body::empty()), exchange: Exchange::new(head) };
    assert_eq!(asked.says("consumer == '' && size(claims) == 0 && client.ip == ''"), Ok(true));
    assert_eq!(asked.says("inNetwork(client.ip, '0.0.0.0/0')"), Err(Failed::NoAddress));
    let mut head = testing::head();
    head.client_ip = "::ffff:10.1.2.3".parse().ok();
    let asked = Asked { request: Request::new(Body::empty()), exchange: Exchange::new(head) };
    assert_eq!(
        asked.says("inNetwork(client.ip, '10.0.0.0/8') && client.ip == '10.1.2.3'"),
        Ok(true)
    );
}
