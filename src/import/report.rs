//! What an import could not translate: each a comment in the file, a line for the operator, and the
//! reason for the exit code.

use std::{collections::HashSet, fmt};

/// A place in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    /// Index of the file; 0 is the one that was named.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: usize,
}

/// Something that was not translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub todo: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) files: Vec<String>,
    pub(super) findings: Vec<Finding>,
    known: HashSet<(At, String)>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(name: &str) -> Self {
        Self { files: vec![name.to_owned()], ..Self::default() }
    }

    /// How comments name a place.
    pub(super) fn place(&self, at: At) -> String {
        match self.files.get(at.file) {
            Some(name) if at.file > 0 => format!("{name}:{}", at.line),
            _ => format!("line {}", at.line),
        }
    }

    /// Notes it, and gives the comment for the file.
    pub(super) fn todo(
        &mut self,
        at: At,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> String {
        let (what, todo) = (shorten(&what.into()), todo.into());
        let comment = format!("TODO {}: {what}; {todo}", self.place(at));
        if self.known.insert((at, what.clone())) {
            let file = self.files.get(at.file).cloned().unwrap_or_default();
            self.findings.push(Finding { file, line: at.line, what, todo });
        }
        comment
    }
}

/// One line, not too long, cut between words. What began in backticks ends in them.
fn shorten(text: &str) -> String {
    const MOST: usize = 240;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let Some((end, _)) = text.char_indices().nth(MOST) else { return text };
    let kept = text[..end].rsplit_once(' ').map_or(&text[..end], |(kept, _)| kept);
    let open = kept.matches('`').count() % 2 == 1;
    format!("{}…{}", kept.trim_end(), if open { "`" } else { "" })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.what, self.todo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_words() {
        let long =
            format!("`users x`: {}make a new one with `tidegate hash` or so", "word ".repeat(39));
        let cut = shorten(&long);
        assert!(cut.ends_with(" `tidegate…`"), "{cut}");
        assert_eq!(shorten("a\nb"), "a b");
        assert_eq!(shorten(&"x".repeat(300)).chars().count(), 241);
    }
}
