//! What holds where nobody wrote anything, by the table of fields. It is added under keys that begin with
//! `#`: as comments they change nothing, so what is shown says the same with and without them.

use super::{
    super::{
        diagnostic::{Diagnostics, Place},
        fields::{
            ACCESS, ADMIN, BODY, BREAKER, DRAIN, HEALTH, LISTENER, LISTENER_LIMITS,
            LISTENER_TIMEOUTS, LOGS, METRICS, NORMALIZE, OUTLIER, POOL, REQUEST_ID, RETRY, ROUTE,
            SERVER, Section, Status, TIMEOUTS, TLS, Type, UPSTREAM, UPSTREAM_LIMITS,
        },
        typed, yaml,
    },
    Entry, Kind, Node,
};

/// Maps that hold although nobody wrote one.
static ALWAYS: [&Section; 9] = [
    &LISTENER_TIMEOUTS,
    &LISTENER_LIMITS,
    &UPSTREAM_LIMITS,
    &POOL,
    &TIMEOUTS,
    &BODY,
    &DRAIN,
    &REQUEST_ID,
    &NORMALIZE,
];
/// Maps that hold where one is written.
static WRITTEN: [&Section; 5] = [&HEALTH, &OUTLIER, &BREAKER, &RETRY, &ACCESS];

/// Adds it everywhere; `whole` is a whole file and not one route.
pub(super) fn add(root: &mut Node, whole: bool) {
    let Kind::Map(top) = &mut root.kind else { return };
    if whole {
        for key in ["logs", "metrics", "admin", "server"] {
            if !top.iter().any(|it| it.key == key) {
                let value = Node { place: Place::default(), kind: Kind::Map(Vec::new()) };
                top.push(Entry { key: format!("#{key}"), key_place: Place::default(), value });
            }
        }
        if !top.iter().any(|it| it.key == "listeners") {
            top.extend(default("listeners", "{ http: \":8080\" }"));
        }
    }
    let mut unwritten = Vec::new();
    for entry in top.iter_mut() {
        let section = match entry.key.trim_start_matches('#') {
            "listeners" => &LISTENER,
            "upstreams" => &UPSTREAM,
            "routes" => &ROUTE,
            "tls" => &TLS,
            "logs" => &LOGS,
            "metrics" => &METRICS,
            "admin" => &ADMIN,
            "server" => &SERVER,
            _ => continue,
        };
        let Kind::Map(entries) = &mut entry.value.kind else { continue };
        if let Some(key) = entry.key.strip_prefix('#') {
            if entries.is_empty() {
                fill(entries, section, "");
                for mut it in entries.drain(..) {
                    it.key.insert_str(1, &format!("{key}."));
                    unwritten.push(it);
                }
            }
            continue;
        }
        match entry.key.as_str() {
            "listeners" | "upstreams" | "routes" => {
                for thing in entries.iter_mut() {
                    if let Kind::Map(entries) = &mut thing.value.kind {
                        fill(entries, section, "");
                    }
                }
            }
            _ => fill(entries, section, ""),
        }
    }
    top.retain(|it| !(it.key.starts_with('#') && it.value.entries().is_some_and(<[_]>::is_empty)));
    top.extend(unwritten);
}

/// The keys of a section that are not there.
fn fill(entries: &mut Vec<Entry>, section: &'static Section, path: &str) {
    let is = |all: &[&'static Section], one: &Section| all.iter().any(|it| std::ptr::eq(*it, one));
    for field in section.fields.iter().filter(|field| field.status == Status::Built) {
        let inner = match &field.ty {
            Type::Map(inner) => Some(*inner),
            _ => None,
        };
        let written = entries.iter_mut().find(|it| it.key == field.key);
        match (written, inner) {
            (Some(written), Some(inner)) if is(&ALWAYS, inner) || is(&WRITTEN, inner) => {
                if let Kind::Map(entries) = &mut written.value.kind {
                    fill(entries, inner, "");
                }
            }
            (Some(_), _) => {}
            (None, Some(inner)) if is(&ALWAYS, inner) => {
                fill(entries, inner, &format!("{path}{}.", field.key));
            }
            (None, _) if field.default.is_empty() => {}
            (None, _) => entries.extend(default(&format!("{path}{}", field.key), field.default)),
        }
    }
}

/// A default as a comment.
fn default(key: &str, text: &str) -> Option<Entry> {
    let mut value = yaml::read(text, 0, &mut Diagnostics::default())?.root;
    nowhere(&mut value);
    debug_assert!(!typed::json(&value).is_null(), "{key}: {text}");
    Some(Entry { key: format!("#{key}"), key_place: Place::default(), value })
}

fn nowhere(node: &mut Node) {
    node.place = Place::default();
    match &mut node.kind {
        Kind::Null | Kind::Scalar(_) => {}
        Kind::Seq(items) => items.iter_mut().for_each(nowhere),
        Kind::Map(entries) => {
            for entry in entries {
                entry.key_place = Place::default();
                nowhere(&mut entry.value);
            }
        }
    }
}
