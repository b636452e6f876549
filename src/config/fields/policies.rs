//! Policies, named under `policies` or written inline.

use std::time::Duration;

use super::{ANY_SIZE, SOME_TIME, Section, Type, field, later};

/// The kinds of policy.
pub(crate) static POLICIES: Section = Section {
    name: "`policies`",
    fields: &[
        later("auth", Type::Named(&AUTH), "who may come in"),
        later("ip", Type::Named(&IP), "from which addresses"),
        later("rate_limit", Type::Named(&RATE_LIMIT), "how often"),
        later("cors", Type::Named(&CORS), "from which web pages"),
        field("headers", Type::Named(&HEADERS), "", "header changes; merge by header name"),
        later("cache", Type::Named(&CACHE), "answers kept"),
        later("compress", Type::Named(&COMPRESS), "answers compressed"),
        field("body", Type::Named(&BODY), "", "request body limits; merge by field"),
        field("timeouts", Type::Named(&TIMEOUTS), "", "time limits; merge by field"),
        field("retry", Type::Named(&RETRY), "", "further tries; merge by field"),
    ],
};

pub(crate) static TIMEOUTS: Section = Section {
    name: "`timeouts`",
    fields: &[
        field(
            "request",
            SOME_TIME,
            "none",
            "from the request's head to the end of the answer; or none",
        ),
        field(
            "per_try",
            SOME_TIME,
            "30s",
            "from sending to the head of the answer, each try; or none; not longer than `request`",
        ),
        field("idle", SOME_TIME, "60s", "between two pieces of a body; or none"),
    ],
};

pub(crate) static BODY: Section = Section {
    name: "`body`",
    fields: &[
        field("max", ANY_SIZE, "10MiB", "largest request body; 413 beyond; or none"),
        field("buffer", Type::Bool, "false", "read it whole before connecting"),
    ],
};

pub(crate) static HEADERS: Section = Section {
    name: "`headers`",
    fields: &[
        field("request", Type::Map(&HEADER_EDITS), "", "on the request sent upstream"),
        field(
            "response",
            Type::Map(&HEADER_EDITS),
            "",
            "on the answer, the gateway's own errors too",
        ),
    ],
};

pub(crate) static HEADER_EDITS: Section = Section {
    name: "`headers`",
    fields: &[
        field("set", Type::Free, "{}", "replace or insert"),
        field("add", Type::Free, "{}", "append"),
        field("remove", Type::List, "[]", "take out"),
    ],
};

pub(crate) static AUTH: Section = Section {
    name: "`auth`",
    fields: &[
        later("jwt", Type::Map(&JWT), "JSON web tokens"),
        later("api_key", Type::Map(&API_KEY), "API keys"),
        later("basic", Type::Map(&BASIC), "user and password"),
        later("client_cert", Type::Map(&CLIENT_CERT), "TLS client certificates"),
        later("external", Type::Map(&EXTERNAL), "ask a service"),
        later("mode", MODE, "shadow judges and never refuses"),
    ],
};

const MODE: Type = Type::Word(&["enforce", "shadow"], &[]);

pub(crate) static JWT: Section = Section {
    name: "`jwt`",
    fields: &[
        later("issuer", Type::Text, "compared with `iss`"),
        later("audience", Type::List, "accepted `aud`"),
        later("jwks", Type::Text, "the keys"),
        later("algorithms", Type::List, "accepted algorithms"),
        later("leeway", SOME_TIME, "clock difference allowed"),
        later("from", Type::Text, "where the token is"),
        later("require", Type::Free, "claims that must hold"),
        later("pass_claims", Type::Free, "headers made from claims"),
    ],
};

pub(crate) static API_KEY: Section = Section {
    name: "`api_key`",
    fields: &[
        later("from", Type::Text, "where the key is"),
        later("keys", Type::Free, "consumer and secret"),
        later("keys_file", Type::Text, "the same, in a file"),
        later("hash", Type::Word(&["plain", "sha256"], &[]), "form of the secrets"),
        later("pass_key", Type::Bool, "hand it to the upstream"),
    ],
};

pub(crate) static BASIC: Section = Section {
    name: "`basic`",
    fields: &[
        later("users", Type::Free, "user and hash"),
        later("realm", Type::Text, "what the browser shows"),
    ],
};

pub(crate) static CLIENT_CERT: Section =
    Section { name: "`client_cert`", fields: &[later("san", Type::List, "accepted names")] };

pub(crate) static EXTERNAL: Section = Section {
    name: "`external`",
    fields: &[
        later("url", Type::Text, "the service"),
        later("timeout", SOME_TIME, "its limit"),
        later("request_headers", Type::List, "sent to it"),
        later("response_headers", Type::List, "taken from it"),
        later("on_error", Type::Word(&["deny", "allow"], &[]), "when it fails"),
    ],
};

pub(crate) static IP: Section = Section {
    name: "`ip`",
    fields: &[
        later("allow", Type::List, "networks let in"),
        later("deny", Type::List, "networks kept out"),
        later("mode", MODE, "shadow judges and never refuses"),
    ],
};

pub(crate) static RATE_LIMIT: Section = Section {
    name: "`rate_limit`",
    fields: &[
        later("limit", Type::Text, "N/min and the like"),
        later("burst", Type::Int(0, 1_000_000), "on top of the steady rate"),
        later("key", Type::Text, "who shares a bucket"),
        later("ipv6_prefix", Type::Int(32, 128), "addresses that count as one"),
        later("store", Type::Text, "local or shared"),
        later("on_store_error", Type::Word(&["allow", "deny"], &[]), "when the store fails"),
        later("headers", Type::Word(&["draft", "legacy", "both", "none"], &[]), "sent to clients"),
        later("exempt", Type::List, "networks not limited"),
        later("mode", MODE, "shadow judges and never refuses"),
    ],
};

pub(crate) static CORS: Section = Section {
    name: "`cors`",
    fields: &[
        later("origins", Type::List, "pages let in"),
        later("methods", Type::List, "methods allowed"),
        later("headers", Type::List, "request headers allowed"),
        later("expose", Type::List, "response headers shown"),
        later("credentials", Type::Bool, "with cookies"),
        later("max_age", Type::Duration(Duration::ZERO), "life of a preflight"),
    ],
};

pub(crate) static CACHE: Section = Section {
    name: "`cache`",
    fields: &[
        later("ttl", SOME_TIME, "life of an answer"),
        later("methods", Type::List, "methods cached"),
        later("vary", Type::List, "headers in the key"),
        later("stale_if_error", SOME_TIME, "used after its life when the upstream fails"),
        later("max_object", ANY_SIZE, "largest answer kept"),
        later("private", Type::Bool, "also private answers"),
    ],
};

pub(crate) static COMPRESS: Section = Section {
    name: "`compress`",
    fields: &[
        later("encodings", Type::List, "in order of preference"),
        later("min_size", ANY_SIZE, "smaller answers are left alone"),
        later("types", Type::List, "content types"),
    ],
};

/// The short form of `retry`.
pub(crate) static RETRY_TIMES: Type = Type::Int(0, 10);

pub(crate) static RETRY: Section = Section {
    name: "`retry`",
    fields: &[
        field(
            "times",
            Type::Int(0, 10),
            "",
            "tries after the first; required, unless there is `hedge`",
        ),
        field(
            "when",
            Type::List,
            "[connect, reset, 502-504]",
            "what is tried again: connect, reset, timeout, 5xx, statuses",
        ),
        field("methods", Type::List, "idempotent", "which requests: idempotent, any, or methods"),
        field("backoff", SOME_TIME, "25ms", "first pause; doubles, with jitter"),
        field("max_backoff", SOME_TIME, "1s", "longest pause; a longer Retry-After ends it"),
        field("budget", Type::Percent, "20%", "share of requests that may be further tries"),
        field("body_limit", ANY_SIZE, "64KiB", "larger bodies are not sent twice"),
        field(
            "hedge",
            Type::Word(&["none", "p50", "p90", "p95", "p99"], &[]),
            "none",
            "a second try beside the first, once that takes longer than so many others did",
        ),
    ],
};
