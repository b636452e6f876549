//! Policies of `auth` that ask a service.

use super::*;

/// Settings of `external`.
const EXTERNAL: &[Case] = &[
    ("", &["6:23: `external` of `auth` of route `b` has neither `url` nor `to`"]),
    (
        "url: \"http://a:1\", to: app",
        &["6:48: `external` of `auth` of route `b` has both `url` and `to`"],
    ),
    (
        "to: \"http://a:1\"",
        &["6:29: `to` in `external` of `auth` of route `b` is an upstream, not a URL (`url`)"],
    ),
    ("to: guard", &["6:29: auth policy `inline` asks an unknown upstream `guard`"]),
    ("url: a:1", &["6:30: `a:1` is not a URL (did you mean `http://a:1`?)"]),
    (
        "url: \"http://u:p@a:1/x\"",
        &[
            "6:30: an endpoint cannot hold a user or password (send credentials with `headers: { request: { set: { Authorization: … } } }`)",
        ],
    ),
    (
        "url: \"http://a:1?x\"",
        &[
            "6:30: `url` in `external` of `auth` of route `b` must be a URL with a path, not `http://a:1?x`",
        ],
    ),
    (
        "url: \"http://a:1/x#y\"",
        &[
            "6:30: `url` in `external` of `auth` of route `b` must be a URL with a path, not `http://a:1/x#y`",
        ],
    ),
    (
        "url: \"http://a:1/x\", path: /y",
        &["6:52: `external` of `auth` of route `b` has a path in `url` too"],
    ),
    (
        "url: \"http://a:1\", path: y",
        &[
            "6:50: `path` in `external` of `auth` of route `b` must be a path that starts with `/`, not `y`",
        ],
    ),
    (
        "url: \"http://a:1\", timeout: 0s",
        &["6:53: `timeout` in `external` of `auth` of route `b` must be at least 1ms"],
    ),
    (
        "url: \"http://a:1\", method: get",
        &["6:52: `get` is not a method in `external` of `auth` of route `b` (did you mean `GET`?)"],
    ),
    (
        "url: \"http://a:1\", method: CONNECT",
        &[
            "6:52: `method` in `external` of `auth` of route `b` must be a method that asks something, not `CONNECT`",
        ],
    ),
    (
        "url: \"http://a:1\", request_headers: cookie",
        &[
            "6:61: `request_headers` in `external` of `auth` of route `b` must be a list, not `cookie` (did you mean `[cookie]`?)",
        ],
    ),
    (
        "url: \"http://a:1\", request_headers: [host]",
        &[
            "6:62: `host` cannot be changed here: it belongs to the message itself (`host_header` of the upstream says which Host it sees)",
        ],
    ),
    (
        "url: \"http://a:1\", response_headers: [connection]",
        &["6:63: `connection` cannot be changed here: it belongs to the message itself"],
    ),
    (
        "url: \"http://a:1\", response_headers: [X-Forwarded-For]",
        &[
            "6:63: `response_headers` in `external` of `auth` of route `b`: the gateway itself writes `x-forwarded-for`",
        ],
    ),
    (
        "url: \"http://a:1\", consumer: Via",
        &["6:54: `consumer` in `external` of `auth` of route `b`: the gateway itself writes `via`"],
    ),
    (
        "url: \"http://a:1\", answer_headers: [\"a b\"]",
        &["6:61: `a b` is not the name of a header"],
    ),
    (
        "url: \"http://a:1\", consumer: content-length",
        &["6:54: `content-length` cannot be changed here: it belongs to the message itself"],
    ),
    (
        "url: \"http://a:1\", body: true",
        &["6:50: `body` of `external` of `auth` of route `b` must be a map, not `true`"],
    ),
    (
        "url: \"http://a:1\", on_error: allow",
        &[
            "6:54: `on_error` in `external` of `auth` of route `b`: whoever can keep the service from answering may pass (`cache: { stale_if_error: … }` lets those pass that were known before)",
        ],
    ),
    (
        "url: \"http://a:1\", on_error: ignore",
        &[
            "6:54: `on_error` in `external` of `auth` of route `b` must be one of `deny`, `allow`, not `ignore`",
        ],
    ),
    (
        "url: \"http://a:1\", cache: {}",
        &["6:51: `cache` of `external` of `auth` of route `b` has no `key`"],
    ),
    (
        "url: \"http://a:1\", cache: { key: [] }",
        &["6:58: `key` in `cache` of `external` of `auth` of route `b` is empty"],
    ),
    (
        "url: \"http://a:1\", cache: { key: [cookie] }",
        &[
            "6:59: `key` in `cache` of `external` of `auth` of route `b` must be a part of a request, not `cookie` (header:NAME, cookie:NAME, method, scheme, host, path, query, client_ip)",
        ],
    ),
    (
        "url: \"http://a:1\", cache: { key: [\"header:authorization\"] }",
        &[
            "6:58: `key` in `cache` of `external` of `auth` of route `b` does not tell apart who sends another `cookie` (`cookie:NAME` in `key`, or another list of `request_headers`)",
        ],
    ),
    (
        "url: \"http://a:1\", cache: { key: [path], ttl: 1 }",
        &[
            "6:58: `key` in `cache` of `external` of `auth` of route `b` does not tell apart who sends another `authorization` (`header:NAME` in `key`, or another list of `request_headers`)",
        ],
    ),
    (
        "url: \"http://a:1\", body: {}, cache: { key: [\"header:authorization\", \"cookie:sid\"] }",
        &["6:61: `cache` in `external` of `auth` of route `b` cannot tell bodies apart"],
    ),
    (
        "url: \"http://a:1\", cache: { key: [\"header:authorization\", \"cookie:sid\"], max: 0 }",
        &[
            "6:103: `max` in `cache` of `external` of `auth` of route `b` must be a whole number from 1 to 1000000, not `0`",
        ],
    ),
    ("url: \"http://a:1\", cache: { key: [\"header:authorization\", \"cookie:sid\"] }", &[]),
];

/// Settings of `ext_authz`.
const EXT_AUTHZ: &[Case] = &[
    ("", &["6:24: `ext_authz` of `auth` of route `b` has neither `url` nor `to`"]),
    (
        "url: \"h2c://a:1/x\"",
        &["6:31: `url` in `ext_authz` of `auth` of route `b` has a path; gRPC has its own"],
    ),
    (
        "url: \"h2c://a:1\", path: /x",
        &[
            "6:44: unknown key `path` in `ext_authz` of `auth` of route `b` (known keys: `url`, `to`, `timeout`, `request_headers`, `response_headers`, `answer_headers`, `consumer`, `body`, `on_error`, `cache`)",
        ],
    ),
    (
        "url: \"h2c://a:1\", request_headers: all, cache: { key: [path] }",
        &[
            "6:73: `cache` in `ext_authz` of `auth` of route `b` needs `request_headers`: the service sees them all",
        ],
    ),
    (
        "url: \"h2c://a:1\", request_headers: [x-a], cache: { key: [\"header:x-b\"] }",
        &[
            "6:82: `key` in `cache` of `ext_authz` of `auth` of route `b` does not tell apart who sends another `x-a` (`header:NAME` in `key`, or another list of `request_headers`)",
        ],
    ),
    ("url: \"h2c://a:1\", request_headers: [x-a], cache: { key: [\"header:x-a\"] }", &[]),
];

/// Settings of `introspection`.
const INTROSPECTION: &[Case] = &[
    ("", &["6:28: `introspection` of `auth` of route `b` has neither `url` nor `to`"]),
    (
        "url: \"http://a:1\"",
        &[
            "6:28: `introspection` of `auth` of route `b` has no `audience` (what `aud` names; or `any`, for what others may use too)",
        ],
    ),
    (
        "url: \"http://a:1\", audience: []",
        &["6:59: `audience` in `introspection` of `auth` of route `b` is an empty list"],
    ),
    (
        "url: \"http://a:1\", audience: any, client_id: a",
        &[
            "6:28: `introspection` of `auth` of route `b` has neither `client_secret` nor `client_secret_file`",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, client_secret: hunter2",
        &["6:28: `introspection` of `auth` of route `b` has no `client_id`"],
    ),
    (
        "url: \"http://a:1\", audience: any, client_id: a, client_secret: b, client_secret_file: c",
        &[
            "6:116: `introspection` of `auth` of route `b` has both `client_secret` and `client_secret_file`",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, pass_claims: { X-Sub: sub, X-Forwarded-Host: host }",
        &[
            "6:91: `pass_claims` in `introspection` of `auth` of route `b`: the gateway itself writes `x-forwarded-host`",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, cache: { key: [path] }",
        &[
            "6:73: unknown key `key` in `cache` of `introspection` of `auth` of route `b` (known keys: `ttl`, `negative_ttl`, `stale_if_error`, `max`)",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, on_error: allow",
        &[
            "6:64: unknown key `on_error` in `introspection` of `auth` of route `b` (known keys: `url`, `to`, `path`, `timeout`, `client_id`, `client_secret`, `client_secret_file`, `from`, `issuer`, `audience`, `require`, `consumer`, `pass_claims`, `pass_token`, `cache`)",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, from: body:token",
        &[
            "6:70: `from` in `introspection` of `auth` of route `b` must be header:NAME, query:NAME or cookie:NAME, not `body:token`",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, require: [scope]",
        &[
            "6:73: `require` in `introspection` of `auth` of route `b` must be a map of claim and value, not a list",
        ],
    ),
    (
        "url: \"http://a:1\", audience: any, pass_claims: { Host: sub }",
        &[
            "6:79: `host` cannot be changed here: it belongs to the message itself (`host_header` of the upstream says which Host it sees)",
        ],
    ),
    ("url: \"http://a:1/x\", audience: any, client_id: a, client_secret: b, cache: {}", &[]),
];

#[test]
fn introspection() {
    compare(INTROSPECTION, |settings| {
        with(&format!(
            "  b:\n    to: \"http://b:1\"\n    auth: {{ introspection: {{ {settings} }} }}"
        ))
    });
}

#[test]
fn external() {
    compare(EXTERNAL, |settings| {
        with(&format!("  b:\n    to: \"http://b:1\"\n    auth: {{ external: {{ {settings} }} }}"))
    });
}

#[test]
fn ext_authz() {
    compare(EXT_AUTHZ, |settings| {
        with(&format!("  b:\n    to: \"http://b:1\"\n    auth: {{ ext_authz: {{ {settings} }} }}"))
    });
}

/// An upstream that only a policy uses is used; one that nobody defines is missed where it is named.
#[test]
fn upstreams_of_services() {
    let file = |to: &str| {
        with(&format!(
            "  b: {{ to: \"http://b:1\", auth: guarded }}\npolicies:\n  auth:\n    \
             guarded: {{ external: {{ to: {to} }} }}\nupstreams: {{ guard: \"http://g:1\" }}"
        ))
    };
    assert_eq!(findings(&read(&file("guard"))), [""; 0]);
    let missed =
        "7:32: auth policy `guarded` asks an unknown upstream `gaurd` (did you mean `guard`?)";
    assert!(findings(&read(&file("gaurd"))).contains(&missed.to_owned()));
}
