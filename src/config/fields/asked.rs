//! Schemes of `auth` that ask a service.

use super::forms::{Form, Grammar, NONE, TEXT, TEXTS};
use super::jwt::{CONSUMER_CLAIM, PASS_CLAIMS};
use super::{ANY_SIZE, ANY_TIME, Field, SOME_TIME, Section, Type, field};

// What the schemes have in common.
const TO: Field = field("to", Type::Text, "", "the service, one of `upstreams`; instead of `url`")
    .one_of("service");
const TIMEOUT: Field = field("timeout", SOME_TIME, "1s", "what a request waits for it at most");
const RESPONSE_HEADERS: Field = field(
    "response_headers",
    Type::List,
    "[]",
    "taken from its answer for the upstream; never the client's own",
)
.of(&[TEXT]);
const ANSWER_HEADERS: Field =
    field("answer_headers", Type::List, "[]", "taken from its answer for the client").of(&[TEXT]);
const CONSUMER: Field =
    field("consumer", Type::Text, "none", "header of its answer that names the consumer");
const BODY: Field =
    field("body", Type::Map(&BODY_ASKED), "none", "it sees the body; a larger one is 413")
        .or(&[NONE]);
const ON_ERROR: Field = field(
    "on_error",
    Type::Word(&["deny", "allow"], &[]),
    "deny",
    "when it cannot say: deny is 503 `auth_unavailable`",
);
const CACHE: Field = field(
    "cache",
    Type::Map(&DECISIONS),
    "none",
    "keep what it says of requests that are alike; not kept unless written",
)
.or(&[NONE]);

pub(crate) static EXTERNAL: Section = Section {
    name: "`external`",
    fields: &[
        field("url", Type::Text, "", "the service, with its path; an upstream of its own")
            .one_of("service"),
        TO,
        field("path", Type::Text, "/", "path of the question, with `to`"),
        field("method", Type::Text, "GET", "method of the question; POST with `body`"),
        TIMEOUT,
        field("request_headers", Type::List, "[authorization, cookie]", "what it sees").of(&[TEXT]),
        RESPONSE_HEADERS,
        ANSWER_HEADERS,
        CONSUMER,
        BODY,
        ON_ERROR,
        CACHE,
    ],
};

pub(crate) static EXT_AUTHZ: Section = Section {
    name: "`ext_authz`",
    fields: &[
        field("url", Type::Text, "", "the service; an upstream of its own").one_of("service"),
        TO,
        TIMEOUT,
        field("request_headers", Type::List, "all", "what it sees; all or a list")
            .of(&[TEXT])
            .or(&[Form::Words(&["all"])]),
        RESPONSE_HEADERS,
        ANSWER_HEADERS,
        CONSUMER,
        BODY,
        ON_ERROR,
        CACHE,
    ],
};

pub(crate) static INTROSPECTION: Section = Section {
    name: "`introspection`",
    fields: &[
        field("url", Type::Text, "", "the endpoint, with its path; an upstream of its own")
            .one_of("service"),
        field("to", Type::Text, "", "the issuer, one of `upstreams`; instead of `url`")
            .one_of("service"),
        field("path", Type::Text, "/", "path of the endpoint, with `to`"),
        TIMEOUT,
        field("client_id", Type::Text, "", "who asks; none where a client certificate says it"),
        field("client_secret", Type::Text, "", "its password there"),
        field("client_secret_file", Type::Text, "", "path of a file with it; watched"),
        field(
            "from",
            Type::Text,
            "header:authorization",
            "where the token is: header:NAME, query:NAME, cookie:NAME",
        )
        .is(&[Form::Like(Grammar::Carrier)]),
        field("issuer", Type::Text, "", "compared with `iss`; not asked for unless written"),
        field("audience", Type::List, "", "of these `aud` must name one; or any")
            .of(&[TEXT])
            .alone()
            .needed(),
        field("require", Type::Free, "{}", "claims and their values; all must hold")
            .of(&[TEXT, TEXTS]),
        CONSUMER_CLAIM,
        PASS_CLAIMS,
        field("pass_token", Type::Bool, "false", "hand the token to the upstream"),
        field(
            "cache",
            Type::Map(&TOKENS),
            "none",
            "keep what it says of a token, never past `exp`",
        )
        .or(&[NONE]),
    ],
};

pub(crate) static BODY_ASKED: Section =
    Section { name: "`body`", fields: &[field("max", ANY_SIZE, "64KiB", "largest body")] };

pub(crate) static DECISIONS: Section = Section {
    name: "`cache`",
    fields: &[
        field(
            "key",
            Type::List,
            "",
            "what tells requests apart: header:NAME, cookie:NAME, method, scheme, host, path, query, client_ip",
        ).of(&[TEXT]).filled().needed(),
        TTL,
        NEGATIVE_TTL,
        STALE,
        MAX,
    ],
};

pub(crate) static TOKENS: Section =
    Section { name: "`cache`", fields: &[TTL, NEGATIVE_TTL, STALE, MAX] };

const TTL: Field = field("ttl", ANY_TIME, "1m", "that somebody may pass");
const NEGATIVE_TTL: Field =
    field("negative_ttl", ANY_TIME, "5s", "that somebody may not; 0s keeps nothing");
const STALE: Field =
    field("stale_if_error", ANY_TIME, "0s", "both, longer, while the service cannot say");
const MAX: Field = field("max", Type::Int(1, 1_000_000), "10000", "how many of each are kept");
