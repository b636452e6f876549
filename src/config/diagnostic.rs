//! Errors and warnings about what the operator wrote: what, where, and what to do. Everything that
//! judges configuration (the YAML reader, the decoder, `runtime/compile`) reports through these.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A span of bytes in one of the files read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// Index into [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The files that were read, for printing places.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Path as the operator would type it, and the text.
    pub files: Vec<(PathBuf, Arc<str>)>,
    /// The directories they stand in; of what is no file, where the program runs.
    pub bases: Vec<PathBuf>,
    /// Parameters of queries by which clients show who they are.
    pub private: BTreeSet<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file loads; the operator should look.
    Warning,
}

/// What is wrong about what was written. Of a file that is broken it says whether it is known what was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum About {
    /// A value, or that there is none.
    #[default]
    Value,
    /// The way it is written, whatever it means.
    Writing,
    /// A key that is none there, with the one that was perhaps meant.
    Key(Option<&'static str>),
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Places, the first is the main one, with a few words each (may be empty).
    pub labels: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// What kind of mistake it is.
    pub(crate) about: About,
}

/// All findings of one load.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The findings, in the order found.
    pub items: Vec<Diagnostic>,
}

// === impl Diagnostic ===

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            labels: vec![(place, String::new())],
            help: None,
            about: About::Value,
        }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// What kind of mistake it is.
    #[must_use]
    pub(crate) fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Whether it refuses the file.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// A few words under the main place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.labels.first_mut() {
            first.1 = text.into();
        }
        self
    }

    /// A second place.
    #[must_use]
    pub fn and(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push((place, text.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Whether the file must be refused.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(Diagnostic::is_error)
    }
}

// === impl Sources ===

impl Sources {
    /// How a message shows a value that was written at `place`: in back-ticks, but never what a
    /// variable put there.
    pub fn shown(&self, place: Place, value: &str) -> String {
        let text = self.files.get(place.file as usize).map_or("", |(_, text)| text);
        let written = text.get(place.start as usize..place.end as usize).unwrap_or_default();
        if written.contains("${") { "«redacted»".to_owned() } else { format!("`{value}`") }
    }

    /// The directory of the file a place is in; empty where the program runs.
    pub(super) fn base(&self, place: Place) -> &Path {
        self.bases.get(place.file as usize).map_or(Path::new(""), PathBuf::as_path)
    }

    /// What a query says of who asks: the values of those parameters, in the text of a request.
    pub(super) fn private_values(&self, request: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = request.find('?').map_or(request.len(), |at| at + 1);
        for pair in request[at..].split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Whoever writes escapes in a name may mean any.
            let private = self.private.contains(name) || name.contains('%');
            if private && !self.private.is_empty() && !value.is_empty() {
                let start = at + name.len() + 1;
                found.push(start..start + value.len());
            }
            at += pair.len() + 1;
        }
        found
    }

    /// The same with something else in their place.
    pub(super) fn without_private(
        &self,
        request: &str,
        instead: impl Fn(&str) -> String,
    ) -> String {
        let mut out = request.to_owned();
        for range in self.private_values(request).into_iter().rev() {
            let value = instead(&request[range.clone()]);
            out.replace_range(range, &value);
        }
        out
    }

    /// Hides secrets of one file, so that no message shows them with their line. Places stay as they
    /// are, and so does `${…}`, which is no secret.
    pub(super) fn conceal(&mut self, secrets: &[Place]) {
        let Some(Place { file, .. }) = secrets.first() else { return };
        let Some((_, text)) = self.files.get_mut(*file as usize) else { return };
        let mut bytes = text.as_bytes().to_vec();
        for place in secrets.iter().filter(|place| place.file == *file) {
            let Some(written) = bytes.get_mut(place.start as usize..place.end as usize) else {
                continue;
            };
            hide(written);
        }
        if let Ok(hidden) = String::from_utf8(bytes) {
            *text = hidden.into();
        }
    }
}

/// Stars for everything but names of variables, ends of lines and what is empty at the end.
fn hide(written: &mut [u8]) {
    let length = written.trim_ascii_end().len();
    let mut variable = false;
    for at in 0..length {
        let rest = &written[at..length];
        variable = (variable || rest.starts_with(b"${")) && !rest.starts_with(b":-");
        let ends = rest[0] == b'}';
        if !variable && !matches!(rest[0], b'\n' | b'\r') {
            written[at] = b'*';
        }
        variable &= !ends;
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
