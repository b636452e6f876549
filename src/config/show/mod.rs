//! `tidegate show`: what all files say together, as one file, with where each value was written. It is made
//! from the trees the decoder reads, by the rules of inheritance it follows; a test loads what is shown and
//! compares. Secrets are not in it: variables stand as they were written, and words for the rest (`secrets`).

mod built_in;
mod levels;
mod merge;
mod print;
mod secrets;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use self::secrets::Hider;
use super::{
    diagnostic::{Place, Sources},
    load::Files,
    tree::{Entry, Kind, Node},
};

/// The files as one.
#[derive(Debug)]
pub(crate) struct Shown {
    root: Node,
    /// Something stands for secrets.
    hidden: bool,
    places: Places,
}

/// What is known of places.
#[derive(Debug)]
struct Places {
    sources: Sources,
    /// Where the lines of each file end.
    lines: Vec<Vec<usize>>,
    /// The sections that others inherit from, and what they are called.
    sections: Vec<(Place, &'static str)>,
}

/// What stands before a file that is not all there.
const HEAD: &str = "# Secrets that are written in the files are not shown: `redacted…` and hashes of nothing stand for them.\n\
                    # This loads; put the secrets back before it is used.\n\n";

/// Shows files that load. `relative`: where paths stand that begin at the directory of their file. `built_in`: also
/// what nobody wrote. `route`: this one, and what it names.
pub(super) fn show(
    mut files: Files,
    relative: &HashSet<Place>,
    built_in: bool,
    route: Option<&str>,
) -> Shown {
    let sections = sections(&files);
    let mut root = merge::merge(&files.units);
    if let Some(route) = route {
        merge::only(&mut root, route);
    }
    if built_in {
        built_in::add(&mut root, route.is_none());
    }
    anchor(&mut root, &mut files, relative);
    let Files { sources, raw, .. } = files;
    let mut hider = Hider { sources: &sources, raw: &raw, words: HashMap::new(), hidden: false };
    hider.hide(&mut root);
    let hidden = hider.hidden;
    Shown { root, hidden, places: Places { lines: lines(&sources), sources, sections } }
}

/// Makes these paths absolute: what is shown stands in no directory.
fn anchor(node: &mut Node, files: &mut Files, relative: &HashSet<Place>) {
    match &mut node.kind {
        Kind::Scalar(scalar) if relative.contains(&node.place) => {
            let Ok(base) = std::path::absolute(files.sources.base(node.place)) else { return };
            let absolute = |text: &str| base.join(text).display().to_string();
            scalar.text = absolute(&scalar.text);
            if let Some((raw, _)) = files.raw.get_mut(&node.place)
                && !std::path::Path::new(raw).is_absolute()
            {
                *raw = absolute(raw);
            }
        }
        Kind::Null | Kind::Scalar(_) => {}
        Kind::Seq(items) => items.iter_mut().for_each(|it| anchor(it, files, relative)),
        Kind::Map(all) => all.iter_mut().for_each(|it| anchor(&mut it.value, files, relative)),
    }
}

/// Where the lines of each file end.
fn lines(sources: &Sources) -> Vec<Vec<usize>> {
    let ends = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect();
    sources.files.iter().map(|(_, text)| ends(text)).collect()
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
        let file = place.file as usize;
        match (self.sources.files.get(file), self.lines.get(file)) {
            (Some((path, _)), Some(ends)) => {
                let line = ends.partition_point(|end| *end < place.start as usize) + 1;
                format!("{section}{}:{line}", path.display())
            }
            _ => section,
        }
    }
}

// === impl Shown ===

impl Shown {
    /// As a file, with where each value was written behind it.
    pub(crate) fn yaml(&self) -> String {
        let head = if self.hidden { HEAD } else { "" };
        format!("{head}{}", print::yaml(&self.root, &self.places))
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
                let typed = super::typed::plain(&scalar.text);
                // Elsewhere a number may be a text, and `1e3` is not `1000.0`.
                let as_typed = ["/config/", "/claims/"].iter().any(|it| path.contains(it));
                let printed = typed.to_string();
                let plain = as_typed || printed == scalar.text;
                match scalar.quoted || scalar.secret || !plain {
                    true => scalar.text.clone().into(),
                    false => typed,
                }
            }
        }
    }
}
