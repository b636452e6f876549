//! How often requests may come.

use super::{
    Section, Type, field,
    forms::{Form, Grammar, NETWORK, RATE},
    policies::MODE,
};

pub(crate) static RATE_LIMIT: Section = Section {
    name: "`rate_limit`",
    fields: &[
        field(
            "limit",
            Type::List,
            "",
            "N/s, N/min, N/h, N/day, N/month or N/duration; a list: all of them hold",
        ).of(&[RATE]).alone().needed(),
        field(
            "burst",
            Type::Int(1, 1_000_000_000),
            "",
            "how many at once, of the shortest limit; by default a tenth of it, at least 1",
        ),
        field(
            "key",
            Type::List,
            "client_ip",
            "who shares a bucket: client_ip, consumer, claim:NAME, header:NAME, cookie:NAME, query:NAME, route; a list: all of them",
        ).of(&[Form::Like(Grammar::Part)]).alone(),
        field("ipv6_prefix", Type::Int(32, 128), "64", "bits in which IPv6 addresses count as one"),
        field(
            "keys",
            Type::Int(1000, 100_000_000),
            "100000",
            "keys remembered, 16 bytes each and 8 for each further limit",
        ),
        field(
            "cost",
            Type::Free,
            "1",
            "of a request: a number, a map of method and number, or `header:NAME` of the answer",
        ).of(&[Form::A(&Type::Int(0, 4_294_967_295))]).or(&[Form::Like(Grammar::Cost)]),
        field("store", Type::Text, "local", "where it is counted: local, or the name of a store"),
        field(
            "sync",
            Type::Word(&["exact", "leased"], &[]),
            "exact",
            "the store is asked for each request, or for some at once",
        ),
        field(
            "batch",
            Type::Int(1, 1_000_000),
            "",
            "with `sync: leased`: most that is taken at once; by default a tenth of what may come at once",
        ),
        field(
            "on_store_error",
            Type::Word(&["local", "allow", "deny"], &[]),
            "local",
            "while the store is away: each gateway counts its share, or all pass, or none (503)",
        ),
        field(
            "headers",
            Type::Word(&["draft", "legacy", "both", "none"], &[]),
            "draft",
            "sent to clients: RateLimit and RateLimit-Policy, X-RateLimit-*, both or none",
        ),
        field("exempt", Type::List, "[]", "networks not limited").of(&[NETWORK]).or(&[NETWORK]),
        field("mode", MODE, "enforce", "shadow judges, counts and logs, and never refuses"),
    ],
};
