//! `tidegate show`: what all files say together, as one file, with where each value was written. It is made
//! from the trees the decoder reads, by the rules of inheritance it follows; a test loads what is shown and
//! compares. Secrets are not in it: variables stand as they were written, and the rest is redacted.

mod built_in;
mod merge;
mod print;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    diagnostic::{Place, Sources},
    load::Files,
    tree::{Entry, Kind, Node, Scalar},
};

/// The files as one.
#[derive(Debug)]
pub(crate) struct Shown {
    root: Node,
    places: Places,
}

/// What is known of places.
#[derive(Debug)]
struct Places {
    sources: Sources,
    /// What stood there before variables were filled in, and whether it is a secret all the same.
    raw: HashMap<Place, (String, bool)>,
    /// The sections that others inherit from, and what they are called.
    sections: Vec<(Place, &'static str)>,
}

/// Maps of the operator's in which credentials may stand under any name.
const CARRIERS: [&str; 4] = ["set", "add", "headers", "query"];
/// Words in names of what is a credential there.
const CREDENTIALS: [&str; 8] =
    ["auth", "authorization", "cookie", "token", "secret", "password", "key", "apikey"];
const REDACTED: &str = "«redacted»";

/// Shows files that load. `built_in`: also what nobody wrote. `route`: this one, and what it names.
pub(super) fn show(files: Files, built_in: bool, route: Option<&str>) -> Shown {
    let sections = sections(&files);
    let mut root = merge::merge(&files.units);
    if let Some(route) = route {
        merge::only(&mut root, route);
    }
    if built_in {
        built_in::add(&mut root, route.is_none());
    }
    redact(&mut root, "");
    let Files { sources, raw, .. } = files;
    Shown { root, places: Places { sources, raw, sections } }
}

fn sections(files: &Files) -> Vec<(Place, &'static str)> {
    let mut all = Vec::new();
    for entry in files.units.iter().flat_map(|unit| unit.root.entries().unwrap_or_default()) {
        match entry.key.as_str() {
            "defaults" => all.push((entry.value.place, "defaults")),
            "policies" => all.push((entry.value.place, "policies")),
            _ => {}
        }
    }
    all
}

/// What the language does not know to be secret and most likely is.
fn redact(node: &mut Node, parent: &str) {
    match &mut node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => redact_user(scalar),
        Kind::Seq(items) => items.iter_mut().for_each(|item| redact(item, parent)),
        Kind::Map(entries) => {
            for entry in entries {
                let name = entry.key.to_ascii_lowercase();
                let named = name.split(['-', '_']).any(|word| CREDENTIALS.contains(&word));
                if named && CARRIERS.contains(&parent) {
                    conceal(&mut entry.value);
                } else {
                    redact(&mut entry.value, &entry.key);
                }
            }
        }
    }
}

fn conceal(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(scalar) => scalar.secret = true,
        Kind::Seq(items) => items.iter_mut().for_each(conceal),
        Kind::Null | Kind::Map(_) => {}
    }
}

/// `http://user:password@host`.
fn redact_user(scalar: &mut Scalar) {
    let Some(start) = scalar.text.find("://").map(|at| at + 3) else { return };
    let rest = &scalar.text[start..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if let Some(at) = rest[..end].rfind('@') {
        scalar.text.replace_range(start..start + at, REDACTED);
    }
}

// === impl Places ===

impl Places {
    /// `routes.yaml:12`, `defaults routes.yaml:3`; nothing for what is built in.
    fn origin(&self, place: Place) -> String {
        if place == Place::default() {
            return "built in".to_owned();
        }
        let within = |section: &Place| {
            section.file == place.file && section.start <= place.start && place.end <= section.end
        };
        let section = self.sections.iter().find(|(section, _)| within(section));
        let section = section.map_or_else(String::new, |(_, name)| format!("{name} "));
        match super::line_column(&self.sources, place) {
            Some((file, line, _)) => format!("{section}{file}:{line}"),
            None => section,
        }
    }

    /// The text of a scalar as it may be seen.
    fn text(&self, place: Place, scalar: &Scalar) -> String {
        match self.raw.get(&place) {
            Some((raw, false)) if scalar.secret => raw.clone(),
            Some((raw, true)) if scalar.secret => without_defaults(raw),
            _ if scalar.secret => REDACTED.to_owned(),
            _ => scalar.text.clone(),
        }
    }
}

/// The names of variables, without what else they may be; nothing of what is no variable.
fn without_defaults(raw: &str) -> String {
    let Some(inner) = raw.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return REDACTED.to_owned();
    };
    match inner.split_once(":-").or_else(|| inner.split_once(":?")) {
        Some((name, _)) if !name.contains(['{', '}']) => format!("${{{name}}}"),
        None if !inner.contains(['{', '}']) => raw.to_owned(),
        _ => REDACTED.to_owned(),
    }
}

// === impl Shown ===

impl Shown {
    /// As a file, with where each value was written behind it.
    pub(crate) fn yaml(&self) -> String {
        print::yaml(&self.root, &self.places)
    }

    /// The same for programs: `config`, and by JSON pointer what is built in (`built_in`) and where each value
    /// was written (`origins`).
    pub(crate) fn json(&self) -> Value {
        let (mut origins, mut built_in) = (Map::new(), Map::new());
        let config = self.value(&self.root, "", &mut origins, &mut built_in);
        serde_json::json!({ "config": config, "origins": origins, "built_in": built_in })
    }

    fn value(
        &self,
        node: &Node,
        path: &str,
        origins: &mut Map<String, Value>,
        built_in: &mut Map<String, Value>,
    ) -> Value {
        let below = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        match &node.kind {
            Kind::Map(entries) => {
                let mut map = Map::new();
                for Entry { key, value, .. } in entries {
                    if let Some(key) = key.strip_prefix('#') {
                        let path =
                            key.split('.').fold(path.to_owned(), |it, key| format!("{it}/{key}"));
                        built_in.insert(path, super::typed::json(value));
                    } else {
                        map.insert(key.clone(), self.value(value, &below(key), origins, built_in));
                    }
                }
                map.into()
            }
            Kind::Seq(items) => {
                let one = |(at, item): (usize, &Node)| {
                    self.value(item, &below(&at.to_string()), origins, built_in)
                };
                items.iter().enumerate().map(one).collect()
            }
            Kind::Null => Value::Null,
            Kind::Scalar(scalar) => {
                origins.insert(path.to_owned(), self.places.origin(node.place).into());
                let text = self.places.text(node.place, scalar);
                if scalar.quoted || scalar.secret {
                    text.into()
                } else {
                    super::typed::plain(&text)
                }
            }
        }
    }
}
