//! Whether it is known of a broken file which requests its routes take (`--quarantine`). A mistake in what they do
//! with them is none in which they are. Wherever something was perhaps meant to be a route, or to say what one
//! matches, nobody knows; then the file cannot be kept apart.

use std::collections::BTreeMap;

use super::{
    diagnostic::{About, Diagnostic, Place},
    fields::{INCLUDED, ROUTE, TOP},
    quarantine::KEPT,
    tree::{Entry, Kind, Node},
};

/// More mistakes that have no place in the tree than this are not looked at.
const MOST: usize = 100;
/// What makes a map look like a route.
const SIGNS: [&str; 4] = ["match", "to", "redirect", "respond"];

/// Of the errors in a file the first that leaves it unknown which requests are meant, and why.
pub(super) fn doubt<'d>(
    root: &Node,
    errors: &[&'d Diagnostic],
) -> Option<(&'d Diagnostic, &'static str)> {
    let Kind::Map(_) = root.kind else {
        return errors.first().map(|first| (*first, "it is no map"));
    };
    let mut search = Search {
        by_start: BTreeMap::new(),
        placed: vec![false; errors.len()],
        errors,
        found: None,
    };
    for (at, error) in errors.iter().enumerate() {
        if let Some(place) = place(error) {
            search.by_start.entry(place.start).or_default().push((place, at));
        }
    }
    search.walk(root, &mut Vec::new());
    search.rest(root);
    search.found.map(|(at, why)| (errors[at], why))
}

/// Where it is in the tree. Of a key that is written twice the second is not in it.
fn place(error: &Diagnostic) -> Option<Place> {
    let at = usize::from(error.about == About::Writing && error.labels.len() > 1);
    error.labels.get(at).map(|(place, _)| *place)
}

struct Search<'s, 'd> {
    by_start: BTreeMap<u32, Vec<(Place, usize)>>,
    errors: &'s [&'d Diagnostic],
    placed: Vec<bool>,
    found: Option<(usize, &'static str)>,
}

// === impl Search ===

impl Search<'_, '_> {
    /// Judges what is wrong with everything in a node, which is at the end of this way.
    fn walk<'n>(&mut self, node: &'n Node, way: &mut Vec<&'n Entry>) {
        self.judge(node.place, matches!(node.kind, Kind::Scalar(_)), way);
        match &node.kind {
            Kind::Null | Kind::Scalar(_) => {}
            Kind::Seq(items) => items.iter().for_each(|item| self.walk(item, way)),
            Kind::Map(entries) => {
                for entry in entries {
                    way.push(entry);
                    self.judge(entry.key_place, true, way);
                    self.walk(&entry.value, way);
                    way.pop();
                }
            }
        }
    }

    /// Judges what is wrong at a place; also with a part of it, if it is a text.
    fn judge(&mut self, at: Place, parts: bool, way: &[&Entry]) {
        let end = if parts { at.end.max(at.start + 1) } else { at.start + 1 };
        for (place, error) in self.by_start.range(at.start..end).flat_map(|(_, all)| all) {
            if !parts && *place != at {
                continue;
            }
            self.placed[*error] = true;
            if let Some(why) = why(way, self.errors[*error].about)
                && self.found.is_none_or(|(first, _)| *error < first)
            {
                self.found = Some((*error, why));
            }
        }
    }

    /// Judges what is at no place of its own by what is around it.
    fn rest(&mut self, root: &Node) {
        let left: Vec<usize> = (0..self.errors.len()).filter(|at| !self.placed[*at]).collect();
        for (count, at) in left.into_iter().enumerate() {
            let around = place(self.errors[at]).filter(|_| count < MOST);
            let why = match around {
                Some(place) => why(&around_it(root, place), self.errors[at].about),
                None => Some("nobody can say where it belongs"),
            };
            if let Some(why) = why
                && self.found.is_none_or(|(first, _)| at < first)
            {
                self.found = Some((at, why));
            }
        }
    }
}

/// The innermost entries around a place.
fn around_it(root: &Node, place: Place) -> Vec<&Entry> {
    let (mut way, mut node) = (Vec::new(), root);
    loop {
        let next = match &node.kind {
            Kind::Null | Kind::Scalar(_) => return way,
            Kind::Seq(items) => {
                items.iter().find(|item| (item.place.start..=item.place.end).contains(&place.start))
            }
            Kind::Map(entries) => entries
                .iter()
                .find(|it| (it.key_place.start..=it.value.place.end).contains(&place.start))
                .map(|entry| {
                    way.push(entry);
                    &entry.value
                }),
        };
        match next {
            Some(inner) => node = inner,
            None => return way,
        }
    }
}

/// Why a mistake at the end of this way leaves it unknown which requests are meant; nothing if it does not.
fn why(way: &[&Entry], about: About) -> Option<&'static str> {
    let Some((last, top)) = way.last().zip(way.first()) else {
        return Some("something is wrong with the file as a whole");
    };
    match (top.key.as_str(), way.len()) {
        ("include", _) => Some("the files it names are not read, and may have routes"),
        // One of the tests.
        ("tests", 1) if about == About::Value && matches!(last.value.kind, Kind::Seq(_)) => None,
        (key, 1) => match (about, TOP.field(key).is_some() && !INCLUDED.contains(&key)) {
            // It may not have this section, which is all that is wrong with it.
            (About::Value, true) if !holds_route(&last.value) => None,
            (About::Key(_), _) => Some("what stands under this key may be routes"),
            _ => Some("routes may be lost in this section"),
        },
        ("routes", 2) => match about {
            About::Value if has_match(last) => None,
            About::Value => Some("the route has no `match`"),
            _ => Some("a route may be lost here"),
        },
        ("routes", depth) => in_route(way, depth, about),
        _ => elsewhere(last, about),
    }
}

/// The same of what is wrong in a route.
fn in_route(way: &[&Entry], depth: usize, about: About) -> Option<&'static str> {
    let (route, key, last) = (way.get(1)?, way.get(2)?, way.last()?);
    if KEPT.contains(&key.key.as_str()) {
        return Some("it is in what the route matches, or how it ranks");
    }
    match about {
        About::Value => None,
        _ if !has_match(route) => Some("the route has no `match`"),
        About::Key(_) if holds_route(&last.value) => {
            Some("what stands under this key may be a route")
        }
        About::Key(close) if depth == 3 && close.is_none_or(|it| KEPT.contains(&it)) => {
            Some("this key may say what the route matches, or how it ranks")
        }
        About::Writing | About::Key(_) => None,
    }
}

/// The same of what is wrong in another section.
fn elsewhere(last: &Entry, about: About) -> Option<&'static str> {
    const MAYBE: &str = "what stands here may be a route";
    match about {
        About::Value => {
            let undecoded = matches!(last.value.kind, Kind::Seq(_)) && holds_route(&last.value);
            undecoded.then_some(MAYBE)
        }
        About::Writing => Some("routes may be lost in this section"),
        About::Key(close) => {
            let route = close.is_none() || ROUTE.field(&last.key).is_some();
            (route || holds_route(&last.value)).then_some(MAYBE)
        }
    }
}

fn has_match(route: &Entry) -> bool {
    route.value.entries().is_some_and(|keys| keys.iter().any(|it| it.key == "match"))
}

/// Whether anything in it looks like a route.
fn holds_route(node: &Node) -> bool {
    match &node.kind {
        Kind::Null | Kind::Scalar(_) => false,
        Kind::Seq(items) => items.iter().any(holds_route),
        Kind::Map(entries) => entries.iter().any(|it| {
            SIGNS.contains(&it.key.as_str()) || it.key == "routes" || holds_route(&it.value)
        }),
    }
}
