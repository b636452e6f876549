//! The maps of the language, each at the one place where the page tells of it.

use std::collections::VecDeque;

use super::super::super::fields::{Field, Form, Need, Section, Status, TOP, Type};

/// One map of the language.
pub(super) struct Part {
    pub(super) section: &'static Section,
    /// `routes.NAME.retry`; empty for the file itself.
    pub(super) path: String,
    /// The key it is the value of, unless names or items stand between.
    pub(super) key: Option<&'static Field>,
    /// Other places with the same keys.
    pub(super) also: Vec<String>,
}

/// All of them, each once, in the order of the page.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    /// Where each is told of.
    places: Vec<(&'static Section, String)>,
}

/// A section, and a place where it stands.
type Found = (&'static Section, String);

/// The keys of a section that people may write, or will.
pub(super) fn fields(section: &'static Section) -> impl Iterator<Item = &'static Field> {
    let real = |it: &&Field| !matches!(it.status, Status::Moved(_)) && it.need != Need::Elsewhere;
    section.fields.iter().filter(real)
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The map below a key that can be used.
fn below(field: &'static Field, path: &str) -> Option<Found> {
    match &field.ty {
        _ if field.status != Status::Built => None,
        Type::Map(inner) => Some((inner, path.to_owned())),
        Type::Named(inner) => Some((inner, format!("{path}.NAME"))),
        Type::Many(inner) => Some((inner, format!("{path}[]"))),
        _ => None,
    }
}

/// Maps among its other forms.
fn inline(field: &'static Field, path: &str) -> Vec<Found> {
    let values = match field.ty {
        Type::Free => format!("{path}.NAME"),
        _ => format!("{path}[]"),
    };
    let mut found = Vec::new();
    let places = [(field.or, path), (field.of, values.as_str())];
    for (form, at) in places.iter().flat_map(|(forms, at)| forms.iter().map(move |it| (it, at))) {
        match form {
            Form::Map(section) => found.push((*section, (*at).to_owned())),
            Form::List(items) => found.extend(items.iter().filter_map(|item| match item {
                Form::Map(section) => Some((*section, format!("{at}[]"))),
                _ => None,
            })),
            _ => {}
        }
    }
    found
}

/// Where a map is told of that stands in several places: that of a policy is its route, where it is looked
/// for.
fn rank(field: &Field) -> usize {
    match field.key {
        "policies" => 1,
        "defaults" => 2,
        _ => 0,
    }
}

/// The keys of the file, in the order of the page.
fn top() -> Vec<&'static Field> {
    let mut top: Vec<_> = fields(&TOP).collect();
    top.sort_by_key(|field| rank(field));
    top
}

// === impl Parts ===

impl Parts {
    pub(super) fn all() -> Self {
        let mut parts = Self::default();
        // First what has a key of its own, then what can only be written in the place of something else.
        for forms in [false, true] {
            for group in top().chunk_by(|one, other| rank(one) == rank(other)) {
                parts.find(group, forms);
            }
        }
        parts.all.push(Part { section: &TOP, path: String::new(), key: None, also: Vec::new() });
        for field in top() {
            parts.tell(field, field.key);
        }
        parts.note_other_places();
        parts
    }

    /// Where the keys of a section are told of.
    pub(super) fn place(&self, section: &'static Section) -> Option<&str> {
        let found = self.places.iter().find(|(it, _)| std::ptr::eq(*it, section));
        found.map(|(_, place)| place.as_str())
    }

    /// Settles where the maps below these keys are told of: where they are nearest to the top.
    fn find(&mut self, from: &[&'static Field], forms: bool) {
        let mut left: VecDeque<_> = from.iter().map(|it| (*it, it.key.to_owned())).collect();
        while let Some((field, path)) = left.pop_front() {
            let inline = if forms { inline(field, &path) } else { Vec::new() };
            for (section, at) in below(field, &path).into_iter().chain(inline) {
                let known = self.place(section).map(str::to_owned);
                if known.as_ref().is_some_and(|known| *known != at) {
                    continue;
                }
                if known.is_none() {
                    self.places.push((section, at.clone()));
                }
                left.extend(fields(section).map(|field| (field, join(&at, field.key))));
            }
        }
    }

    /// Puts the maps below a key on the page.
    fn tell(&mut self, field: &'static Field, path: &str) {
        for (section, at) in below(field, path).into_iter().chain(inline(field, path)) {
            let told = self.all.iter().any(|part| std::ptr::eq(part.section, section));
            if !told && self.place(section) == Some(&at) {
                let key = (at == path).then_some(field);
                self.all.push(Part { section, path: at.clone(), key, also: Vec::new() });
                fields(section).for_each(|field| self.tell(field, &join(&at, field.key)));
            }
        }
    }

    fn note_other_places(&mut self) {
        let mut others: Vec<Found> = Vec::new();
        for part in &self.all {
            for field in fields(part.section) {
                let path = join(&part.path, field.key);
                others.extend(below(field, &path).into_iter().chain(inline(field, &path)));
            }
        }
        for (section, at) in others {
            // A list of them is no other place.
            let at = at.trim_end_matches("[]").to_owned();
            let part = self.all.iter_mut().find(|part| std::ptr::eq(part.section, section));
            let Some(part) = part else { continue };
            if part.path.trim_end_matches("[]") != at && !part.also.contains(&at) {
                part.also.push(at);
            }
        }
    }
}
