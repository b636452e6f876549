//! The defaults of the table are those of the decoder.

use std::fmt::Write;

use super::{
    super::fields::{
        ADMIN, BREAKER, HEALTH, Inherit, LISTENER, LOGS, METRICS, OUTLIER, RATE_LIMIT, RETRY,
        ROUTE, SERVER, STICKY, Section, Status, TLS, Type, UPSTREAM,
    },
    read,
};

/// Every default of a section, written out.
fn written(section: &'static Section, skip: &[&str]) -> String {
    let mut text = String::new();
    for field in section.fields.iter().filter(|field| field.status == Status::Built) {
        if skip.contains(&field.key) {
            continue;
        }
        match (&field.ty, field.default) {
            (Type::Map(inner), "") => {
                let _ = write!(text, "{}: {{ {} }}, ", field.key, written(inner, skip));
            }
            (_, "") => {}
            (_, default) => {
                let _ = write!(text, "{}: {default}, ", field.key);
            }
        }
    }
    text
}

/// What a file means, without places.
fn meaning(text: &str) -> String {
    let loaded = read(text);
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let shown = format!("{config:?}").replace("idle_written: true", "idle_written: false");
    let places = regex::Regex::new(r"Place \{[^}]*\}").unwrap();
    places.replace_all(&shown, "_").into_owned()
}

#[test]
fn what_the_table_promises_is_what_happens() {
    let short = "version: 1\nlisteners: { http: \":8080\" }\nupstreams: { x: \"http://a:1\" }\n\
                 routes: { a: { to: x } }\n";
    let mut long = String::from("version: 1\n");
    let _ = writeln!(
        long,
        "listeners: {{ http: {{ address: \":8080\", {} }} }}",
        written(&LISTENER, &[])
    );
    let _ = writeln!(
        long,
        "upstreams: {{ x: {{ endpoints: \"http://a:1\", {} }} }}",
        written(&UPSTREAM, &["discover"])
    );
    let actions = ["match", "redirect", "respond"];
    let _ = writeln!(long, "routes: {{ a: {{ to: x, {} }} }}", written(&ROUTE, &actions));
    for (key, section) in [
        ("tls", &TLS),
        ("logs", &LOGS),
        ("metrics", &METRICS),
        ("admin", &ADMIN),
        ("server", &SERVER),
    ] {
        let _ = writeln!(long, "{key}: {{ {} }}", written(section, &["only"]));
    }
    for key in ["max_connections: 20000", "first_byte: 30s", "drain: { delay: 5s", "ca: system"] {
        assert!(long.contains(key), "{key} in\n{long}");
    }
    assert_eq!(meaning(&long), meaning(short));
}

/// Those of maps that are none unless somebody writes them.
#[test]
fn what_the_table_promises_of_a_short_form_is_what_happens() {
    let file = |upstream: &str, retry: &str| {
        format!(
            "version: 1\nupstreams: {{ x: {{ endpoints: [\"http://a:1\"], {upstream} }} }}\n\
             routes: {{ a: {{ to: x, retry: {retry} }} }}\n"
        )
    };
    let short = "health: /h, outlier: {}, breaker: {}, sticky: { cookie: c }";
    let long = format!(
        "health: {{ path: /h, {} }}, outlier: {{ {} }}, breaker: {{ {} }}, \
         sticky: {{ cookie: c, {} }}",
        written(&HEALTH, &[]),
        written(&OUTLIER, &[]),
        written(&BREAKER, &[]),
        written(&STICKY, &[])
    );
    for key in ["every: 10s", "max_ejected: 50%", "count: [5xx, timeout, connect]", "ttl: none"] {
        assert!(long.contains(key), "{key} in {long}");
    }
    let retry = format!("{{ times: 2, {} }}", written(&RETRY, &[]));
    assert!(retry.contains("when: [connect, reset, 502-504]"), "{retry}");
    assert_eq!(meaning(&file(&long, &retry)), meaning(&file(short, "2")));
}

#[test]
fn what_the_table_promises_of_a_rate_limit_is_what_happens() {
    let file = |limit: &str| {
        format!("version: 1\nroutes: {{ a: {{ to: \"http://a:1\", rate_limit: {limit} }} }}\n")
    };
    let long = format!("{{ limit: 95/min, burst: 9, {} }}", written(&RATE_LIMIT, &[]));
    for key in ["key: client_ip", "ipv6_prefix: 64", "keys: 100000", "cost: 1", "mode: enforce"] {
        assert!(long.contains(key), "{key} in {long}");
    }
    assert_eq!(meaning(&file(&long)), meaning(&file("95/min")));
}

/// Of each key what `defaults` say, and what is said on top of it.
const INHERITED: [(&str, &str, &str); 11] = [
    ("auth", "{ any: [a, b] }", "{ all: [a] }"),
    ("authorize", "x", "{ allow: client.tls }"),
    ("ip", "{ deny: 10.0.0.1 }", "{ allow: 10.0.0.0/8 }"),
    ("rate_limit", "{ limit: 5/s, burst: 3 }", "{ limit: 6/s }"),
    ("bandwidth", "{ total: { request: 1MiB/s } }", "{ total: { response: 1MiB/s } }"),
    ("concurrency", "{ limit: 5, queue: 3 }", "{ limit: 6 }"),
    ("priority_class", "high", "low"),
    ("headers", "{ request: { set: { A: b } } }", "{ request: { set: { C: d } } }"),
    ("body", "{ max: 1MiB }", "{ buffer: true }"),
    ("timeouts", "{ request: 50s }", "{ idle: 40s }"),
    ("retry", "{ times: 3, backoff: 99ms }", "{ times: 4 }"),
];

const INHERITED_BY_UPSTREAMS: [(&str, &str, &str); 13] = [
    ("lb", "random", "round_robin"),
    ("hash_on", "client_ip", "path"),
    ("slow_start", "10s", "11s"),
    ("sticky", "{ cookie: a, ttl: 1h }", "{ cookie: b }"),
    ("connect_timeout", "2s", "3s"),
    ("protocol", "h1", "h2"),
    ("host_header", "upstream", "client"),
    ("health", "{ path: /a, every: 7s }", "{ path: /b }"),
    ("outlier", "{ after: 7 }", "{ eject_for: 7s }"),
    ("breaker", "{ errors: 7% }", "{ window: 7s }"),
    ("limits", "{ connections: 7 }", "{ requests: 7 }"),
    ("pool", "{ idle: 7s }", "{ max_idle: 7 }"),
    ("tls", "{ server_name: a }", "{ ca: /b }"),
];

/// A route and an upstream with these keys, and where they were written left out.
fn inherits(defaults: &str, upstream: &str, route: &str) -> String {
    let file = format!(
        "version: 1\ndefaults: {{ {defaults} }}\nupstreams: {{ u: {{ endpoints: \"https://a\", {upstream} }} }}\n\
         policies:\n  auth:\n    a: {{ api_key: {{ keys: {{ ann: 0123456789abcdef }} }} }}\n    \
         b: {{ basic: {{ users_file: /b }} }}\n  authorize: {{ x: {{ deny: client.tls }} }}\n\
         routes: {{ r: {{ to: u, {route} }} }}\n"
    );
    let loaded = read(&file);
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let (mut route, mut upstream) = (config.routes["r"].clone(), config.upstreams["u"].clone());
    (route.origins, upstream.origins) = Default::default();
    let places = regex::Regex::new(r"Place \{[^}]*\}").unwrap();
    places.replace_all(&format!("{route:?}{upstream:?}"), "_").into_owned()
}

/// Whether what is said on top is all there is.
fn replaces(section: &'static Section, key: &str, weaker: &str, own: &str) -> bool {
    let (weaker, mut own) = (format!("{key}: {weaker}"), format!("{key}: {own}"));
    let of_route = std::ptr::eq(section, &ROUTE);
    let mut weak = if of_route { weaker } else { format!("upstream: {{ {weaker} }}") };
    if key == "hash_on" {
        weak = weak.replace("hash_on", "lb: hash, hash_on");
        own = format!("lb: hash, {own}");
    }
    let file = |defaults: &str| match of_route {
        true => inherits(defaults, "", &own),
        false => inherits(defaults, &own, ""),
    };
    let (alone, on_top) = (file(""), file(&weak));
    assert_ne!(inherits(&weak, "", ""), on_top, "{key}: what is written counts");
    alone == on_top
}

#[test]
fn what_is_inherited_is_replaced_or_stays_as_the_table_says() {
    for (section, keys) in [(&ROUTE, &INHERITED[..]), (&UPSTREAM, &INHERITED_BY_UPSTREAMS[..])] {
        let built = section.fields.iter().filter(|field| field.status == Status::Built);
        let inherited: Vec<_> = built.filter(|it| it.inherit != Inherit::Nothing).collect();
        assert_eq!(inherited.len(), keys.len());
        for field in inherited {
            let (key, weaker, own) = keys.iter().find(|it| it.0 == field.key).unwrap();
            let replaced = field.inherit == Inherit::Replaces;
            assert_eq!(replaces(section, key, weaker, own), replaced, "{key}");
        }
    }
}
