//! Upstreams and what a route sends to them.

use super::*;

const UPSTREAMS: &[Case] = &[
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
    ("  b: { to: \"unix:run/x\" }", &["4:12: `unix:run/x` has no absolute path (`unix:/path`)"]),
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
    (
        "upstreams: { x: { lb: random } }",
        &["4:17: upstream `x` has no `endpoints` (or `discover`, where they are found elsewhere)"],
    ),
    (
        "upstreams: { x: { servers: [\"http://a:1\"] } }",
        &[
            "4:17: upstream `x` has no `endpoints` (or `discover`, where they are found elsewhere)",
            "4:19: unknown key `servers` in upstream `x` (did you mean `endpoints`?)",
        ],
    ),
    (
        "upstreams: { x: { endpoints: \"http://a:1\", proxy_protocol: v2 } }",
        &["4:44: `proxy_protocol` is part of the language, but this build cannot do it yet"],
    ),
    (
        "upstreams: { x: { endpoints: \"http://a:1\", lb: least_request } }",
        &[
            "4:48: `lb` in upstream `x` must be one of `round_robin`, `least_requests`, `random`, `peak_ewma`, `hash`, not `least_request` (did you mean `least_requests`?)",
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
        "defaults: { upstream: { proxy_protocol: v1 } }",
        &["4:25: `proxy_protocol` is part of the language, but this build cannot do it yet"],
    ),
];

#[test]
fn upstreams() {
    check(UPSTREAMS);
}
