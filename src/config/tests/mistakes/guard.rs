//! Who may pass: `ip` and `auth`.

use super::*;

/// Settings of a route.
const GUARD: &[Case] = &[
    ("ip: {}", &["4:30: `ip` of route `b` has neither `allow` nor `deny`"]),
    ("ip: office", &["4:30: `ip` in route `b` names an unknown policy `office`"]),
    ("ip: { allow: [] }", &["4:39: `allow` in `ip` of route `b` is an empty list"]),
    (
        "ip: { allow: [10.0.0.0/33] }",
        &[
            "4:40: `allow` in `ip` of route `b` must be made of networks, not `10.0.0.0/33` (like `10.0.0.0/8`)",
        ],
    ),
    (
        "ip: { deny: example.com }",
        &[
            "4:38: `deny` in `ip` of route `b` must be made of networks, not `example.com` (like `10.0.0.0/8`)",
        ],
    ),
    (
        "ip: { allow: 10.0.0.1, mode: watch }",
        &["4:55: `mode` in `ip` of route `b` must be one of `enforce`, `shadow`, not `watch`"],
    ),
    (
        "ip: { alow: 10.0.0.1 }",
        &[
            "4:30: `ip` of route `b` has neither `allow` nor `deny`",
            "4:32: unknown key `alow` in `ip` of route `b` (did you mean `allow`?)",
        ],
    ),
    (
        "ip: 10.0.0.0/8",
        &[
            "4:30: `ip` in route `b` names an unknown policy `10.0.0.0/8` (did you mean `{ allow: [10.0.0.0/8] }`?)",
        ],
    ),
    ("ip: { allow: [], deny: 10.0.0.1 }", &["4:39: `allow` in `ip` of route `b` is an empty list"]),
    ("auth: partners", &["4:32: `auth` in route `b` names an unknown policy `partners`"]),
    (
        "auth: []",
        &[
            "4:32: `auth` in route `b` must be a name, a map or none, not a list (`{ any: [a, b] }` for one of them, `{ all: [a, b] }` for all)",
        ],
    ),
    (
        "auth: {}",
        &[
            "4:32: `auth` of route `b` has no scheme (one of `jwt`, `api_key`, `basic`, `oidc`, `client_cert`, `signature`, `introspection`, `external`, `ext_authz`)",
        ],
    ),
    ("auth: { any: [] }", &["4:39: `any` in `auth` of route `b` is empty"]),
    (
        "auth: { any: [a], all: [b] }",
        &["4:32: `auth` in route `b` is either `any` or `all`, alone"],
    ),
    ("auth: { any: [a] }", &["4:40: `auth` in `auth` of route `b` names an unknown policy `a`"]),
    (
        "auth: { api_key: {} }",
        &["4:43: `api_key` of `auth` of route `b` has neither `keys` nor `keys_file`"],
    ),
    (
        "auth: { api_key: { keys: {} } }",
        &["4:51: `keys` in `api_key` of `auth` of route `b` has no key"],
    ),
    (
        "auth: { api_key: { keys: { ann: short } } }",
        &[
            "4:58: the key of consumer `ann`: a secret has at least 16 characters (`tidegate hash --new-key` makes one)",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef, bob: 0123456789abcdef } } }",
        &[
            "4:81: the key of consumer `bob`: another consumer has the same secret (`tidegate hash --new-key` makes one)",
        ],
    ),
    (
        "auth: { api_key: { keys: { \"a b\": 0123456789abcdef } } }",
        &[
            "4:60: the key of consumer `a b`: a consumer's name is letters, digits and `-_.:@+/`, at most 128 of them, a letter or digit first (`tidegate hash --new-key` makes one)",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef }, hash: sha256 } }",
        &[
            "4:58: the key of consumer `ann`: a SHA-256 is 64 hexadecimal digits (`tidegate hash --new-key` makes one)",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef }, keys_file: x } }",
        &["4:89: `api_key` of `auth` of route `b` has both `keys` and `keys_file`"],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef }, from: header } }",
        &[
            "4:84: `from` in `api_key` of `auth` of route `b` must be header:NAME, query:NAME or cookie:NAME, not `header`",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef } }, pass_consumer: Forwarded }",
        &["4:95: `pass_consumer` in `auth` of route `b`: the gateway itself writes `forwarded`"],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef } }, pass_consumer: host }",
        &[
            "4:95: `host` cannot be changed here: it belongs to the message itself (`host_header` of the upstream says which Host it sees)",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef } }, mode: watch }",
        &["4:86: `mode` in `auth` of route `b` must be one of `enforce`, `shadow`, not `watch`"],
    ),
    ("auth: true", &["4:32: `auth` in route `b` names an unknown policy `true`"]),
    (
        "auth: { api_key: { keys: [0123456789abcdef] } }",
        &[
            "4:51: `keys` in `api_key` of `auth` of route `b` must be a map of consumer and secret, not a list",
        ],
    ),
    (
        "auth: { api_key: { keys: { ann: 0123456789abcdef } } } }\nlogs: { access: { headers: { request: [x-api-key] } }",
        &["4:3: `logs.access.headers` would write the API keys of route `b`, in `x-api-key`"],
    ),
    (
        "auth: { basic: {} }",
        &["4:41: `basic` of `auth` of route `b` has neither `users` nor `users_file`"],
    ),
    (
        "auth: { basic: { users: {} } }",
        &["4:50: `users` in `basic` of `auth` of route `b` has no user"],
    ),
    (
        "auth: { basic: { users: { ann: secret } } }",
        &[
            "4:57: user `ann`: this is no hash, and perhaps the password itself; make a new one with `tidegate hash` or `htpasswd -nB -C 12 USER`",
        ],
    ),
    (
        "auth: { basic: { users: { \"a:b\": \"$2y$10$abcdefghijklmnopqrstuuJ3XkFdGvC5yqFJrJ9zZzZzZzZzZzZzZ\" } } }",
        &["4:59: the name of a user has no colon and no control characters"],
    ),
    (
        "auth: { basic: { users: [x] } }",
        &[
            "4:50: `users` in `basic` of `auth` of route `b` must be a map of user and hash, not a list",
        ],
    ),
    (
        "auth: { client_cert: { san: [] } }",
        &["4:54: `san` in `client_cert` of `auth` of route `b` is an empty list"],
    ),
    (
        "auth: { basic: { users_file: /none }, api_key: { keys: { ann: 0123456789abcdef } } }",
        &[
            "4:32: `auth` of route `b` has two schemes (two policies, and `auth: { any: [a, b] }` on the route)",
        ],
    ),
];

#[test]
fn guard() {
    compare(GUARD, |settings| with(&format!("  b: {{ to: \"http://b:1\", {settings} }}")));
}
