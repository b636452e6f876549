//! The file itself, defaults and routes.

use super::{ADMIN, LOGS, METRICS, SERVER, STORE, TEST, TRACING};
use super::{
    BODY, CACHE, COMPRESS, CORS, HEADERS, IP, LISTENER, POLICIES, RATE_LIMIT, RETRY, Section,
    TIMEOUTS, TLS, Type, UPSTREAM, field, later, moved,
};

/// The top level of a file.
pub(crate) static TOP: Section = Section {
    name: "",
    fields: &[
        field("version", Type::Int(1, 1), "", "1; required"),
        field(
            "include",
            Type::List,
            "[]",
            "file patterns, sorted, one level; not in an included file",
        ),
        field(
            "listeners",
            Type::Named(&LISTENER),
            "{ http: \":8080\" }",
            "sockets that accept; short form: an address",
        ),
        field("tls", Type::Map(&TLS), "", "certificates"),
        field("defaults", Type::Map(&DEFAULTS), "", "what every route and upstream inherits"),
        field("upstreams", Type::Named(&UPSTREAM), "{}", "services"),
        field("policies", Type::Map(&POLICIES), "", "named policies, by kind"),
        field("routes", Type::Named(&ROUTE), "", "which request goes where; required"),
        later("stores", Type::Named(&STORE), "shared memory of many gateways"),
        field("logs", Type::Map(&LOGS), "", "diagnostics and access log"),
        field("metrics", Type::Map(&METRICS), "", "metrics endpoint"),
        later("tracing", Type::Map(&TRACING), "traces"),
        field("admin", Type::Map(&ADMIN), "", "the admin listener and socket"),
        field("server", Type::Map(&SERVER), "", "the process"),
        later("tests", Type::Many(&TEST), "what `tidegate test` runs"),
        moved("services", "upstreams"),
        moved("backends", "upstreams"),
    ],
};

/// What an included file may hold.
pub(crate) const INCLUDED: &[&str] =
    &["version", "upstreams", "policies", "defaults", "routes", "tests"];

pub(crate) static DEFAULTS: Section = Section {
    name: "`defaults`",
    fields: &[
        field("upstream", Type::Map(&UPSTREAM), "", "merges field by field into every upstream"),
        later("auth", Type::Map(&ROUTE_AUTH), "replaced by a route's own"),
        later("ip", Type::Map(&IP), "replaced by a route's own"),
        later("rate_limit", Type::Map(&RATE_LIMIT), "replaced by a route's own"),
        later("cors", Type::Map(&CORS), "replaced by a route's own"),
        field("headers", Type::Map(&HEADERS), "", "merges by header name"),
        later("cache", Type::Map(&CACHE), "replaced by a route's own"),
        later("compress", Type::Map(&COMPRESS), "replaced by a route's own"),
        field("body", Type::Map(&BODY), "", "merges by field"),
        field("timeouts", Type::Map(&TIMEOUTS), "", "merges by field"),
        field(
            "retry",
            Type::Map(&RETRY),
            "none",
            "further tries; a number, a name, or none; merges by field",
        ),
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
        ),
        field("to", Type::Free, "", "upstream, URL, or a map of upstream and weight (0 to 10000)"),
        field("redirect", Type::Map(&REDIRECT), "", "URL template or map"),
        field("respond", Type::Map(&RESPOND), "", "status or map"),
        field("strip_prefix", Type::Text, "", "path, or true for the literal part of the pattern"),
        field("rewrite", Type::Text, "", "path template: `/v2/{id}/{**}`"),
        field(
            "mirror",
            Type::Map(&MIRROR),
            "none",
            "a copy of the traffic elsewhere; an upstream, a URL, or none",
        ),
        field("priority", Type::Int(-1000, 1000), "0", "breaks ties that would be an error"),
        field("enabled", Type::Bool, "true", "false keeps it in the file and answers nothing"),
        field("upgrade", Type::List, "[websocket]", "protocols a client may upgrade to, or none"),
        later("auth", Type::Map(&ROUTE_AUTH), "who may come in"),
        later("ip", Type::Map(&IP), "from which addresses"),
        later("rate_limit", Type::Map(&RATE_LIMIT), "how often"),
        later("cors", Type::Map(&CORS), "from which web pages"),
        field("headers", Type::Map(&HEADERS), "", "name, map, or none"),
        later("cache", Type::Map(&CACHE), "answers kept"),
        later("compress", Type::Map(&COMPRESS), "answers compressed"),
        field("body", Type::Map(&BODY), "", "name, map, size, or none"),
        field("timeouts", Type::Map(&TIMEOUTS), "", "name or map"),
        field("retry", Type::Map(&RETRY), "none", "further tries; a number, a name, or none"),
        field(
            "errors",
            Type::Word(&["auto", "problem", "html", "text"], &[]),
            "auto",
            "form of the gateway's own errors",
        ),
        field("access_log", Type::Bool, "true", "write access log lines"),
        field("layers", Type::Many(&LAYER), "[]", "your own tower layers"),
        field("labels", Type::Free, "{}", "shown in logs and the admin page"),
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
        ),
        field("path", Type::List, "", "pattern or list: `/a/{id}/**`, or `{ regex: \"^/…\" }`"),
        field("method", Type::List, "", "method or list; GET takes HEAD too"),
        field(
            "headers",
            Type::Free,
            "",
            "value, present, absent, `{ regex }` or `{ prefix }` by header",
        ),
        field("query", Type::Free, "", "the same, by query parameter"),
        field("client_ip", Type::List, "", "networks"),
        field("listener", Type::List, "", "listener or list"),
        moved("hosts", "host"),
        moved("paths", "path"),
        moved("methods", "method"),
    ],
};

pub(crate) static PATH_REGEX: Section = Section {
    name: "`path`",
    fields: &[field("regex", Type::Text, "", "regular expression; starts with `^/`")],
};

pub(crate) static VALUE: Section = Section {
    name: "condition",
    fields: &[
        field("regex", Type::Text, "", "regular expression"),
        field("prefix", Type::Text, "", "what the value starts with"),
    ],
};

pub(crate) static REDIRECT: Section = Section {
    name: "`redirect`",
    fields: &[
        field(
            "to",
            Type::Text,
            "",
            "URL template: `{path}`, `{host}`, `{query}` and captured names; required",
        ),
        field("status", Type::Word(&["301", "302", "303", "307", "308"], &[]), "308", "status"),
        field("keep_query", Type::Bool, "true", "keep the query of the request"),
    ],
};

pub(crate) static RESPOND: Section = Section {
    name: "`respond`",
    fields: &[
        field("status", Type::Int(200, 599), "200", "status"),
        field("body", Type::Text, "", "body"),
        field("headers", Type::Free, "{}", "header fields"),
    ],
};

pub(crate) static MIRROR: Section = Section {
    name: "`mirror`",
    fields: &[
        field("to", Type::Text, "", "upstream or URL; required"),
        field("percent", Type::Percent, "100%", "share of the requests"),
        field("compare", Type::Map(&COMPARE), "", "what is compared of the two answers"),
    ],
};

pub(crate) static COMPARE: Section = Section {
    name: "`compare`",
    fields: &[
        field("status", Type::Bool, "true", "their statuses"),
        field("headers", Type::List, "[]", "these header fields"),
        field("body", Type::Bool, "false", "their bodies, by a digest"),
    ],
};

pub(crate) static LAYER: Section = Section {
    name: "`layers`",
    fields: &[
        field("name", Type::Text, "", "as registered in Rust; required"),
        field(
            "at",
            Type::Word(&["start", "after_auth", "before_upstream"], &[]),
            "",
            "place in the pipeline; required",
        ),
        field("config", Type::Free, "{}", "checked by the layer"),
    ],
};

pub(crate) static ROUTE_AUTH: Section = Section {
    name: "`auth`",
    fields: &[
        later("any", Type::List, "one of these"),
        later("all", Type::List, "all of these"),
        later("jwt", Type::Free, "inline"),
        later("api_key", Type::Free, "inline"),
        later("basic", Type::Free, "inline"),
        later("client_cert", Type::Free, "inline"),
        later("external", Type::Free, "inline"),
    ],
};
