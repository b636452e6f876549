//! Whose requests go to another route now, and whether that one asks for less. A route that is gone, or one
//! that is more specific, changes what happens to requests of others; the tables of both configurations say
//! where one example of each branch goes.

use std::collections::BTreeSet;

use super::{
    super::routes,
    Change, Effect, auth, route,
    subject::{Side, Subject},
};
use crate::{
    config::model::{Config, Located, Match, Name, PathMatch, Route, ValueMatch},
    routing::{Branch, Found, Sample, Table},
};

/// More branches than this are not tried one by one.
const MOST: usize = 100_000;

pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    // Nothing goes elsewhere if no route takes anything else.
    if old.routes.len() == new.routes.len()
        && old.routes.iter().all(|(name, it)| alike(name, it, new))
    {
        return;
    }
    let (Some(before), Some(after)) = (routes::names(old), routes::names(new)) else { return };
    let mut told = BTreeSet::new();
    for (config, branch) in samples(old, &before).chain(samples(new, &after)) {
        let Some(sample) = branch.sample() else { continue };
        let listener = listener(config, &sample);
        let (from, to) = (find(&before, &sample, &listener), find(&after, &sample, &listener));
        let (Some(from), Some(to)) = (from, to) else { continue };
        let (Some(was), Some(is)) = (old.routes.get(from), new.routes.get(to)) else { continue };
        let weaker =
            !auth::at_least(was, is) || !route::ip_at_least(was.ip.as_ref(), is.ip.as_ref());
        if from == to || !weaker || !told.insert((from, to)) {
            continue;
        }
        let mut s = Subject {
            kind: "route",
            name: to.to_string(),
            old: Side::at(old, was.place),
            new: Side::at(new, is.place),
            out,
        };
        let (asked, asks) = (protection(was), protection(is));
        let sample = shown(&sample);
        let note =
            format!("{sample}, which went to `{from}` (it asked for {asked}, this for {asks})");
        s.noted("takes", Effect::Widens, (String::new(), String::new()), Some(note));
    }
}

fn alike(name: &Name, old: &Route, new: &Config) -> bool {
    new.routes.get(name).is_some_and(|new| {
        old.enabled == new.enabled
            && old.priority == new.priority
            && old.matches.iter().flat_map(texts).eq(new.matches.iter().flat_map(texts))
    })
}

fn samples<'t>(
    config: &'t Config,
    table: &'t Table<Name>,
) -> impl Iterator<Item = (&'t Config, &'t Branch<Name>)> {
    table.branches().iter().take(MOST).map(move |branch| (config, branch))
}

/// Any that answers, where none is asked for.
fn listener(config: &Config, sample: &Sample) -> String {
    let open = || config.listeners.iter().find(|(_, it)| it.https_redirect.is_none());
    match sample.listener.is_empty() {
        true => open().map(|(name, _)| name.to_string()).unwrap_or_default(),
        false => sample.listener.clone(),
    }
}

fn find<'t>(table: &'t Table<Name>, sample: &Sample, listener: &str) -> Option<&'t Name> {
    match table.find(&sample.facts(listener)) {
        Found::Match { target, .. } => Some(target),
        Found::MethodNotAllowed { .. } | Found::Nothing => None,
    }
}

/// Without values of headers and of the query, which may be secrets.
fn shown(sample: &Sample) -> String {
    let mut text = format!("{} {}{}", sample.method, sample.host, sample.path);
    if sample.query.is_some() {
        text.push_str("?…");
    }
    for name in sample.headers.keys() {
        text.push_str(&format!(" with header {name}"));
    }
    text
}

fn protection(route: &Route) -> String {
    let mut parts = vec![auth::words(route.auth.as_ref())];
    parts.extend(route.authorize.iter().map(|_| "authorize".to_owned()));
    parts.extend(route.ip.as_ref().map(|ip| format!("ip {}", ip.policy)));
    parts.join(", ")
}

// === branches as texts ===

/// One host and one path with what else must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    /// What is shown of it.
    pub(super) shown: String,
    /// Values of headers and query parameters: they may be secrets.
    hidden: Vec<ValueMatch>,
}

/// Each host and path of one entry of `match`.
pub(super) fn texts(rule: &Match) -> Vec<Text> {
    let host = |host: &Located<String>| host.value.clone();
    let path = |path: &Located<PathMatch>| match &path.value {
        PathMatch::Pattern(text) | PathMatch::Regex(text) => text.clone(),
    };
    let hosts: Vec<String> = rule.hosts.iter().map(host).collect();
    let paths: Vec<String> = rule.paths.iter().map(path).collect();
    let hosts = if hosts.is_empty() { vec![String::new()] } else { hosts };
    let paths = if paths.is_empty() { vec!["/**".to_owned()] } else { paths };
    let mut methods: Vec<&str> = rule.methods.iter().map(http::Method::as_str).collect();
    methods.sort_unstable();
    let methods =
        if methods.is_empty() { String::new() } else { format!("{} ", methods.join(",")) };
    let (conditions, hidden) = conditions(rule);
    let one = |host: &String, path: &String| Text {
        shown: format!("{methods}{host}{path}{conditions}"),
        hidden: hidden.clone(),
    };
    let pairs = hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path)));
    pairs.map(|(host, path)| one(host, path)).collect()
}

fn conditions(rule: &Match) -> (String, Vec<ValueMatch>) {
    let headers = rule.headers.iter().map(|(name, want)| (format!("header {name}"), want));
    let query = rule.query.iter().map(|(key, want)| (format!("query {key}"), want));
    let mut named: Vec<_> = headers.chain(query).collect();
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut shown: Vec<String> =
        named.iter().map(|(name, want)| format!("{name}: {}", wanted(&want.value))).collect();
    let nets: Vec<String> = rule.client_ip.iter().map(ToString::to_string).collect();
    if !nets.is_empty() {
        shown.push(format!("client_ip {}", nets.join(", ")));
    }
    let listeners: Vec<&str> = rule.listeners.iter().map(|name| &*name.value).collect();
    if !listeners.is_empty() {
        shown.push(format!("listener {}", listeners.join(", ")));
    }
    let hidden = named.into_iter().map(|(_, want)| want.value.clone()).collect();
    (shown.iter().map(|one| format!(" · {one}")).collect(), hidden)
}

fn wanted(it: &ValueMatch) -> &'static str {
    match it {
        ValueMatch::Present => "present",
        ValueMatch::Absent => "absent",
        ValueMatch::Exact(_) => "a value",
        ValueMatch::Prefix(_) => "a prefix",
        ValueMatch::Regex(_) => "an expression",
    }
}
