//! What a file says before anybody asks what it means: maps, lists and scalars, each with its place.
//! `yaml.rs` makes this tree, `vars.rs` fills in variables, the decoder walks it.

use std::collections::HashSet;

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

/// Keys whose values nobody may see, each with the key it stands under.
const SECRETS: [(&str, &str); 10] = [
    ("sticky", "secret"),
    ("etcd", "password"),
    ("api_key", "keys"),
    ("basic", "users"),
    ("oidc", "client_secret"),
    ("oidc", "secrets"),
    ("signature", "keys"),
    ("introspection", "client_secret"),
    // Credentials of the clients that are played.
    ("tests", "headers"),
    (STORES, "password"),
];

/// Whose entries are named by the operator, and hold secrets.
const STORES: &str = "stores";

/// Maps whose keys are names of the operator, which may be any of these words.
const NAMED: [&str; 9] = [
    "listeners",
    "upstreams",
    "routes",
    "to",
    "rate_limit",
    "bandwidth",
    "concurrency",
    "labels",
    "classes",
];

/// Whether a URL in a text names a user: most often a password follows.
fn has_user_info(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        rest[..rest.find(ends).unwrap_or(rest.len())].contains('@')
    })
}

/// The text of a file that is not YAML, where nobody knows what is a secret: its keys and its shape, which
/// is what is wrong with it, without its values. Every place stays where it is.
pub(super) fn conceal_all(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        conceal_line(line, &mut shown);
    }
    shown
}

/// A word is a key if it stands where one may begin, and a colon follows.
fn conceal_line(line: &str, shown: &mut String) {
    let is_word = |c: char| !c.is_whitespace() && !"{}[],:\"'#&*!|>".contains(c);
    let (mut rest, mut may_be_key) = (line, true);
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if length == 0 {
            may_be_key |= matches!(first, '{' | ',' | '[');
            may_be_key &= first != ':';
            shown.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        let follows = after.trim_start_matches(['"', '\'']).starts_with(':');
        // The dash of a list is no value.
        if word == "-" || (may_be_key && follows) {
            shown.push_str(word);
        } else {
            shown.extend(std::iter::repeat_n('*', word.len()));
        }
        may_be_key &= word == "-";
        rest = after;
    }
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
        self.mark_within("", places);
    }

    fn mark_within(&mut self, parent: &str, places: &mut Vec<Place>) {
        match &mut self.kind {
            Kind::Scalar(scalar) if has_user_info(&scalar.text) => self.mark(places),
            Kind::Null | Kind::Scalar(_) => {}
            Kind::Seq(items) => items.iter_mut().for_each(|it| it.mark_within(parent, places)),
            Kind::Map(entries) => {
                for Entry { key, value, .. } in entries {
                    // `tests` is the one that holds a list of maps.
                    let is_map = match &value.kind {
                        Kind::Map(_) => true,
                        Kind::Seq(_) => key == "tests",
                        Kind::Null | Kind::Scalar(_) => false,
                    };
                    // Keys in their place are public, but for those who put the private ones there.
                    let is_set = is_map || value.text().is_some_and(|it| it.starts_with('{'));
                    let holds = SECRETS.iter().any(|(holder, _)| holder == key);
                    if SECRETS.contains(&(parent, key.as_str())) || (key == "jwks" && is_set) {
                        value.mark(places);
                    } else if holds && !is_map && !NAMED.contains(&parent) {
                        // What should stand inside it, perhaps.
                        value.mark(places);
                    } else if (parent, key.as_str()) == (STORES, "redis") {
                        value.mark_urls(places);
                    } else {
                        let within = if parent == STORES { parent } else { key };
                        value.mark_within(within, places);
                    }
                }
            }
        }
    }

    /// Where all its scalars stand.
    pub(crate) fn places(&self, places: &mut Vec<Place>) {
        match &self.kind {
            Kind::Null => {}
            Kind::Scalar(_) => places.push(self.place),
            Kind::Seq(items) => items.iter().for_each(|item| item.places(places)),
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.places(places)),
        }
    }

    /// Marks what stands at these places.
    pub(crate) fn mark_at(&mut self, places: &HashSet<Place>) {
        if places.is_empty() {
            return;
        }
        match &mut self.kind {
            Kind::Null => {}
            Kind::Scalar(scalar) => scalar.secret |= places.contains(&self.place),
            Kind::Seq(items) => items.iter_mut().for_each(|item| item.mark_at(places)),
            Kind::Map(entries) => entries.iter_mut().for_each(|it| it.value.mark_at(places)),
        }
    }

    /// Marks URLs that may hold a password.
    fn mark_urls(&mut self, places: &mut Vec<Place>) {
        match &mut self.kind {
            Kind::Seq(items) => items.iter_mut().for_each(|item| item.mark_urls(places)),
            Kind::Scalar(scalar) if scalar.text.contains('@') => self.mark(places),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_yaml_is_shown_without_its_values() {
        let text = "upstreams:\n  u: { sticky: { \"cookie\": c d, secret: \"a b\": x }\nlist:\n  - a: b\n  - c\n  \
                    x: [ä: ö, 'y': z]\n";
        let shown = "upstreams:\n  u: { sticky: { \"cookie\": * *, secret: \"* *\": * }\nlist:\n  - a: *\n  - *\n  \
                     x: [ä: **, 'y': *]\n";
        assert_eq!(conceal_all(text), shown);
        assert_eq!(
            conceal_all("routes: { tkoen: b\n"),
            "routes: { tkoen: *\n",
            "whatever the key is"
        );
    }
}
