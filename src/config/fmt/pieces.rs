//! A text cut into what is never changed (words, comments) and what stands between them, with the maps and
//! lists that go by indentation.

use std::ops::Range;

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, StructureStyle};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A word in whatever quotes, or what stands for one: an alias, an anchor, a tag.
    Word,
    /// An alias: a colon behind it needs a space.
    Alias,
    /// `|` or `>` with what belongs to it, and the lines that follow.
    Block,
    /// From `#` to the end of the line.
    Comment,
    /// `-`.
    Dash,
    /// `:`.
    Colon,
    /// `,`.
    Comma,
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// `---` or `...`.
    Marker,
}

/// One piece of the text.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) what: What,
    pub(super) at: Range<usize>,
}

/// A map or list that goes by indentation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collection {
    pub(super) start: usize,
    pub(super) end: usize,
    /// How far in it stands.
    pub(super) column: usize,
    /// Its items begin with dashes.
    pub(super) list: bool,
    /// Maps and lists around it.
    pub(super) depth: usize,
}

/// A text in pieces.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    text: &'a str,
    pub(super) all: Vec<Piece>,
    /// By their start, outer ones first.
    pub(super) collections: Vec<Collection>,
}

/// Cuts a text that is known to be YAML.
///
/// # Errors
/// Where something stands that is not understood.
pub(super) fn cut(text: &str) -> Result<Pieces<'_>, usize> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut cutter =
        Cutter { text, at: 0, all: Vec::new(), collections: Vec::new(), open: Vec::new() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|_| cutter.at)?;
        let at = span.byte_range().ok_or(cutter.at)?;
        cutter.event(&event, at)?;
    }
    cutter.between(text.len())?;
    Ok(Pieces { text, all: cutter.all, collections: cutter.collections })
}

/// How far in a place stands.
pub(super) fn column(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[start..at].chars().count()
}

struct Cutter<'a> {
    text: &'a str,
    /// Everything before is cut.
    at: usize,
    all: Vec<Piece>,
    collections: Vec<Collection>,
    /// Those that have not ended.
    open: Vec<usize>,
}

// === impl Pieces ===

impl<'a> Pieces<'a> {
    /// The comments, in order.
    pub(super) fn comments(&self) -> impl Iterator<Item = &'a str> {
        let comments = self.all.iter().filter(|piece| piece.what == What::Comment);
        comments.map(|piece| self.text[piece.at.clone()].trim_end())
    }
}

// === impl Cutter ===

impl Cutter<'_> {
    fn event(&mut self, event: &Event<'_>, at: Range<usize>) -> Result<(), usize> {
        match event {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => self.block(at.end),
            Event::Scalar(..) if !at.is_empty() => self.solid(What::Word, at),
            Event::Alias(_) => self.solid(What::Alias, at),
            Event::MappingStart(StructureStyle::Block, ..) => self.open(at.start, false),
            Event::SequenceStart(StructureStyle::Block, ..) => self.open(at.start, true),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                self.open.push(usize::MAX);
                // `[a: b]` holds a map without brackets.
                if at.is_empty() { Ok(()) } else { self.solid(What::Open, at) }
            }
            Event::MappingEnd | Event::SequenceEnd => match self.open.pop() {
                Some(usize::MAX) if !at.is_empty() => self.solid(What::Close, at),
                Some(number) if number != usize::MAX => {
                    self.collections[number].end = at.start;
                    Ok(())
                }
                _ => Ok(()),
            },
            Event::DocumentStart(_, Some(_)) => Err(at.start),
            _ => Ok(()),
        }
    }

    fn open(&mut self, start: usize, list: bool) -> Result<(), usize> {
        self.between(start)?;
        let depth = self.open.len();
        let in_map = self.open.last().is_some_and(|last| !self.collections[*last].list);
        // The parser shows the first item of a list that is not further in than its key, not the dash.
        let dash = self.all.last().filter(|last| list && in_map && last.what == What::Dash);
        let start = dash.map_or(start, |dash| dash.at.start);
        self.open.push(self.collections.len());
        let column = column(self.text, start);
        self.collections.push(Collection { start, end: self.text.len(), column, list, depth });
        Ok(())
    }

    fn solid(&mut self, what: What, at: Range<usize>) -> Result<(), usize> {
        self.between(at.start)?;
        self.at = at.end;
        let text = &self.text[at.clone()];
        let end = at.start + text.trim_end().len();
        self.all.push(Piece { what, at: at.start..end });
        Ok(())
    }

    /// A block of lines; its header is still to be cut.
    fn block(&mut self, end: usize) -> Result<(), usize> {
        let mut start = self.at;
        loop {
            let rest = &self.text[start..end];
            start += rest.find(['|', '>', '#']).ok_or(self.at)?;
            if self.text.as_bytes()[start] != b'#' {
                break;
            }
            // A comment may hold anything.
            start += self.text[start..end].find('\n').ok_or(start)?;
        }
        self.between(start)?;
        self.at = end;
        let text = &self.text[start..end];
        let header = text.split('\n').next().unwrap_or_default();
        let kept = if header.contains('+') {
            let lines = text.trim_end_matches(' ');
            lines.strip_suffix('\n').unwrap_or(lines)
        } else {
            text.trim_end()
        };
        self.all.push(Piece { what: What::Block, at: start..start + kept.len() });
        Ok(())
    }

    /// What stands before the next word.
    fn between(&mut self, end: usize) -> Result<(), usize> {
        while self.at < end {
            let rest = &self.text[self.at..end];
            let Some(first) = rest.chars().next() else { break };
            let to = |ends: &[char]| rest.find(ends).unwrap_or(rest.len());
            let (what, length) = match first {
                ' ' | '\t' | '\n' => {
                    self.at += 1;
                    continue;
                }
                '#' => (What::Comment, to(&['\n'])),
                '&' | '!' => (What::Word, to(&[' ', '\t', '\n', ',', ']', '}'])),
                '-' if rest.starts_with("---") => (What::Marker, 3),
                '.' if rest.starts_with("...") => (What::Marker, 3),
                '-' => (What::Dash, 1),
                ':' => (What::Colon, 1),
                ',' => (What::Comma, 1),
                _ => return Err(self.at),
            };
            self.all.push(Piece { what, at: self.at..self.at + length });
            self.at += length;
        }
        Ok(())
    }
}
