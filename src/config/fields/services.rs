//! Upstreams.

use std::time::Duration;

use super::{ANY_TIME, SOME_TIME, Section, Type, field, later, moved};

/// One upstream; short forms are a URL and a list of URLs.
pub(crate) static UPSTREAM: Section = Section {
    name: "upstream",
    fields: &[
        field(
            "endpoints",
            Type::Many(&ENDPOINT),
            "",
            "URLs or maps: http, https, h2c, unix:; required",
        ),
        later("discover", Type::Map(&DISCOVER), "endpoints found elsewhere"),
        field(
            "lb",
            Type::Word(&["round_robin", "least_requests", "random"], &["hash"]),
            "least_requests",
            "how an endpoint is chosen",
        ),
        later("hash_on", Type::Text, "what `lb: hash` hashes"),
        later("sticky", Type::Map(&STICKY), "a cookie that pins a client to an endpoint"),
        field("connect_timeout", SOME_TIME, "1s", "limit on connecting"),
        field(
            "protocol",
            Type::Word(&["auto", "h1", "h2"], &[]),
            "auto",
            "HTTP version: ALPN on https, h1 on http by default",
        ),
        field("host_header", Type::Text, "client", "client, upstream, or the host to send"),
        later("health", Type::Map(&HEALTH), "active health checks"),
        later("outlier", Type::Map(&OUTLIER), "passive ejection of endpoints"),
        later("breaker", Type::Map(&BREAKER), "circuit breaker"),
        field("limits", Type::Map(&UPSTREAM_LIMITS), "", "bounds on concurrent use"),
        field("pool", Type::Map(&POOL), "", "idle connections kept"),
        later(
            "proxy_protocol",
            Type::Word(&["none", "v1", "v2"], &[]),
            "PROXY protocol to the upstream",
        ),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to https endpoints"),
        moved("servers", "endpoints"),
        moved("targets", "endpoints"),
        moved("hosts", "endpoints"),
        moved("url", "endpoints"),
    ],
};

pub(crate) static ENDPOINT: Section = Section {
    name: "`endpoints`",
    fields: &[
        field("url", Type::Text, "", "where it listens; required"),
        field("weight", Type::Int(0, 1000), "1", "share of the load; 0 takes it out"),
        field("backup", Type::Bool, "false", "used when no other is usable"),
    ],
};

pub(crate) static UPSTREAM_LIMITS: Section = Section {
    name: "`limits`",
    fields: &[
        field("connections", Type::Int(1, 1_000_000), "512", "per endpoint"),
        field("requests", Type::Int(1, 10_000_000), "1024", "in flight; 503 beyond"),
        field("queue", Type::Int(0, 10_000_000), "256", "waiting; 503 beyond"),
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
    fields: &[later("cookie", Type::Text, "its name"), later("ttl", SOME_TIME, "its life")],
};

pub(crate) static HEALTH: Section = Section {
    name: "`health`",
    fields: &[
        later("path", Type::Text, "path asked for"),
        later("grpc", Type::Text, "service of grpc.health.v1 instead"),
        later("every", Type::Duration(Duration::from_millis(500)), "interval"),
        later("timeout", SOME_TIME, "limit of one check"),
        later("expect", Type::Text, "good statuses"),
        later("healthy_after", Type::Int(1, 20), "good checks in a row"),
        later("unhealthy_after", Type::Int(1, 20), "bad checks in a row"),
        later("host", Type::Text, "Host sent"),
        later("on_none_healthy", Type::Word(&["fail", "use_all"], &[]), "what if none is healthy"),
    ],
};

pub(crate) static OUTLIER: Section = Section {
    name: "`outlier`",
    fields: &[
        later("after", Type::Int(1, 1_000_000), "failures in a row"),
        later("eject_for", SOME_TIME, "time out of rotation"),
        later("max_ejected", Type::Percent, "share that may be out"),
    ],
};

pub(crate) static BREAKER: Section = Section {
    name: "`breaker`",
    fields: &[
        later("errors", Type::Percent, "share of errors that opens it"),
        later("count", Type::List, "what is an error"),
        later("min_requests", Type::Int(1, 1_000_000), "below it the share is ignored"),
        later("window", SOME_TIME, "over which it is measured"),
        later("open_for", SOME_TIME, "time before the first probe"),
        later("probes", Type::Int(1, 1_000_000), "good probes before it closes"),
    ],
};

pub(crate) static DISCOVER: Section = Section {
    name: "`discover`",
    fields: &[
        later("dns", Type::Map(&DISCOVER_DNS), "from DNS"),
        later("consul", Type::Map(&DISCOVER_CONSUL), "from Consul"),
        later("etcd", Type::Map(&DISCOVER_ETCD), "from etcd"),
        later("kubernetes", Type::Map(&DISCOVER_KUBERNETES), "from Kubernetes"),
    ],
};

pub(crate) static DISCOVER_DNS: Section = Section {
    name: "`dns`",
    fields: &[
        later("name", Type::Text, "name asked for"),
        later("port", Type::Int(1, 65535), "port of every endpoint"),
        later("type", Type::Word(&["a", "aaaa", "srv"], &[]), "record type"),
        later("refresh", SOME_TIME, "instead of the record's TTL"),
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
        later("prefix", Type::Text, "of the keys"),
        later("endpoints", Type::List, "of etcd itself"),
    ],
};

pub(crate) static DISCOVER_KUBERNETES: Section = Section {
    name: "`kubernetes`",
    fields: &[
        later("service", Type::Text, "namespace/name"),
        later("port", Type::Text, "name or number"),
    ],
};
