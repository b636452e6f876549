//! `ip`: client addresses that may pass.

use crate::support::prelude::*;

fn yaml(upstream: &Raw, more: &str) -> String {
    format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }}\n\
         policies:\n  ip:\n    office: {{ allow: [203.0.113.0/24, \"2001:db8::/32\"], deny: 203.0.113.66 }}\n\
         \x20   watched: {{ deny: [203.0.113.0/24], mode: shadow }}\n{more}\
         routes:\n  app: {{ match: /app, to: \"{0}\", ip: office }}\n  \
         open: {{ match: /open, to: \"{0}\", ip: none }}\n  \
         shadow: {{ match: /shadow, to: \"{0}\", ip: watched }}\n  \
         inline: {{ match: /inline, respond: 204, ip: {{ deny: 203.0.113.7 }} }}\n",
        upstream.url()
    )
}

fn from(gateway: &Gateway, client: &str, target: &str) -> crate::support::http::Response {
    let field = format!("X-Forwarded-For: {client}");
    gateway.client().exchange("GET", "h", target, &[&field, "Connection: close"])
}

#[test]
fn only_the_networks_named_may_pass_and_deny_beats_allow() {
    let upstream = Raw::text("in");
    let gateway = Gateway::start(&yaml(&upstream, ""));
    for (client, good) in [
        ("203.0.113.7", true),
        ("2001:db8::7", true),
        ("203.0.113.66", false),
        ("192.0.2.1", false),
        ("2001:db9::1", false),
        // Whoever writes the left of the list is not believed.
        ("203.0.113.7, 192.0.2.1", false),
    ] {
        let answer = from(&gateway, client, "/app");
        assert_eq!(answer.status, if good { 200 } else { 403 }, "{client}");
        assert!(good || answer.reason() == "ip_denied", "{client}");
    }
    assert_eq!(upstream.requests().len(), 2, "the others cost the upstream nothing");
    let labels = |route, result| [("route", route), ("kind", "ip"), ("result", result)];
    let count =
        |route, result| gateway.metric("tidegate_policy_decisions_total", &labels(route, result));
    assert_eq!((count("app", "allowed"), count("app", "denied")), (Some(2.0), Some(4.0)));
    assert_eq!(from(&gateway, "192.0.2.1", "/open").status, 200);
    assert_eq!(from(&gateway, "203.0.113.7", "/shadow").status, 200, "it only watches");
    assert_eq!((count("shadow", "shadow"), count("shadow", "denied")), (Some(1.0), None));
    assert_eq!(from(&gateway, "203.0.113.7", "/inline").status, 403);
    assert_eq!(from(&gateway, "203.0.113.8", "/inline").status, 204);
    let line = gateway.access_log(1).into_iter().find(|line| line["status"] == 403).unwrap();
    assert_eq!(line["reason"], "ip_denied", "{line}");
}

/// A choice replaces what is inherited as a whole.
#[test]
fn a_route_replaces_what_it_inherits() {
    let upstream = Raw::text("in");
    let more = "defaults: { ip: { allow: 192.0.2.0/24 }, upstream: { connect_timeout: 15s } }\n";
    let gateway = Gateway::start(
        &(yaml(&upstream, more) + "  inherits: { match: /inherits, respond: 204 }\n"),
    );
    assert_eq!(from(&gateway, "192.0.2.1", "/inherits").status, 204);
    assert_eq!(from(&gateway, "203.0.113.7", "/inherits").status, 403);
    assert_eq!(from(&gateway, "203.0.113.7", "/app").status, 200, "only `office` counts");
    assert_eq!(from(&gateway, "192.0.2.1", "/app").status, 403);
    assert_eq!(from(&gateway, "198.51.100.1", "/open").status, 200);
    let other = yaml(&upstream, "").replace("deny: 203.0.113.7 ", "deny: 203.0.113.9 ");
    let said = gateway.reload(&other);
    assert!(said.contains("inline") && said.contains(" ip"), "{said}");
    assert_eq!(from(&gateway, "203.0.113.9", "/inline").status, 403);
    assert_eq!(from(&gateway, "203.0.113.7", "/inline").status, 204);
}
