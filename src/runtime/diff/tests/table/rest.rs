//! The rows of listeners, sections and upstreams.

use super::holds;

#[test]
fn the_edge() {
    let wrap = |text: &str| format!("{text}\nroutes: {{ r: {{ respond: 200 }} }}\n");
    holds(
        &[
            ("listeners: { a: \"127.0.0.1:1\" }", "listeners: { a: \":1\" }", &["W address"]),
            ("listeners: { a: \":1\" }", "listeners: { a: \"127.0.0.1:1\" }", &["N address"]),
            ("listeners: { a: \":1\" }", "listeners: { a: \":2\" }", &["O address"]),
            ("listeners: { a: \":1\" }", "listeners: { a: \":1\", b: \":2\" }", &["W "]),
            ("listeners: { a: \":1\", b: \":2\" }", "listeners: { a: \":1\" }", &["N "]),
            (
                "listeners: { a: { address: \":1\", tls: dev } }",
                "listeners: { a: \":1\" }",
                &["W tls"],
            ),
            (
                "listeners: { a: \":1\" }",
                "listeners: { a: { address: \":1\", max_connections: 9 } }",
                &["N max_connections", "N limits.connections_per_client"],
            ),
            (
                "listeners: { a: \":1\" }",
                "listeners: { a: { address: \":1\", trusted_proxies: [10.0.0.0/8] } }",
                &["W trusted_proxies"],
            ),
            (
                "listeners: { a: \":1\" }",
                "listeners: { a: { address: \":1\", timeouts: { idle: 5s } } }",
                &["O timeouts.idle"],
            ),
            (
                "listeners: { a: { address: \":1\", tls: { client_auth: { mode: require, ca: /ca.pem } } } }\ntls: { certificates: [{ cert: /c, key: /k }] }",
                "listeners: { a: { address: \":1\", tls: { client_auth: { mode: optional, ca: /ca.pem } } } }\ntls: { certificates: [{ cert: /c, key: /k }] }",
                &["W client_auth"],
            ),
            ("tls: { min_version: \"1.3\" }", "", &["W min_version"]),
            ("", "admin: { address: \":9900\" }", &["W address"]),
            ("admin: { address: none }", "", &["O address"]),
            ("admin: { address: \":9900\" }", "admin: { address: none }", &["N address"]),
            ("server: { name: a }", "server: { name: a, workers: 3 }", &["O workers"]),
            (
                "server: { name: a }",
                "server: { name: a, pass_headers: [x-remote-user] }",
                &["W pass_headers"],
            ),
            (
                "server: { name: a }",
                "server: { name: a, normalize: { encoded_slash: keep } }",
                &["W normalize.encoded_slash"],
            ),
            (
                "server: { name: a }",
                "server: { name: a, drain: { delay: 1s } }",
                &["O drain.delay"],
            ),
            ("logs: { level: debug }", "", &["O level"]),
            ("metrics: { path: /m }", "", &["O path"]),
        ],
        wrap,
    );
}

#[test]
fn upstreams() {
    let wrap = |text: &str| format!("upstreams: {{ u: {text} }}\nroutes: {{ r: {{ to: u }} }}\n");
    holds(
        &[
            ("https://a:1", "http://a:1", &["W endpoints"]),
            ("http://a:1", "[http://a:1, http://b:1]", &["O endpoints"]),
            ("[http://a:1, http://b:1]", "[http://b:1, http://a:1]", &["O endpoints"]),
            (
                "{ endpoints: \"https://a:1\", tls: { verify: true } }",
                "{ endpoints: \"https://a:1\", tls: { verify: false } }",
                &["W tls.verify"],
            ),
            (
                "{ endpoints: \"https://a:1\" }",
                "{ endpoints: \"https://a:1\", tls: { ca: /ca.pem } }",
                &["N tls.ca"],
            ),
            ("http://a:1", "{ endpoints: http://a:1, lb: random }", &["O lb"]),
            ("http://a:1", "{ endpoints: http://a:1, health: /up }", &["O health"]),
            (
                "http://a:1",
                "{ endpoints: [{ url: \"http://a:1\", weight: 7 }] }",
                &["O endpoints http://a:1 weight"],
            ),
            (
                "http://a:1",
                "{ endpoints: http://a:1, connect_timeout: 3s }",
                &["O connect_timeout"],
            ),
            ("http://a:1", "{ endpoints: http://a:1, protocol: h2 }", &["O protocol"]),
            ("http://a:1", "{ endpoints: http://a:1, limits: { requests: 9 } }", &["O limits"]),
            (
                "{ endpoints: http://a:1, sticky: { cookie: c, secret: 0123456789abcdef0123456789abcdef } }",
                "{ endpoints: http://a:1, sticky: { cookie: c, secret: ffffffffffffffffffffffffffffffff } }",
                &["O sticky"],
            ),
        ],
        wrap,
    );
}
