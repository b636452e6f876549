//! Listeners and TLS.

use super::SOME_TIME;
use super::forms::{Form, NETWORK, NONE, TEXT};
use super::{Section, Type, field, later, moved};

/// One listener.
pub(crate) static LISTENER: Section = Section {
    name: "listener",
    fields: &[
        field(
            "address",
            Type::Text,
            "",
            "`host:port`, `:port`, `[::1]:port`, `unix:/path` or `fd:NAME`",
        ).needed(),
        field(
            "https_redirect",
            Type::Text,
            "false",
            "true (308), 301, 302, 307, 308 or false; needs a TLS listener",
        ).is(&[Form::Words(&["true", "false", "none", "301", "302", "307", "308"])]),
        field(
            "tls",
            Type::Map(&LISTENER_TLS),
            "false",
            "true: `tls.certificates`; auto: these and the development CA for local names; dev: the development CA; a map is true and more",
        ).or(&[Form::Words(&["true", "auto", "dev", "false", "none"])]).filled(),
        field("protocols", Type::List, "[h1, h2]", "h1, h2, h2c (without TLS only)").of(&[Form::Words(&["h1", "h2", "h2c"])]).filled(),
        later(
            "proxy_protocol",
            Type::Word(&["none", "optional", "required"], &[]),
            "PROXY protocol from the peer",
        ),
        field(
            "trusted_proxies",
            Type::List,
            "[]",
            "networks whose X-Forwarded-* and Forwarded are believed",
        ).of(&[NETWORK]),
        field(
            "client_ip_from",
            Type::Text,
            "x-forwarded-for",
            "x-forwarded-for, forwarded, or the name of a header",
        ),
        field(
            "max_connections",
            Type::Int(1, 10_000_000),
            "20000",
            "beyond it connections are answered 503 and closed",
        ),
        field("timeouts", Type::Map(&LISTENER_TIMEOUTS), "", "time limits of a connection"),
        field(
            "limits",
            Type::Map(&LISTENER_LIMITS),
            "",
            "sizes of a request head, shares of a client",
        ),
        moved("port", "address: \":8080\""),
        moved("bind", "address"),
        moved("listen", "address"),
    ],
};

pub(crate) static LISTENER_TLS: Section = Section {
    name: "`tls`",
    fields: &[
        later("min_version", Type::Word(&["1.2", "1.3"], &[]), "overrides `tls.min_version`"),
        field(
            "client_auth",
            Type::Map(&CLIENT_AUTH),
            "",
            "instead of `tls.client_auth`, as a whole; or none",
        )
        .or(&[NONE]),
        later("alpn", Type::List, "protocols offered"),
    ],
};

pub(crate) static LISTENER_TIMEOUTS: Section = Section {
    name: "`timeouts`",
    fields: &[
        field("handshake", SOME_TIME, "10s", "TLS handshake"),
        field("header", SOME_TIME, "10s", "a whole request head"),
        field("idle", SOME_TIME, "75s", "keep-alive with no request"),
        field("write", SOME_TIME, "60s", "a client that takes nothing of its answer"),
    ],
};

pub(crate) static LISTENER_LIMITS: Section = Section {
    name: "`limits`",
    fields: &[
        field(
            "header_size",
            Type::Size(1 << 10, 1 << 20),
            "32KiB",
            "bytes of a request head; 431 beyond",
        ),
        field("header_count", Type::Int(1, 1000), "100", "header fields; 431 beyond"),
        field(
            "uri_length",
            Type::Size(1, 1 << 20),
            "8KiB",
            "bytes of the request target; 414 beyond",
        ),
        field(
            "h2_streams",
            Type::Int(1, 1000),
            "128",
            "concurrent streams of an HTTP/2 connection",
        ),
        field(
            "connections_per_client",
            Type::Int(1, 10_000_000),
            "",
            "of one address (IPv6: one /64), trusted proxies apart; by default half of `max_connections`",
        ),
        field(
            "handshakes",
            Type::Int(1, 10_000_000),
            "1000",
            "TLS handshakes under way, at most half of them one client's; beyond it closed",
        ),
    ],
};

pub(crate) static TLS: Section = Section {
    name: "`tls`",
    fields: &[
        field("min_version", Type::Word(&["1.2", "1.3"], &[]), "1.2", "lowest TLS version"),
        field("session_tickets", Type::Bool, "true", "session tickets are issued"),
        field(
            "certificates",
            Type::Many(&CERTIFICATE),
            "[]",
            "by SNI: exact, then wildcard; the first is the fallback",
        ),
        later("acme", Type::Named(&ACME), "certificates from an ACME authority"),
        field("client_auth", Type::Map(&CLIENT_AUTH), "none", "certificates clients are asked for")
            .or(&[NONE]),
    ],
};

pub(crate) static CERTIFICATE: Section = Section {
    name: "`certificates`",
    fields: &[
        field("cert", Type::Text, "", "path of a PEM chain; watched").needed(),
        field("key", Type::Text, "", "path of the PEM key").needed(),
        field(
            "hosts",
            Type::List,
            "",
            "names it is served for; by default those in the certificate",
        )
        .of(&[TEXT]),
        later("acme", Type::Text, "name in `tls.acme`"),
        later("self_signed", Type::Bool, "from the local CA"),
    ],
};

pub(crate) static CLIENT_AUTH: Section = Section {
    name: "`client_auth`",
    fields: &[
        field(
            "mode",
            Type::Word(&["none", "optional", "require"], &[]),
            "require",
            "optional: who shows none gets a connection all the same",
        ),
        field("ca", Type::Text, "", "path of the authorities accepted, PEM; watched; required"),
        field("crl", Type::Text, "", "path of what they have revoked, PEM; watched"),
    ],
};

pub(crate) static ACME: Section = Section {
    name: "`acme`",
    fields: &[
        later("directory", Type::Text, "the authority"),
        later("email", Type::Text, "contact"),
        later(
            "challenge",
            Type::Word(&["tls-alpn-01", "http-01", "dns-01"], &[]),
            "how control is proved",
        ),
        later("dns", Type::Map(&ACME_DNS), "DNS provider for dns-01"),
        later("storage", Type::Text, "where accounts and certificates are kept"),
    ],
};

pub(crate) static ACME_DNS: Section = Section {
    name: "`dns`",
    fields: &[
        later("provider", Type::Text, "the provider"),
        later("token", Type::Text, "its secret"),
    ],
};
