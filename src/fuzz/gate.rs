//! The gate: whatever it accepts has one host of legal characters, one canonical path, no field
//! that passes for one of ours, and is accepted again as it is.

use std::{net::Ipv6Addr, sync::LazyLock};

use http::{HeaderMap, Method, Version, header::HOST, request::Parts};

use super::{RULES, path, request};
use crate::{
    config::{self, Input, model::ListenerLimits},
    routing::{Normalize, canonical},
    server::gate::{self, Checked},
};

pub(super) const LIMITS: ListenerLimits =
    ListenerLimits { header_size: 32_768, header_count: 100, uri_length: 8192, h2_streams: 128 };

/// Names that mean something to us or to the framing of a message.
const OWNED: [&str; 14] = [
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "upgrade",
    "te",
    "via",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

pub(super) fn check(data: &[u8]) {
    let Some(head) = request::parse(data) else { return };
    for rules in &*GATES {
        if let Some(checked) = ask(&head, rules) {
            holds(&head, &checked, rules.normalize);
            again(head.clone(), &checked, rules);
        }
    }
}

/// Gates with everything an operator may choose about paths.
pub(super) static GATES: LazyLock<[gate::Rules; 4]> = LazyLock::new(|| {
    let text = "version: 1\nroutes: { a: { respond: { status: 200 } } }\n".to_owned();
    let loaded = config::load(&[Input::Text { name: "routes.yaml".to_owned(), text }], &|_| None);
    let file = loaded.config.expect("it is fine");
    RULES.map(|normalize| {
        let mut rules = gate::Rules::new(&file);
        rules.normalize = normalize;
        rules
    })
});

/// What the gate learns of a head it accepts.
pub(super) fn ask(head: &Parts, rules: &gate::Rules) -> Option<Checked> {
    let (mut head, mut checked) = (head.clone(), Checked::nothing());
    gate::check(&mut head, LIMITS, rules, &mut checked).ok()?;
    Some(checked)
}

fn holds(head: &Parts, checked: &Checked, rules: Normalize) {
    match (&checked.authority, head.version) {
        (None, Version::HTTP_10) => assert!(checked.host.is_empty()),
        (None, _) => panic!("no host"),
        (Some(authority), _) => {
            is_host(&checked.host);
            let written = authority.to_str().expect("ASCII").to_ascii_lowercase();
            assert!(written.starts_with(&*checked.host), "{written:?} {:?}", checked.host);
        }
    }
    for claimed in head.headers.get_all(HOST) {
        let authority = checked.authority.as_ref().map(|value| value.as_bytes());
        assert!(authority.is_some_and(|value| value.eq_ignore_ascii_case(claimed.as_bytes())));
    }
    let uri = &checked.uri;
    assert!(uri.scheme().is_none() && uri.authority().is_none(), "{uri}");
    assert_eq!(uri.query(), head.uri.query());
    assert!(uri.to_string().bytes().all(|b| b.is_ascii_graphic()), "{uri}");
    if uri.path() == "*" {
        assert_eq!(head.method, Method::OPTIONS);
    } else {
        path::is_clean(uri.path(), rules);
        assert_eq!(canonical(uri.path(), rules).as_deref(), Ok(uri.path()));
    }
    if head.method == Method::CONNECT {
        assert!(head.extensions.get::<hyper::ext::Protocol>().is_some());
    }
    assert!(head.headers.get_all("content-length").iter().count() <= 1);
    has_no_alias(&head.headers);
}

fn is_host(host: &str) {
    let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._~".contains(&b);
    let address = || host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address() {
        Some(address) => assert!(address.parse::<Ipv6Addr>().is_ok(), "{host:?}"),
        None => assert!(host.bytes().all(name) && !host.ends_with('.'), "{host:?}"),
    }
    assert!(!host.is_empty() && host.len() <= 253, "{host:?}");
}

fn has_no_alias(headers: &HeaderMap) {
    for name in headers.keys().map(|name| name.as_str()).filter(|name| name.contains('_')) {
        // What begins so is ours whatever follows, and treated so: it hides nothing.
        if name.starts_with("x-forwarded-") {
            continue;
        }
        let dashed = name.replace('_', "-");
        let owned = OWNED.contains(&&*dashed) || dashed.starts_with("x-forwarded-");
        assert!(!owned, "{name}");
    }
}

/// What was accepted is accepted once more in the form it leaves in, and nothing changes.
fn again(mut head: Parts, checked: &Checked, rules: &gate::Rules) {
    head.uri = checked.uri.clone();
    if let Some(authority) = &checked.authority {
        head.headers.insert(HOST, authority.clone());
    }
    let twice = ask(&head, rules).expect("accepted before");
    assert_eq!(
        (&twice.host, &twice.authority, &twice.uri),
        (&checked.host, &checked.authority, &checked.uri)
    );
    if checked.authority.is_some() {
        let host = checked.host.parse().expect("a value");
        head.headers.insert(HOST, host);
        let bare = ask(&head, rules).expect("a host is a Host");
        assert_eq!(bare.host, checked.host);
    }
}
