//! Further tries.

use super::*;

const RETRY: &[Case] = &[
    (
        "  b: { to: \"http://a:1\", retry: 11 }",
        &["4:33: `retry` in route `b` must be a whole number from 0 to 10, not `11`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: -1 }",
        &["4:33: `retry` in route `b` must be a whole number from 0 to 10, not `-1`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: 1.5 }",
        &["4:33: `retry` in route `b` must be a whole number from 0 to 10, not `1.5`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: twice }",
        &["4:33: `retry` in route `b` names an unknown policy `twice`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: true }",
        &["4:33: `retry` in route `b` must be a number, a name, a map or none, not `true`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: [] }",
        &["4:33: `retry` of route `b` must be a map, not a list"],
    ),
    ("  b: { to: \"http://a:1\", retry: }", &["4:26: `retry` of route `b` is empty"]),
    ("  b: { to: \"http://a:1\", retry: {} }", &["4:33: `retry` of route `b` has no `times`"]),
    (
        "  b: { to: \"http://a:1\", retry: { backoff: 1s } }",
        &["4:33: `retry` of route `b` has no `times`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 11 } }",
        &["4:42: `times` in `retry` of route `b` must be a whole number from 0 to 10, not `11`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { tmes: 1 } }",
        &[
            "4:33: `retry` of route `b` has no `times`",
            "4:35: unknown key `tmes` in `retry` of route `b` (did you mean `times`?)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, when: [conect] } }",
        &[
            "4:52: `when` in `retry` of route `b` must be one of `connect`, `reset`, `timeout`, `5xx` or a status, not `conect` (did you mean `connect`?)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, when: 5x } }",
        &[
            "4:51: `when` in `retry` of route `b` must be a status or a range of them, not `5x` (like `404` or `400-599`)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, when: [] } }",
        &["4:51: `when` in `retry` of route `b` is an empty list"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, methods: get } }",
        &["4:54: `get` is not a method in `retry` of route `b` (did you mean `GET`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, methods: [GTE] } }",
        &["4:55: `GTE` is not a method in `retry` of route `b` (did you mean `GET`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, methods: idempotnt } }",
        &[
            "4:54: `methods` in `retry` of route `b` must be `idempotent`, `any` or methods, not `idempotnt` (did you mean `idempotent`?)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, methods: [any] } }",
        &[
            "4:55: `any` is not a method in `retry` of route `b` (methods are written in capitals: `GET shop.example.com/orders/**`)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, backoff: 25 } }",
        &["4:54: `backoff` in `retry` of route `b` has no unit: `25` (did you mean `25s`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, backoff: 2s } }",
        &[
            "4:54: `max_backoff` is shorter than `backoff` in `retry` of route `b` (`backoff` is 2000ms here, `max_backoff` 1000ms)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, backoff: 500ms, max_backoff: 100ms } }",
        &[
            "4:74: `max_backoff` is shorter than `backoff` in `retry` of route `b` (`backoff` is 500ms here, `max_backoff` 100ms)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, budget: 20 } }",
        &["4:53: `budget` in `retry` of route `b` has no unit: `20` (did you mean `20%`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { times: 1, body_limit: 64 } }",
        &["4:57: `body_limit` in `retry` of route `b` has no unit: `64` (did you mean `64KiB`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: { hedge: p96 } }",
        &[
            "4:42: `hedge` in `retry` of route `b` must be one of `none`, `p50`, `p90`, `p95`, `p99`, not `p96` (did you mean `p90`?)",
        ],
    ),
    (
        "  b: { respond: 200, retry: 2 }",
        &["4:29: `retry` in route `b` has no effect: the route forwards nothing"],
    ),
    ("  b: { redirect: /x, retry: none }", &[]),
    (
        "  b: { respond: 200, timeouts: { request: 10s } }\ndefaults: { retry: { hedge: p95 }, timeouts: { per_try: 4s } }",
        &[],
    ),
    (
        "  b: { to: x }\ndefaults: { retry: { times: 1, hedge: p95 } }\nupstreams: { x: \"http://a:1\" }",
        &[],
    ),
    ("defaults: { retry: 2 }\npolicies: { retry: {} }", &[]),
    (
        "  b: { to: \"http://a:1\", retry: { hedge: p95 } }",
        &[
            "4:33: route `b` hedges, but `http://a:1` has one endpoint (a second try is made at another endpoint, never at the same)",
        ],
    ),
    (
        "  b: { to: x, retry: { hedge: p95 } }\nupstreams: { x: [\"http://a:1\", \"http://b:1\"] }",
        &[],
    ),
    (
        "  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 1s, per_try: 2s } }",
        &["4:70: `per_try` is longer than `request` in route `b`"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 10s, per_try: 4s } }",
        &[
            "4:71: 3 tries of `per_try` are longer than `request` in route `b` (a slow try may leave no time for the next)",
        ],
    ),
    ("  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 10s, per_try: 3s } }", &[]),
    (
        "  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 10s, first_byte: 4s } }",
        &[
            "4:74: 3 tries of `first_byte` are longer than `request` in route `b` (a slow try may leave no time for the next)",
        ],
    ),
    (
        "  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 10s, first_byte: 4s, per_try: 3s } }",
        &[],
    ),
    ("  b: { to: \"http://a:1\", retry: 2, timeouts: { request: 10s } }", &[]),
    (
        "defaults: { retry: 2, timeouts: { request: 10s, per_try: 4s } }",
        &[
            "4:58: 3 tries of `per_try` are longer than `request` in what routes inherit (a slow try may leave no time for the next)",
        ],
    ),
];

#[test]
fn retry() {
    check(RETRY);
}

const POLICIES: &[Case] = &[
    (
        "  b: { to: \"http://a:1\", retry: carful }\npolicies: { retry: { careful: { times: 2 } } }",
        &["4:33: `retry` in route `b` names an unknown policy `carful` (did you mean `careful`?)"],
    ),
    (
        "  b: { to: \"http://a:1\", retry: careful }\npolicies: { retry: { careful: { backoff: 50ms }, a: { times: 2 }, b: { times: 2 }, c: { times: 2 } } }",
        &["5:31: retry policy `careful` has no `times`"],
    ),
    (
        "policies: { retry: { careful: { times: 2 } } }",
        &["4:22: nothing uses the policy `careful`"],
    ),
    (
        "policies: { retry: { careful: 2 } }",
        &["4:31: retry policy `careful` must be a map, not `2`"],
    ),
    (
        "policies: { retry: { careful: { times: 2, hedg: p95 } } }",
        &["4:43: unknown key `hedg` in retry policy `careful` (did you mean `hedge`?)"],
    ),
    ("  b: { to: \"http://a:1\", retry: 1-2 }\npolicies: { retry: { 1-2: { times: 2 } } }", &[]),
];

#[test]
fn policies() {
    check(POLICIES);
}
