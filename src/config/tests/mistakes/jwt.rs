//! Tokens of an issuer: `jwt`.

use super::*;

/// Settings of a `jwt` policy.
const JWT: &[Case] = &[
    ("", &["4:39: `jwt` of `auth` of route `b` has no `issuer`"]),
    (
        "issuer: \"https://a.example\"",
        &[
            "4:39: `jwt` of `auth` of route `b` has no `audience` (what `aud` names; or `any`, for what others may use too)",
        ],
    ),
    (
        "issuer: a, audience: []",
        &[
            "4:49: `issuer` in `jwt` of `auth` of route `b` is no URL, so nobody can ask it for its keys (`jwks` says where they are)",
            "4:62: `audience` in `jwt` of `auth` of route `b` is an empty list",
        ],
    ),
    (
        "issuer: \"http://a.example\", audience: any",
        &[
            "4:49: `issuer` in `jwt` of `auth` of route `b` would fetch keys over http:// (whoever is on the way could put in keys of his own: `https://`, or `plain_http: true`)",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: \"http://a.example/keys\"",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b` would fetch keys over http:// (whoever is on the way could put in keys of his own: `https://`, or `plain_http: true`)",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: \"https://a:b@a.example/keys\"",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b` must be a URL with https://, without user and password, not «redacted»",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: \"ftp://a.example/keys\"",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b` must be a URL with https://, without user and password, not `ftp://a.example/keys`",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: [a]",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b` must be a URL, the path of a file, or a set of keys, not a list",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: { keys: [] }",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b`: this set has no usable key: none is for signatures we verify",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: { keys: [{ kty: EC, crv: P-256, d: AAAA }] }",
        &[
            "4:73: `jwks` in `jwt` of `auth` of route `b`: this set has no usable key: key 1: it is a private key",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: keys.json, refresh: 1m, plain_http: true",
        &[
            "4:93: `refresh` in `jwt` of `auth` of route `b` is about keys from a URL",
            "4:109: `plain_http` in `jwt` of `auth` of route `b` is about keys from a URL",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, algorithms: [HS256, none, ES512, es256]",
        &[
            "4:89: `algorithms` in `jwt` of `auth` of route `b` must be made of algorithms, not `HS256` (whoever verifies with it can sign with it too: it is no algorithm of issuers)",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, algorithms: none",
        &[
            "4:88: `algorithms` in `jwt` of `auth` of route `b` must be made of algorithms, not `none` (a token without a signature can be made by anybody)",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, algorithms: ES512",
        &[
            "4:88: `algorithms` in `jwt` of `auth` of route `b` must be made of algorithms, not `ES512` (`RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`)",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, require: [scope]",
        &[
            "4:85: `require` in `jwt` of `auth` of route `b` must be a map of claim and value, not a list",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, require: { scope: [] }",
        &["4:94: `require` in `jwt` of `auth` of route `b` is an empty list"],
    ),
    (
        "issuer: a, audience: any, jwks: k, pass_claims: { X-User: sub, x-user: name }",
        &["4:104: `pass_claims` in `jwt` of `auth` of route `b` has `x-user` twice"],
    ),
    (
        "issuer: a, audience: any, jwks: k, pass_claims: { Connection: sub }",
        &["4:91: `connection` cannot be changed here: it belongs to the message itself"],
    ),
    (
        "issuer: a, audience: any, jwks: k, pass_claims: { X-Forwarded-For: ip }",
        &[
            "4:91: `pass_claims` in `jwt` of `auth` of route `b`: the gateway itself writes `x-forwarded-for`",
        ],
    ),
    ("issuer: a, audience: any, jwks: k, pass_claims: { X-Forwarded-User: sub }", &[]),
    (
        "issuer: a, audience: any, jwks: k, from: authorization",
        &[
            "4:82: `from` in `jwt` of `auth` of route `b` must be header:NAME, query:NAME or cookie:NAME, not `authorization`",
        ],
    ),
    (
        "issuer: a, audience: any, jwks: k, leeway: 30",
        &["4:84: `leeway` in `jwt` of `auth` of route `b` has no unit: `30` (did you mean `30s`?)"],
    ),
];

#[test]
fn jwt() {
    compare(JWT, |settings| {
        with(&format!("  b: {{ to: \"http://b:1\", auth: {{ jwt: {{ {settings} }} }} }}"))
    });
}
