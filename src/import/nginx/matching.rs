//! Which location nginx takes for a path: its own rules, from its own tree of locations, knowing nothing of
//! how they are translated. What `tests:` of the result expect is computed here.

use regex::{Regex, RegexBuilder};

use super::{
    ahead::looking_at,
    model::{Kind, Location},
};

/// What nginx does with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No location: the server's own settings.
    Nothing,
    /// This location.
    Location(usize),
    /// To the same path with a slash at its end.
    Slash(usize),
    /// An expression nobody here can read stands in the way.
    Unknown,
}

/// The locations of a server.
pub(super) struct Matcher<'a> {
    locations: &'a [Location<'a>],
    regexes: Vec<Option<Regex>>,
}

enum Step {
    /// `NGX_OK` and `NGX_DONE`: it is settled.
    Settled(Found),
    /// `NGX_AGAIN`: a prefix, or nothing, unless an expression further out takes it.
    Open(Found),
}

// === impl Matcher ===

impl<'a> Matcher<'a> {
    pub(super) fn new(locations: &'a [Location<'a>]) -> Self {
        let regexes = locations.iter().map(|it| match it.kind {
            Kind::Regex { any_case } => compile(&it.text, any_case),
            Kind::Exact | Kind::Prefix { .. } | Kind::Named => None,
        });
        Self { locations, regexes: regexes.collect() }
    }

    /// The expression of a location.
    pub(super) fn regex(&self, number: usize) -> Option<&Regex> {
        self.regexes.get(number)?.as_ref()
    }

    /// What is done with a decoded path.
    pub(super) fn find(&self, path: &str) -> Found {
        match self.level(None, path) {
            Step::Settled(found) | Step::Open(found) => found,
        }
    }

    /// As `ngx_http_core_find_location` does it.
    fn level(&self, parent: Option<usize>, path: &str) -> Step {
        let outer = parent.map_or(Found::Nothing, Found::Location);
        let mut found = outer;
        let mut closed = false;
        match self.fixed(parent, path) {
            Some(settled @ (Found::Slash(_) | Found::Unknown)) => return Step::Settled(settled),
            Some(Found::Location(number)) => {
                let it = &self.locations[number];
                if it.kind == Kind::Exact {
                    return Step::Settled(Found::Location(number));
                }
                closed = it.kind == Kind::Prefix { final_: true };
                match self.level(Some(number), path) {
                    Step::Settled(inner) => return Step::Settled(inner),
                    Step::Open(inner) => found = inner,
                }
            }
            Some(Found::Nothing) | None => {}
        }
        if closed {
            return Step::Open(found);
        }
        for (number, it) in self.children(parent) {
            if !matches!(it.kind, Kind::Regex { .. }) {
                continue;
            }
            let Some(regex) = self.regex(number) else { return Step::Settled(Found::Unknown) };
            if regex.is_match(path) {
                let (Step::Settled(inner) | Step::Open(inner)) = self.level(Some(number), path);
                return Step::Settled(inner);
            }
        }
        Step::Open(found)
    }

    /// As `ngx_http_core_find_static_location` does it.
    fn fixed(&self, parent: Option<usize>, path: &str) -> Option<Found> {
        let fixed = || {
            self.children(parent)
                .filter(|(_, it)| matches!(it.kind, Kind::Exact | Kind::Prefix { .. }))
        };
        let exact = fixed().find(|(_, it)| it.kind == Kind::Exact && it.text == path);
        if let Some((number, _)) = exact {
            return Some(Found::Location(number));
        }
        let prefixes =
            fixed().filter(|(_, it)| it.kind != Kind::Exact && path.starts_with(it.text.as_str()));
        let longest = prefixes.max_by_key(|(_, it)| it.text.len());
        if longest.is_none_or(|(_, it)| it.text != path) {
            let slash = format!("{path}/");
            if let Some((number, _)) = fixed().find(|(_, it)| it.text == slash && it.adds_slash()) {
                return Some(Found::Slash(number));
            }
        }
        longest.map(|(number, _)| Found::Location(number))
    }

    fn children(&self, parent: Option<usize>) -> impl Iterator<Item = (usize, &'a Location<'a>)> {
        self.locations.iter().enumerate().filter(move |(_, it)| it.parent == parent)
    }
}

/// An expression of nginx, as far as ours read it the same.
pub(super) fn compile(text: &str, any_case: bool) -> Option<Regex> {
    let mut builder = RegexBuilder::new(&looking_at(text));
    builder.case_insensitive(any_case).size_limit(1 << 20).unicode(true).build().ok()
}
