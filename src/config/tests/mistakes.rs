//! Every mistake: its words, its line and column, its proposal.

use super::{findings, read};

/// A good file with these lines added; their first line is line 4.
fn with(lines: &str) -> String {
    format!("version: 1\nroutes:\n  app: {{ to: \"http://a:1\" }}\n{lines}\n")
}

fn check(cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (lines, expected) in cases {
        let found = findings(&read(&with(lines)));
        if found != *expected {
            wrong.push(format!("{lines}\n  expected {expected:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn keys() {
    check(&[
        (
            "  b: { to: app, strip_prefx: /a }",
            &[
                "4:12: route `b` sends traffic to an unknown upstream `app`",
                "4:17: unknown key `strip_prefx` in route `b` (did you mean `strip_prefix`?)",
            ],
        ),
        ("rotes: {}", &["4:1: unknown key `rotes` at the top level (did you mean `routes`?)"]),
        (
            "  b: { to: \"http://a:1\", frobnicate: 1 }",
            &[
                "4:26: unknown key `frobnicate` in route `b` (known keys: `match`, `to`, `redirect`, `respond`, `strip_prefix`, `rewrite`, `mirror`, `priority`, `enabled`, `upgrade`, `auth`, `ip`, `rate_limit`, `cors`, `headers`, `cache`, `compress`, `body`, `timeouts`, `retry`, `errors`, `access_log`, `layers`, `labels`)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", auth: shoppers }",
            &["4:26: `auth` is part of the language, but this build cannot do it yet"],
        ),
        (
            "  b: { to: \"http://a:1\", timeout: 3s }",
            &["4:26: unknown key `timeout` in route `b` (did you mean `timeouts`?)"],
        ),
        (
            "listeners: { http: { port: 80 } }",
            &[
                "4:20: listener `http` has no `address`",
                "4:22: unknown key `port` in listener `http` (did you mean `address: \":8080\"`?)",
            ],
        ),
        (
            "  app: { to: \"http://b:1\" }",
            &["4:3: the key `app` is written twice (take one of them out)"],
        ),
        (
            "version: 1",
            &["1:1: no file has a route (`routes: { app: { to: \"http://127.0.0.1:3000\" } }`)"],
        ),
        (
            "  Shop: { to: \"http://b:1\" }",
            &[
                "4:3: `Shop` cannot be a name (names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters)",
            ],
        ),
        (
            "  none: { to: \"http://b:1\" }",
            &["4:3: `none` cannot be a name (it has a meaning of its own in the language)"],
        ),
        ("  b:", &["4:3: route `b` is empty"]),
        ("  b: 7", &["4:6: route `b` must be a map, not `7`"]),
        (
            "stores: {}\ntests: []",
            &[
                "4:1: `stores` is part of the language, but this build cannot do it yet",
                "5:1: `tests` is part of the language, but this build cannot do it yet",
            ],
        ),
        ("  ? [a]\n  : 1", &["4:5: a key must be text, not a list (is a `\"` missing around it?)"]),
        (
            "include: [../x.yaml]",
            &[
                "4:11: `../x.yaml` leaves the directory of the main file (take out `..`, or write an absolute path)",
            ],
        ),
        ("include: { file: x }", &["4:10: `include` takes a list of files, not a map"]),
        (
            "include: [{ file: x, hosts: [a] }]",
            &["4:11: a map in `include` is part of the language, but this build cannot do it yet"],
        ),
    ]);
}

#[test]
fn values() {
    check(&[
        (
            "  b: { to: \"http://a:1\", timeouts: { request: 10 } }",
            &["4:47: `request` in `timeouts` of route `b` has no unit: `10` (did you mean `10s`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", timeouts: { request: fast } }",
            &[
                "4:47: `request` in `timeouts` of route `b` must be a duration, not `fast` (like `250ms`, `10s`, `5m`)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", timeouts: { request: 0s } }",
            &["4:47: `request` in `timeouts` of route `b` must be at least 1ms"],
        ),
        (
            "  b: { to: \"http://a:1\", timeouts: { request: 1s, per_try: 2s } }",
            &["4:60: `per_try` is longer than `request` in route `b`"],
        ),
        (
            "  b: { to: \"http://a:1\", timeouts: 5s }",
            &[
                "4:36: `timeouts` in route `b` names an unknown policy `5s` (did you mean `{ request: 5s }`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", body: 10 }",
            &["4:32: `body` in route `b` has no unit: `10` (did you mean `10KiB`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", body: { max: 10M } }",
            &[
                "4:39: `max` in `body` of route `b` must be a size, not `10M` (like `512B`, `64KiB`, `10MiB`)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", body: { buffer: yes } }",
            &[
                "4:42: `buffer` in `body` of route `b` must be true or false, not `yes` (did you mean `true`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", enabled: on }",
            &[
                "4:35: `enabled` in route `b` must be true or false, not `on` (did you mean `true`?)",
            ],
        ),
        ("  b: { to: \"http://a:1\", enabled: }", &["4:26: `enabled` in route `b` is empty"]),
        (
            "  b: { to: \"http://a:1\", priority: 1001 }",
            &[
                "4:36: `priority` in route `b` must be a whole number from -1000 to 1000, not `1001`",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", errors: htm }",
            &[
                "4:34: `errors` in route `b` must be one of `auto`, `problem`, `html`, `text`, not `htm` (did you mean `html`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", labels: [a] }",
            &["4:34: `labels` in route `b` must be a map of text, not a list"],
        ),
        (
            "  b: { to: \"http://a:1\", upgrade: websocket }",
            &[
                "4:35: `upgrade` in route `b` must be a list, not `websocket` (did you mean `[websocket]`?)",
            ],
        ),
        (
            "logs: { access: { sample: 10 } }",
            &["4:27: `sample` in `access` of `logs` has no unit: `10` (did you mean `10%`?)"],
        ),
        (
            "logs: { access: ecs }",
            &["4:17: `access: ecs` is part of the language, but this build cannot do it yet"],
        ),
        (
            "logs: { access: { to: otlp, format: csv, only: { status: 4xx } } }",
            &[
                "4:23: `to: otlp` is part of the language, but this build cannot do it yet",
                "4:37: `format` in `access` of `logs` must be one of `json`, `clf`, `combined`, not `csv`",
                "4:58: `status` in `only` of `access` of `logs` must be a status or a range of them, not `4xx` (like `404` or `400-599`)",
            ],
        ),
        (
            "logs: { access: { to: stdot } }",
            &[
                "4:23: `to` in `access` of `logs` must be stdout, stderr or a path with a `/`, not `stdot` (did you mean `stdout`?)",
            ],
        ),
        (
            "metrics: { buckets: [1s, 1s], path: m }",
            &[
                "4:26: `buckets` in `metrics` must rise",
                "4:37: `path` in `metrics` must be a path that starts with `/`, not `m`",
            ],
        ),
        (
            "metrics: { buckets: [1] }",
            &["4:22: `buckets` in `metrics` has no unit: `1` (did you mean `1s`?)"],
        ),
        (
            "server: { name: \"my gateway\", workers: -1 }",
            &[
                "4:17: `name` in `server` must be made of letters, digits, `-`, `.` and `_`, not `my gateway`",
                "4:40: `workers` in `server` must be a whole number from 0 to 1024, not `-1`",
            ],
        ),
        (
            "admin: { address: 9900, ui: true }",
            &[
                "4:19: `9900` is not an address (did you mean `:9900`?)",
                "4:25: `ui` is part of the language, but this build cannot do it yet",
            ],
        ),
        (
            "tls: { min_version: 1.1 }",
            &["4:21: `min_version` in `tls` must be one of `1.2`, `1.3`, not `1.1`"],
        ),
        (
            "tls: { certificates: [{ cert: a.pem }] }",
            &["4:23: `certificates` of `tls` has no `key`"],
        ),
        (
            "  b: { to: \"http://a:1\", headers: { response: { set: { Bad Name: x } } } }",
            &["4:56: `Bad Name` is not the name of a header"],
        ),
        (
            "  b: { to: \"http://a:1\", headers: { request: { remove: [Connection] } } }",
            &["4:57: `connection` cannot be changed here: it belongs to the message itself"],
        ),
        (
            "  b: { to: \"http://a:1\", headers: { request: { set: { Host: x } } } }",
            &[
                "4:55: `host` cannot be changed here: it belongs to the message itself (`host_header` of the upstream says which Host it sees)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", headers: { request: { set: { X-A: a, x-a: b } } } }",
            &["4:63: the header `x-a` is written twice, names ignore case"],
        ),
        (
            "  b: { to: \"http://a:1\", layers: [{ name: audit }] }",
            &["4:35: `layers` of route `b` has no `at`"],
        ),
        (
            "  b: { to: \"http://a:1\", layers: [{ name: audit, at: after_aut }] }",
            &[
                "4:54: `at` in `layers` of route `b` must be one of `start`, `after_auth`, `before_upstream`, not `after_aut` (did you mean `after_auth`?)",
            ],
        ),
    ]);
}

#[test]
fn listeners() {
    check(&[
        ("listeners: {}", &["4:12: `listeners` is empty (leave it out to listen on `:8080`)"]),
        ("listeners: { http: 8080 }", &["4:20: `8080` is not an address (did you mean `:8080`?)"]),
        (
            "listeners: { http: \"localhost:80\" }",
            &["4:20: `localhost:80` is not an address (an IP address: `127.0.0.1:80`)"],
        ),
        (
            "listeners: { http: { address: \"example.com:80\" } }",
            &["4:31: `example.com:80` is not an address (the host must be an IP address)"],
        ),
        ("listeners: { http: { tls: dev } }", &["4:20: listener `http` has no `address`"]),
        (
            "listeners: { http: \"unix:x\", b: \"fd:\" }",
            &[
                "4:20: `unix:x` has no absolute path (`unix:/path`)",
                "4:33: `fd:` has no name of a socket (`fd:NAME`, with the FileDescriptorName= of the socket unit)",
            ],
        ),
        (
            "listeners: { a: \":80\", b: \":80\" }",
            &["4:27: listeners `b` and `a` have the same address"],
        ),
        (
            "listeners: { a: { address: \":80\", https_redirect: true } }",
            &["4:14: `https_redirect` in listener `a`, but no listener has TLS"],
        ),
        (
            "listeners: { a: { address: \":80\", https_redirect: 303 } }",
            &[
                "4:51: `https_redirect` in listener `a` must be true, false, 301, 302, 307 or 308, not `303`",
            ],
        ),
        (
            "listeners: { a: { address: \":443\", tls: true } }",
            &[
                "4:14: listener `a` has `tls: true`, but there is no certificate (`tls: { certificates: [{ cert: …, key: … }] }`, or `tls: dev` while developing)",
            ],
        ),
        (
            "listeners: { a: { address: \":443\", tls: dev, https_redirect: true } }",
            &["4:14: listener `a` has TLS itself, `https_redirect` is for plain ones"],
        ),
        (
            "listeners: { a: { address: \":443\", tls: atuo } }",
            &[
                "4:41: `tls` in listener `a` must be true, auto, dev or false, not `atuo` (did you mean `auto`?)",
            ],
        ),
        (
            "listeners: { a: { address: \":443\", tls: { min_version: \"1.3\" } } }",
            &[
                "4:43: `tls: { … }` is part of the language, but this build cannot do it yet (`tls: true`, `auto` or `dev`, with the settings in the `tls` section of the file)",
            ],
        ),
        (
            "listeners: { a: { address: \":443\", tls: dev, protocols: [h1, h2c] } }",
            &[
                "4:57: `h2c` is for listeners without TLS, listener `a` has TLS (did you mean `h2`?)",
            ],
        ),
        (
            "listeners: { a: { address: \":80\", protocols: [h2] } }",
            &["4:46: `h2` without TLS in listener `a` can never be spoken (did you mean `h2c`?)"],
        ),
        (
            "listeners: { a: { address: \":80\", protocols: h1 } }",
            &["4:46: `protocols` in listener `a` must be a list, not `h1` (did you mean `[h1]`?)"],
        ),
        (
            "listeners: { a: { address: \":80\", protocols: [h3, spdy] } }",
            &[
                "4:47: `h3` is part of the language, but this build cannot do it yet",
                "4:51: `protocols` in listener `a` must be made of `h1`, `h2`, `h2c`, not `spdy`",
            ],
        ),
        (
            "listeners: { a: { address: \":80\", trusted_proxies: [10.0.0.0/33] } }",
            &[
                "4:53: `trusted_proxies` in listener `a` must be made of networks, not `10.0.0.0/33` (like `10.0.0.0/8`)",
            ],
        ),
        (
            "listeners: { a: { address: \":80\", client_ip_from: \"a b\" } }",
            &["4:51: `client_ip_from` in listener `a` must be the name of a header, not `a b`"],
        ),
        (
            "listeners: { a: { address: \":80\", max_connections: 0 } }",
            &[
                "4:52: `max_connections` in listener `a` must be a whole number from 1 to 10000000, not `0`",
            ],
        ),
        (
            "listeners: { a: { address: \":80\", limits: { header_size: 10MiB } } }",
            &[
                "4:58: `header_size` in `limits` of listener `a` must be from 1KiB to 1MiB, not `10MiB`",
            ],
        ),
        (
            "listeners: { a: { address: \":80\", proxy_protocol: required } }",
            &["4:35: `proxy_protocol` is part of the language, but this build cannot do it yet"],
        ),
    ]);
}

#[test]
fn upstreams() {
    check(&[
        (
            "  b: { to: catlog }\nupstreams: { catalog: \"http://a:1\" }",
            &[
                "4:12: route `b` sends traffic to an unknown upstream `catlog` (did you mean `catalog`?)",
            ],
        ),
        (
            "  b: { to: localhost:3000 }",
            &[
                "4:12: route `b` sends traffic to an unknown upstream `localhost:3000` (did you mean `http://localhost:3000`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1/v2\" }",
            &[
                "4:12: an endpoint cannot have a path (end it after the port; `rewrite: /v2/{**}` on the route changes the path)",
            ],
        ),
        (
            "  b: { to: \"http://a:1?x=1\" }",
            &[
                "4:12: an endpoint cannot have a query (end it after the port; `rewrite: /{**}` on the route changes the path)",
            ],
        ),
        (
            "  b: { to: \"http://user:pw@a:1\" }",
            &[
                "4:12: an endpoint cannot hold a user or password (send credentials with `headers: { request: { set: { Authorization: … } } }`)",
            ],
        ),
        (
            "  b: { to: \"ftp://a\" }",
            &[
                "4:12: `ftp` is not a scheme of an endpoint (`http`, `https`, `h2c` (HTTP/2 in plain text) or `unix:/path`)",
            ],
        ),
        ("  b: { to: \"http://a:70000\" }", &["4:12: `a:70000` is not a host and port"]),
        ("  b: { to: \"http://\" }", &["4:12: `http://` has no host"]),
        (
            "  b: { to: \"unix:run/x\" }",
            &["4:12: `unix:run/x` has no absolute path (`unix:/path`)"],
        ),
        (
            "  b: { to: [x, y] }",
            &[
                "4:12: `to` in route `b` must be an upstream, a URL, or a map of weights, not a list (several upstreams have weights: `{ x: 1, y: 1 }`)",
            ],
        ),
        ("  b: { to: {} }", &["4:12: `to` in route `b` is empty"]),
        (
            "  b: { to: { x: 0, y: 0 } }\nupstreams: { x: \"http://a:1\", y: \"http://a:2\" }",
            &["4:12: all weights in route `b` are 0 (`enabled: false` switches a route off)"],
        ),
        (
            "  b: { to: { x: 90%, y: 10001 } }\nupstreams: { x: \"http://a:1\", y: \"http://a:2\" }",
            &[
                "4:17: the weight of `x` in route `b` must be a number from 0 to 10000, not `90%` (weights are shares: did you mean `90`?)",
                "4:25: the weight of `y` in route `b` must be a number from 0 to 10000, not `10001`",
            ],
        ),
        ("upstreams: { x: \"http://a:1\" }", &["4:14: no route uses the upstream `x`"]),
        ("upstreams: { x: [] }", &["4:17: upstream `x` has no endpoint"]),
        ("upstreams: { x: [a:1] }", &["4:18: `a:1` is not a URL (did you mean `http://a:1`?)"]),
        ("upstreams: { x: { lb: random } }", &["4:17: upstream `x` has no `endpoints`"]),
        (
            "upstreams: { x: { servers: [\"http://a:1\"] } }",
            &[
                "4:17: upstream `x` has no `endpoints`",
                "4:19: unknown key `servers` in upstream `x` (did you mean `endpoints`?)",
            ],
        ),
        (
            "upstreams: { x: { discover: { dns: { name: a } } } }",
            &["4:19: `discover` is part of the language, but this build cannot do it yet"],
        ),
        (
            "upstreams: { x: { endpoints: \"http://a:1\", lb: hash } }",
            &["4:48: `lb: hash` is part of the language, but this build cannot do it yet"],
        ),
        (
            "upstreams: { x: { endpoints: \"http://a:1\", lb: least_request } }",
            &[
                "4:48: `lb` in upstream `x` must be one of `round_robin`, `least_requests`, `random`, not `least_request` (did you mean `least_requests`?)",
            ],
        ),
        (
            "upstreams: { x: [\"http://a:1\", \"http://A:1/\"] }",
            &[
                "4:32: upstream `x` has the endpoint `http://a:1` twice (`{ url: …, weight: 2 }` gives it a larger share)",
            ],
        ),
        (
            "upstreams: { x: { endpoints: [{ weight: 1 }] } }",
            &["4:31: `endpoints` of upstream `x` has no `url`"],
        ),
        (
            "upstreams: { x: { endpoints: [{ url: \"http://a:1\", weight: 1001 }] } }",
            &[
                "4:60: `weight` in `endpoints` of upstream `x` must be a whole number from 0 to 1000, not `1001`",
            ],
        ),
        (
            "upstreams: { x: { endpoints: \"https://a\", tls: { cert: a.pem } } }",
            &["4:56: `cert` in `tls` of upstream `x` needs `key` beside it"],
        ),
        (
            "upstreams: { x: { endpoints: \"h2c://a\", protocol: h1 } }",
            &["4:30: upstream `x` speaks HTTP/1 only, `h2c` is HTTP/2 (did you mean `http://`?)"],
        ),
        (
            "upstreams: { x: { endpoints: \"http://a\", host_header: \"a b\" } }",
            &["4:55: `host_header` in upstream `x` must be client, upstream or a host, not `a b`"],
        ),
        (
            "  b: { to: x }\nupstreams: { x: { endpoints: \"https://a\", tls: { verify: false } } }",
            &[
                "5:58: `verify` in `tls` of upstream `x`: any certificate is accepted (`ca` names the authority to trust instead)",
            ],
        ),
        (
            "defaults: { upstream: { endpoints: [\"http://a\"] } }",
            &["4:25: `endpoints` cannot be inherited"],
        ),
        (
            "defaults: { upstream: { health: /healthz } }",
            &["4:25: `health` is part of the language, but this build cannot do it yet"],
        ),
    ]);
}

#[test]
fn routes() {
    check(&[
        (
            "  b: { match: a }",
            &["4:3: route `b` has no `to`, `redirect` or `respond` (it takes exactly one of them)"],
        ),
        (
            "  b: { to: \"http://a:1\", redirect: /x }",
            &[
                "4:26: route `b` has both `to` and `redirect` (it takes exactly one of `to`, `redirect` and `respond`)",
            ],
        ),
        (
            "  b: { redirect: www.example.com }",
            &[
                "4:18: `redirect` in route `b` must be a URL that starts with `/`, `http://`, `https://`, not `www.example.com` (did you mean `https://www.example.com`?)",
            ],
        ),
        (
            "  b: { redirect: { status: 304, to: /x } }",
            &[
                "4:28: `status` in `redirect` of route `b` must be one of `301`, `302`, `303`, `307`, `308`, not `304`",
            ],
        ),
        ("  b: { redirect: { status: 301 } }", &["4:18: `redirect` of route `b` has no `to`"]),
        (
            "  b: { respond: 99 }",
            &["4:17: `respond` in route `b` must be a status from 200 to 599, or a map, not `99`"],
        ),
        (
            "  b: { respond: { status: 600 } }",
            &[
                "4:27: `status` in `respond` of route `b` must be a whole number from 200 to 599, not `600`",
            ],
        ),
        (
            "  b: { respond: 200, strip_prefix: /a }",
            &["4:36: `strip_prefix` in route `b` has no effect: the route forwards nothing"],
        ),
        (
            "  b: { to: \"http://a:1\", strip_prefix: a }",
            &[
                "4:40: `strip_prefix` in route `b` must be a path that starts with `/`, not `a` (did you mean `/a`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", strip_prefix: /a, rewrite: /b }",
            &["4:53: route `b` has both `strip_prefix` and `rewrite`"],
        ),
        (
            "  b: { to: \"http://a:1\", match: \"https://shop.example.com/x\" }",
            &[
                "4:34: `match` in route `b` has a scheme (write host and path only: `shop.example.com/x`)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", match: \"get shop.example.com/x\" }",
            &["4:34: `get` is not a method in route `b` (did you mean `GET`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", match: [\"GET POST /x\", /y] }",
            &["4:34: `match` in route `b` must be `[METHOD ]host/path`, not `GET POST /x`"],
        ),
        (
            "  b: { to: \"http://a:1\", match: shop.example.com/ }",
            &["4:49: `/` matches only the root (did you mean `/**`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", match: { path: / } }",
            &["4:41: `/` matches only the root (did you mean `/**`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", match: [] }",
            &["4:33: `match` in route `b` is an empty list"],
        ),
        (
            "  b: { to: \"http://a:1\", match: { paths: [/x] } }",
            &["4:35: unknown key `paths` in `match` of route `b` (did you mean `path`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", match: { path: { regexp: x } } }",
            &[
                "4:41: `path` of `match` of route `b` has no `regex`",
                "4:43: unknown key `regexp` in `path` of `match` of route `b` (did you mean `regex`?)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", match: { method: [GTE] } }",
            &["4:45: `GTE` is not a method in `match` of route `b` (did you mean `GET`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", match: { headers: { X-A: [1] } } }",
            &[
                "4:51: `headers` in `match` of route `b` must be a value, present, absent, `{ regex: … }` or `{ prefix: … }` for each key, not a list",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", match: { headers: { X-A: { regex: a, prefix: b } } } }",
            &["4:71: a condition has either `regex` or `prefix`"],
        ),
        (
            "  b: { to: \"http://a:1\", match: { client_ip: [x] } }",
            &[
                "4:47: `client_ip` in `match` of route `b` must be made of networks, not `x` (like `10.0.0.0/8`)",
            ],
        ),
        (
            "  b: { to: \"http://a:1\", match: { listener: htp } }\nlisteners: { http: \":80\" }",
            &["4:45: route `b` matches an unknown listener `htp` (did you mean `http`?)"],
        ),
        (
            "  b: { to: \"http://a:1\", headers: apii }\npolicies: { headers: { api: {} } }",
            &["4:35: `headers` in route `b` names an unknown policy `apii` (did you mean `api`?)"],
        ),
        (
            "policies: { timeouts: { long: { request: 5 } }, retry: { a: { times: 2 } } }",
            &[
                "4:42: `request` in timeouts policy `long` has no unit: `5` (did you mean `5s`?)",
                "4:49: `retry` is part of the language, but this build cannot do it yet",
            ],
        ),
        (
            "policies: { body: { small: { max: 1MiB } } }",
            &["4:21: nothing uses the policy `small`"],
        ),
    ]);
}

#[test]
fn yaml() {
    check(&[
        ("\tb: 1", &["4:1: a tab in the indentation (YAML indents with spaces only)"]),
        ("  b: { to: \"http://a:1\"", &["4:6: not YAML: unclosed bracket '{'"]),
        ("  b: \"unfinished", &["4:17: not YAML: invalid indentation in multiline quoted scalar"]),
        ("   c: 1", &["4:4: not YAML: while parsing a block mapping, did not find expected key"]),
        (
            "---\nversion: 1",
            &[
                "4:1: a second document in one file (put it into a file of its own and `include` it)",
            ],
        ),
        ("x: *nowhere", &["4:4: not YAML: while parsing node, found unknown anchor"]),
        ("  b: &x { to: *x }", &["4:15: this alias stands inside its own anchor"]),
        (
            "  b: !!python/object { to: \"http://a:1\" }",
            &["4:6: the tag `!!python/object` means nothing here (take it away)"],
        ),
        ("  b: { <<: 1, to: \"http://a:1\" }", &["4:12: `<<` takes a map, or a list of maps"]),
        (
            "a: 1\na: 2\nb: 1\nb: 2",
            &[
                "4:1: unknown key `a` at the top level (known keys: `version`, `include`, `listeners`, `tls`, `defaults`, `upstreams`, `policies`, `routes`, `stores`, `logs`, `metrics`, `tracing`, `admin`, `server`, `tests`)",
                "5:1: the key `a` is written twice (take one of them out)",
                "6:1: unknown key `b` at the top level (known keys: `version`, `include`, `listeners`, `tls`, `defaults`, `upstreams`, `policies`, `routes`, `stores`, `logs`, `metrics`, `tracing`, `admin`, `server`, `tests`)",
                "7:1: the key `b` is written twice (take one of them out)",
            ],
        ),
        ("@", &["4:1: not YAML: unexpected character: `@'"]),
    ]);
}

#[test]
fn variables() {
    check(&[
        (
            "  b: { to: \"http://${HOST}:1\" }",
            &["4:12: the variable `HOST` is not set (set it, or write a default: `${HOST:-…}`)"],
        ),
        (
            "  b: { to: \"http://${HOST:?set HOST}:1\" }",
            &["4:12: the variable `HOST` is not set: set HOST"],
        ),
        (
            "  b: { to: \"${SECRET}\" }",
            &["4:12: route `b` sends traffic to an unknown upstream «redacted»"],
        ),
        ("  b: { to: \"http://a/${SECRET}\" }", &["4:12: «redacted» is not a URL of an endpoint"]),
        (
            "  b: { to: \"http://a:1\", enabled: \"${SECRET}\" }",
            &["4:35: `enabled` in route `b` must be true or false, not «redacted»"],
        ),
        (
            "  b: { to: \"http://a:1\", timeouts: { request: \"${PORT}\" } }",
            &[
                "4:47: `request` in `timeouts` of route `b` has no unit: «redacted» (did you mean `10s`?)",
            ],
        ),
        (
            "  b: { to: \"http://${PORT\" }",
            &["4:12: `${` without its `}` (for the two characters themselves, write `$${`)"],
        ),
        (
            "  b: { to: \"http://${1X}\" }",
            &[
                "4:12: `${1X}` is not a variable (variables are `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `${file:/path}`; `$${` is a literal `${`)",
            ],
        ),
        (
            "  b: { to: \"http://${PORT-80}\" }",
            &[
                "4:12: `${PORT-80}` is not a variable (after the name comes `}`, `:-default` or `:?message`: `${PORT}`)",
            ],
        ),
        (
            "  b: { to: \"${file:/nowhere/at/all}\" }",
            &[
                "4:12: cannot read `/nowhere/at/all`: there is no such file (`${file:…}` reads a file)",
            ],
        ),
        (
            "  ${PORT}: { to: \"http://a:1\" }",
            &[
                "4:3: `${PORT}` cannot be a name (names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters)",
            ],
        ),
        ("listeners: { http: \"${SECRET}\" }", &["4:20: «redacted» is not an address"]),
    ]);
}

#[test]
fn whole_files() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["1:1: the file is empty (the least is `version: 1` and one entry in `routes`)"]),
        (
            "# nothing\n",
            &["1:1: the file is empty (the least is `version: 1` and one entry in `routes`)"],
        ),
        ("just text", &["1:1: the file must be a map, not `just text`"]),
        ("[1, 2]", &["1:1: the file must be a map, not a list"]),
        (
            "routes: { a: { to: \"http://a\" } }",
            &["1:1: the file has no `version` (write `version: 1` at its top)"],
        ),
        (
            "version: 2\nroutes: { a: { to: \"http://a\" } }",
            &["1:10: `version: 2` needs a newer Tidegate (this one reads `version: 1`)"],
        ),
        (
            "version: one\nroutes: { a: { to: \"http://a\" } }",
            &["1:10: `version` at the top level must be 1, not `one`"],
        ),
        (
            "version: 1",
            &["1:1: no file has a route (`routes: { app: { to: \"http://127.0.0.1:3000\" } }`)"],
        ),
        ("version: 1\nroutes:", &["2:1: `routes` is empty"]),
        (
            "version: 1\nroutes: {}",
            &["1:1: no file has a route (`routes: { app: { to: \"http://127.0.0.1:3000\" } }`)"],
        ),
        ("version: 1\nroutes: [a]", &["2:9: `routes` must be a map of names, not a list"]),
        ("version: 1\nroutes:\n  a:\n    to: \"http://a", &["4:9: not YAML: unclosed quote"]),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = findings(&read(text));
        if found != *expected {
            wrong.push(format!("{text}\n  expected {expected:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
