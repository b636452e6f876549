//! Values of policies, logs, metrics, admin and server.

use super::*;

const VALUES: &[Case] = &[
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
        "  b: { to: \"http://a:1\", timeouts: { request: 1s, first_byte: 2s } }",
        &["4:63: `first_byte` is longer than `request` in route `b`"],
    ),
    ("  b: { to: \"http://a:1\", timeouts: { request: 1s, connect: 2s } }", &[]),
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
        &["4:35: `enabled` in route `b` must be true or false, not `on` (did you mean `true`?)"],
    ),
    ("  b: { to: \"http://a:1\", enabled: }", &["4:26: `enabled` in route `b` is empty"]),
    (
        "  b: { to: \"http://a:1\", priority: 1001 }",
        &["4:36: `priority` in route `b` must be a whole number from -1000 to 1000, not `1001`"],
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
        "server: { pass_headers: [X-Http-Method, x-user, X-Forwarded-For, \"a b\"] }",
        &[
            "4:41: `x-user` in `pass_headers` in `server` passes anyway (leave it out)",
            "4:49: `x-forwarded-for` is not for `pass_headers` in `server` to decide (`trusted_proxies` of a listener says who is believed in it)",
            "4:66: `pass_headers` in `server` must be names of headers, not `a b`",
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
    ("tls: { certificates: [{ cert: a.pem }] }", &["4:23: `certificates` of `tls` has no `key`"]),
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
];

#[test]
fn values() {
    check(VALUES);
}
