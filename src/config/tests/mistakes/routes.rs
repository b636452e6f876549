//! Routes, matches, actions.

use super::*;

const ROUTES: &[Case] = &[
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
    (
        "  b: { respond: 200, headers: { response: { remove: X-A, sett: {} } } }",
        &[
            "4:53: `remove` in `response` of `headers` of route `b` must be a list, not `X-A` (did you mean `[X-A]`?)",
            "4:58: unknown key `sett` in `response` of `headers` of route `b` (did you mean `set`?)",
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
    ("  b: { to: \"http://a:1\", match: [] }", &["4:33: `match` in route `b` is an empty list"]),
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
        &["4:44: `GTE` is not a method in `match` of route `b` (did you mean `GET`?)"],
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
        "policies: { timeouts: { long: { request: 5 } }, cache: { a: { ttl: 2s } } }",
        &[
            "4:42: `request` in timeouts policy `long` has no unit: `5` (did you mean `5s`?)",
            "4:49: `cache` is part of the language, but this build cannot do it yet",
        ],
    ),
    ("policies: { body: { small: { max: 1MiB } } }", &["4:21: nothing uses the policy `small`"]),
];

#[test]
fn routes() {
    check(ROUTES);
}
