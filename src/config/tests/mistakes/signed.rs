//! Who may pass by what is signed: `client_cert` and `signature`.

use super::*;

/// More lines after the route, which wants certificates.
const CERTIFICATES: &[Case] = &[
    (
        "listeners: { a: { address: \":443\", tls: dev } }",
        &[
            "5:3: route `b` wants client certificates, and listener `a` does not ask for any (`client_auth` in its `tls`, or `match: { listener: … }` in the route)",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev }, c: \"[::1]:80\" }\ntls: { client_auth: { ca: x } }",
        &[
            "5:3: route `b` wants client certificates, and listener `c` does not ask for any (`client_auth` in its `tls`, or `match: { listener: … }` in the route)",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev }, c: { address: \":80\", https_redirect: true } }\ntls: { client_auth: { ca: x } }",
        &[],
    ),
];

const SIGNATURES: &[Case] = &[
    ("", &["4:45: `signature` of `auth` of route `b` has neither `keys` nor `keys_file`"]),
    ("keys: {}", &["4:53: `keys` in `signature` of `auth` of route `b` has no key"]),
    (
        "keys: [x]",
        &[
            "4:53: `keys` in `signature` of `auth` of route `b` must be a map of consumer and key, not a list",
        ],
    ),
    (
        "keys: { ann: secret }",
        &[
            "4:60: a key of `keys` of `signature` of `auth` of route `b` must be a map, not «redacted»",
        ],
    ),
    (
        "keys: { ann: { secret: 0123456789abcdef0123456789abcdef } }",
        &["4:60: a key of `keys` of `signature` of `auth` of route `b` has no `id`"],
    ),
    (
        "keys: { ann: { id: a } }",
        &[
            "4:60: a key of `keys` of `signature` of `auth` of route `b` has either `secret` or `public_key`",
        ],
    ),
    (
        "keys: { ann: { id: a, secret: 0123456789abcdef } }",
        &["4:60: the key of consumer `ann`: a secret that signs has at least 32 bytes"],
    ),
    (
        "keys: { ann: { id: a, secret: \"base64:AAAA\" } }",
        &["4:60: the key of consumer `ann`: a secret that signs has at least 32 bytes"],
    ),
    (
        "keys: { ann: { id: a, secret: 0123456789abcdef0123456789abcdef, algorithm: ed25519 } }",
        &[
            "4:77: `secret` in a key of `keys` of `signature` of `auth` of route `b` is for `hmac-sha256`",
        ],
    ),
    (
        "keys: { ann: { id: a, secret: 0123456789abcdef0123456789abcdef }, bob: { id: a, secret: 0123456789abcdef0123456789abcdeX } }",
        &["4:118: the key of consumer `bob`: another key has the same id"],
    ),
    (
        "keys_file: x, components: [\"@status\"]",
        &[
            "4:74: `components` in `signature` of `auth` of route `b` must be made of parts of a request, not `@status` (names of fields in lower case, `@method`, `@authority`, `@path`, `@query`, `@scheme`, `@target-uri` or `@request-target`)",
        ],
    ),
    (
        "keys_file: x, components: []",
        &["4:73: `components` in `signature` of `auth` of route `b` is an empty list"],
    ),
    (
        "keys_file: x, max_age: 10ms",
        &["4:70: `max_age` in `signature` of `auth` of route `b` must be at least 1000ms"],
    ),
    (
        "keys_file: x, nonce: always",
        &[
            "4:68: `nonce` in `signature` of `auth` of route `b` must be one of `any`, `once`, not `always`",
        ],
    ),
];

#[test]
fn signatures_are_not_for_logs() {
    let route = "  b: { to: \"http://b:1\", auth: { signature: { keys_file: x } } }\nlogs: { access: { headers: { request: [signature] } } }";
    let expected =
        "4:3: `logs.access.headers` would write the signatures of route `b`, in `signature`";
    assert_eq!(findings(&read(&with(route))), [expected]);
}

#[test]
fn signatures() {
    let route = |settings: &str| {
        with(&format!("  b: {{ to: \"http://b:1\", auth: {{ signature: {{ {settings} }} }} }}"))
    };
    compare(SIGNATURES, route);
}

#[test]
fn names_in_certificates() {
    let lines =
        "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: { ca: x } }\n";
    for (name, why) in [
        ("web.internal", "a name is a URI, `dns:NAME` or `email:NAME`"),
        ("\"spiffe://*/web\"", "a trust domain is a-z, 0-9, `.`, `-` and `_`, never a wildcard"),
        ("\"dns:*.internal\"", "`*` is the last segment of a SPIFFE id, and nothing else"),
    ] {
        let route =
            format!("{lines}policies: {{ auth: {{ c: {{ client_cert: {{ san: [{name}] }} }} }} }}");
        let shown = name.trim_matches('"');
        let expected = format!(
            "6:47: `san` in `client_cert` of auth policy `c` must be made of names in certificates, not `{shown}` ({why})"
        );
        let found = findings(&read(&with(&route)));
        assert!(found.contains(&expected), "{found:#?}");
    }
}

#[test]
fn a_route_for_certificates_is_reached_only_where_they_are_asked_for() {
    let file = |auth: &str, lines: &str| {
        format!(
            "version: 1\npolicies: {{ auth: {{ k: {{ api_key: {{ keys: {{ ann: 0123456789abcdef }} }} }}, c: {{ client_cert: {{}} }} }} }}\n\
             routes:\n  app: {{ match: /app, to: \"http://a:1\", auth: k }}\n  b: {{ {auth}, to: \"http://b:1\" }}\n{lines}\n"
        )
    };
    for auth in ["auth: c", "auth: { all: [k, c] }", "auth: { any: [c] }"] {
        compare(CERTIFICATES, |lines| file(auth, lines));
    }
    let both = "listeners: { a: { address: \":443\", tls: dev }, c: \"[::1]:80\" }\ntls: { client_auth: { ca: x } }";
    for auth in [
        "auth: { any: [k, c] }",
        "match: { path: /b, listener: a }, auth: c",
        "enabled: false, auth: c",
    ] {
        assert_eq!(findings(&read(&file(auth, both))), [] as [String; 0], "{auth}");
    }
    let (_, expected) = CERTIFICATES[0];
    let found = findings(&read(&file("auth: { any: [k, c] }", CERTIFICATES[0].0)));
    assert_eq!(found, expected, "nowhere is it asked for");
}
