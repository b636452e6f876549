//! Policies that say how much may be under way at once, and who goes first.

use super::forms::{ADAPTIVE_FORMS, BYTES, CLASS_FORMS, Form, Grammar, NONE};
use super::{A_SECOND, SOME_TIME, Section, Type, field, policies::MODE};

pub(crate) static BANDWIDTH: Section = Section {
    name: "`bandwidth`",
    fields: &[
        field("connection", Type::Map(&RATES), "", "of one client connection, all its streams"),
        field("total", Type::Map(&RATES), "", "of all connections together"),
    ],
};

pub(crate) static RATES: Section = Section {
    name: "rates",
    fields: &[
        field("request", Type::Text, "", "of request bodies; like `1MiB/s`").is(&[BYTES]),
        field("response", Type::Text, "", "of the bodies of answers; like `10MiB/s`").is(&[BYTES]),
    ],
};

pub(crate) static CONCURRENCY: Section = Section {
    name: "`concurrency`",
    fields: &[
        field("limit", Type::Int(1, 1_000_000), "", "requests at once; this or `adaptive`").some_of("bound"),
        field(
            "adaptive",
            Type::Map(&ADAPTIVE),
            "none",
            "found by watching how fast answers are; true, or a map",
        ).or(ADAPTIVE_FORMS).some_of("bound"),
        field(
            "key",
            Type::List,
            "",
            "so many for each: client_ip, consumer, claim:NAME, header:NAME, cookie:NAME, query:NAME, route; a list: all of them",
        ).of(&[Form::Like(Grammar::Part)]).alone(),
        field("queue", Type::Map(&WAITING), "", "who waits for a place; a number, a map, or none").or(&[Form::A(&Type::Int(0, 1_000_000)), NONE]),
        field("mode", MODE, "enforce", "shadow judges, counts and logs, and never refuses"),
    ],
};

pub(crate) static WAITING: Section = Section {
    name: "`queue`",
    fields: &[
        field("max", Type::Int(0, 1_000_000), "", "by default as many as the limit; 503 beyond"),
        field("timeout", SOME_TIME, "1s", "longest wait; 503 beyond"),
    ],
};

pub(crate) static ADAPTIVE: Section = Section {
    name: "`adaptive`",
    fields: &[
        field("min", Type::Int(1, 1_000_000), "4", "never less"),
        field("max", Type::Int(1, 1_000_000), "1000", "never more"),
        field("tolerance", Type::Percent, "25%", "how much slower than without load is still well"),
        field(
            "probe",
            A_SECOND,
            "30s",
            "how often is looked how fast answers are without load, while there is load",
        ),
    ],
};

/// How much requests matter.
pub(crate) static CLASS: Type = Type::Word(&["high", "normal", "low"], &[]);

pub(crate) static PRIORITY_CLASS: Section = Section {
    name: "`priority_class`",
    fields: &[
        field(
            "by",
            Type::Text,
            "",
            "consumer, claim:NAME, or header:NAME as trusted proxies send it",
        )
        .needed(),
        field("classes", Type::Free, "", "value and high, normal or low")
            .of(CLASS_FORMS)
            .filled()
            .needed(),
        field("default", Type::Word(&["high", "normal", "low"], &[]), "normal", "of all others"),
    ],
};
