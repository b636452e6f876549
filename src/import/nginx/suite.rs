//! `tests:` of the result: for every location requests, with what nginx does with them by its own rules.

use std::collections::{HashMap, HashSet};

use super::{
    super::write::Value,
    actions::{Action, PathMap, Schemes},
    expressions::example,
    matching::{Found, Matcher},
    model::{Kind, Location},
    routes::Context,
};

/// Which of the routes of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Main,
    /// What its rewrite leaves alone.
    AsIs,
    /// What adds a slash.
    Slash,
}

/// What stands before a route's action.
#[derive(Clone, Debug, Default)]
pub(super) struct Guarded {
    /// Nothing does.
    pub(super) bare: bool,
    pub(super) auth: Vec<String>,
}

/// What is expected of one request.
pub(super) struct Expected<'a> {
    pub(super) route: String,
    /// The path a service sees.
    pub(super) path: Option<String>,
    pub(super) action: &'a Action,
    pub(super) guarded: Guarded,
}

/// The tests so far, and what the routes of the server at hand are called.
#[derive(Debug, Default)]
pub(super) struct Suite {
    pub(super) tests: Vec<Value>,
    names: HashMap<(usize, Part), (String, Guarded)>,
    alone: HashMap<String, String>,
}

// === impl Suite ===

impl Suite {
    pub(super) fn named(&mut self, location: usize, part: Part, name: String, guarded: Guarded) {
        self.names.insert((location, part), (name, guarded));
    }

    /// One path that has a route of its own.
    pub(super) fn alone(&mut self, path: &str, name: String) {
        self.alone.insert(path.to_owned(), name);
    }

    /// Requests to all locations of a server. Forgets its names.
    pub(super) fn of_server(
        &mut self,
        context: &Context<'_, '_>,
        matcher: &Matcher<'_>,
        actions: &[Action],
    ) {
        let locations = &context.server.locations;
        let mut asked = HashSet::new();
        for (number, location) in locations.iter().enumerate() {
            for path in samples(locations, number, location) {
                if asked.insert(path.clone()) {
                    self.sample(context, matcher, actions, &path);
                }
            }
        }
        self.names.clear();
        self.alone.clear();
    }

    fn sample(
        &mut self,
        context: &Context<'_, '_>,
        matcher: &Matcher<'_>,
        actions: &[Action],
        path: &str,
    ) {
        let locations = &context.server.locations;
        let (number, part) = match matcher.find(path) {
            Found::Location(number) => (number, None),
            Found::Slash(number) => (number, Some(Part::Slash)),
            Found::Nothing | Found::Unknown => return,
        };
        let (location, action) = (&locations[number], &actions[number]);
        let as_is = matches!(action, Action::Proxy { path: PathMap::ReplaceBelow(_), .. })
            && !path.strip_prefix(&location.text).is_some_and(|rest| rest.starts_with('/'));
        let part = part.unwrap_or(if as_is { Part::AsIs } else { Part::Main });
        let Some((name, guarded)) = self.names.get(&(number, part)).cloned() else { return };
        let route = self.alone.get(path).cloned().unwrap_or(name);
        if part == Part::Slash {
            let mut test = request(context, path, &route);
            if guarded.bare {
                test.push(("redirect", format!("{path}/").into()));
            }
            self.tests.push(Value::map(test));
            return;
        }
        let internal = location.scope.here("internal").is_some();
        let nothing =
            Action::Respond { status: 404, body: String::new(), content_type: String::new() };
        let action = if internal { &nothing } else { action };
        let path_upstream = upstream_path(location, action, path);
        self.expect(context, path, &Expected { route, path: path_upstream, action, guarded });
    }

    /// One request.
    pub(super) fn expect(
        &mut self,
        context: &Context<'_, '_>,
        path: &str,
        expected: &Expected<'_>,
    ) {
        let mut test = request(context, path, &expected.route);
        match expected.action {
            Action::Redirect(it) if expected.guarded.bare => {
                let tls = context.listeners.first().is_some_and(|it| it.tls);
                let scheme = if tls { "https" } else { "http" };
                if context.schemes != Schemes::Both || !it.text.contains("$scheme") {
                    let server = context.server.scope.one("server_name").map_or("", |it| it.arg(0));
                    let text = it
                        .text
                        .replace("$scheme", scheme)
                        .replace("$is_args$args", "")
                        .replace("$request_uri", path)
                        .replace("$document_uri", path)
                        .replace("$uri", path)
                        .replace("$http_host", &host(context))
                        .replace("$host", &host(context))
                        .replace("$server_name", server);
                    test.push(("redirect", text.into()));
                }
            }
            Action::Respond { status, .. } if expected.guarded.bare => {
                test.push(("status", status.to_string().into()));
            }
            Action::Proxy { .. } => {
                if let Some(path) = &expected.path {
                    test.push(("path", path.as_str().into()));
                }
            }
            Action::Not | Action::Redirect(_) | Action::Respond { .. } => {}
        }
        if !expected.guarded.auth.is_empty() {
            test.push(("auth", Value::one_or_many(expected.guarded.auth.clone())));
        }
        self.tests.push(Value::map(test));
    }
}

fn request(context: &Context<'_, '_>, path: &str, route: &str) -> Vec<(&'static str, Value)> {
    let wanted = context.conditions.first().and_then(|it| it.listeners.first());
    let listener = context
        .listeners
        .iter()
        .find(|it| wanted.is_none_or(|name| it.name == *name))
        .or(context.listeners.first());
    let (tls, address) = listener.map_or((false, ":80"), |it| (it.tls, it.address.as_str()));
    let scheme = if tls { "https" } else { "http" };
    let port = match address.rsplit_once(':') {
        Some((_, port)) if !address.starts_with("unix:") => port,
        _ => "",
    };
    let port = match (port, tls) {
        ("", _) | ("80", false) | ("443", true) => String::new(),
        (port, _) => format!(":{port}"),
    };
    let url = format!("GET {scheme}://{}{port}{path}", host(context));
    let mut test = vec![("request", Value::from(url))];
    if let Some(listener) = listener {
        test.push(("listener", listener.name.as_str().into()));
    }
    test.push(("route", route.into()));
    test
}

/// A host the server takes.
fn host(context: &Context<'_, '_>) -> String {
    let first = context.conditions.first().and_then(|it| it.hosts.first()).cloned();
    let named = || {
        let names = context.server.names.iter().map(|(name, _)| name.clone());
        names.into_iter().find(|it| {
            crate::routing::HostPattern::parse(it).is_ok() && !it.contains('*') && it.contains('.')
        })
    };
    let host = first.or_else(named).unwrap_or_else(|| "localhost".to_owned());
    host.replace("**.", "any.").replace("*.", "any.")
}

/// Paths that should get to a location, and those next to it.
fn samples(locations: &[Location<'_>], number: usize, location: &Location<'_>) -> Vec<String> {
    let text = location.text.as_str();
    let all = match location.kind {
        Kind::Named => Vec::new(),
        Kind::Exact => vec![text.to_owned()],
        Kind::Prefix { .. } => match text.strip_suffix('/') {
            Some("") => vec!["/".to_owned(), "/x".to_owned()],
            Some(base) => vec![text.to_owned(), format!("{text}x/y"), base.to_owned()],
            None => vec![text.to_owned(), format!("{text}/x"), format!("{text}x")],
        },
        Kind::Regex { any_case } => {
            let mut all: Vec<String> = example(text, any_case).into_iter().collect();
            // Below all prefixes, where nginx asks expressions as well.
            let prefixes = locations.iter().enumerate().filter(|(other, it)| {
                *other != number && matches!(it.kind, Kind::Prefix { .. }) && it.text != "/"
            });
            let prefixes = prefixes.take(4);
            let below: Vec<String> = prefixes
                .flat_map(|(_, it)| {
                    all.iter().map(move |path| format!("{}{path}", it.text.trim_end_matches('/')))
                })
                .collect();
            all.extend(below);
            all
        }
    };
    let plain = |path: &String| {
        path.starts_with('/')
            && path.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/".contains(c))
            && !path.contains("//")
            && !path.split('/').any(|segment| matches!(segment, "." | ".."))
    };
    all.into_iter().filter(plain).collect()
}

/// What nginx sends to a service for a path. Empty segments are merged, as they are here.
fn upstream_path(location: &Location<'_>, action: &Action, path: &str) -> Option<String> {
    let Action::Proxy { path: map, .. } = action else { return None };
    let rest = path.strip_prefix(&location.text).unwrap_or_default();
    let mapped = match map {
        PathMap::Keep => path.to_owned(),
        PathMap::Replace(uri) => format!("{uri}{rest}"),
        PathMap::ReplaceBelow(uri) => match rest.strip_prefix('/') {
            Some(rest) => format!("{uri}{rest}"),
            None => path.to_owned(),
        },
    };
    let mut merged = String::new();
    for c in mapped.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    Some(merged)
}
