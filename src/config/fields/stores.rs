//! Where several gateways count together.

use super::{SOME_TIME, Section, Type, field, forms::TEXT, services::UPSTREAM_TLS};

pub(crate) static STORE: Section = Section {
    name: "store",
    fields: &[
        field(
            "redis",
            Type::List,
            "",
            "URL of Redis or Valkey: redis://HOST:PORT, rediss://HOST:PORT, unix:/path; a list: nodes of a cluster; this or `rls`",
        )
        .of(&[TEXT])
        .or(&[TEXT])
        .filled()
        .one_of("counts"),
        field(
            "rls",
            Type::Text,
            "",
            "a service of Envoy's rate limit protocol: h2c://HOST:PORT, https://HOST:PORT, or the name of an upstream",
        )
        .one_of("counts"),
        field("domain", Type::Text, "tidegate", "with `rls`: whose limits are asked for"),
        field("user", Type::Text, "", "of its access list; with `password`"),
        field("password", Type::Text, "", "secret"),
        field("database", Type::Int(0, 65535), "0", "its number; a cluster has only 0"),
        field("prefix", Type::Text, "tidegate", "what its keys begin with"),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to rediss:// URLs"),
        field(
            "timeout",
            SOME_TIME,
            "5ms",
            "a request waits no longer for it; at most 1s; 20ms with `rls`",
        ),
        field(
            "gateways",
            Type::Int(1, 10_000),
            "1",
            "how many gateways count in it: for the share of each while it is away, and for the bound `explain` prints",
        ),
    ],
};
