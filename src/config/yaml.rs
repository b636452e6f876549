//! From text to the tree, with every place. With `doubtful` the only file that knows the crate behind the
//! name `serde_yaml`: it is serde-saphyr, and we use the event parser it carries. Going through serde
//! would lose the source text of scalars and all but the first duplicate key; from events we get
//! both, and keep the budgets in our own hands.

use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};

use super::{
    diagnostic::{Diagnostic, Diagnostics, Place},
    doubtful::{self, Tabs},
    tree::{Entry, Kind, Node, Scalar},
};

/// Maps and lists inside one another. The language needs nine.
const MAX_DEPTH: usize = 64;
/// Keys and values of one file. 60,000 routes are 400,000.
const MAX_NODES: usize = 1_000_000;
/// Bytes (roughly) that aliases and anchors may copy in one file.
const MAX_COPIED: usize = 8 << 20;
/// What one node costs towards [`MAX_COPIED`], beside its text.
const NODE_COST: usize = 64;

/// A finished value with what it would cost to copy.
#[derive(Clone)]
struct Built {
    node: Node,
    /// Levels of maps and lists in it.
    height: usize,
    cost: usize,
}

/// A map or list whose end has not been read yet.
struct Frame {
    open: Open,
    /// It is written in brackets.
    flow: bool,
    start: Place,
    anchor: usize,
    height: usize,
    cost: usize,
}

enum Open {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)> },
}

struct Builder<'a> {
    text: &'a str,
    file: u32,
    out: &'a mut Diagnostics,
    /// Values of keys that are written twice: nobody will ask whether they are secret.
    dropped: Vec<Place>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    /// What they are called.
    names: HashMap<String, Place>,
    nodes: usize,
    copied: usize,
    documents: usize,
    tabs: Tabs,
    root: Option<Node>,
}

/// What a file says.
pub(super) struct Read {
    pub root: Node,
    /// Where values stand that are not in it, as their keys are written twice.
    pub dropped: Vec<Place>,
}

/// Reads one file. Whatever is wrong is reported; a file that is not YAML gives nothing. An empty
/// file is an empty value.
pub(super) fn read(text: &str, file: u32, out: &mut Diagnostics) -> Option<Read> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_anchor_events = true;
    options.flow_nesting_limit = MAX_DEPTH + 1;
    options.block_nesting_limit = MAX_DEPTH + 1;
    let mut builder = Builder {
        text,
        file,
        out,
        dropped: Vec::new(),
        stack: Vec::new(),
        anchors: HashMap::new(),
        names: HashMap::new(),
        nodes: 0,
        copied: 0,
        documents: 0,
        tabs: Tabs::of(text),
        root: None,
    };
    if let Err(fatal) = doubtful::in_text(text, file) {
        builder.out.push(fatal);
        return None;
    }
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => Err(doubtful::syntax_error(text, file, &error)),
        };
        if let Err(fatal) = step {
            builder.out.push(fatal);
            return None;
        }
    }
    if let Err(fatal) = std::mem::take(&mut builder.tabs).check(file) {
        builder.out.push(fatal);
        return None;
    }
    let empty = Node { place: Place { file, start: 0, end: 0 }, kind: Kind::Null };
    Some(Read { root: builder.root.unwrap_or(empty), dropped: builder.dropped })
}

// === impl Builder ===

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Diagnostic> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = self.tag(tag.as_deref(), span, true);
                let quoted = style != ScalarStyle::Plain || tagged;
                self.scalar(style, span, place)?;
                self.count(place)?;
                let kind = if !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Null
                } else {
                    Kind::Scalar(Scalar { text: text.into_owned(), quoted, secret: false })
                };
                let cost = NODE_COST + span.len();
                let built = Built { node: Node { place, kind }, height: 0, cost };
                self.finished(built, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), span, false);
                self.open(Open::Seq(Vec::new()), style, place, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), span, false);
                self.open(Open::Map { entries: Vec::new(), key: None }, style, place, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place),
            Event::Alias(id) => self.alias(id, place),
            Event::Anchor(_, name) => self.name(&name, place),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::error(place, "a second document in one file")
                        .help("put it into a file of its own and `include` it"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&self, span: &Span) -> Place {
        let range = span.byte_range().unwrap_or_default();
        let clip = |byte: usize| u32::try_from(byte.min(self.text.len())).unwrap_or(u32::MAX);
        Place { file: self.file, start: clip(range.start), end: clip(range.end.max(range.start)) }
    }

    /// Tags say nothing in this language; `!!str` may say of a scalar that it is text. `true` if it does.
    fn tag(&mut self, tag: Option<&Tag>, span: &Span, scalar: bool) -> bool {
        let Some(tag) = tag else { return false };
        if scalar && tag.is_yaml_core_schema_tag("str") {
            return true;
        }
        let place = self.place(&span.tag_span().unwrap_or(*span));
        let message = format!("the tag `{}` means nothing here", tag.original());
        self.out.push(Diagnostic::error(place, message).help("take it away"));
        false
    }

    fn name(&mut self, name: &str, place: Place) -> Result<(), Diagnostic> {
        doubtful::anchor(self.text, name, place)?;
        match self.names.insert(name.to_owned(), place) {
            Some(first) => {
                let message = format!("the anchor `{name}` is written twice");
                Err(Diagnostic::error(place, message).label("again here").and(first, "first here"))
            }
            None => Ok(()),
        }
    }

    /// What is doubtful about the way a scalar is written.
    fn scalar(&mut self, style: ScalarStyle, span: &Span, place: Place) -> Result<(), Diagnostic> {
        let range = place.start as usize..place.end as usize;
        match style {
            ScalarStyle::Plain => {
                return match self.stack.last().is_some_and(|frame| frame.flow) {
                    true => doubtful::in_brackets(self.text, place),
                    false => Ok(()),
                };
            }
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.tabs.allow(range),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                self.tabs.allow_block(self.text, range, span.start.col());
            }
        }
        Ok(())
    }

    fn count(&mut self, place: Place) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} keys and values in one file");
            return Err(Diagnostic::error(place, message).help("split it and use `include`"));
        }
        Ok(())
    }

    fn open(
        &mut self,
        open: Open,
        style: StructureStyle,
        place: Place,
        anchor: usize,
    ) -> Result<(), Diagnostic> {
        self.count(place)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        // A block has no bracket of its own; its place is that of what it holds.
        let end = if style == StructureStyle::Block { place.start } else { place.end };
        let start = Place { end, ..place };
        let flow = style == StructureStyle::Flow;
        self.stack.push(Frame { open, flow, start, anchor, height: 0, cost: NODE_COST });
        Ok(())
    }

    fn close(&mut self, end: Place) -> Result<(), Diagnostic> {
        let Some(Frame { open, flow, mut start, anchor, height, cost }) = self.stack.pop() else {
            return Ok(());
        };
        if flow {
            self.tabs.allow(start.start as usize..end.end as usize);
        }
        let kind = match open {
            Open::Seq(items) => {
                widen(&mut start, items.last().map(|item| item.place), end);
                Kind::Seq(items)
            }
            Open::Map { entries, .. } => {
                widen(&mut start, entries.last().map(|entry| entry.value.place), end);
                Kind::Map(self.merge(entries))
            }
        };
        let node = Node { place: start, kind };
        self.finished(Built { node, height: height + 1, cost }, anchor)
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Diagnostic> {
        let Some(built) = self.anchors.get(&id) else {
            return Err(Diagnostic::error(place, "this alias stands inside its own anchor"));
        };
        if self.stack.len() + built.height > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let copy = built.cost;
        self.spend(copy, place)?;
        let built = self.anchors.get(&id).cloned();
        built.map_or(Ok(()), |built| self.finished(built, 0))
    }

    /// Every copy made for anchors and aliases is paid for before it is made.
    fn spend(&mut self, cost: usize, place: Place) -> Result<(), Diagnostic> {
        self.copied = self.copied.saturating_add(cost);
        if self.copied > MAX_COPIED {
            return Err(Diagnostic::error(place, "the aliases of this file unfold to too much")
                .help("write the values out, or name a policy and refer to it"));
        }
        Ok(())
    }

    fn finished(&mut self, built: Built, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            self.spend(built.cost, built.node.place)?;
            self.anchors.insert(anchor, built.clone());
        }
        let Built { mut node, height, cost } = built;
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        frame.cost = frame.cost.saturating_add(cost);
        match &mut frame.open {
            Open::Seq(items) => items.push(node),
            Open::Map { entries, key } => match key.take() {
                Some((name, key_place)) => {
                    if node.place.start >= node.place.end {
                        node.place = key_place;
                    }
                    entries.push(Entry { key: name, key_place, value: node });
                }
                None => {
                    let lines = &self.text[node.place.start as usize..node.place.end as usize];
                    if lines.contains(['\n', '\r']) {
                        let message = "a key must stand on one line";
                        self.out.push(Diagnostic::error(node.place, message));
                    }
                    *key = Some(key_text(node, self.out));
                }
            },
        }
        Ok(())
    }

    fn is_plain(&self, place: Place) -> bool {
        self.text.as_bytes().get(place.start as usize) == Some(&b'<')
    }

    /// Applies `<<` and takes out duplicates, reporting each with both places.
    fn merge(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut seen: HashMap<String, Place> = HashMap::with_capacity(entries.len());
        let mut merged = Vec::new();
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.key == "<<" && self.is_plain(entry.key_place) {
                merged.push(entry.value);
            } else if let Some(first) = seen.get(&entry.key) {
                entry.value.places(&mut self.dropped);
                let message = format!("the key `{}` is written twice", entry.key);
                let found = Diagnostic::error(entry.key_place, message).label("again here");
                self.out.push(found.and(*first, "first here").help("take one of them out"));
            } else {
                seen.insert(entry.key.clone(), entry.key_place);
                kept.push(entry);
            }
        }
        for node in merged {
            let maps = match node.kind {
                Kind::Seq(items) => items,
                kind => vec![Node { place: node.place, kind }],
            };
            for map in maps {
                let Kind::Map(from) = map.kind else {
                    let message = "`<<` takes a map, or a list of maps";
                    self.out.push(Diagnostic::error(map.place, message));
                    continue;
                };
                for entry in from {
                    if seen.insert(entry.key.clone(), entry.key_place).is_none() {
                        kept.push(entry);
                    }
                }
            }
        }
        kept
    }
}

pub(super) fn too_deep(place: Place) -> Diagnostic {
    Diagnostic::error(place, format!("more than {MAX_DEPTH} levels of maps and lists"))
}

fn widen(place: &mut Place, last: Option<Place>, end: Place) {
    let flow = place.end > place.start;
    let to = if flow { Some(end.end) } else { last.map(|last| last.end) };
    // An alias as the last value has a place of its own, maybe before ours.
    place.end = to.unwrap_or(place.end).max(place.end);
}

fn key_text(node: Node, out: &mut Diagnostics) -> (String, Place) {
    match node.kind {
        Kind::Scalar(scalar) => (scalar.text, node.place),
        Kind::Null if node.place.start >= node.place.end => {
            out.push(Diagnostic::error(node.place, "a key is missing here"));
            (String::new(), node.place)
        }
        Kind::Null => ("null".to_owned(), node.place),
        Kind::Seq(_) | Kind::Map(_) => {
            let message = format!("a key must be text, not {}", node.shown());
            out.push(Diagnostic::error(node.place, message).help("is a `\"` missing around it?"));
            (format!("key at byte {}", node.place.start), node.place)
        }
    }
}
