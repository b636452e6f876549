//! The table of fields: which keys exist, what they take, what they default to, whether this build
//! can do them. The single source of the decoder and of everything that describes the language.

use std::time::Duration;

mod edge;
mod policies;
mod process;
mod reference;
mod routes;
mod services;

pub(super) use self::reference::reference;
pub(super) use self::{edge::*, policies::*, process::*, routes::*, services::*};

/// One map of the language.
#[derive(Debug)]
pub(crate) struct Section {
    /// What a message calls it: "in route `orders`".
    pub name: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

/// One key.
#[derive(Debug)]
pub(crate) struct Field {
    /// The key.
    pub key: &'static str,
    /// What its value is.
    pub ty: Type,
    /// The default, as it would be written; empty when there is none.
    pub default: &'static str,
    /// What it does and which forms it has, for people.
    pub help: &'static str,
    /// Whether it can be used.
    pub status: Status,
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Yes.
    Built,
    /// It is part of the language; this build cannot do it yet.
    Later,
    /// It never was a key here; this is what to write instead.
    Moved(&'static str),
}

/// What a value is. Where there is a short form beside a map, this describes the map.
#[derive(Debug)]
pub(crate) enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int(i64, i64),
    /// A number and a unit of time, not shorter than this.
    Duration(Duration),
    /// A number and a unit of size, within these bytes.
    Size(u64, u64),
    /// `0%` to `100%`.
    Percent,
    /// One of these words; the second list is part of the language but cannot be used yet.
    Word(&'static [&'static str], &'static [&'static str]),
    /// Text with a grammar of its own.
    Text,
    /// A list of scalars.
    List,
    /// A map with these keys.
    Map(&'static Section),
    /// A map from names to maps with these keys.
    Named(&'static Section),
    /// A list of maps with these keys.
    Many(&'static Section),
    /// A map whose keys are the operator's own.
    Free,
}

/// Any time at all.
const ANY_TIME: Type = Type::Duration(Duration::ZERO);
/// More than nothing.
const SOME_TIME: Type = Type::Duration(Duration::from_millis(1));
/// Up to 1 TiB.
const ANY_SIZE: Type = Type::Size(0, 1 << 40);

const fn field(key: &'static str, ty: Type, default: &'static str, help: &'static str) -> Field {
    Field { key, ty, default, help, status: Status::Built }
}

const fn later(key: &'static str, ty: Type, help: &'static str) -> Field {
    Field { key, ty, default: "", help, status: Status::Later }
}

const fn moved(key: &'static str, instead: &'static str) -> Field {
    Field { key, ty: Type::Text, default: "", help: "", status: Status::Moved(instead) }
}

// === impl Section ===

impl Section {
    /// The field of this key.
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The keys a message may propose.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        let real = |field: &&'static Field| !matches!(field.status, Status::Moved(_));
        self.fields.iter().filter(real).map(|field| field.key)
    }
}
