//! The fields that go on: nothing of the hop they came over, nothing a `Connection` named, and under
//! our names only what we put there, unless a trusted peer says it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST, request::Parts};

use super::{
    gate::{GATES, ask},
    request,
};
use crate::{
    config::{
        self, Input,
        model::{ClientIpFrom, Listener},
    },
    server::{
        client::Connection,
        client_addr::{self, Client},
        forwarding, gate,
    },
    upstream::incoming,
};

/// Fields of one hop: none goes on as it came.
const HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "te",
    "upgrade",
    "expect",
    "transfer-encoding",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
];
/// What `Connection` may not take away, because messages are framed and routed by it.
const KEPT: [&str; 3] = ["host", "content-length", "via"];

static PEER: LazyLock<SocketAddr> = LazyLock::new(|| SocketAddr::from(([10, 0, 0, 1], 4321)));

/// Whose claims are believed: nobody's, the peer's `X-Forwarded-For`, the peer's `Forwarded`.
static LISTENERS: LazyLock<[Listener; 3]> = LazyLock::new(|| {
    let more = [
        "",
        ", trusted_proxies: [10.0.0.0/8]",
        ", trusted_proxies: [10.0.0.0/8], client_ip_from: forwarded",
    ];
    more.map(|more| {
        let text = format!(
            "version: 1\nlisteners: {{ web: {{ address: \"127.0.0.1:1\"{more} }} }}\n\
             routes: {{ a: {{ respond: {{ status: 200 }} }} }}\n"
        );
        let loaded =
            config::load(&[Input::Text { name: "routes.yaml".to_owned(), text }], &|_| None);
        loaded.config.expect("it is fine").listeners["web"].clone()
    })
});

pub(super) fn check(data: &[u8]) {
    let Some(head) = request::parse(data) else { return };
    for listener in &*LISTENERS {
        request_fields(head.clone(), listener);
    }
    response_fields(head.headers.clone());
    trailer_fields(head.headers);
}

/// The way of a request's fields through `gateway::Gateway::handle`.
fn request_fields(mut head: Parts, listener: &Listener) {
    let sent = head.headers.clone();
    let client = client_addr::resolve(Some(*PEER), listener, &sent);
    let rules = &GATES[0];
    let Some(checked) = ask(&head, rules) else { return };
    assert_eq!(client.trusted, !listener.trusted_proxies.is_empty());
    if client.trusted && listener.client_ip_from == ClientIpFrom::XForwardedFor {
        not_left_of_a_stranger(&sent, client);
    }
    let connection = Connection::new("web".into(), 0, Some(*PEER), 8443, None);
    let (fields, from) = (checked.fields, &listener.client_ip_from);
    forwarding::remove_unwanted(&mut head.headers, fields, rules, client.trusted, from);
    forwarding::strip(&mut head.headers, fields);
    for name in HOP {
        assert!(!head.headers.contains_key(name), "{name} goes on");
    }
    named_are_gone(&sent, &head.headers);
    only_less(&sent, &head.headers);
    let stripped = head.headers.clone();
    forwarding::add(
        &mut head.headers,
        &connection,
        checked.authority.as_ref(),
        client,
        checked.fields.claims,
    );
    others_untouched(&stripped, &head.headers);
    if client.trusted {
        chain_is_kept(&stripped, &head.headers);
        assert_eq!(head.headers["x-real-ip"], client.ip.expect("a peer").to_string());
    } else {
        nothing_claimed(&head.headers, checked.authority.as_ref(), client);
    }
}

/// Nothing that stands left of an address nobody trusts can become the client.
fn not_left_of_a_stranger(sent: &HeaderMap, client: Client) {
    let values = sent.get_all("x-forwarded-for").iter();
    let chain: Vec<_> = values.map(|v| v.to_str().expect("ASCII")).collect();
    let mut allowed = vec![PEER.ip()];
    for item in chain.join(",").rsplit(',') {
        let item = item.trim().trim_matches('"').trim_matches(['[', ']']);
        let address = item.parse::<SocketAddr>().map(|address| address.ip());
        let Ok(ip) = item.parse::<IpAddr>().or(address) else { break };
        allowed.push(ip.to_canonical());
        if !matches!(ip.to_canonical(), IpAddr::V4(ip) if ip.octets()[0] == 10) {
            break;
        }
    }
    let ip = client.ip.expect("a peer");
    assert!(allowed.contains(&ip), "{ip} of {chain:?}");
}

/// Without trust every field under our names is ours, and there is no other.
fn nothing_claimed(headers: &HeaderMap, authority: Option<&HeaderValue>, client: Client) {
    assert_eq!(client.ip, Some(PEER.ip()));
    let mut ours = vec![
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", "10.0.0.1"),
    ];
    ours.extend(authority.map(|value| ("x-forwarded-host", value.to_str().expect("ASCII"))));
    ours.sort_unstable();
    let mut found: Vec<_> = headers.iter().filter(|(name, _)| is_ours(name)).collect();
    found.sort_unstable_by_key(|(name, _)| name.as_str());
    let found: Vec<_> =
        found.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap_or("?"))).collect();
    assert_eq!(found, ours);
}

/// With trust the chain grows by the peer, at its right end, and nothing of it is lost.
fn chain_is_kept(before: &HeaderMap, after: &HeaderMap) {
    let list = |headers: &HeaderMap| {
        let values = headers.get_all("x-forwarded-for").iter();
        values.map(|v| v.to_str().expect("ASCII").to_owned()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(after.get_all("x-forwarded-for").iter().count(), 1);
    let (claimed, chain) = (list(before), list(after));
    let empty = !before.contains_key("x-forwarded-for");
    let wanted = if empty { "10.0.0.1".to_owned() } else { format!("{claimed}, 10.0.0.1") };
    assert_eq!(chain, wanted);
    for name in ["x-forwarded-proto", "x-forwarded-port", "x-real-ip"] {
        assert!(after.contains_key(name), "{name}");
    }
}

fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

fn others_untouched(before: &HeaderMap, after: &HeaderMap) {
    let others = |headers: &HeaderMap| -> Vec<_> {
        let all = headers.iter().filter(|(name, _)| !is_ours(name));
        let mut all: Vec<_> = all.map(|(n, v)| (n.clone(), v.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        all
    };
    assert_eq!(others(before), others(after));
}

/// Whatever is still there was sent just so.
fn only_less(sent: &HeaderMap, left: &HeaderMap) {
    for name in left.keys() {
        let (sent, left) = (sent.get_all(name), left.get_all(name));
        assert!(sent.iter().eq(left.iter()), "{name}");
    }
}

/// Fields named by a token of `Connection` are gone.
fn named_are_gone(sent: &HeaderMap, left: &HeaderMap) {
    for value in sent.get_all("connection") {
        let text = value.to_str().expect("ASCII").to_ascii_lowercase();
        for token in text.split(',').map(str::trim).filter(|token| !KEPT.contains(token)) {
            if gate::is_claim(token) {
                continue;
            }
            assert!(!left.contains_key(token), "{token} was named and goes on");
        }
    }
}

/// The same fields as those of an answer.
fn response_fields(mut headers: HeaderMap) {
    // Answers with other bytes are not looked at closely: a token is ASCII.
    if headers.get_all("connection").iter().any(|value| value.to_str().is_err()) {
        return;
    }
    let sent = headers.clone();
    let ours = HeaderName::from_static("x-request-id");
    let mut response = http::Response::new(());
    std::mem::swap(response.headers_mut(), &mut headers);
    let Ok(stream) = incoming::accept(&mut response, Some(&ours)) else { return };
    let headers = std::mem::take(response.headers_mut());
    let mut kinds = sent.get_all("content-type").iter();
    let events = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/event-stream");
    assert_eq!(stream, kinds.any(events));
    let names = ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"];
    for name in names.into_iter().chain(["proxy-authenticate", ours.as_str()]) {
        assert!(!headers.contains_key(name), "{name} goes on");
    }
    let framings = sent.get_all("content-length").iter().count()
        + sent.get_all("transfer-encoding").iter().count();
    assert!(framings < 2, "two framings go on");
    named_are_gone(&sent, &headers);
    only_less(&sent, &headers);
}

/// The same fields as trailers: nothing in them may pass for part of a head.
fn trailer_fields(mut headers: HeaderMap) {
    let sent = headers.clone();
    incoming::clean_trailers(&mut headers);
    let never = ["content-length", "transfer-encoding", "connection", "te", "authorization"];
    for name in never.into_iter().chain([HOST.as_str(), "trailer"]) {
        assert!(!headers.contains_key(name), "{name} goes on");
    }
    assert!(!headers.keys().any(is_ours), "{headers:?}");
    only_less(&sent, &headers);
    incoming::clean_request_trailers(&mut headers);
    assert!(!headers.keys().any(|name| gate::is_claim(name.as_str())), "{headers:?}");
    only_less(&sent, &headers);
}
