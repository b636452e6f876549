//! The file itself, defaults and routes.

use super::forms::{
    AUTH_FORMS, AUTHORIZE_FORMS, BANDWIDTH_FORMS, BODY_FORMS, CLASS_FORMS, CONCURRENCY_FORMS, Form,
    NAME, NAME_OR_NONE, NETWORK, NONE, RATE_LIMIT_FORMS, RETRY_FORMS, TEXT, URL,
};
use super::{ADMIN, LOGS, METRICS, SERVER, STORE, TEST, TRACING};
use super::{
    BANDWIDTH, BODY, CACHE, COMPRESS, CONCURRENCY, CORS, ENDPOINT, Field, HEADERS, IP, LISTENER,
    POLICIES, PRIORITY_CLASS, RATE_LIMIT, RETRY, Section, TIMEOUTS, TLS, Type, UPSTREAM, field,
    later, moved,
};

/// The top level of a file.
pub(crate) static TOP: Section = Section {
    name: "",
    fields: &[
        field("version", Type::Int(1, 1), "", "the version of the language").needed(),
        field(
            "include",
            Type::List,
            "[]",
            "file patterns, sorted, one level; not in an included file",
        )
        .of(&[TEXT])
        .or(&[TEXT]),
        field(
            "listeners",
            Type::Named(&LISTENER),
            "{ http: \":8080\" }",
            "sockets that accept; short form: an address",
        )
        .of(&[TEXT])
        .filled(),
        field("tls", Type::Map(&TLS), "", "certificates"),
        field("defaults", Type::Map(&DEFAULTS), "", "what every route and upstream inherits"),
        field("upstreams", Type::Named(&UPSTREAM), "{}", "services")
            .of(&[URL, Form::List(&[URL, Form::Map(&ENDPOINT)])]),
        field("policies", Type::Map(&POLICIES), "", "named policies, by kind"),
        field("routes", Type::Named(&ROUTE), "", "which request goes where; required"),
        field("stores", Type::Named(&STORE), "{}", "where several gateways count together"),
        field("logs", Type::Map(&LOGS), "", "diagnostics and access log"),
        field("metrics", Type::Map(&METRICS), "", "metrics endpoint"),
        later("tracing", Type::Map(&TRACING), "traces"),
        field("admin", Type::Map(&ADMIN), "", "the admin listener and socket"),
        field("server", Type::Map(&SERVER), "", "the process"),
        field(
            "tests",
            Type::Many(&TEST),
            "[]",
            "requests, and what `tidegate test` expects of them",
        ),
        moved("services", "upstreams"),
        moved("backends", "upstreams"),
    ],
};

/// What an included file may hold.
pub(crate) const INCLUDED: &[&str] =
    &["version", "upstreams", "policies", "defaults", "routes", "tests"];

// What a route inherits from `defaults`.
const AUTH_KEY: Field = field(
    "auth",
    Type::Map(&ROUTE_AUTH),
    "none",
    "who may come in: a name, any or all of some, a policy, or none",
)
.or(AUTH_FORMS)
.replaces();
const AUTHORIZE_KEY: Field = field(
    "authorize",
    Type::Map(&ROUTE_AUTHORIZE),
    "none",
    "what they may do there: a name, all of some, a policy, or none",
)
.or(AUTHORIZE_FORMS)
.replaces();
const IP_KEY: Field =
    field("ip", Type::Map(&IP), "none", "from which addresses; a name, a map, or none")
        .or(NAME_OR_NONE)
        .replaces();
const RATE_LIMIT_KEY: Field = field(
    "rate_limit",
    Type::Map(&RATE_LIMIT),
    "none",
    "how often: a name, a rate, a map, a list of these, or none",
)
.or(RATE_LIMIT_FORMS)
.replaces();
const BANDWIDTH_KEY: Field = field(
    "bandwidth",
    Type::Map(&BANDWIDTH),
    "none",
    "how many bytes a second: a name, a rate, a map, or none",
)
.or(BANDWIDTH_FORMS)
.replaces();
const CONCURRENCY_KEY: Field = field(
    "concurrency",
    Type::Map(&CONCURRENCY),
    "none",
    "how many at once: a name, a number, a map, a list of these, or none",
)
.or(CONCURRENCY_FORMS)
.replaces();
const CLASS_KEY: Field = field(
    "priority_class",
    Type::Map(&PRIORITY_CLASS),
    "normal",
    "who goes first when not all can: high, normal, low, or a map",
)
.or(CLASS_FORMS)
.replaces();
const CORS_KEY: Field = later("cors", Type::Map(&CORS), "from which web pages").replaces();
const HEADERS_KEY: Field =
    field("headers", Type::Map(&HEADERS), "", "header changes; a name, a map, or none")
        .or(NAME_OR_NONE)
        .merges_by_header();
const CACHE_KEY: Field = later("cache", Type::Map(&CACHE), "answers kept").replaces();
const COMPRESS_KEY: Field =
    later("compress", Type::Map(&COMPRESS), "answers compressed").replaces();
const BODY_KEY: Field =
    field("body", Type::Map(&BODY), "", "request body limits; a name, a map, a size, or none")
        .or(BODY_FORMS)
        .merges();
const TIMEOUTS_KEY: Field =
    field("timeouts", Type::Map(&TIMEOUTS), "", "time limits; a name or a map")
        .or(&[NAME])
        .merges();
const RETRY_KEY: Field =
    field("retry", Type::Map(&RETRY), "none", "further tries; a number, a name, a map, or none")
        .or(RETRY_FORMS)
        .merges();

pub(crate) static DEFAULTS: Section = Section {
    name: "`defaults`",
    fields: &[
        field("upstream", Type::Map(&UPSTREAM), "", "what every upstream inherits").partial(),
        AUTH_KEY,
        AUTHORIZE_KEY,
        IP_KEY,
        RATE_LIMIT_KEY,
        BANDWIDTH_KEY,
        CONCURRENCY_KEY,
        CLASS_KEY,
        CORS_KEY,
        HEADERS_KEY,
        CACHE_KEY,
        COMPRESS_KEY,
        BODY_KEY,
        TIMEOUTS_KEY,
        RETRY_KEY,
        moved("timeout", "timeouts"),
    ],
};

/// One route.
pub(crate) static ROUTE: Section = Section {
    name: "route",
    fields: &[
        field(
            "match",
            Type::Map(&MATCH),
            "",
            "which requests: `[METHOD ]host/path`, a map, or a list of either; default every request",
        ).or(&[TEXT, Form::List(&[TEXT, Form::Map(&MATCH)])]),
        field("to", Type::Free, "", "upstream, URL, or a map of upstream and weight (0 to 10000)").of(&[Form::A(&Type::Int(0, 10_000))]).or(&[TEXT]).filled().one_of("action"),
        field("redirect", Type::Map(&REDIRECT), "", "URL template or map").or(&[TEXT]).one_of("action"),
        field("respond", Type::Map(&RESPOND), "", "status or map").or(&[Form::A(&Type::Int(200, 599))]).one_of("action"),
        field("strip_prefix", Type::Text, "", "path, or true for the literal part of the pattern"),
        field("rewrite", Type::Text, "", "path template: `/v2/{id}/{**}`"),
        field(
            "mirror",
            Type::Map(&MIRROR),
            "none",
            "a copy of the traffic elsewhere; an upstream, a URL, or none",
        ).or(&[TEXT, NONE]),
        field("priority", Type::Int(-1000, 1000), "0", "breaks ties that would be an error"),
        field("enabled", Type::Bool, "true", "false keeps it in the file and answers nothing"),
        field("upgrade", Type::List, "[websocket]", "protocols a client may upgrade to, or none").of(&[TEXT]).or(&[NONE]),
        AUTH_KEY,
        AUTHORIZE_KEY,
        IP_KEY,
        RATE_LIMIT_KEY,
        BANDWIDTH_KEY,
        CONCURRENCY_KEY,
        CLASS_KEY,
        CORS_KEY,
        HEADERS_KEY,
        CACHE_KEY,
        COMPRESS_KEY,
        BODY_KEY,
        TIMEOUTS_KEY,
        RETRY_KEY,
        field(
            "errors",
            Type::Word(&["auto", "problem", "html", "text"], &[]),
            "auto",
            "form of the gateway's own errors",
        ),
        field("access_log", Type::Bool, "true", "write access log lines"),
        field("layers", Type::Many(&LAYER), "[]", "your own tower layers"),
        field("labels", Type::Free, "{}", "shown in logs and the admin page").of(&[Form::Empty]),
        moved("timeout", "timeouts"),
        moved("upstream", "to"),
        moved("backend", "to"),
        moved("target", "to"),
        moved("host", "match"),
        moved("path", "match"),
        moved("method", "match"),
        moved("methods", "match"),
    ],
};

pub(crate) static MATCH: Section = Section {
    name: "`match`",
    fields: &[
        field(
            "host",
            Type::List,
            "",
            "name or list: exact, `*.x` (one label), `**.x` (one or more)",
        )
        .of(&[TEXT])
        .alone(),
        field("path", Type::List, "", "pattern or list: `/a/{id}/**`, or `{ regex: \"^/…\" }`")
            .of(&[TEXT, Form::Map(&PATH_REGEX)])
            .alone(),
        field("method", Type::List, "", "method or list; GET takes HEAD too").of(&[TEXT]).alone(),
        field(
            "headers",
            Type::Free,
            "",
            "value, present, absent, `{ regex }` or `{ prefix }` by header",
        )
        .of(&[Form::Empty, Form::Map(&VALUE)]),
        field("query", Type::Free, "", "the same, by query parameter")
            .of(&[Form::Empty, Form::Map(&VALUE)]),
        field("client_ip", Type::List, "", "networks").of(&[NETWORK]).alone(),
        field("listener", Type::List, "", "listener or list").of(&[TEXT]).alone(),
        moved("hosts", "host"),
        moved("paths", "path"),
        moved("methods", "method"),
    ],
};

pub(crate) static PATH_REGEX: Section = Section {
    name: "`path`",
    fields: &[field("regex", Type::Text, "", "regular expression; starts with `^/`").needed()],
};

pub(crate) static VALUE: Section = Section {
    name: "condition",
    fields: &[
        field("regex", Type::Text, "", "regular expression").one_of("condition"),
        field("prefix", Type::Text, "", "what the value starts with").one_of("condition"),
    ],
};

pub(crate) static REDIRECT: Section = Section {
    name: "`redirect`",
    fields: &[
        field(
            "to",
            Type::Text,
            "",
            "URL template: `{path}`, `{host}`, `{query}` and captured names",
        )
        .needed(),
        field("status", Type::Word(&["301", "302", "303", "307", "308"], &[]), "308", "status"),
        field("keep_query", Type::Bool, "true", "keep the query of the request"),
    ],
};

pub(crate) static RESPOND: Section = Section {
    name: "`respond`",
    fields: &[
        field("status", Type::Int(200, 599), "200", "status"),
        field("body", Type::Text, "", "body").or(&[Form::Empty]),
        field("headers", Type::Free, "{}", "header fields")
            .of(&[Form::Empty, Form::List(&[Form::Empty])]),
    ],
};

pub(crate) static MIRROR: Section = Section {
    name: "`mirror`",
    fields: &[
        field("to", Type::Text, "", "upstream or URL").needed(),
        field("percent", Type::Percent, "100%", "share of the requests"),
        field("compare", Type::Map(&COMPARE), "", "what is compared of the two answers"),
    ],
};

pub(crate) static COMPARE: Section = Section {
    name: "`compare`",
    fields: &[
        field("status", Type::Bool, "true", "their statuses"),
        field("headers", Type::List, "[]", "these header fields").of(&[TEXT]),
        field("body", Type::Bool, "false", "their bodies, by a digest"),
    ],
};

pub(crate) static LAYER: Section = Section {
    name: "`layers`",
    fields: &[
        field("name", Type::Text, "", "as registered in Rust").needed(),
        field(
            "at",
            Type::Word(&["start", "after_auth", "before_upstream"], &[]),
            "",
            "place in the pipeline",
        )
        .needed(),
        field("config", Type::Free, "{}", "checked by the layer").or(&[Form::Anything]),
    ],
};

pub(crate) static ROUTE_AUTHORIZE: Section = Section {
    name: "`authorize`",
    fields: &[
        field("all", Type::List, "", "all of these policies").of(&[TEXT]).filled().needed(),
        field("allow", Type::Free, "", "inline").elsewhere(),
        field("deny", Type::Free, "", "inline").elsewhere(),
    ],
};

pub(crate) static ROUTE_AUTH: Section = Section {
    name: "`auth`",
    fields: &[
        field("any", Type::List, "", "one of these policies").of(&[TEXT]).filled().one_of("names"),
        field("all", Type::List, "", "all of these policies").of(&[TEXT]).filled().one_of("names"),
        field("jwt", Type::Free, "", "inline").elsewhere(),
        field("api_key", Type::Free, "", "inline").elsewhere(),
        field("basic", Type::Free, "", "inline").elsewhere(),
        field("client_cert", Type::Free, "", "inline").elsewhere(),
        field("introspection", Type::Free, "", "inline").elsewhere(),
        field("external", Type::Free, "", "inline").elsewhere(),
        field("ext_authz", Type::Free, "", "inline").elsewhere(),
        field("signature", Type::Free, "", "inline").elsewhere(),
    ],
};
