//! Pieces put together again, line by line as they were broken.

use super::pieces::{Collection, Piece, Pieces, What, column};

/// Spaces of one level.
const STEP: usize = 2;
/// A line longer than this does not push the comments of its neighbours to the right.
const LONG: usize = 72;

/// A text in the layout.
pub(super) fn lay_out(text: &str, pieces: &Pieces<'_>) -> String {
    let mut writer = Writer::new(text, &pieces.collections);
    let following = following(&pieces.all);
    let (mut end, mut number) = (0, 0);
    for line in pieces.all.chunk_by(|a, b| !text[a.at.end..b.at.start].contains('\n')) {
        let apart = text[end..line[0].at.start].bytes().filter(|byte| *byte == b'\n').count();
        if apart > 1 && !writer.lines.is_empty() {
            writer.lines.push(Line::default());
        }
        writer.line(line, following[number]);
        number += line.len();
        end = line[line.len() - 1].at.end;
    }
    let mut lines = writer.lines;
    for run in lines.chunk_by_mut(|a, b| a.comment.is_some() && b.comment.is_some()) {
        align(run);
    }
    let mut out = String::with_capacity(text.len());
    for line in &lines {
        out.push_str(line.written.trim_end());
        out.push('\n');
    }
    out
}

/// For each piece where the first one stands, from it on, that is no comment.
fn following(pieces: &[Piece]) -> Vec<usize> {
    let mut next = usize::MAX;
    let mut all: Vec<usize> = Vec::with_capacity(pieces.len());
    for piece in pieces.iter().rev() {
        if piece.what != What::Comment {
            next = piece.at.start;
        }
        all.push(next);
    }
    all.reverse();
    all
}

/// One line of the result.
#[derive(Default)]
struct Line {
    written: String,
    /// What stands behind it.
    comment: Option<String>,
}

struct Writer<'a> {
    text: &'a str,
    lines: Vec<Line>,
    /// Maps and lists that have not begun.
    ahead: &'a [Collection],
    /// Those this line is in, outer ones first.
    around: Vec<&'a Collection>,
    /// How many brackets are open.
    flow: usize,
    /// Where the line stands whose bracket was opened first.
    base: usize,
    /// Where this line stands.
    indent: usize,
}

/// Comments of lines one below the other begin in one column.
fn align(run: &mut [Line]) {
    let width = |line: &Line| line.written.chars().count();
    let widths = run.iter().map(width).filter(|width| *width <= LONG);
    let column = widths.max().unwrap_or_default();
    for line in run {
        if let Some(comment) = &line.comment {
            let spaces = column.saturating_sub(width(line)) + 2;
            line.written.extend(std::iter::repeat_n(' ', spaces));
            line.written.push_str(comment);
        }
    }
}

/// What stands between two pieces of a line.
fn space(text: &str, before: &Piece, next: &Piece) -> &'static str {
    let is = |piece: &Piece, what: &str| &text[piece.at.clone()] == what;
    match (before.what, next.what) {
        (What::Alias, What::Colon) => " ",
        (_, What::Colon | What::Comma) | (What::Open, What::Close) => "",
        (What::Open, _) if is(before, "[") => "",
        (_, What::Close) if is(next, "]") => "",
        _ => " ",
    }
}

// === impl Writer ===

impl<'a> Writer<'a> {
    fn new(text: &'a str, collections: &'a [Collection]) -> Self {
        let (lines, around) = (Vec::new(), Vec::new());
        Self { text, lines, ahead: collections, around, flow: 0, base: 0, indent: 0 }
    }

    fn line(&mut self, line: &[Piece], following: usize) {
        self.go_to(line[0].at.start);
        self.indent = self.indentation(line, following);
        let mut written = " ".repeat(self.indent);
        for (number, piece) in line.iter().enumerate() {
            let text = &self.text[piece.at.clone()];
            if piece.what == What::Comment && number > 0 {
                self.lines.push(Line { written, comment: Some(text.trim_end().to_owned()) });
                return;
            }
            if number > 0 {
                written.push_str(space(self.text, &line[number - 1], piece));
            }
            match piece.what {
                What::Open => {
                    if self.flow == 0 {
                        self.base = self.indent;
                    }
                    self.flow += 1;
                }
                What::Close => self.flow = self.flow.saturating_sub(1),
                _ => {}
            }
            match piece.what {
                What::Block => written = self.block(written, piece),
                _ => written = self.word(written, text),
            }
        }
        self.lines.push(Line { written, comment: None });
    }

    /// Which maps and lists are open there.
    fn go_to(&mut self, at: usize) {
        while let Some((next, rest)) = self.ahead.split_first().filter(|(next, _)| next.start <= at)
        {
            self.around.retain(|it| next.start < it.end);
            self.around.push(next);
            self.ahead = rest;
        }
        self.around.retain(|it| at < it.end);
    }

    /// Where a line begins.
    fn indentation(&self, line: &[Piece], following: usize) -> usize {
        if self.flow > 0 {
            let closed = line.iter().take_while(|piece| piece.what == What::Close).count();
            return self.base + STEP * self.flow.saturating_sub(closed);
        }
        let at = line[0].at.start;
        match line[0].what {
            What::Marker => 0,
            What::Comment => self.of_comment(at, following),
            what => self.of_item(at, what == What::Dash),
        }
    }

    /// A key or an item stands where its map or list does, what continues one further in.
    fn of_item(&self, at: usize, list: bool) -> usize {
        let column = column(self.text, at);
        let fits =
            |it: &&&Collection| it.column < column || (it.column == column && it.list == list);
        match self.around.iter().rev().find(fits) {
            Some(it) if it.column == column => STEP * it.depth,
            Some(it) => STEP * (it.depth + 1),
            None => 0,
        }
    }

    /// A comment stands with what it was in line with: what goes on there, or what follows.
    fn of_comment(&self, at: usize, following: usize) -> usize {
        let column = column(self.text, at);
        let follows = self.ahead.iter().take_while(|it| it.start <= following);
        let near = self.around.iter().copied().chain(follows).filter(|it| it.column <= column);
        near.max_by_key(|it| (it.column, it.depth)).map_or(0, |it| STEP * it.depth)
    }

    /// A word; lines it goes on in stand one further in.
    fn word(&mut self, mut written: String, text: &str) -> String {
        let mut lines = text.split('\n');
        written.push_str(lines.next().unwrap_or_default());
        let further = " ".repeat(self.indent + STEP);
        for line in lines {
            self.lines.push(Line { written, comment: None });
            let line = line.trim();
            written = if line.is_empty() { String::new() } else { format!("{further}{line}") };
        }
        written
    }

    /// `|` and what is under it: its lines move together.
    fn block(&mut self, mut written: String, piece: &Piece) -> String {
        let text = &self.text[piece.at.clone()];
        let Some((header, body)) = text.split_once('\n') else { return written + text };
        written.push_str(header.trim_end());
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let first = body.split('\n').find(|line| !line.trim().is_empty()).map_or(0, indent);
        // A number in the header counts from where the map or list stands.
        let told = header.bytes().find(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0'));
        self.go_to(piece.at.start);
        let (column, depth) = self.around.last().map_or((0, 0), |it| (it.column, it.depth));
        let (from, to) = match told {
            Some(told) => (column + told, STEP * depth + told),
            None => (first, STEP * (depth + 1)),
        };
        for line in body.split('\n') {
            self.lines.push(Line { written, comment: None });
            let rest = line.get(from..).unwrap_or_default();
            written = if line.trim().is_empty() && rest.is_empty() {
                String::new()
            } else {
                format!("{}{rest}", " ".repeat(to))
            };
        }
        written
    }
}
