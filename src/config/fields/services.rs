//! Upstreams.

use super::forms::{ADAPTIVE_FORMS, CAUSES, Form, Grammar, HEALTH_FORMS, NONE, STATUS, URL};
use std::time::Duration;

use super::{A_SECOND, ADAPTIVE, ANY_TIME, SOME_TIME, Section, Type, field, later, moved};

/// One upstream; short forms are a URL and a list of URLs.
pub(crate) static UPSTREAM: Section = Section {
    name: "upstream",
    fields: &[
        field(
            "endpoints",
            Type::Many(&ENDPOINT),
            "",
            "URLs or maps: http, https, h2c, unix:; required unless discover",
        )
        .of(&[URL])
        .or(&[URL])
        .filled()
        .one_of("where"),
        field(
            "discover",
            Type::Map(&DISCOVER),
            "",
            "where endpoints are found, instead of `endpoints`",
        )
        .one_of("where"),
        field(
            "lb",
            Type::Word(&["round_robin", "least_requests", "random", "peak_ewma", "hash"], &[]),
            "least_requests",
            "how an endpoint is chosen: in turn, by requests in flight, by chance, by latency, by \
             a hash",
        )
        .replaces(),
        field(
            "hash_on",
            Type::Text,
            "",
            "what `lb: hash` hashes: client_ip, path, header:NAME, cookie:NAME, query:NAME",
        )
        .is(&[Form::Like(Grammar::Hashed)])
        .replaces(),
        field(
            "slow_start",
            ANY_TIME,
            "none",
            "how long an endpoint that is back warms up; or none",
        )
        .or(&[NONE])
        .replaces(),
        field(
            "sticky",
            Type::Map(&STICKY),
            "none",
            "a cookie that pins a client to an endpoint; or none",
        )
        .or(&[NONE])
        .merges(),
        field("connect_timeout", SOME_TIME, "1s", "limit on connecting").replaces(),
        field(
            "protocol",
            Type::Word(&["auto", "h1", "h2"], &[]),
            "auto",
            "HTTP version: ALPN on https, h1 on http by default",
        )
        .replaces(),
        field("host_header", Type::Text, "client", "client, upstream, or the host to send")
            .replaces(),
        field("health", Type::Map(&HEALTH), "none", "active health checks; a path, or none")
            .or(HEALTH_FORMS)
            .merges(),
        field("outlier", Type::Map(&OUTLIER), "none", "passive ejection of endpoints; or none")
            .or(&[NONE])
            .merges(),
        field("breaker", Type::Map(&BREAKER), "none", "circuit breaker; or none")
            .or(&[NONE])
            .merges(),
        field("limits", Type::Map(&UPSTREAM_LIMITS), "", "bounds on concurrent use").merges(),
        field("pool", Type::Map(&POOL), "", "idle connections kept").merges(),
        later(
            "proxy_protocol",
            Type::Word(&["none", "v1", "v2"], &[]),
            "PROXY protocol to the upstream",
        ),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to https endpoints").merges(),
        moved("servers", "endpoints"),
        moved("targets", "endpoints"),
        moved("hosts", "endpoints"),
        moved("url", "endpoints"),
    ],
};

pub(crate) static ENDPOINT: Section = Section {
    name: "`endpoints`",
    fields: &[
        field("url", Type::Text, "", "where it listens").is(&[URL]).needed(),
        field("weight", Type::Int(0, 1000), "1", "share of the load; 0 takes it out"),
        field("backup", Type::Bool, "false", "used when no other is usable"),
        field("priority", Type::Int(0, 100), "0", "used when none of a lower number is usable"),
    ],
};

pub(crate) static UPSTREAM_LIMITS: Section = Section {
    name: "`limits`",
    fields: &[
        field("connections", Type::Int(1, 1_000_000), "512", "per endpoint"),
        field("requests", Type::Int(1, 10_000_000), "1024", "in flight; 503 beyond"),
        field("queue", Type::Int(0, 10_000_000), "256", "waiting; 503 beyond"),
        field(
            "adaptive",
            Type::Map(&ADAPTIVE),
            "none",
            "`requests` is found by watching how fast answers are, up to its value; true, or a map",
        )
        .or(ADAPTIVE_FORMS),
    ],
};

pub(crate) static POOL: Section = Section {
    name: "`pool`",
    fields: &[
        field("idle", ANY_TIME, "60s", "how long a connection may idle"),
        field("max_idle", Type::Int(0, 100_000), "512", "idle connections per endpoint"),
    ],
};

pub(crate) static UPSTREAM_TLS: Section = Section {
    name: "`tls`",
    fields: &[
        field("ca", Type::Text, "system", "path of the authorities accepted, or `system`"),
        field("cert", Type::Text, "", "path of a client certificate; needs `key`"),
        field("key", Type::Text, "", "path of its key"),
        field("server_name", Type::Text, "", "sent and verified instead of the endpoint's host"),
        field("verify", Type::Bool, "true", "false accepts any certificate, with a warning"),
    ],
};

pub(crate) static STICKY: Section = Section {
    name: "`sticky`",
    fields: &[
        field("cookie", Type::Text, "", "its name; required"),
        field(
            "ttl",
            Type::Duration(Duration::from_secs(1)),
            "none",
            "its life, in whole seconds; none is the browser's session",
        )
        .or(&[NONE]),
        field(
            "secret",
            Type::Text,
            "",
            "signs it, 16 characters or more; made at start by default, write one if several \
             gateways share the clients",
        ),
    ],
};

pub(crate) static HEALTH: Section = Section {
    name: "`health`",
    fields: &[
        field("path", Type::Text, "", "path asked for; this or `grpc` is required"),
        field("grpc", Type::Text, "", "service of grpc.health.v1 instead; `\"\"` is the server")
            .or(&[Form::Empty]),
        field("every", Type::Duration(Duration::from_millis(500)), "10s", "interval, ±10 %"),
        field("timeout", SOME_TIME, "2s", "limit of one check, at most `every`"),
        field("expect", Type::List, "200-299", "good statuses: one, a range or a list")
            .of(&[STATUS])
            .alone(),
        field("healthy_after", Type::Int(1, 20), "2", "good checks in a row"),
        field("unhealthy_after", Type::Int(1, 20), "3", "bad checks in a row"),
        field("host", Type::Text, "", "Host sent instead of the endpoint's"),
        field(
            "initial",
            Type::Word(&["healthy", "unhealthy"], &[]),
            "healthy",
            "what holds until the first check",
        ),
        field(
            "on_none_healthy",
            Type::Word(&["fail", "use_all"], &[]),
            "fail",
            "what if none is healthy: 503, or all are used",
        ),
    ],
};

pub(crate) static OUTLIER: Section = Section {
    name: "`outlier`",
    fields: &[
        field("after", Type::Int(1, 1_000_000), "5", "failures in a row: 5xx, connect, timeout"),
        field("eject_for", SOME_TIME, "30s", "time out of rotation; doubles, up to 5m"),
        field("max_ejected", Type::Percent, "50%", "share that may be out; never the last one"),
    ],
};

pub(crate) static BREAKER: Section = Section {
    name: "`breaker`",
    fields: &[
        field("errors", Type::Percent, "50%", "share of errors that opens it"),
        field(
            "count",
            Type::List,
            "[5xx, timeout, connect]",
            "what is an error: connect, reset, timeout, 5xx, statuses",
        )
        .of(CAUSES)
        .alone(),
        field("min_requests", Type::Int(1, 1_000_000), "20", "below it the share is ignored"),
        field("window", SOME_TIME, "10s", "over which it is measured"),
        field("open_for", SOME_TIME, "30s", "time before the first probe"),
        field("probes", Type::Int(1, 1_000_000), "3", "good probes before it closes"),
    ],
};

pub(crate) static DISCOVER: Section = Section {
    name: "`discover`",
    fields: &[
        field("dns", Type::Map(&DISCOVER_DNS), "", "records of a name").one_of("source"),
        field("file", Type::Text, "", "path of a file with a list of endpoints; watched")
            .one_of("source"),
        field("etcd", Type::Map(&DISCOVER_ETCD), "", "the values under a prefix in etcd; watched")
            .one_of("source"),
        later("consul", Type::Map(&DISCOVER_CONSUL), "from Consul"),
        later("kubernetes", Type::Map(&DISCOVER_KUBERNETES), "from Kubernetes"),
    ],
};

pub(crate) static DISCOVER_DNS: Section = Section {
    name: "`dns`",
    fields: &[
        field("name", Type::Text, "", "name asked for").needed(),
        field("type", Type::Word(&["a", "aaaa", "srv"], &[]), "", "only these records; A and AAAA"),
        field("port", Type::Int(1, 65535), "", "of every endpoint; required unless `type: srv`"),
        field(
            "scheme",
            Type::Word(&["http", "https", "h2c"], &[]),
            "http",
            "how endpoints are spoken to",
        ),
        field("refresh", A_SECOND, "", "time between two lookups; the TTL of the answer"),
        field(
            "server",
            Type::Text,
            "",
            "IP address of the name server, or address:port; the system's",
        ),
    ],
};

pub(crate) static DISCOVER_CONSUL: Section = Section {
    name: "`consul`",
    fields: &[
        later("service", Type::Text, "its name"),
        later("address", Type::Text, "the agent"),
        later("tag", Type::Text, "only with this tag"),
        later("token", Type::Text, "secret"),
    ],
};

pub(crate) static DISCOVER_ETCD: Section = Section {
    name: "`etcd`",
    fields: &[
        field("endpoints", Type::List, "", "URLs of members of etcd: http, https")
            .of(&[URL])
            .alone()
            .needed(),
        field("prefix", Type::Text, "", "what keys begin with; values are URLs or maps").needed(),
        field("user", Type::Text, "", "if etcd wants one; with `password`"),
        field("password", Type::Text, "", "secret"),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to https members"),
    ],
};

pub(crate) static DISCOVER_KUBERNETES: Section = Section {
    name: "`kubernetes`",
    fields: &[
        later("service", Type::Text, "namespace/name"),
        later("port", Type::Text, "name or number"),
    ],
};
