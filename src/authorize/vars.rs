//! What a rule may ask about.

use super::kind::Kind;

/// Something that is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Var {
    Method,
    Path,
    Host,
    Query,
    Headers,
    Protocol,
    Scheme,
    ClientIp,
    Listener,
    Tls,
    Consumer,
    Claims,
    RouteName,
    RouteLabels,
    Now,
}

/// Their names: a word, or a word and a field of it.
pub(super) const VARS: [(&str, &str, Var, Kind); 15] = [
    ("request", "method", Var::Method, Kind::Text),
    ("request", "path", Var::Path, Kind::Text),
    ("request", "host", Var::Host, Kind::Text),
    ("request", "query", Var::Query, Kind::Map),
    ("request", "headers", Var::Headers, Kind::Map),
    ("request", "protocol", Var::Protocol, Kind::Text),
    ("request", "scheme", Var::Scheme, Kind::Text),
    ("client", "ip", Var::ClientIp, Kind::Text),
    ("client", "listener", Var::Listener, Kind::Text),
    ("client", "tls", Var::Tls, Kind::Bool),
    ("consumer", "", Var::Consumer, Kind::Text),
    ("claims", "", Var::Claims, Kind::Map),
    ("route", "name", Var::RouteName, Kind::Text),
    ("route", "labels", Var::RouteLabels, Kind::Map),
    ("now", "", Var::Now, Kind::Time),
];

/// The variable of this name.
pub(super) fn find(root: &str, field: &str) -> Option<(Var, Kind)> {
    let found = VARS.iter().find(|(r, f, ..)| *r == root && *f == field);
    found.map(|(_, _, var, kind)| (*var, *kind))
}

/// The fields of a word; none where it is a variable itself, or nothing at all.
pub(super) fn fields(root: &str) -> Vec<&'static str> {
    VARS.iter().filter(|(r, f, ..)| *r == root && !f.is_empty()).map(|(_, f, ..)| *f).collect()
}

/// Every word that begins a name, once.
pub(super) fn roots() -> Vec<&'static str> {
    let mut roots: Vec<_> = VARS.iter().map(|(root, ..)| *root).collect();
    roots.dedup();
    roots
}
