//! Listeners and their TLS.

use super::*;

const LISTENERS: &[Case] = &[
    ("listeners: {}", &["4:12: `listeners` is empty (leave it out to listen on `:8080`)"]),
    ("listeners: { http: 8080 }", &["4:20: `8080` is not an address (did you mean `:8080`?)"]),
    (
        "listeners: { http: \"localhost:80\" }",
        &["4:20: `localhost:80` is not an address (an IP address: `127.0.0.1:80`)"],
    ),
    (
        "listeners: { http: { address: \"example.com:80\" } }",
        &["4:31: `example.com:80` is not an address (the host must be an IP address)"],
    ),
    ("listeners: { http: { tls: dev } }", &["4:20: listener `http` has no `address`"]),
    (
        "listeners: { http: \"unix:x\", b: \"fd:\" }",
        &[
            "4:20: `unix:x` has no absolute path (`unix:/path`)",
            "4:33: `fd:` has no name of a socket (`fd:NAME`, with the FileDescriptorName= of the socket unit)",
        ],
    ),
    (
        "listeners: { a: \":80\", b: \":80\" }",
        &["4:27: listeners `b` and `a` have the same address"],
    ),
    (
        "listeners: { a: \":80\", b: \"127.0.0.1:80\" }",
        &[
            "4:27: listeners `b` and `a` overlap (only one of them can be bound; leave out the other, or give it another port)",
        ],
    ),
    (
        "listeners: { a: { address: \":80\", https_redirect: true } }",
        &["4:14: `https_redirect` in listener `a`, but no listener has TLS"],
    ),
    (
        "listeners: { a: { address: \":80\", https_redirect: 303 } }",
        &[
            "4:51: `https_redirect` in listener `a` must be true, false, 301, 302, 307 or 308, not `303`",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: true } }",
        &[
            "4:14: listener `a` has `tls: true`, but there is no certificate (`tls: { certificates: [{ cert: …, key: … }] }`, or `tls: dev` while developing)",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev, https_redirect: true } }",
        &["4:14: listener `a` has TLS itself, `https_redirect` is for plain ones"],
    ),
    (
        "listeners: { a: { address: \":443\", tls: atuo } }",
        &[
            "4:41: `tls` in listener `a` must be true, auto, dev or false, not `atuo` (did you mean `auto`?)",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: { min_version: \"1.3\" } } }",
        &[
            "4:14: listener `a` has `tls: true`, but there is no certificate (`tls: { certificates: [{ cert: …, key: … }] }`, or `tls: dev` while developing)",
            "4:43: `min_version` is part of the language, but this build cannot do it yet",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev, protocols: [h1, h2c] } }",
        &["4:57: `h2c` is for listeners without TLS, listener `a` has TLS (did you mean `h2`?)"],
    ),
    (
        "listeners: { a: { address: \":80\", protocols: [h2] } }",
        &["4:46: `h2` without TLS in listener `a` can never be spoken (did you mean `h2c`?)"],
    ),
    (
        "listeners: { a: { address: \":80\", protocols: h1 } }",
        &["4:46: `protocols` in listener `a` must be a list, not `h1` (did you mean `[h1]`?)"],
    ),
    (
        "listeners: { a: { address: \":80\", protocols: [h3, spdy] } }",
        &[
            "4:47: `h3` is part of the language, but this build cannot do it yet",
            "4:51: `protocols` in listener `a` must be made of `h1`, `h2`, `h2c`, not `spdy`",
        ],
    ),
    (
        "listeners: { a: { address: \":80\", trusted_proxies: [10.0.0.0/33] } }",
        &[
            "4:53: `trusted_proxies` in listener `a` must be made of networks, not `10.0.0.0/33` (like `10.0.0.0/8`)",
        ],
    ),
    (
        "listeners: { a: { address: \":80\", client_ip_from: \"a b\" } }",
        &["4:51: `client_ip_from` in listener `a` must be the name of a header, not `a b`"],
    ),
    (
        "listeners: { a: { address: \":80\", max_connections: 0 } }",
        &[
            "4:52: `max_connections` in listener `a` must be a whole number from 1 to 10000000, not `0`",
        ],
    ),
    (
        "listeners: { a: { address: \":80\", limits: { header_size: 10MiB } } }",
        &["4:58: `header_size` in `limits` of listener `a` must be from 1KiB to 1MiB, not `10MiB`"],
    ),
    (
        "listeners: { a: { address: \":80\", proxy_protocol: required } }",
        &["4:35: `proxy_protocol` is part of the language, but this build cannot do it yet"],
    ),
];

const CLIENT_AUTH: &[Case] = &[
    (
        "listeners: { a: { address: \":443\", tls: {} } }",
        &["4:41: `tls` in listener `a` must be true, auto, dev or false, not a map"],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: {} }",
        &["5:21: `client_auth` of `tls` has no `ca`"],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: { mode: want, ca: x } }",
        &[
            "5:29: `mode` in `client_auth` of `tls` must be one of `none`, `optional`, `require`, not `want`",
        ],
    ),
    (
        "listeners: { a: { address: \":443\", tls: { client_auth: { mode: optional } } } }",
        &["4:56: `client_auth` of `tls` of listener `a` has no `ca`"],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: require }",
        &["5:21: `client_auth` of `tls` must be a map, not `require`"],
    ),
    (
        "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: { ca: x, crls: y } }",
        &["5:30: unknown key `crls` in `client_auth` of `tls` (did you mean `crl`?)"],
    ),
];

#[test]
fn client_auth() {
    check(CLIENT_AUTH);
    let asked = "listeners: { a: { address: \":443\", tls: dev } }\ntls: { client_auth: ";
    for good in ["none", "{ mode: none }", "{ ca: x }", "{ mode: optional, ca: x, crl: y }"] {
        let loaded = read(&with(&format!("{asked}{good} }}")));
        let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
        assert_eq!(config.listeners["a"].client_auth.is_some(), good.contains("ca:"), "{good}");
    }
}

#[test]
fn a_listener_has_its_own_rules_or_those_of_the_file() {
    let loaded = read(&with(
        "listeners:\n  a: { address: \":1\", tls: true }\n  b: { address: \":2\", tls: { client_auth: none } }\n  \
         c: { address: \":3\", tls: { client_auth: { mode: optional, ca: other } } }\n  d: \":4\"\n\
         tls: { client_auth: { ca: x, crl: y }, certificates: [{ cert: c, key: k }] }",
    ));
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let of = |name: &str| {
        let asked = config.listeners[name].client_auth.as_ref()?;
        Some((asked.required, asked.ca.value.to_str()?.to_owned(), asked.crl.is_some()))
    };
    assert_eq!(of("a"), Some((true, "x".to_owned(), true)));
    assert_eq!((of("b"), of("d")), (None, None));
    // As a whole: a list of one authority says nothing of another's certificates.
    assert_eq!(of("c"), Some((false, "other".to_owned(), false)));
}

#[test]
fn listeners() {
    check(LISTENERS);
}
