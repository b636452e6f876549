//! Policies, named under `policies` or written inline.

use super::forms::{BYTES, CAUSES, Form, Grammar, NETWORK, NONE, PLACES_FORMS, RATE, TEXT, TEXTS};
use std::time::Duration;

use super::{
    A_SECOND, ANY_SIZE, BANDWIDTH, CLIENT_CERT, CONCURRENCY, EXT_AUTHZ, EXTERNAL, INTROSPECTION,
    RATE_LIMIT, SIGNATURE, SOME_TIME, Section, Type, field, jwt::JWT, later,
    services::UPSTREAM_TLS,
};

/// The kinds of policy.
pub(crate) static POLICIES: Section = Section {
    name: "`policies`",
    fields: &[
        field("auth", Type::Named(&AUTH), "", "who may come in"),
        field("authorize", Type::Named(&AUTHORIZE), "", "what those who came in may do"),
        field("ip", Type::Named(&IP), "", "from which addresses"),
        field("rate_limit", Type::Named(&RATE_LIMIT), "", "how often; short form: a rate")
            .of(&[RATE]),
        later("cors", Type::Named(&CORS), "from which web pages"),
        field(
            "bandwidth",
            Type::Named(&BANDWIDTH),
            "",
            "how many bytes a second; short form: a rate",
        )
        .of(&[BYTES]),
        field(
            "concurrency",
            Type::Named(&CONCURRENCY),
            "",
            "how many at once; short form: a number",
        )
        .of(PLACES_FORMS),
        field("headers", Type::Named(&HEADERS), "", "header changes"),
        later("cache", Type::Named(&CACHE), "answers kept"),
        later("compress", Type::Named(&COMPRESS), "answers compressed"),
        field("body", Type::Named(&BODY), "", "request body limits"),
        field("timeouts", Type::Named(&TIMEOUTS), "", "time limits"),
        field("retry", Type::Named(&RETRY), "", "further tries"),
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
        ).or(&[NONE]),
        field(
            "per_try",
            SOME_TIME,
            "none",
            "one whole try, from connecting to the head of the answer; or none; not longer than `request`",
        ).or(&[NONE]),
        field(
            "first_byte",
            SOME_TIME,
            "30s",
            "from the end of the request to the head of the answer, each try; or none; not longer than `request`",
        ).or(&[NONE]),
        field(
            "connect",
            SOME_TIME,
            "none",
            "waiting for a connection; the `connect_timeout` of the upstream, if that is shorter; or none",
        ).or(&[NONE]),
        field("idle", SOME_TIME, "60s", "between two pieces of a body; or none").or(&[NONE]),
    ],
};

pub(crate) static BODY: Section = Section {
    name: "`body`",
    fields: &[
        field("max", ANY_SIZE, "10MiB", "largest request body; 413 beyond; or none").or(&[NONE]),
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
        field("set", Type::Free, "{}", "replace or insert").of(&[Form::Empty]),
        field("add", Type::Free, "{}", "append").of(&[Form::Empty, Form::List(&[Form::Empty])]),
        field("remove", Type::List, "[]", "take out").of(&[TEXT]),
    ],
};

pub(crate) static AUTH: Section = Section {
    name: "`auth`",
    fields: &[
        field("jwt", Type::Map(&JWT), "", "JSON web tokens").one_of("scheme"),
        field("api_key", Type::Map(&API_KEY), "", "API keys").one_of("scheme"),
        field("basic", Type::Map(&BASIC), "", "user and password").one_of("scheme"),
        field("oidc", Type::Map(&OIDC), "", "login with a browser at an OpenID provider")
            .one_of("scheme"),
        field("client_cert", Type::Map(&CLIENT_CERT), "", "TLS client certificates")
            .one_of("scheme"),
        field("signature", Type::Map(&SIGNATURE), "", "signed requests, RFC 9421").one_of("scheme"),
        field("introspection", Type::Map(&INTROSPECTION), "", "an issuer is asked for each token")
            .one_of("scheme"),
        field("external", Type::Map(&EXTERNAL), "", "an HTTP service says it by its status")
            .one_of("scheme"),
        field("ext_authz", Type::Map(&EXT_AUTHZ), "", "a gRPC service says it, as Envoy asks")
            .one_of("scheme"),
        field(
            "pass_consumer",
            Type::Text,
            "none",
            "header in which the upstream learns of the consumer; never the client's own",
        ),
        field("mode", MODE, "enforce", "shadow judges, counts and logs, and never refuses"),
    ],
};

pub(super) const MODE: Type = Type::Word(&["enforce", "shadow"], &[]);

pub(crate) static API_KEY: Section = Section {
    name: "`api_key`",
    fields: &[
        field(
            "from",
            Type::Text,
            "header:x-api-key",
            "where the key is: header:NAME, query:NAME, cookie:NAME",
        )
        .is(&[Form::Like(Grammar::Carrier)]),
        field("keys", Type::Free, "", "consumer and secret, or a list of secrets")
            .of(&[TEXT, TEXTS])
            .filled()
            .one_of("keys"),
        field("keys_file", Type::Text, "", "path of a file with lines `consumer secret`; watched")
            .one_of("keys"),
        field("hash", Type::Word(&["plain", "sha256"], &[]), "plain", "form of the secrets"),
        field("pass_key", Type::Bool, "false", "hand the key to the upstream"),
    ],
};

pub(crate) static BASIC: Section = Section {
    name: "`basic`",
    fields: &[
        field("users", Type::Free, "", "user and hash; `tidegate hash` makes one")
            .of(&[TEXT])
            .filled()
            .one_of("users"),
        field("users_file", Type::Text, "", "path of a file as `htpasswd -B` writes it; watched")
            .one_of("users"),
        field("realm", Type::Text, "restricted", "what a browser shows when it asks"),
        field("pass_credentials", Type::Bool, "false", "hand them to the upstream"),
    ],
};

pub(crate) static OIDC: Section = Section {
    name: "`oidc`",
    fields: &[
        field("issuer", Type::Text, "", "URL of the provider, as it writes it").needed(),
        field("client_id", Type::Text, "", "what it knows the gateway as").needed(),
        field("client_secret", Type::Text, "none", "with what the gateway proves that"),
        field("scopes", Type::List, "[openid]", "what is asked for; `openid` always is")
            .of(&[TEXT])
            .alone(),
        field("parameters", Type::Free, "{}", "what else the provider is told with each login")
            .of(&[TEXT]),
        field(
            "secrets",
            Type::List,
            "",
            "of 32 characters or more: the first seals sessions, all open them",
        )
        .of(&[TEXT])
        .alone()
        .needed(),
        field("callback", Type::Text, "/oauth2/callback", "path the provider sends browsers to"),
        field(
            "redirect_uri",
            Type::Text,
            "",
            "URL of the callback, if it is not that of the request",
        ),
        field("logout", Type::Text, "/oauth2/logout", "path that ends a session; or none"),
        field("after_logout", Type::Text, "none", "path or URL browsers go to then"),
        field("session", Type::Map(&OIDC_SESSION), "", "how long sessions last"),
        field(
            "claims",
            Type::List,
            "",
            "claims kept in the session; all of the ID token without it",
        )
        .of(&[TEXT])
        .alone(),
        field(
            "require",
            Type::Free,
            "{}",
            "claims that must hold: a value, or a list with any of them",
        )
        .of(&[TEXT, TEXTS]),
        field("consumer", Type::Text, "sub", "the claim that names the consumer; or none"),
        field(
            "pass_claims",
            Type::Free,
            "{}",
            "headers made from claims: `X-User: sub`; never the client's own",
        )
        .of(&[TEXT]),
        field("tls", Type::Map(&UPSTREAM_TLS), "", "TLS to the provider"),
    ],
};

pub(crate) static OIDC_SESSION: Section = Section {
    name: "`session`",
    fields: &[
        field("max", A_SECOND, "12h", "from the login"),
        field("idle", A_SECOND, "none", "without a request; or none").or(&[NONE]),
        field(
            "cookie",
            Type::Text,
            "",
            "name of its cookie; `tidegate_` and the policy's without it",
        ),
    ],
};

pub(crate) static AUTHORIZE: Section = Section {
    name: "`authorize`",
    fields: &[
        field(
            "allow",
            Type::List,
            "",
            "rule in CEL, or a list: requests of which one holds, and no others",
        )
        .of(&[TEXT])
        .alone()
        .some_of("rules"),
        field(
            "deny",
            Type::List,
            "",
            "rule, or a list: requests of which one holds are refused, whatever `allow` says",
        )
        .of(&[TEXT])
        .alone()
        .some_of("rules"),
        field("message", Type::Text, "", "what a client is told that is refused"),
        field("mode", MODE, "enforce", "shadow judges, counts and logs, and never refuses"),
    ],
};

pub(crate) static IP: Section = Section {
    name: "`ip`",
    fields: &[
        field("allow", Type::List, "", "networks let in, and no others")
            .of(&[NETWORK])
            .alone()
            .some_of("rules"),
        field("deny", Type::List, "", "networks kept out, whatever `allow` says")
            .of(&[NETWORK])
            .alone()
            .some_of("rules"),
        field("mode", MODE, "enforce", "shadow judges, counts and logs, and never refuses"),
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
        )
        .of(CAUSES)
        .alone(),
        field("methods", Type::List, "idempotent", "which requests: idempotent, any, or methods")
            .of(&[TEXT])
            .alone(),
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
