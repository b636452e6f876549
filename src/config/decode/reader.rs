//! Walking the tree by the table: which key is known, whose it is, and every message that follows
//! from the table alone.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
};

use super::{
    super::{
        diagnostic::{About, Diagnostic, Diagnostics, Place, Sources},
        fields::{Section, Status, Type},
        masked,
        tree::{Entry, Kind, Node},
    },
    slot::Slot,
};

/// Comparisons that proposals may cost in one load; a file of 60,000 typing errors gets no more.
const PROPOSALS: usize = 200_000;

/// Collects what is found.
pub(in crate::config) struct Reader<'a> {
    /// The files, for showing what was written.
    pub(super) sources: &'a Sources,
    out: RefCell<Diagnostics>,
    errors: Cell<usize>,
    proposals: Cell<usize>,
    /// Where paths stand that begin at the directory of their file.
    relative: RefCell<Vec<Place>>,
    /// Places already known to be wrong: a variable that is not set says nothing else.
    known: HashSet<Place>,
    /// What files that are kept apart would define: section, name, and the file.
    apart: Apart,
}

/// Names that files which are kept apart would define, by section or kind of policy.
pub(in crate::config) type Apart = HashMap<(String, String), PathBuf>;

/// Whose key it is: "`timeouts` of route `orders`".
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    what: &'a str,
    name: Option<&'a str>,
    parent: Option<&'a Self>,
}

/// One map, with its section of the table.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub r: &'a Reader<'a>,
    pub owner: Owner<'a>,
    pub place: Place,
    section: &'static Section,
    entries: &'a [Entry],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// A reader that goes on with what was found so far.
    pub(in crate::config) fn new(sources: &'a Sources, found: Diagnostics) -> Self {
        let places = found.items.iter().filter_map(|found| found.labels.first());
        let known = places.map(|(place, _)| *place).collect();
        let (errors, proposals) = (Cell::new(0), Cell::new(0));
        let (out, relative, apart) = (RefCell::new(found), RefCell::default(), Apart::new());
        Self { sources, out, errors, proposals, relative, known, apart }
    }

    /// The same, and it knows what files would define that are kept apart.
    pub(in crate::config) fn with(self, apart: Apart) -> Self {
        Self { apart, ..self }
    }

    /// Why nobody defines a name that a file which is kept apart would define.
    pub(super) fn lost(&self, section: &str, name: &str) -> Option<String> {
        let file = self.apart.get(&(section.to_owned(), name.to_owned()))?;
        Some(format!("it is defined in `{}`, which is quarantined", file.display()))
    }

    /// Everything found, once each: an alias repeats the errors of what it stands for. In the
    /// order of the files.
    pub(in crate::config) fn finish(self) -> Diagnostics {
        let mut seen = HashSet::new();
        let mut all = self.out.into_inner();
        all.items.retain(|found| {
            let place = found.labels.first().map(|(place, _)| *place);
            seen.insert((place, found.message.clone()))
        });
        all.items.sort_by_key(|found| found.labels.first().map(|(place, _)| *place));
        all
    }

    /// Notes a path that begins at the directory of its file.
    pub(super) fn relative(&self, place: Place) {
        self.relative.borrow_mut().push(place);
    }

    /// Where all of those stand.
    pub(in crate::config) fn into_relative(self) -> HashSet<Place> {
        self.relative.into_inner().into_iter().collect()
    }

    pub(super) fn report(&self, found: Diagnostic) {
        if found.is_error() {
            self.errors.set(self.errors.get() + 1);
        }
        let place = found.labels.first().map(|(place, _)| place);
        if !place.is_some_and(|place| self.known.contains(place)) {
            self.out.borrow_mut().push(found);
        }
    }

    /// Whether anything found so far refuses the configuration.
    pub(super) fn has_errors(&self) -> bool {
        self.out.borrow().has_errors()
    }

    /// How many errors were found by reading so far, those included that say again what is known.
    pub(super) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// The same sources, findings thrown away: for values that are judged elsewhere.
    pub(super) fn silent(&self) -> Self {
        let spent = Cell::new(PROPOSALS);
        Self {
            sources: self.sources,
            out: RefCell::default(),
            errors: Cell::new(0),
            proposals: spent,
            relative: RefCell::default(),
            known: HashSet::new(),
            apart: Apart::new(),
        }
    }

    /// The place of a part of a scalar, if the file says it just so.
    pub(super) fn part(&self, node: &Node, start: usize, end: usize) -> Place {
        let whole = node.place;
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.secret) else { return whole };
        let Some((_, file)) = self.sources.files.get(whole.file as usize) else { return whole };
        let raw = file.get(whole.start as usize..whole.end as usize).unwrap_or_default();
        let skip = usize::from(raw != scalar.text);
        if raw.get(skip..raw.len().saturating_sub(skip)) != Some(scalar.text.as_str()) {
            return whole;
        }
        let at = |byte: usize| whole.start + u32::try_from(skip + byte).unwrap_or(0);
        Place { file: whole.file, start: at(start), end: at(end) }
    }

    /// The closest of some words, if it is close.
    pub(super) fn propose<'w>(
        &self,
        word: &str,
        among: impl IntoIterator<Item = &'w str>,
    ) -> Option<&'w str> {
        masked::closest(word, among, &self.proposals, PROPOSALS)
    }

    /// Reads a map by its section of the table: unknown keys, keys this build cannot do.
    pub(super) fn fields<'s>(
        &'s self,
        node: &'s Node,
        section: &'static Section,
        owner: Owner<'s>,
    ) -> Option<Fields<'s>> {
        let Kind::Map(entries) = &node.kind else {
            let message = match node.kind {
                Kind::Null => format!("{owner} is empty"),
                // It may be anything: a file of keys, perhaps.
                Kind::Scalar(_) if owner.is_top() => format!("{owner} must be a map, not text"),
                _ => format!("{owner} must be a map, not {}", node.shown()),
            };
            self.report(Diagnostic::error(node.place, message));
            return None;
        };
        for entry in entries {
            self.judge_key(entry, section, &owner);
        }
        Some(Fields { r: self, owner, place: node.place, section, entries })
    }

    fn judge_key(&self, entry: &Entry, section: &'static Section, owner: &Owner<'_>) {
        let key = &entry.key;
        let proposal = match section.field(key).map(|field| field.status) {
            Some(Status::Built) => return,
            Some(Status::Later) => return self.report(cannot_yet(entry.key_place, key)),
            Some(Status::Moved(instead)) => Some(instead),
            None => self.propose(key, section.keys()),
        };
        let message =
            format!("unknown key `{}` {}", super::super::tree::shorten(key), owner.within());
        let found = Diagnostic::error(entry.key_place, message).about(About::Key(proposal));
        self.report(match proposal {
            Some(known) => found.help(format!("did you mean `{known}`?")),
            None => found.help(format!("known keys: {}", list(section.keys()))),
        });
    }

    /// The entries of a map whose keys are names.
    pub(super) fn named<'s>(&self, node: &'s Node, what: &str) -> Vec<&'s Entry> {
        let Kind::Map(entries) = &node.kind else {
            let message = match node.kind {
                Kind::Null => format!("`{what}` is empty"),
                _ => format!("`{what}` must be a map of names, not {}", node.shown()),
            };
            self.report(Diagnostic::error(node.place, message));
            return Vec::new();
        };
        entries.iter().filter(|entry| self.is_name(entry)).collect()
    }

    fn is_name(&self, entry: &Entry) -> bool {
        let name = entry.key.as_str();
        let reserved = matches!(name, "none" | "false" | "true");
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        let good = !name.starts_with(['_', '-'])
            && (1..=63).contains(&name.len())
            && name.chars().all(inner);
        if good && !reserved {
            return true;
        }
        let message = format!("`{}` cannot be a name", super::super::tree::shorten(name));
        self.report(Diagnostic::error(entry.key_place, message).help(if reserved {
            "it has a meaning of its own in the language"
        } else {
            "names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters"
        }));
        false
    }
}

/// The finding for what is not built.
pub(super) fn cannot_yet(place: Place, key: &str) -> Diagnostic {
    let message = format!("`{key}` is part of the language, but this build cannot do it yet");
    Diagnostic::error(place, message)
}

/// `a`, `b`, `c`.
pub(super) fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

// === impl Owner ===

impl<'a> Owner<'a> {
    /// The file itself.
    pub(super) const TOP: Owner<'static> = Owner { what: "", name: None, parent: None };

    /// "route `orders`".
    pub(super) fn named(what: &'a str, name: &'a str) -> Self {
        Self { what, name: Some(name), parent: None }
    }

    /// "`timeouts` of route `orders`".
    pub(super) fn of(what: &'a str, parent: &'a Self) -> Self {
        Self { what, name: None, parent: Some(parent) }
    }

    fn is_top(&self) -> bool {
        self.what.is_empty()
    }

    /// "in …", or "at the top level".
    pub(super) fn within(&self) -> String {
        if self.is_top() { "at the top level".to_owned() } else { format!("in {self}") }
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_top() {
            return f.write_str("the file");
        }
        f.write_str(self.what)?;
        if let Some(name) = self.name {
            write!(f, " `{name}`")?;
        }
        match self.parent {
            Some(parent) if !parent.is_top() => write!(f, " of {parent}"),
            _ => Ok(()),
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The entry of a key this build can do.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(
            self.section.field(key).is_some_and(|field| field.status == Status::Built),
            "`{key}` is not in the table of {}",
            self.section.name
        );
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key with all that is known about it.
    pub(super) fn get(&self, key: &'static str) -> Option<Slot<'_>> {
        let entry = self.entry(key)?;
        let field = self.section.field(key)?;
        Some(Slot { r: self.r, key, owner: &self.owner, ty: &field.ty, node: &entry.value })
    }

    /// The map under a key.
    pub(super) fn child(&self, key: &'static str) -> Option<Fields<'_>> {
        let Type::Map(section) = &self.section.field(key)?.ty else { return None };
        self.child_called(key, section.name)
    }

    /// The same where messages call it otherwise than the table: one section stands under several keys.
    pub(super) fn child_called(&self, key: &'static str, name: &'a str) -> Option<Fields<'_>> {
        let entry = self.entry(key)?;
        let Type::Map(section) = &self.section.field(key)?.ty else { return None };
        self.r.fields(&entry.value, section, Owner::of(name, &self.owner))
    }

    /// All entries, for what the table leaves to the operator.
    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// A key as the table has it, if this build can do it.
    pub(super) fn known(&self, key: &str) -> Option<&'static str> {
        let field = self.section.field(key)?;
        (field.status == Status::Built).then_some(field.key)
    }

    /// Reports that a compulsory key is missing.
    pub(super) fn missing(&self, key: &str) {
        let message = format!("{} has no `{key}`", self.owner);
        self.r.report(Diagnostic::error(self.place, message));
    }
}
