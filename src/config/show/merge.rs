//! Several files as one: included ones taken in, short forms written out, and what is inherited written
//! where it is inherited. `decode/records` does the same with values.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use super::{
    super::{
        load::{Role, Unit},
        tree::{Entry, Kind, Node, Scalar},
    },
    levels::{anonymous, on_top},
};

/// Policies that merge, by field or by header; all others replace what is inherited.
pub(super) const RECORDS: [&str; 4] = ["timeouts", "body", "headers", "retry"];
/// Policies that replace.
const CHOICES: [&str; 7] =
    ["auth", "authorize", "ip", "rate_limit", "bandwidth", "concurrency", "priority_class"];

/// What one level after the other says, and the policies by name.
struct World<'a> {
    units: &'a [Unit],
    /// Those whose defaults hold everywhere.
    main: Vec<&'a Unit>,
    /// By kind and name.
    policies: HashMap<(&'a str, &'a str), &'a Entry>,
    /// What URLs in routes of included files with settings of their own for upstreams are called, and what they
    /// stand for: in one file, all URLs have the same.
    named: RefCell<Urls>,
}

/// URLs that got names.
#[derive(Default)]
struct Urls {
    names: HashMap<String, String>,
    /// Names of upstreams, these among them.
    taken: HashSet<String>,
    made: Vec<Entry>,
}

/// All of it.
pub(super) fn merge(units: &[Unit]) -> Node {
    let world = World::new(units);
    let mut top: Vec<Entry> = Vec::new();
    for key in
        ["version", "listeners", "tls", "stores", "defaults", "upstreams", "policies", "routes"]
    {
        top.extend(world.section(key));
    }
    world.declare(&mut top);
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
        let key = it.key.as_str();
        matches!(key, "version" | "stores" | "defaults" | "upstreams" | "policies" | "routes")
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
    for entry in top.iter_mut().filter(|entry| entry.key == "stores") {
        if let Kind::Map(stores) = &mut entry.value.kind {
            stores.retain(|it| named.contains(&it.key));
        }
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
    fn new(units: &'a [Unit]) -> Self {
        let main = units.iter().filter(|unit| unit.role != Role::Included).collect();
        let mut world = Self { units, main, policies: HashMap::new(), named: RefCell::default() };
        let mut policies = HashMap::new();
        for kind in world.entries("policies").flat_map(|it| it.value.entries().unwrap_or_default())
        {
            for it in kind.value.entries().unwrap_or_default() {
                policies.entry((kind.key.as_str(), it.key.as_str())).or_insert(it);
            }
        }
        world.policies = policies;
        let upstreams = world.entries("upstreams").filter_map(|it| it.value.entries());
        let taken = upstreams.flatten().map(|it| it.key.clone()).collect();
        world.named.get_mut().taken = taken;
        world
    }

    /// What each file says under a key.
    fn entries(&self, key: &str) -> impl Iterator<Item = &'a Entry> + use<'a, '_> {
        let key = key.to_owned();
        let of = move |unit: &'a Unit| get(&unit.root, &key);
        self.units.iter().filter_map(of)
    }

    fn section(&self, key: &str) -> Option<Entry> {
        let first = self.entries(key).next()?;
        let all: Vec<Entry> = match key {
            "version" | "tls" | "stores" => return Some(first.clone()),
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
                        value: self.thing(key, &it.key, &it.value, unit),
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

    fn thing(&self, key: &str, name: &str, node: &Node, unit: &Unit) -> Node {
        match key {
            "listeners" => short(node, "address"),
            "upstreams" => self.upstream(node, unit),
            _ => self.route(name, node, unit),
        }
    }

    /// What is inherited under a key: the defaults of the main files, then those of an included one.
    fn defaults(&self, own: Option<&Unit>, key: &str) -> Option<Node> {
        let own = own.filter(|unit| unit.role == Role::Included);
        let mut found: Option<Node> = None;
        for unit in self.main.iter().copied().chain(own) {
            let level = get(&unit.root, "defaults").and_then(|it| get(&it.value, key));
            let Some(level) = level.map(|it| self.level(key, &it.value)) else { continue };
            found = Some(on_top(key, found, level));
        }
        found
    }

    /// What one level says, written out.
    fn level(&self, kind: &str, node: &Node) -> Node {
        let named = || self.policies.get(&(kind, node.text()?));
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

    /// Names for the URLs a route of such a file goes to.
    fn rename(&self, route: &str, unit: &Unit, to: &mut Node) {
        match &mut to.kind {
            Kind::Scalar(scalar) if is_url(&scalar.text) => {
                let url = Node { place: to.place, kind: Kind::Scalar(scalar.clone()) };
                *to = scalar_of(&url, &self.name(route, unit, &url));
            }
            Kind::Map(entries) => {
                for it in entries {
                    if it.key == "to" {
                        self.rename(route, unit, &mut it.value);
                    } else if is_url(&it.key) {
                        let url = Node { place: it.key_place, ..scalar_of(&it.value, &it.key) };
                        it.key = self.name(route, unit, &url);
                    }
                }
            }
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => {}
        }
    }

    fn name(&self, route: &str, unit: &Unit, url: &Node) -> String {
        let text = url.text().unwrap_or_default();
        let mut urls = self.named.borrow_mut();
        if let Some(known) = urls.names.get(text) {
            return known.clone();
        }
        let stem: String = route.chars().take(50).collect();
        let mut all = (1..).map(|at| format!("{stem}-to{at}"));
        let name = all.find(|name| !urls.taken.contains(name)).unwrap_or_default();
        let value = self.upstream(url, unit);
        urls.taken.insert(name.clone());
        urls.names.insert(text.to_owned(), name.clone());
        urls.made.push(Entry { value, ..entry(&name, url.clone()) });
        name
    }

    /// Declares them.
    fn declare(&self, top: &mut Vec<Entry>) {
        let named = self.named.take().made;
        if named.is_empty() {
            return;
        }
        match top.iter_mut().find(|it| it.key == "upstreams").map(|it| &mut it.value.kind) {
            Some(Kind::Map(known)) => known.extend(named),
            _ => {
                let place = named[0].value.place;
                top.push(entry("upstreams", Node { place, kind: Kind::Map(named) }));
            }
        }
    }

    fn route(&self, name: &str, node: &Node, unit: &Unit) -> Node {
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
        if unit.role == Role::Included && own_upstreams(unit) {
            for to in all.iter_mut().filter(|it| matches!(it.key.as_str(), "to" | "mirror")) {
                self.rename(name, unit, &mut to.value);
            }
        }
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

// === nodes ===

/// Whether a file says something of all its upstreams.
fn own_upstreams(unit: &Unit) -> bool {
    get(&unit.root, "defaults").is_some_and(|it| get(&it.value, "upstream").is_some())
}

fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}

pub(super) fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    node.entries()?.iter().find(|entry| entry.key == key)
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.to_owned(), key_place: value.place, value }
}

pub(super) fn scalar_of(at: &Node, text: &str) -> Node {
    let scalar = Scalar { text: text.to_owned(), quoted: false, secret: false };
    Node { place: at.place, kind: Kind::Scalar(scalar) }
}

/// A map with the one key that a value alone stands for.
pub(super) fn short(node: &Node, key: &str) -> Node {
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
