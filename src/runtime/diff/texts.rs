//! What a route takes, as texts: two lists of them say what came and what went.

use crate::config::model::{Located, Match, PathMatch, ValueMatch};

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
