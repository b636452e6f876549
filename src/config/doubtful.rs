//! What is no YAML, and what is YAML and readers do not agree on: another one refuses it or reads something else. It
//! is refused here, with what to write instead, so that a file means the same to whoever reads it. A part of `yaml`; the
//! tests hold the two to one another with `serde_yaml` 0.9 as the other reader.

use std::ops::Range;

use serde_yaml::granit_parser::ScanError;

use super::{
    diagnostic::{Diagnostic, Place},
    yaml::too_deep,
};

/// What is seen in the text alone.
pub(super) fn in_text(text: &str, file: u32) -> Result<(), Diagnostic> {
    let at = |start: usize, len: usize| place(file, start..start + len);
    let breaks = ['\u{85}', '\u{2028}', '\u{2029}'];
    if let Some((start, found)) = text.char_indices().find(|(_, it)| breaks.contains(it)) {
        let code = u32::from(found);
        let message = format!("the character U+{code:04X} ends a line to some and not to others");
        let help = format!("write it as `\\u{code:04x}` in double quotes");
        return Err(Diagnostic::error(at(start, found.len_utf8()), message).help(help));
    }
    let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
    for written in text[start..].split_inclusive(['\n', '\r']) {
        let from = start;
        start += written.len();
        if written.trim_end().is_empty() || written.trim_start_matches(' ').starts_with('#') {
            continue;
        }
        if written.starts_with('%') {
            let message = "directives (`%`) mean nothing here";
            return Err(Diagnostic::error(at(from, 1), message).help("take the line away"));
        }
        if written.starts_with("...") && written[3..].chars().next().is_none_or(char::is_whitespace)
        {
            let message = "`...` ends a document, and none has begun";
            return Err(Diagnostic::error(at(from, 3), message).help("take it away"));
        }
        break;
    }
    Ok(())
}

/// Names of anchors: letters, digits, `-` and `_`, and a space behind them.
pub(super) fn anchor(text: &str, name: &str, place: Place) -> Result<(), Diagnostic> {
    let ends = |it: char| it.is_whitespace() || matches!(it, ',' | ']' | '}');
    let ended = text[place.end as usize..].chars().next().is_none_or(ends);
    if ended && name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_')) {
        return Ok(());
    }
    let message = format!("`{name}` is no name for an anchor");
    Err(Diagnostic::error(place, message).help("take letters, digits, `-` and `_`"))
}

/// A plain word within brackets, where `?` and `:` are read in more than one way.
pub(super) fn in_brackets(text: &str, place: Place) -> Result<(), Diagnostic> {
    let rest = &text[place.end as usize..];
    let colon =
        rest.strip_prefix(':').is_some_and(|it| it.starts_with([',', '[', ']', '{', '}', '?']));
    if colon {
        let at = Place { start: place.end, end: place.end + 1, ..place };
        return Err(Diagnostic::error(at, "a space is missing after this `:`"));
    }
    let word = &text[place.start as usize..place.end as usize];
    if word.starts_with(['?', ':']) || word.contains(":?") {
        let message = "within brackets, a word with `?` or `:` like this must be in quotes";
        return Err(Diagnostic::error(place, message));
    }
    Ok(())
}

/// Tabs that would indent something, and where they may stand nevertheless: in brackets and in texts.
#[derive(Default)]
pub(super) struct Tabs {
    found: Vec<usize>,
    /// Up to where brackets and texts have been seen.
    allowed: Vec<Range<usize>>,
}

// === impl Tabs ===

impl Tabs {
    /// Tabs before the first word of a line; the dash of a list is none.
    pub(super) fn of(text: &str) -> Self {
        let (mut found, mut start) =
            (Vec::new(), text.len() - text.trim_start_matches('\u{feff}').len());
        if text.contains('\t') {
            for line in text[start..].split_inclusive(['\n', '\r']) {
                found.extend(tab(line).map(|tab| start + tab));
                start += line.len();
            }
        }
        Self { found, allowed: Vec::new() }
    }

    /// Here they may.
    pub(super) fn allow(&mut self, range: Range<usize>) {
        if !self.found.is_empty() {
            self.allowed.push(range);
        }
    }

    /// In a block of text that begins at `range.start`, `column` characters from the start of its line, they may
    /// stand in the text, but not before it.
    pub(super) fn allow_block(&mut self, text: &str, range: Range<usize>, column: usize) {
        let first = self.found.partition_point(|tab| *tab <= range.start);
        let within = self.found[first..].iter().take_while(|tab| **tab < range.end);
        let deep = |tab: &&usize| {
            text[..**tab].bytes().rev().take_while(|it| *it == b' ').count() >= column
        };
        self.allowed.extend(within.filter(deep).map(|tab| *tab..tab + 1));
    }

    /// The first that may not be there.
    pub(super) fn check(mut self, file: u32) -> Result<(), Diagnostic> {
        self.allowed.sort_unstable_by_key(|it| it.start);
        let (mut ranges, mut end) = (self.allowed.iter().peekable(), 0);
        for tab in self.found {
            while let Some(range) = ranges.next_if(|it| it.start <= tab) {
                end = end.max(range.end);
            }
            if tab >= end {
                return Err(indented(place(file, tab..tab + 1)));
            }
        }
        Ok(())
    }
}

/// A tab in the indentation of a line.
pub(super) fn indented(place: Place) -> Diagnostic {
    Diagnostic::error(place, "a tab in the indentation").help("YAML indents with spaces only")
}

fn tab(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let blank = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
    let lead = (0..bytes.len()).take_while(|at| match bytes[*at] {
        b' ' | b'\t' => true,
        b'-' | b'?' | b':' => blank(at + 1),
        _ => false,
    });
    lead.into_iter().find(|at| bytes[*at] == b'\t')
}

fn place(file: u32, range: Range<usize>) -> Place {
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Place { file, start: byte(range.start), end: byte(range.end) }
}

/// A syntax error. A tab in the indentation is found by our own eyes: the parser reports it
/// somewhere else, in other words.
pub(super) fn syntax_error(text: &str, file: u32, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let mut at = marker.byte_offset().unwrap_or(text.len()).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let place = |start: usize, end: usize| place(file, start..end);
    if let Some(tab) = tab_in_indentation(text, marker.line() + 1) {
        return indented(place(tab, tab + 1));
    }
    let info = error.info();
    if info.contains("recursion limit") {
        return too_deep(place(at, at));
    }
    if at == text.len() {
        // The end of a half-written file: show its last line that says something.
        at = text.trim_end().len();
        let found = Diagnostic::error(place(at, at), format!("not YAML: {}", error.info()));
        return found.label("the file ends here");
    }
    let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
    Diagnostic::error(place(at, end), format!("not YAML: {}", error.info()))
}

/// The first tab before the first word of a line, up to line `last`.
fn tab_in_indentation(text: &str, last: usize) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n').take(last) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        if let Some(tab) = indent.find('\t').filter(|_| !line.trim().is_empty()) {
            return Some(start + tab);
        }
        start += line.len();
    }
    None
}
