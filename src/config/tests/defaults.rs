//! The defaults of the table are those of the decoder.

use std::fmt::Write;

use super::{
    super::fields::{
        ADMIN, BREAKER, HEALTH, LISTENER, LOGS, METRICS, OUTLIER, RATE_LIMIT, RETRY, ROUTE, SERVER,
        STICKY, Section, Status, TLS, Type, UPSTREAM,
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
