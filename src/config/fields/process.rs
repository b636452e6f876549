//! Logs, metrics, admin, server and the rest.

use super::forms::{Form, NONE, STATUS, TEXT};
use super::{ANY_TIME, SOME_TIME, Section, Type, field, later};

pub(crate) static LOGS: Section = Section {
    name: "`logs`",
    fields: &[
        field(
            "level",
            Type::Word(&["error", "warn", "info", "debug", "trace"], &[]),
            "info",
            "least severe level written",
        ),
        field(
            "format",
            Type::Word(&["json", "pretty"], &[]),
            "",
            "pretty on a terminal and json otherwise by default",
        ),
        field("access", Type::Map(&ACCESS), "json", "none, json, clf, combined, or a map")
            .or(&[Form::A(&FORMAT), NONE]),
    ],
};

pub(crate) static ACCESS: Section = Section {
    name: "`access`",
    fields: &[
        field("format", FORMAT, "json", "form of a line"),
        field("to", Type::Text, "stdout", "stdout, stderr or a path; reopened on SIGUSR1"),
        field("only", Type::Map(&ONLY), "", "any condition keeps a line; default everything"),
        field("sample", Type::Percent, "100%", "share of 2xx and 3xx that is written"),
        field("headers", Type::Map(&LOG_HEADERS), "", "headers written in addition"),
        field(
            "query",
            Type::Word(&["keep", "redact", "drop"], &[]),
            "keep",
            "what is shown of a query",
        ),
    ],
};

/// Forms of an access log line.
pub(crate) const FORMAT: Type = Type::Word(&["json", "clf", "combined"], &["ecs"]);

pub(crate) static ONLY: Section = Section {
    name: "`only`",
    fields: &[
        field("status", Type::List, "", "status, range `400-599`, or a list").of(&[STATUS]).alone(),
        field("slower_than", ANY_TIME, "", "requests that took longer"),
    ],
};

pub(crate) static LOG_HEADERS: Section = Section {
    name: "`headers`",
    fields: &[
        field("request", Type::List, "[]", "of the request").of(&[TEXT]),
        field("response", Type::List, "[]", "of the answer").of(&[TEXT]),
    ],
};

pub(crate) static METRICS: Section = Section {
    name: "`metrics`",
    fields: &[
        field("path", Type::Text, "/metrics", "on the admin listener"),
        field(
            "buckets",
            Type::List,
            "[5ms, 10ms, 25ms, 50ms, 75ms, 100ms, 250ms, 500ms, 750ms, 1s, 2.5s, 5s, 7.5s, 10s]",
            "bounds of the duration histograms, rising",
        )
        .of(&[Form::A(&ANY_TIME)])
        .filled(),
        later("consumer_label", Type::Bool, "label by consumer"),
    ],
};

pub(crate) static TRACING: Section = Section {
    name: "`tracing`",
    fields: &[
        later("otlp", Type::Text, "collector"),
        later("sample", Type::Percent, "share traced"),
    ],
};

pub(crate) static ADMIN: Section = Section {
    name: "`admin`",
    fields: &[
        field("address", Type::Text, "127.0.0.1:9900", "metrics and probes; or none"),
        field("socket", Type::Text, "", "path of the socket for `reload` and `drain`"),
        later("ui", Type::Bool, "the admin page"),
        later("token", Type::Text, "secret of API and page"),
        later("tap", Type::Bool, "live requests on the page"),
    ],
};

pub(crate) static SERVER: Section = Section {
    name: "`server`",
    fields: &[
        field("name", Type::Text, "", "in Via and Proxy-Status; the host name by default"),
        field("drain", Type::Map(&DRAIN), "", "what SIGTERM does"),
        field("request_id", Type::Map(&REQUEST_ID), "", "request ids"),
        field("via", Type::Bool, "true", "add Via"),
        field(
            "pass_headers",
            Type::List,
            "[]",
            "headers that are otherwise taken out of requests: overrides and claims of identity",
        )
        .of(&[TEXT]),
        field("normalize", Type::Map(&NORMALIZE), "", "canonical paths"),
        field(
            "overload",
            Type::Map(&OVERLOAD),
            "none",
            "what is done when memory, descriptors, connections or time run short; or none",
        )
        .or(&[NONE]),
        field("workers", Type::Int(0, 1024), "0", "threads; 0 is one per CPU; needs a restart"),
    ],
};

pub(crate) static OVERLOAD: Section = Section {
    name: "`overload`",
    fields: &[
        field(
            "memory",
            Type::Size(1 << 20, 1 << 46),
            "",
            "of the process that is all there is; by default the limit of its cgroup, if it has one",
        ),
        field("delay", SOME_TIME, "1s", "timers of a worker that are so late are all there is"),
        field("shrink", Type::Percent, "80%", "from here on idle connections are closed after 5s"),
        field("shed_low", Type::Percent, "88%", "from here on requests of class low are refused"),
        field("shed_normal", Type::Percent, "94%", "from here on those of class normal, too"),
        field("refuse", Type::Percent, "98%", "from here on no new connections are accepted"),
    ],
};

pub(crate) static DRAIN: Section = Section {
    name: "`drain`",
    fields: &[
        field("delay", ANY_TIME, "5s", "/readyz fails, requests are still taken"),
        field("timeout", ANY_TIME, "30s", "for requests in flight to finish"),
    ],
};

pub(crate) static REQUEST_ID: Section = Section {
    name: "`request_id`",
    fields: &[
        field("header", Type::Text, "x-request-id", "its header"),
        field(
            "accept_from",
            Type::Word(&["trusted", "any", "none"], &[]),
            "trusted",
            "whose ids are kept",
        ),
    ],
};

pub(crate) static NORMALIZE: Section = Section {
    name: "`normalize`",
    fields: &[
        field("merge_slashes", Type::Bool, "true", "empty segments are merged"),
        field(
            "encoded_slash",
            Type::Word(&["reject", "keep"], &[]),
            "reject",
            "`%2F`: 400, or data inside a segment",
        ),
    ],
};
