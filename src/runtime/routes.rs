//! Compiles `match`: every route becomes branches of one table, and what is ambiguous between them
//! is refused with both places.

use std::{collections::BTreeMap, sync::Arc};

use super::{RouteEntry, RouteTarget};
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics, Place},
        model::{
            Action, Config, Located, Match, Name, PathMatch, PathRewrite, Route, StripPrefix,
            ValueMatch,
        },
    },
    layers::template::Template,
    routing::{Branch, HostPattern, MethodSet, Normalize, PathPattern, Table, ValueCondition},
};

/// What the branches of a route lead to; none where its stack could not be built.
type ToTarget<'a, T> = &'a dyn Fn(&Name, &Route, &PathPattern) -> Option<T>;

/// The branches of many routes, and where each was written.
struct Branches<'a, T> {
    target: ToTarget<'a, T>,
    /// How paths of requests are read.
    normalize: Normalize,
    all: Vec<Branch<T>>,
    origins: Vec<Origin>,
}

/// Where a branch was written.
struct Origin {
    route: Name,
    place: Place,
}

/// The table of all enabled routes. `None`: something is wrong with a pattern, and said so.
pub(super) fn compile(
    config: &Config,
    entries: &BTreeMap<Name, Arc<RouteEntry>>,
    found: &mut Diagnostics,
) -> Option<Table<RouteTarget>> {
    let before = found.items.len();
    // A route whose stack could not be built is checked all the same: all errors in one run.
    let target = |name: &Name, route: &Route, path: &PathPattern| {
        let route_entry = Arc::clone(entries.get(name)?);
        let pattern = uses_captures(route).then(|| Arc::new(path.clone()));
        Some(RouteTarget { route: route_entry, pattern })
    };
    let Branches { all: branches, origins, .. } = branches(config, &target, found);
    let broken =
        found.items[before..].iter().any(Diagnostic::is_error) || entries.len() < enabled(config);
    // Even then, for the conflicts among the rest: all errors in one run.
    warn_shadowed(&Table::shadowed(&branches), &origins, found);
    match Table::build(branches) {
        Ok(table) => Some(table).filter(|_| !broken),
        Err(conflicts) => {
            for conflict in conflicts {
                found.push(describe(
                    &origins[conflict.first],
                    &origins[conflict.second],
                    conflict.example.as_deref(),
                ));
            }
            None
        }
    }
}

/// A table that knows the names of the routes only, for whoever compares two of them. `None`: something is
/// wrong with a pattern.
pub(super) fn names(config: &Config) -> Option<Table<Name>> {
    let mut found = Diagnostics::default();
    let target = |name: &Name, _: &Route, _: &PathPattern| Some(Arc::clone(name));
    let branches = branches(config, &target, &mut found).all;
    if found.has_errors() { None } else { Table::build(branches).ok() }
}

/// All branches of the enabled routes.
fn branches<'a, T: Clone>(
    config: &Config,
    target: ToTarget<'a, T>,
    found: &mut Diagnostics,
) -> Branches<'a, T> {
    let normalize = Normalize {
        merge_slashes: config.server.merge_slashes,
        keep_encoded_slash: config.server.keep_encoded_slash,
    };
    let mut branches = Branches { target, normalize, all: Vec::new(), origins: Vec::new() };
    for (name, route) in config.routes.iter().filter(|(_, route)| route.enabled) {
        for rule in &route.matches {
            branches.add(name, route, rule, found);
        }
    }
    branches
}

fn enabled(config: &Config) -> usize {
    config.routes.values().filter(|route| route.enabled).count()
}

fn describe(first: &Origin, second: &Origin, example: Option<&str>) -> Diagnostic {
    let message = if first.route == second.route {
        format!("route `{}` matches the same requests twice", first.route)
    } else if example.is_some() {
        format!("routes `{}` and `{}` match the same requests", first.route, second.route)
    } else {
        let (first, second) = (&first.route, &second.route);
        format!("routes `{first}` and `{second}` may match the same requests: it cannot be told")
    };
    let example = example.map_or_else(String::new, |text| format!("; both take {text}"));
    Diagnostic::error(first.place, message)
        .label("this one…")
        .and(second.place, "…and this one")
        .help(format!(
            "add a condition to one of them, or `priority: 1` to the one that should win{example}"
        ))
}

fn warn_shadowed(pairs: &[(usize, usize)], origins: &[Origin], found: &mut Diagnostics) {
    for (shadowed, by) in pairs {
        let (shadowed, by) = (&origins[*shadowed], &origins[*by]);
        let message = format!("route `{}` is never reached here", shadowed.route);
        found.push(
            Diagnostic::warning(shadowed.place, message)
                .label("never reached")
                .and(by.place, format!("`{}` takes every such request", by.route)),
        );
    }
}

// === impl Branches ===

impl<T> Branches<'_, T> {
    /// The branches of one entry of `match`: hosts × paths.
    fn add(&mut self, name: &Name, route: &Route, rule: &Match, found: &mut Diagnostics) {
        let hosts = parse_all(&rule.hosts, |text| HostPattern::parse(text), found);
        let paths = parse_all(&rule.paths, parse_path, found);
        let headers = conditions(&rule.headers, Clone::clone, found);
        let query = conditions(&rule.query, |key| key.as_str().into(), found);
        let any_host = [(HostPattern::Any, rule.place)];
        let any_path = [(PathPattern::any(), rule.place)];
        let hosts = if rule.hosts.is_empty() { &any_host[..] } else { &hosts };
        let paths = if rule.paths.is_empty() { &any_path[..] } else { &paths };
        for (pattern, place) in paths {
            if let Some((problem, help)) = pattern.never(self.normalize) {
                found.push(Diagnostic::error(*place, problem).help(help));
            }
            check_uses(route, pattern, *place, found);
        }
        for (host, host_place) in hosts {
            for (path, path_place) in paths {
                let Some(target) = (self.target)(name, route, path) else { return };
                let place = if rule.paths.is_empty() { *host_place } else { *path_place };
                self.origins.push(Origin { route: Arc::clone(name), place });
                self.all.push(Branch {
                    host: host.clone(),
                    path: path.clone(),
                    methods: methods(rule),
                    headers: headers.clone(),
                    query: query.clone(),
                    client_ip: rule.client_ip.clone(),
                    listeners: rule.listeners.iter().map(|name| Arc::clone(&name.value)).collect(),
                    priority: route.priority,
                    target,
                });
            }
        }
    }
}

fn parse_all<T, P>(
    written: &[Located<T>],
    parse: impl Fn(&T) -> Result<P, String>,
    found: &mut Diagnostics,
) -> Vec<(P, Place)> {
    let mut parsed = Vec::with_capacity(written.len());
    for item in written {
        match parse(&item.value) {
            Ok(pattern) => parsed.push((pattern, item.place)),
            Err(problem) => found.push(Diagnostic::error(item.place, problem)),
        }
    }
    parsed
}

fn parse_path(path: &PathMatch) -> Result<PathPattern, String> {
    match path {
        PathMatch::Pattern(text) => PathPattern::parse(text),
        PathMatch::Regex(text) => PathPattern::regex(text),
    }
}

fn methods(rule: &Match) -> Option<MethodSet> {
    if rule.methods.is_empty() {
        return None;
    }
    let mut set = MethodSet::default();
    for method in &rule.methods {
        set.insert(method);
    }
    Some(set)
}

fn conditions<K, N>(
    written: &[(K, Located<ValueMatch>)],
    name: impl Fn(&K) -> N,
    found: &mut Diagnostics,
) -> Vec<(N, ValueCondition)> {
    let mut parsed = Vec::with_capacity(written.len());
    for (key, wanted) in written {
        let condition = match &wanted.value {
            ValueMatch::Exact(text) => Ok(ValueCondition::Exact(text.as_str().into())),
            ValueMatch::Prefix(text) => Ok(ValueCondition::Prefix(text.as_str().into())),
            ValueMatch::Present => Ok(ValueCondition::Present),
            ValueMatch::Absent => Ok(ValueCondition::Absent),
            ValueMatch::Regex(text) => ValueCondition::regex(text),
        };
        match condition {
            Ok(condition) => parsed.push((name(key), condition)),
            Err(problem) => found.push(Diagnostic::error(wanted.place, problem)),
        }
    }
    parsed
}

/// Whether the route needs to know the pattern that matched.
fn uses_captures(route: &Route) -> bool {
    match (&route.path_rewrite, &route.action) {
        (PathRewrite::Template(_), _) | (_, Action::Redirect { .. }) => true,
        (PathRewrite::StripPrefix(prefix), _) => prefix.value == StripPrefix::Literal,
        (PathRewrite::Keep, _) => false,
    }
}

/// What a route takes from its pattern must be there, in every pattern.
fn check_uses(route: &Route, pattern: &PathPattern, place: Place, found: &mut Diagnostics) {
    if let PathRewrite::StripPrefix(prefix) = &route.path_rewrite
        && let StripPrefix::Path(path) = &prefix.value
        && !pattern.covers_prefix(path)
    {
        found.push(
            Diagnostic::error(prefix.place, format!("`{path}` is not the beginning of every path"))
                .label("cannot be stripped from…")
                .and(place, "…this one")
                .help("strip whole leading segments that every `match` path has"),
        );
    }
    let (template, builtin): (_, &[&str]) = match (&route.path_rewrite, &route.action) {
        (PathRewrite::Template(template), _) => (template, &[]),
        (_, Action::Redirect { to, .. }) => (to, &["path", "host", "query"]),
        _ => return,
    };
    // A template that cannot be read has been reported where it is used.
    let Ok(parsed) = Template::parse(&template.value) else { return };
    let captured = pattern.names();
    for name in parsed.names() {
        if !captured.contains(&name) && !builtin.contains(&name) {
            let message = format!("`{{{name}}}` is not captured by every path");
            found.push(
                Diagnostic::error(template.place, message)
                    .label("used here…")
                    .and(place, "…and missing here"),
            );
        }
    }
}
