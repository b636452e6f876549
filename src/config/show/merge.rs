//! Several files as one: included ones taken in, short forms written out, and what is inherited written
//! where it is inherited. `decode/records` does the same with values.

use std::collections::HashSet;

use super::super::{
    load::{Role, Unit},
    tree::{Entry, Kind, Node, Scalar},
};

/// Policies that merge, by field or by header; all others replace what is inherited.
const RECORDS: [&str; 4] = ["timeouts", "body", "headers", "retry"];
/// Policies that replace.
const CHOICES: [&str; 7] =
    ["auth", "authorize", "ip", "rate_limit", "bandwidth", "concurrency", "priority_class"];

/// What one level after the other says, and the policies by name.
struct World<'a> {
    units: &'a [Unit],
}

/// All of it.
pub(super) fn merge(units: &[Unit]) -> Node {
    let world = World { units };
    let mut top: Vec<Entry> = Vec::new();
    for key in ["version", "listeners", "tls", "defaults", "upstreams", "policies", "routes"] {
        top.extend(world.section(key));
    }
    for key in ["logs", "metrics", "admin", "server"] {
        top.extend(world.entries(key).next().cloned());
    }
    top.extend(world.tests());
    let place = units.first().map(|unit| unit.root.place).unwrap_or_default();
    Node { place, kind: Kind::Map(top) }
}

/// Leaves one route, and what it names.
pub(super) fn only(root: &mut Node, route: &str) {
    let Kind::Map(top) = &mut root.kind else { return };
    top.retain(|it| {
        matches!(it.key.as_str(), "version" | "defaults" | "upstreams" | "policies" | "routes")
    });
    let mut named = HashSet::new();
    for entry in top.iter_mut().filter(|entry| entry.key == "routes") {
        if let Kind::Map(routes) = &mut entry.value.kind {
            routes.retain(|it| it.key == route);
        }
        words(&entry.value, &mut named);
    }
    for entry in top.iter_mut().filter(|entry| entry.key == "policies") {
        let Kind::Map(kinds) = &mut entry.value.kind else { continue };
        for kind in kinds.iter_mut() {
            if let Kind::Map(policies) = &mut kind.value.kind {
                policies.retain(|it| named.contains(&it.key));
                // Services they ask are upstreams.
                policies.iter().for_each(|it| words(&it.value, &mut named));
            }
        }
        kinds.retain(|kind| !is_empty(&kind.value));
    }
    for entry in top.iter_mut().filter(|entry| entry.key == "upstreams") {
        if let Kind::Map(upstreams) = &mut entry.value.kind {
            upstreams.retain(|it| named.contains(&it.key));
        }
    }
    top.retain(|entry| !is_empty(&entry.value));
}

fn is_empty(node: &Node) -> bool {
    node.entries().is_some_and(<[_]>::is_empty)
}

/// All that may be a name.
fn words(node: &Node, all: &mut HashSet<String>) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => drop(all.insert(scalar.text.clone())),
        Kind::Seq(items) => items.iter().for_each(|item| words(item, all)),
        Kind::Map(entries) => {
            for Entry { key, value, .. } in entries {
                all.insert(key.clone());
                words(value, all);
            }
        }
    }
}

// === impl World ===

impl<'a> World<'a> {
    /// What each file says under a key.
    fn entries(&self, key: &str) -> impl Iterator<Item = &'a Entry> + use<'a, '_> {
        let key = key.to_owned();
        let of = move |unit: &'a Unit| get(&unit.root, &key);
        self.units.iter().filter_map(of)
    }

    fn section(&self, key: &str) -> Option<Entry> {
        let first = self.entries(key).next()?;
        let all: Vec<Entry> = match key {
            "version" | "tls" => return Some(first.clone()),
            // Upstreams that are written as a URL inherit these; all else stands where it is inherited.
            "defaults" => {
                let upstream = self.defaults(None, "upstream")?;
                vec![Entry {
                    value: upstream,
                    ..get(&first.value, "upstream").unwrap_or(first).clone()
                }]
                .into_iter()
                .map(|it| Entry { key: "upstream".to_owned(), ..it })
                .collect()
            }
            "policies" => self.policies(),
            _ => {
                let mut all = Vec::new();
                for unit in self.units {
                    let entries = get(&unit.root, key).and_then(|it| it.value.entries());
                    let one = |it: &Entry| Entry {
                        value: self.thing(key, &it.value, unit),
                        ..it.clone()
                    };
                    all.extend(entries.unwrap_or_default().iter().map(one));
                }
                all
            }
        };
        let value = Node { place: first.value.place, kind: Kind::Map(all) };
        Some(Entry { value, ..first.clone() })
    }

    fn thing(&self, key: &str, node: &Node, unit: &Unit) -> Node {
        match key {
            "listeners" => short(node, "address"),
            "upstreams" => self.upstream(node, unit),
            _ => self.route(node, unit),
        }
    }

    /// What is inherited under a key: the defaults of the main files, then those of an included one.
    fn defaults(&self, own: Option<&Unit>, key: &str) -> Option<Node> {
        let own = own.filter(|unit| unit.role == Role::Included);
        let main = self.units.iter().filter(|unit| unit.role != Role::Included);
        let mut found: Option<Node> = None;
        for unit in main.chain(own) {
            let level = get(&unit.root, "defaults").and_then(|it| get(&it.value, key));
            let Some(level) = level.map(|it| self.level(key, &it.value)) else { continue };
            found = Some(on_top(key, found, level));
        }
        found
    }

    /// What one level says, written out.
    fn level(&self, kind: &str, node: &Node) -> Node {
        let named = || {
            let name = node.text()?;
            let all = self.entries("policies").filter_map(|it| get(&it.value, kind));
            all.filter_map(|it| get(&it.value, name)).next()
        };
        match kind {
            "upstream" => settings(node),
            "retry" | "body" | "timeouts" | "headers" if node.is_none_word() => node.clone(),
            "retry" | "body" | "timeouts" | "headers" if node.text().is_some() => {
                match (named(), kind) {
                    (Some(policy), _) => policy.value.clone(),
                    (None, "retry") => short(node, "times"),
                    (None, _) => short(node, "max"),
                }
            }
            _ => node.clone(),
        }
    }

    fn route(&self, node: &Node, unit: &Unit) -> Node {
        let mut all: Vec<Entry> = Vec::new();
        let kinds = RECORDS.iter().chain(&CHOICES);
        let is_kind = |key: &str| RECORDS.contains(&key) || CHOICES.contains(&key);
        for entry in node.entries().unwrap_or_default().iter().filter(|it| !is_kind(&it.key)) {
            let value = match entry.key.as_str() {
                "redirect" | "mirror" if !entry.value.is_none_word() => short(&entry.value, "to"),
                "respond" => short(&entry.value, "status"),
                _ => entry.value.clone(),
            };
            all.push(Entry { value, ..entry.clone() });
        }
        for kind in kinds {
            let own = get(node, kind).map(|it| self.level(kind, &it.value));
            let inherited = self.defaults(Some(unit), kind);
            let value = match (inherited, own) {
                (None, None) => continue,
                (inherited, Some(own)) => on_top(kind, inherited, own),
                (Some(inherited), None) => inherited,
            };
            all.push(entry(kind, value));
        }
        anonymous(&mut all);
        Node { place: node.place, kind: Kind::Map(all) }
    }

    fn upstream(&self, node: &Node, unit: &Unit) -> Node {
        let own = match &node.kind {
            Kind::Map(_) => settings(node),
            _ => short(node, "endpoints"),
        };
        match self.defaults(Some(unit), "upstream") {
            Some(inherited) => on_top("upstream", Some(inherited), own),
            None => own,
        }
    }

    /// Those that are still named: records stand where they are used.
    fn policies(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        for kind in self.entries("policies").flat_map(|it| it.value.entries().unwrap_or_default()) {
            if RECORDS.contains(&kind.key.as_str()) {
                continue;
            }
            let known = all.iter_mut().find(|it| it.key == kind.key);
            match (known.map(|it| &mut it.value.kind), &kind.value.kind) {
                (Some(Kind::Map(known)), Kind::Map(more)) => known.extend(more.iter().cloned()),
                _ => all.push(kind.clone()),
            }
        }
        all
    }

    fn tests(&self) -> Option<Entry> {
        let mut all = self.entries("tests");
        let mut first = all.next()?.clone();
        if let Kind::Seq(items) = &mut first.value.kind {
            for entry in all {
                if let Kind::Seq(more) = &entry.value.kind {
                    items.extend(more.iter().cloned());
                }
            }
        }
        Some(first)
    }
}

// === levels ===

/// One level on top of what is inherited.
fn on_top(kind: &str, inherited: Option<Node>, level: Node) -> Node {
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
fn anonymous(route: &mut [Entry]) {
    let known = route.iter().any(|it| it.key == "auth" && !it.value.is_none_word());
    let Some(class) = route.iter_mut().find(|it| it.key == "priority_class" && !known) else {
        return;
    };
    let by = get(&class.value, "by").and_then(|it| it.value.text()).unwrap_or_default();
    if by == "consumer" || by.starts_with("claim:") {
        class.value = match get(&class.value, "default") {
            Some(default) => default.value.clone(),
            None => scalar(&class.value, "normal"),
        };
    }
}

// === nodes ===

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    node.entries()?.iter().find(|entry| entry.key == key)
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.to_owned(), key_place: value.place, value }
}

fn scalar(at: &Node, text: &str) -> Node {
    let scalar = Scalar { text: text.to_owned(), quoted: false, secret: false };
    Node { place: at.place, kind: Kind::Scalar(scalar) }
}

/// A map with the one key that a value alone stands for.
fn short(node: &Node, key: &str) -> Node {
    match node.kind {
        Kind::Map(_) => node.clone(),
        _ => Node { place: node.place, kind: Kind::Map(vec![entry(key, node.clone())]) },
    }
}

/// The settings of an upstream, without short forms.
fn settings(node: &Node) -> Node {
    let mut node = node.clone();
    if let Kind::Map(entries) = &mut node.kind {
        for entry in entries.iter_mut().filter(|it| it.key == "health") {
            if !entry.value.is_none_word() {
                entry.value = short(&entry.value, "path");
            }
        }
    }
    node
}
