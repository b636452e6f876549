//! Credentials on listeners without TLS.

use super::*;

/// An API key.
const KEY: &str = "{ api_key: { keys: { ann: 0123456789abcdef } } }";

/// Lines in which `KEY` stands for an API key.
const PLAIN: &[Case] = &[
    (
        "  b: { to: \"http://b:1\", auth: KEY }",
        &[
            "4:32: credentials for route `b` can be read on their way: listener `http` has no TLS (no file has `listeners`, so that is every address; who reads them can use them: `tls` in the listener, `127.0.0.1:8080` for this machine only, or `trusted_proxies` if TLS ends in front of it)",
        ],
    ),
    (
        "  b: { to: \"http://b:1\", auth: KEY }\nlisteners: { a: \":80\", b: \"[::1]:81\", c: \"192.0.2.1:82\" }",
        &[
            "5:17: credentials for route `b` can be read on their way: listener `a` has no TLS (who reads them can use them: `tls` in the listener, `127.0.0.1:80` for this machine only, or `trusted_proxies` if TLS ends in front of it)",
            "5:42: credentials for route `b` can be read on their way: listener `c` has no TLS (who reads them can use them: `tls` in the listener, `127.0.0.1:82` for this machine only, or `trusted_proxies` if TLS ends in front of it)",
        ],
    ),
    (
        "  b: { to: \"http://b:1\", auth: KEY }\n  c: { match: /c, to: \"http://b:1\", auth: KEY }\n  d: { match: /d, to: \"http://b:1\", auth: KEY }\n  e: { match: /e, to: \"http://b:1\", auth: KEY }\n  f: { match: /f, to: \"http://b:1\", auth: KEY, enabled: false }\nlisteners: { a: { address: \"fd:web\" } }",
        &[
            "9:28: credentials for routes `b`, `c`, `d` and 1 more can be read on their way: listener `a` has no TLS (who reads them can use them: `tls` in the listener, or `trusted_proxies` if TLS ends in front of it)",
        ],
    ),
    // Where the policy is named, not where it is written.
    (
        "  b: { match: { path: /b, listener: a }, to: \"http://b:1\", auth: { any: [sso, keys] } }\n  c: { match: { path: /c, listener: b }, to: \"http://b:1\", auth: none }\nlisteners: { a: \":80\", b: \":81\" }\ndefaults: { auth: keys }\npolicies: { auth: { keys: KEY, sso: { external: { url: \"http://a\" } } } }",
        &[
            "6:17: credentials for routes `app`, `b` can be read on their way: listener `a` has no TLS (who reads them can use them: `tls` in the listener, `127.0.0.1:80` for this machine only, or `trusted_proxies` if TLS ends in front of it)",
            "6:27: credentials for route `app` can be read on their way: listener `b` has no TLS (who reads them can use them: `tls` in the listener, `127.0.0.1:81` for this machine only, or `trusted_proxies` if TLS ends in front of it)",
        ],
    ),
];

/// Listeners on which nobody can read what they should not.
const QUIET: &[&str] = &[
    "{ a: \"127.0.0.1:80\", b: \"127.8.8.8:80\", c: \"[::ffff:127.0.0.1]:81\", d: \"unix:/run/x\" }",
    "{ a: { address: \":80\", https_redirect: true }, b: { address: \":443\", tls: dev } }",
    "{ a: { address: \":80\", trusted_proxies: [10.0.0.0/8] } }",
];

/// What a route may ask for in plain text.
const HARMLESS: &[&str] = &[
    "none",
    "{ api_key: { keys: { ann: 0123456789abcdef } }, mode: shadow }",
    "{ signature: { keys: { ann: { id: a, secret: 0123456789abcdef0123456789abcdef } } } }",
    "{ external: { url: \"http://a\", request_headers: [] } }",
];

/// And what not.
const READABLE: &[&str] = &[
    "{ api_key: { keys: { ann: 0123456789abcdef } } }",
    "{ basic: { users_file: x } }",
    "{ jwt: { issuer: \"https://a\", audience: x } }",
    "{ introspection: { url: \"https://a\", client_id: x, client_secret: y, audience: z } }",
    "{ external: { url: \"http://a\" } }",
    "{ ext_authz: { url: \"h2c://a\" } }",
];

#[test]
fn credentials_without_tls() {
    compare(PLAIN, |lines| whole(&lines.replace("KEY", KEY)));
}

#[track_caller]
fn warnings(listeners: &str, auth: &str) -> Vec<String> {
    let text = with(&format!(
        "  b: {{ match: /b, to: \"http://b:1\", auth: {auth} }}\nlisteners: {listeners}"
    ));
    let loaded = read(&text);
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
    findings(&loaded)
}

#[test]
fn nobody_is_warned_of_what_strangers_cannot_read() {
    for listeners in QUIET {
        assert_eq!(warnings(listeners, KEY), [""; 0], "{listeners}");
    }
    for auth in HARMLESS {
        assert_eq!(warnings("{ a: \":80\" }", auth), [""; 0], "{auth}");
    }
    for auth in READABLE {
        let found = warnings("{ a: \":80\" }", auth);
        assert!(found.len() == 1 && found[0].contains("can be read"), "{auth}: {found:?}");
    }
}
