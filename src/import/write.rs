//! The file that comes out of an import: sections of named entries with their comments, written as YAML
//! and laid out by `fmt`. Whatever a source says, it is one scalar here and never structure.

use std::fmt::Write as _;

use crate::config::fmt;

/// Wider maps and lists are broken into lines.
const WIDTH: usize = 104;

/// A value of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// One line of an entry, or what several lines are made of.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Comment(String),
    Key(String, Value),
}

/// What stands under a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Comments above it.
    pub(super) above: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// A whole `routes.yaml`.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) head: Vec<String>,
    pub(super) listeners: Vec<Entry>,
    pub(super) tls: Vec<Line>,
    pub(super) defaults: Vec<Line>,
    pub(super) upstreams: Vec<Entry>,
    pub(super) auth: Vec<Entry>,
    pub(super) ip: Vec<Entry>,
    pub(super) rate_limit: Vec<Entry>,
    pub(super) concurrency: Vec<Entry>,
    pub(super) routes: Vec<Entry>,
    /// What stands below the routes.
    pub(super) below: Vec<String>,
    pub(super) tests: Vec<Value>,
}

/// The policy nobody passes.
pub(super) const CLOSED: &str = "closed";

// === impl Value ===

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    pub(super) fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// One alone, or a list of several.
    pub(super) fn one_or_many<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        let mut items: Vec<Self> = items.into_iter().map(Into::into).collect();
        if items.len() == 1 { items.remove(0) } else { Self::List(items) }
    }

    fn flow(&self) -> String {
        match self {
            Self::Text(text) => scalar(text),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let pair =
                    |(key, value): &(String, Self)| format!("{}: {}", plain_key(key), value.flow());
                let pairs: Vec<_> = entries.iter().map(pair).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(super) fn key(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.lines.push(Line::Key(key.to_owned(), value.into()));
        self
    }

    pub(super) fn comment(&mut self, text: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Comment(text.into()));
        self
    }
}

// === impl Document ===

impl Document {
    /// Makes the policy nobody passes.
    pub(super) fn use_closed(&mut self) {
        if self.ip.iter().any(|it| it.name == CLOSED) {
            return;
        }
        let mut entry = Entry::new(CLOSED);
        entry
            .above
            .push("Nobody passes: what was protected in a way that is not translated.".to_owned());
        entry.key("allow", "127.0.0.1").key("deny", Value::list(["0.0.0.0/0", "::/0"]));
        self.ip.push(entry);
    }

    /// The text, in the layout.
    ///
    /// # Errors
    /// It is not YAML: a mistake of ours.
    pub(super) fn text(&self) -> Result<String, String> {
        let mut out = String::new();
        comments(&mut out, 0, &self.head);
        out.push_str("version: 1\n");
        section(&mut out, 0, "listeners", &self.listeners);
        if !self.tls.is_empty() {
            out.push_str("\ntls:\n");
            lines(&mut out, 2, &self.tls);
        }
        if !self.defaults.is_empty() {
            out.push_str("\ndefaults:\n");
            lines(&mut out, 2, &self.defaults);
        }
        section(&mut out, 0, "upstreams", &self.upstreams);
        let policies = [
            ("auth", &self.auth),
            ("ip", &self.ip),
            ("rate_limit", &self.rate_limit),
            ("concurrency", &self.concurrency),
        ];
        if policies.iter().any(|(_, entries)| !entries.is_empty()) {
            out.push_str("\npolicies:\n");
            for (kind, entries) in policies {
                section(&mut out, 2, kind, entries);
            }
        }
        section(&mut out, 0, "routes", &self.routes);
        comments(&mut out, 2, &self.below);
        if !self.tests.is_empty() {
            out.push_str("\ntests:\n");
            for test in &self.tests {
                let _ = writeln!(out, "  - {}", test.flow());
            }
        }
        fmt::format("the result", &out, false)
    }
}

fn section(out: &mut String, indent: usize, key: &str, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    if indent == 0 {
        out.push('\n');
    }
    let _ = writeln!(out, "{:indent$}{key}:", "");
    for entry in entries {
        comments(out, indent + 2, &entry.above);
        let _ = writeln!(out, "{:width$}{}:", "", plain_key(&entry.name), width = indent + 2);
        lines(out, indent + 4, &entry.lines);
    }
}

fn lines(out: &mut String, indent: usize, all: &[Line]) {
    for line in all {
        match line {
            Line::Comment(text) => comments(out, indent, std::slice::from_ref(text)),
            Line::Key(key, value) => put(out, indent, key, value),
        }
    }
}

fn put(out: &mut String, indent: usize, key: &str, value: &Value) {
    let flow = value.flow();
    let key = plain_key(key);
    let fits = indent + key.len() + flow.len() < WIDTH;
    match value {
        Value::Map(entries) if !fits => {
            let _ = writeln!(out, "{:indent$}{key}:", "");
            for (key, value) in entries {
                put(out, indent + 2, key, value);
            }
        }
        Value::List(items) if !fits => {
            let _ = writeln!(out, "{:indent$}{key}:", "");
            for item in items {
                let _ = writeln!(out, "{:indent$}  - {}", "", item.flow());
            }
        }
        _ => drop(writeln!(out, "{:indent$}{key}: {flow}", "")),
    }
}

fn comments(out: &mut String, indent: usize, all: &[String]) {
    for text in all {
        let text: String =
            text.chars().map(|c| if c.is_control() || is_break(c) { ' ' } else { c }).collect();
        let _ = writeln!(out, "{:indent$}# {}", "", text.trim());
    }
}

/// What ends a line for some reader of YAML, or may not stand in a file at all.
fn is_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A path as requests have it. With `reserved` what means nothing in a path stays as it is (`@`, `:`).
pub(super) fn encoded(path: &str, reserved: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut out = String::new();
    for byte in path.bytes() {
        match plain(byte) || reserved && b"@:!$&'(),=+".contains(&byte) {
            true => out.push(char::from(byte)),
            false => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn plain_key(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let digits = key.chars().all(|c| c.is_ascii_digit() || c == '_');
    let good =
        key.starts_with(|c: char| c.is_ascii_alphanumeric()) && key.chars().all(plain) && !digits;
    if good { key.to_owned() } else { quoted(key) }
}

/// Text as a scalar. `${` is what it says and no variable.
fn scalar(text: &str) -> String {
    let text = text.replace("${", "$${");
    if is_plain(&text) { text } else { quoted(&text) }
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 6] = ["null", "yes", "no", "on", "off", "y"];
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./-:*+@=%~ ".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || "/_".contains(c))
        && text.chars().all(inner)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_break(c) => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_scalar_whatever_it_says() {
        for (text, written) in [
            ("/api/**", "/api/**"),
            ("a: b", "\"a: b\""),
            ("", "\"\""),
            ("a #b", "\"a #b\""),
            ("yes", "\"yes\""),
            ("${SECRET}", "\"$${SECRET}\""),
            ("a\nb\u{7}\"\\", "\"a\\nb\\u0007\\\"\\\\\""),
            ("{x}", "\"{x}\""),
            ("GET http://a/b", "GET http://a/b"),
        ] {
            assert_eq!(scalar(text), written);
        }
    }
}
