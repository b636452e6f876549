//! What a file says before anybody asks what it means: maps, lists and scalars, each with its place.
//! `yaml.rs` makes this tree, `vars.rs` fills in variables, the decoder walks it.

use super::diagnostic::Place;

/// One value of a file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it was written. An alias has the place of what it stands for.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Text; its meaning comes from the field it stands in.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map, keys unique, in the order written.
    Map(Vec<Entry>),
}

/// The text of a scalar.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// As written: `2` stays "2", `on` stays "on". Escapes and folding are done.
    pub text: String,
    /// Written in quotes or as a block.
    pub quoted: bool,
    /// Some of it came from a variable: it is never printed.
    pub secret: bool,
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_place: Place,
    /// Its value.
    pub value: Node,
}

// === impl Node ===

impl Node {
    /// The scalar, if it is one.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => None,
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// Whether this is the scalar `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.text() == Some(word)
    }

    /// `none`, or its synonym `false`.
    pub(crate) fn is_none_word(&self) -> bool {
        self.is("none") || self.is("false")
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null | Kind::Seq(_) | Kind::Scalar(_) => None,
        }
    }

    /// Whether some of it came from a variable.
    pub(crate) fn is_secret(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.secret)
    }

    /// Marks what is secret by its key, wherever it came from, and tells where it stands.
    pub(crate) fn mark_secrets(&mut self, places: &mut Vec<Place>) {
        match &mut self.kind {
            Kind::Null | Kind::Scalar(_) => {}
            Kind::Seq(items) => items.iter_mut().for_each(|item| item.mark_secrets(places)),
            Kind::Map(entries) => {
                for entry in entries {
                    match (entry.key.as_str(), &mut entry.value.kind) {
                        ("sticky", Kind::Map(inner)) => {
                            let secret = inner.iter_mut().filter(|inner| inner.key == "secret");
                            secret.for_each(|inner| inner.value.mark(places));
                        }
                        _ => entry.value.mark_secrets(places),
                    }
                }
            }
        }
    }

    fn mark(&mut self, places: &mut Vec<Place>) {
        match &mut self.kind {
            Kind::Null => {}
            Kind::Scalar(scalar) => {
                scalar.secret = true;
                places.push(self.place);
            }
            Kind::Seq(items) => items.iter_mut().for_each(|item| item.mark(places)),
            Kind::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.mark(places)),
        }
    }

    /// How a message shows it: text in back-ticks, never a value that came from a variable.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Scalar(Scalar { secret: true, .. }) => "«redacted»".to_owned(),
            Kind::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
            Kind::Seq(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// One line, not too long, of a text that goes into a message.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= MOST {
        return line.to_owned();
    }
    line.chars().take(MOST).chain(['…']).collect()
}
