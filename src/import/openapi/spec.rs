//! The document: values with their lines, and what `$ref` points to inside it.

use super::super::report::At;
use crate::config::{
    self,
    tree::{Entry, Kind, Node},
};

/// References that lead to references.
const MAX_REFS: usize = 16;

/// A document.
pub(super) struct Spec {
    root: Node,
    /// Where lines begin.
    lines: Vec<usize>,
}

/// A value of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    node: &'a Node,
}

// === impl Value ===

impl<'a> Value<'a> {
    /// What stands under a key of a map.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        self.entries().iter().find(|it| it.key == key).map(|it| Self { node: &it.value })
    }

    pub(super) fn entries(self) -> &'a [Entry] {
        self.node.entries().unwrap_or_default()
    }

    pub(super) fn is_map(self) -> bool {
        self.node.entries().is_some()
    }

    /// The items of a list.
    pub(super) fn items(self) -> Vec<Self> {
        match &self.node.kind {
            Kind::Seq(items) => items.iter().map(|node| Self { node }).collect(),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => Vec::new(),
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        self.node.text()
    }

    /// The text under a key.
    pub(super) fn text_at(self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    pub(super) fn is_true(self, key: &str) -> bool {
        self.get(key).is_some_and(|it| it.text() == Some("true"))
    }
}

// === of an entry ===

/// The value of an entry.
pub(super) fn value(entry: &Entry) -> Value<'_> {
    Value { node: &entry.value }
}

// === impl Spec ===

impl Spec {
    /// # Errors
    /// It is neither YAML nor JSON, for people.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, String> {
        let root = config::tree(name, text)?;
        if root.entries().is_none() {
            return Err(format!("{name}: not an OpenAPI document"));
        }
        let ends =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Ok(Self { root, lines: std::iter::once(0).chain(ends).collect() })
    }

    pub(super) fn root(&self) -> Value<'_> {
        Value { node: &self.root }
    }

    pub(super) fn at(&self, value: Value<'_>) -> At {
        self.line(value.node.place.start)
    }

    pub(super) fn key_at(&self, entry: &Entry) -> At {
        self.line(entry.key_place.start)
    }

    fn line(&self, at: u32) -> At {
        let line = self.lines.partition_point(|start| *start <= at as usize);
        At { file: 0, line: line.max(1) }
    }

    /// What a value is, past references inside the document.
    ///
    /// # Errors
    /// The reference that leads nowhere here.
    pub(super) fn resolve<'v>(&'v self, mut value: Value<'v>) -> Result<Value<'v>, String> {
        for _ in 0..MAX_REFS {
            let Some(target) = value.text_at("$ref") else { return Ok(value) };
            value = self.pointer(&target).ok_or(target)?;
        }
        Err(value.text_at("$ref").unwrap_or_default())
    }

    fn pointer(&self, target: &str) -> Option<Value<'_>> {
        let mut value = self.root();
        for step in target.strip_prefix("#/")?.split('/') {
            value = value.get(&step.replace("~1", "/").replace("~0", "~"))?;
        }
        Some(value)
    }
}
