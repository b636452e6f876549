//! Logins with a browser: `oidc`.

use super::*;

/// What is not wrong.
const GOOD: &str = "issuer: https://idp.example.com, client_id: app, \
                    secrets: [0123456789abcdef0123456789abcdef]";

/// Settings of the policy, from line 5, column 36.
const OIDC: &[Case] = &[
    (
        "",
        &[
            "5:34: `oidc` of auth policy `sso` has no `issuer`",
            "5:34: `oidc` of auth policy `sso` has no `client_id`",
            "5:34: `oidc` of auth policy `sso` has no `secrets`",
        ],
    ),
    (
        "issuer: idp.example.com, GOOD",
        &[
            "5:44: `issuer` in `oidc` of auth policy `sso` must be an https URL (or http to localhost), not `idp.example.com` (as in `issuer` of its `/.well-known/openid-configuration`)",
        ],
    ),
    (
        "issuer: http://idp.example.com, GOOD",
        &[
            "5:44: `issuer` in `oidc` of auth policy `sso` must be an https URL (or http to localhost), not `http://idp.example.com` (as in `issuer` of its `/.well-known/openid-configuration`)",
        ],
    ),
    ("issuer: http://localhost:8080, GOOD", &[]),
    (
        "issuer: \"https://idp.example.com/?a\", GOOD",
        &[
            "5:44: `issuer` in `oidc` of auth policy `sso` must be an https URL (or http to localhost), not `https://idp.example.com/?a` (as in `issuer` of its `/.well-known/openid-configuration`)",
        ],
    ),
    (
        "secrets: [short], GOOD",
        &[
            "5:46: a secret of `secrets` in `oidc` of auth policy `sso` has at least 32 characters (`openssl rand -base64 32` makes one)",
        ],
    ),
    (
        "secrets: [0123456789abcdef0123456789abcdef, 0123456789abcdef0123456789abcdef], GOOD",
        &[
            "5:80: a secret is twice in `secrets` in `oidc` of auth policy `sso` (`openssl rand -base64 32` makes one)",
        ],
    ),
    (
        "GOOD, callback: oauth2",
        &[
            "5:140: `callback` in `oidc` of auth policy `sso` must be a path like `/oauth2/callback`, not `oauth2`",
        ],
    ),
    (
        "GOOD, callback: /oauth2/logout",
        &["5:34: `callback` and `logout` of `oidc` of auth policy `sso` are the same path"],
    ),
    (
        "GOOD, logout: none, after_logout: //evil.example.com",
        &[
            "5:158: `after_logout` in `oidc` of auth policy `sso` must be a path or an https URL, not `//evil.example.com`",
        ],
    ),
    ("GOOD, after_logout: \"https://www.example.com/bye\"", &[]),
    (
        "GOOD, redirect_uri: \"http://app.example.com/oauth2/callback\"",
        &[
            "5:144: `redirect_uri` in `oidc` of auth policy `sso` must be an https URL (or http to localhost), not `http://app.example.com/oauth2/callback`",
        ],
    ),
    (
        "GOOD, session: { max: 1h, idle: 2h }",
        &["5:156: `idle` in `session` of `oidc` of auth policy `sso` is longer than `max`"],
    ),
    (
        "GOOD, session: { cookie: \"__Host-a\" }",
        &[
            "5:149: `cookie` in `session` of `oidc` of auth policy `sso` must be the name of a cookie, without dots, not `__Host-a` (over https `__Host-` is put before it)",
        ],
    ),
    (
        "GOOD, parameters: { state: a }",
        &["5:144: `state` is what `oidc` of auth policy `sso` tells the provider by itself"],
    ),
    (
        "GOOD, scopes: \"a b\"",
        &["5:138: `a b` in `scopes` in `oidc` of auth policy `sso` is no scope"],
    ),
    (
        "GOOD, claims: [email], require: { groups: [admins] }",
        &[
            "5:156: `require` of `oidc` of auth policy `sso` looks at `groups`, which is not kept (add it to `claims`)",
        ],
    ),
    (
        "GOOD, pass_claims: { X-Real-IP: ip }",
        &[
            "5:145: `pass_claims` in `oidc` of auth policy `sso`: the gateway itself writes `x-real-ip`",
        ],
    ),
    ("GOOD, claims: [realm_access], pass_claims: { X-Roles: realm_access.roles }", &[]),
    ("GOOD, consumer: none", &[]),
];

#[test]
fn oidc() {
    compare(OIDC, |settings| {
        let good = |skip: &str| {
            let parts = GOOD.split(", ").filter(|part| skip.is_empty() || !part.starts_with(skip));
            parts.collect::<Vec<_>>().join(", ")
        };
        let key = settings.split(':').next().unwrap_or_default();
        let settings = match settings.starts_with("GOOD") {
            true => settings.replace("GOOD", GOOD),
            false => settings.replace("GOOD", &good(key)),
        };
        with(&format!(
            "  b: {{ to: \"http://b:1\", auth: sso }}\npolicies: {{ auth: {{ sso: {{ oidc: {{ {settings} }} }} }} }}"
        ))
    });
}

#[test]
fn it_has_a_name() {
    let found = findings(&read(&with(&format!(
        "  b: {{ to: \"http://b:1\", auth: {{ oidc: {{ {GOOD} }} }} }}"
    ))));
    assert_eq!(
        found,
        [
            "4:40: `oidc` of `auth` of route `b` must stand under `policies.auth`, with a name (sessions are for one policy, and found again by its name)"
        ]
    );
}
