//! One level on top of what is inherited: field by field, header by header, or instead of it.

use std::collections::HashSet;

use super::{
    super::tree::{Entry, Kind, Node},
    merge::{RECORDS, get, scalar_of, short},
};

/// One level on top of what is inherited.
pub(super) fn on_top(kind: &str, inherited: Option<Node>, level: Node) -> Node {
    let Some(inherited) = inherited else { return level };
    let merges = RECORDS.contains(&kind) || kind == "upstream";
    if !merges || level.entries().is_none() {
        return level;
    }
    // `body: none` is no limit, and a level on top of that says the rest.
    let inherited = match kind {
        "body" if inherited.is_none_word() => short(&inherited, "max"),
        _ => inherited,
    };
    if kind == "headers" { headers(inherited, &level) } else { overlay(kind, inherited, level) }
}

/// Field by field; what is no map is replaced.
fn overlay(parent: &str, base: Node, top: Node) -> Node {
    let place = top.place;
    let (mut all, written) = match (base.kind, top.kind) {
        (Kind::Map(all), Kind::Map(written)) => (all, written),
        (_, kind) => return Node { place, kind },
    };
    let excluded = |key: &str| match (parent, key) {
        ("health", "path") => Some("grpc"),
        ("health", "grpc") => Some("path"),
        _ => None,
    };
    for entry in written {
        all.retain(|it| Some(it.key.as_str()) != excluded(&entry.key));
        match all.iter_mut().find(|it| it.key == entry.key) {
            None => all.push(entry),
            Some(known) => {
                let both = known.value.entries().is_some() && entry.value.entries().is_some();
                let below = std::mem::replace(
                    &mut known.value,
                    Node { place: entry.value.place, kind: Kind::Null },
                );
                known.value = match both {
                    true => overlay(&entry.key, below, entry.value),
                    false => entry.value,
                };
                known.key_place = entry.key_place;
            }
        }
    }
    // What was inherited for another way of balancing.
    let hashes = all.iter().find(|it| it.key == "lb").is_some_and(|it| it.value.is("hash"));
    if parent == "upstream" && !hashes {
        all.retain(|it| it.key != "hash_on");
    }
    Node { place, kind: Kind::Map(all) }
}

/// What a level says of a header replaces what weaker ones say of it.
fn headers(base: Node, top: &Node) -> Node {
    let names = |way: &Node| -> HashSet<String> {
        let lists = way.entries().unwrap_or_default().iter();
        lists.flat_map(|list| names_of(&list.value)).map(|name| name.to_ascii_lowercase()).collect()
    };
    let mut all = match base.kind {
        Kind::Map(all) => all,
        Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => Vec::new(),
    };
    for entry in top.entries().unwrap_or_default() {
        let said = names(&entry.value);
        let Some(known) = all.iter_mut().find(|it| it.key == entry.key) else {
            all.push(entry.clone());
            continue;
        };
        let Kind::Map(lists) = &mut known.value.kind else { continue };
        for list in lists.iter_mut() {
            match &mut list.value.kind {
                Kind::Map(values) => {
                    values.retain(|it| !said.contains(&it.key.to_ascii_lowercase()))
                }
                Kind::Seq(items) => items.retain(|it| {
                    !it.text().is_some_and(|name| said.contains(&name.to_ascii_lowercase()))
                }),
                Kind::Null | Kind::Scalar(_) => {}
            }
        }
        for list in entry.value.entries().unwrap_or_default() {
            match lists.iter_mut().find(|it| it.key == list.key).map(|it| &mut it.value.kind) {
                None => lists.push(list.clone()),
                Some(Kind::Map(values)) => {
                    values.extend(list.value.entries().unwrap_or_default().iter().cloned())
                }
                Some(Kind::Seq(items)) => {
                    if let Kind::Seq(more) = &list.value.kind {
                        items.extend(more.iter().cloned());
                    }
                }
                Some(Kind::Null | Kind::Scalar(_)) => {}
            }
        }
    }
    Node { place: top.place, kind: Kind::Map(all) }
}

fn names_of(list: &Node) -> Vec<&str> {
    match &list.kind {
        Kind::Map(values) => values.iter().map(|it| it.key.as_str()).collect(),
        Kind::Seq(items) => items.iter().filter_map(Node::text).collect(),
        Kind::Null | Kind::Scalar(_) => Vec::new(),
    }
}

/// A class that goes by who a request is from means nothing on a route where nobody knows; there the inherited
/// one is that of all others.
pub(super) fn anonymous(route: &mut [Entry]) {
    let known = route.iter().any(|it| it.key == "auth" && !it.value.is_none_word());
    let Some(class) = route.iter_mut().find(|it| it.key == "priority_class" && !known) else {
        return;
    };
    let by = get(&class.value, "by").and_then(|it| it.value.text()).unwrap_or_default();
    if by == "consumer" || by.starts_with("claim:") {
        class.value = match get(&class.value, "default") {
            Some(default) => default.value.clone(),
            None => scalar_of(&class.value, "normal"),
        };
    }
}
