//! How findings look: the line itself with a mark under it, both places of a conflict, what to do.

use std::{collections::BTreeSet, ops::Range};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle,
};

use super::diagnostic::{Diagnostic, Diagnostics, Place, Severity, Sources};

/// More findings than this are counted, not shown.
const MOST: usize = 200;
/// Two places further apart than this get a snippet each.
const FAR: usize = 60;
/// Lines longer than twice this are not shown.
const LONG_LINE: usize = 4096;

/// All findings, each with its lines, and the count at the end. Empty when there is nothing.
pub(super) fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let renderer = renderer(color);
    let mut text = String::new();
    for found in diagnostics.items.iter().take(MOST) {
        text.push_str(&one(found, sources, &renderer));
        text.push_str("\n\n");
    }
    if !diagnostics.items.is_empty() {
        text.push_str(&summary(diagnostics));
        text.push('\n');
    }
    text
}

/// One finding with its lines.
pub(super) fn render_one(found: &Diagnostic, sources: &Sources, color: bool) -> String {
    one(found, sources, &renderer(color))
}

fn renderer(color: bool) -> Renderer {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii)
}

/// One finding on one line, for logs: `routes.yaml:41:5: unknown key … (did you mean …?)`.
pub(super) fn one_line(found: &Diagnostic, sources: &Sources) -> String {
    let mut text = String::new();
    if let Some((place, _)) = found.labels.first()
        && let Some((path, source)) = sources.files.get(place.file as usize)
    {
        let (line, column) = line_column(source, place.start as usize);
        text.push_str(&format!("{}:{line}:{column}: ", path.display()));
    }
    text.push_str(&found.message);
    if let Some(help) = &found.help {
        text.push_str(&format!(" ({help})"));
    }
    text.replace(['\n', '\r'], " ")
}

/// Line and column, both from 1, the column in characters.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let at = floor(text, at);
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.bytes().filter(|byte| *byte == b'\n').count() + 1, before[start..].chars().count() + 1)
}

fn one(found: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = found.message.replace(['\n', '\r'], " ");
    let mut group = Group::with_title(level.primary_title(message));
    let mut shown = 0;
    while shown < found.labels.len() {
        // Neighbouring places of one file share a snippet.
        let many = if near(found, sources, shown) { 2 } else { 1 };
        let labels = &found.labels[shown..shown + many];
        if let Some(snippet) = snippet(labels, shown == 0, sources) {
            group = group.element(snippet);
        } else if let Some(origin) = origin(labels, sources) {
            group = group.element(origin);
        }
        shown += many;
    }
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(help.replace(['\n', '\r'], " ")));
    }
    renderer.render(&[group])
}

fn near(found: &Diagnostic, sources: &Sources, at: usize) -> bool {
    let (Some((a, _)), Some((b, _))) = (found.labels.get(at), found.labels.get(at + 1)) else {
        return false;
    };
    let Some((_, text)) = sources.files.get(a.file as usize).filter(|_| a.file == b.file) else {
        return false;
    };
    let (from, to) = (a.start.min(b.start) as usize, a.start.max(b.start) as usize);
    let between = &text[floor(text, from)..floor(text, to)];
    between.len() < LONG_LINE && between.bytes().filter(|byte| *byte == b'\n').count() <= FAR
}

type Label = (Place, String);

fn snippet<'a>(
    labels: &'a [Label],
    primary: bool,
    sources: &'a Sources,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let (path, text) = sources.files.get(labels.first()?.0.file as usize)?;
    if text.is_empty() {
        return None;
    }
    let spans: Vec<Range<usize>> = labels.iter().map(|(place, _)| visible(text, *place)).collect();
    let first = spans.iter().map(|span| span.start).min()?;
    let last = spans.iter().map(|span| span.end).max()?;
    let from = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[last..].find('\n').map_or(text.len(), |newline| last + newline);
    if to - from > 2 * LONG_LINE {
        return None; // nobody reads a line of megabytes
    }
    let mut snippet = Snippet::source(text[from..to].trim_end_matches('\r'))
        .line_start(line_column(text, from).0)
        .path(path.to_string_lossy().into_owned());
    for (at, ((_, label), span)) in labels.iter().zip(spans).enumerate() {
        let kind =
            if primary && at == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let span = span.start - from..span.end - from;
        let label = Some(label.as_str()).filter(|label| !label.is_empty());
        snippet = snippet.annotation(kind.span(span).label(label));
    }
    Some(snippet)
}

/// Where it is, without the line.
fn origin<'a>(labels: &[Label], sources: &Sources) -> Option<Origin<'a>> {
    let (place, _) = labels.first()?;
    let (path, text) = sources.files.get(place.file as usize)?;
    let (line, column) = line_column(text, place.start as usize);
    let origin = Origin::path(path.to_string_lossy().into_owned());
    if text.is_empty() {
        return Some(origin); // it is empty or could not be read: there is no line 1
    }
    Some(origin.line(line).char_column(column))
}

/// The part of a place on its first line, at least one character wide.
fn visible(text: &str, place: Place) -> Range<usize> {
    let start = floor(text, place.start as usize);
    let end = floor(text, place.end as usize).max(start);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let shown = &text[start..end.min(line_end)];
    // What goes on in the next line may have a comment in this one.
    let comment = (end > line_end).then(|| shown.find(" #")).flatten();
    let shown = shown[..comment.unwrap_or(shown.len())].trim_end();
    start..start + shown.len()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn summary(diagnostics: &Diagnostics) -> String {
    let of = |severity| diagnostics.items.iter().filter(|found| found.severity == severity).count();
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(count(errors, "error"));
    }
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    let files: BTreeSet<u32> = diagnostics
        .items
        .iter()
        .filter_map(|found| found.labels.first().map(|(place, _)| place.file))
        .collect();
    let mut text = format!("{} in {}", parts.join(" and "), count(files.len().max(1), "file"));
    if diagnostics.items.len() > MOST {
        text.push_str(&format!("; the first {MOST} are shown"));
    }
    text
}
