//! `${…}` in scalar values, after parsing, so that what a variable holds can never become a key or
//! a list. What came from one is marked and never printed.

use std::path::PathBuf;

use super::{
    diagnostic::{Diagnostic, Diagnostics, Place},
    snapshot::Source,
    tree::{Kind, Node},
};

/// `${a:-${b:-${c}}}` may nest this deep.
const MAX_NESTED: usize = 8;
/// One value, with everything filled in.
const MAX_VALUE: usize = 4 << 20;

/// Where values come from, and what was read on the way.
pub(super) struct Variables<'a> {
    /// The environment, and files.
    pub source: &'a Source<'a>,
    /// Relative `${file:…}` paths start here.
    pub base: PathBuf,
    /// Files read by `${file:…}`, to be watched.
    pub files: Vec<PathBuf>,
    /// Everything that was filled in: another value is another configuration.
    pub values: Vec<String>,
    /// What stood where something was filled in.
    pub raw: Vec<(Place, String)>,
}

/// What is wrong with one `${…}`, and what to do.
type Wrong = (String, Option<String>);

// === impl Variables ===

impl Variables<'_> {
    /// Fills in every scalar value below `node`.
    pub(super) fn expand(&mut self, node: &mut Node, out: &mut Diagnostics) {
        let place = node.place;
        match &mut node.kind {
            Kind::Null => {}
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.expand(item, out)),
            Kind::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.expand(&mut entry.value, out));
            }
            Kind::Scalar(scalar) => {
                if !scalar.text.contains("${") {
                    return;
                }
                let (text, secret, wrong) = self.fill(&scalar.text, 0);
                let raw = std::mem::replace(&mut scalar.text, text);
                self.raw.push((place, self.anchored(&raw)));
                scalar.secret = secret;
                out.items.extend(wrong.into_iter().map(|wrong| diagnostic(place, wrong)));
            }
        }
    }

    /// What was written, with paths of files that mean the same wherever they stand.
    fn anchored(&self, raw: &str) -> String {
        const FILE: &str = "${file:";
        let (mut out, mut rest) = (String::with_capacity(raw.len()), raw);
        while let Some(at) = rest.find(FILE) {
            let (before, path) = rest.split_at(at + FILE.len());
            out.push_str(before);
            let end = closing_brace(path).unwrap_or(path.len());
            let full = std::path::absolute(self.base.join(&path[..end])).ok();
            let full = full.as_deref().and_then(std::path::Path::to_str);
            // `$${file:` is no variable.
            let literal = rest[..at].ends_with('$');
            out.push_str(full.filter(|_| !literal).unwrap_or(&path[..end]));
            rest = &path[end..];
        }
        out.push_str(rest);
        out
    }

    /// The text with variables filled in, whether there were any, and what was wrong.
    fn fill(&mut self, text: &str, depth: usize) -> (String, bool, Vec<Wrong>) {
        let mut out = String::with_capacity(text.len());
        let (mut secret, mut wrong) = (false, Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(end) = closing_brace(&rest[at + 2..]) else {
                wrong.push((
                    "`${` without its `}`".to_owned(),
                    Some("for the two characters themselves, write `$${`".to_owned()),
                ));
                rest = "";
                break;
            };
            let inner = &rest[at + 2..at + 2 + end];
            secret = true;
            match self.value(inner, depth) {
                Ok(value) => {
                    out.push_str(&value);
                    self.values.push(value);
                }
                Err(mut errors) => wrong.append(&mut errors),
            }
            if out.len() > MAX_VALUE {
                wrong.push(("variables make this value too large".to_owned(), None));
                return (String::new(), true, wrong);
            }
            rest = &rest[at + 3 + end..];
        }
        out.push_str(rest);
        (out, secret, wrong)
    }

    fn value(&mut self, inner: &str, depth: usize) -> Result<String, Vec<Wrong>> {
        if let Some(path) = inner.strip_prefix("file:") {
            return self.file(path).map_err(|wrong| vec![wrong]);
        }
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = inner.split_at(end.unwrap_or(inner.len()));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let help = "variables are `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and \
                        `${file:/path}`; `$${` is a literal `${`";
            return Err(vec![(format!("`${{{inner}}}` is not a variable"), Some(help.to_owned()))]);
        }
        let set = self.source.variable(name);
        if rest.is_empty() {
            return set.ok_or_else(|| {
                let help = format!("set it, or write a default: `${{{name}:-…}}`");
                vec![(format!("the variable `{name}` is not set"), Some(help))]
            });
        }
        let set = set.filter(|value| !value.is_empty());
        if let Some(default) = rest.strip_prefix(":-") {
            if let Some(value) = set {
                return Ok(value);
            }
            if depth >= MAX_NESTED {
                return Err(vec![("variables nested too deep".to_owned(), None)]);
            }
            let (text, _, wrong) = self.fill(default, depth + 1);
            return if wrong.is_empty() { Ok(text) } else { Err(wrong) };
        }
        if let Some(message) = rest.strip_prefix(":?") {
            return set.ok_or_else(|| {
                vec![(format!("the variable `{name}` is not set: {message}"), None)]
            });
        }
        let help = format!("after the name comes `}}`, `:-default` or `:?message`: `${{{name}}}`");
        Err(vec![(format!("`${{{inner}}}` is not a variable"), Some(help))])
    }

    fn file(&mut self, path: &str) -> Result<String, Wrong> {
        let full = self.base.join(path);
        let text = self.source.value(&full);
        // Watched also while it is missing: when it comes, the file can load.
        self.files.push(full);
        let text = text.map_err(|error| {
            (format!("cannot read `{path}`: {error}"), Some("`${file:…}` reads a file".to_owned()))
        })?;
        let cut = text.strip_suffix('\n').unwrap_or(&text);
        Ok(cut.strip_suffix('\r').unwrap_or(cut).to_owned())
    }
}

fn diagnostic(place: Place, (message, help): Wrong) -> Diagnostic {
    let found = Diagnostic::error(place, message);
    match help {
        Some(help) => found.help(help),
        None => found,
    }
}

/// Where the `}` that closes an already opened `${` stands.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
