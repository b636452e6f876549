//! The table of fields: which keys exist, what they take, what they default to, whether this build
//! can do them. The single source of the decoder and of everything that describes the language.

use std::time::Duration;

mod admission;
mod asked;
mod edge;
mod forms;
mod jwt;
mod policies;
mod process;
mod rate_limit;
mod routes;
mod services;
mod signed;
mod stores;
mod suite;

pub(super) use self::forms::{Form, Grammar, Need};
pub(super) use self::{
    admission::*, asked::*, edge::*, policies::*, process::*, rate_limit::*, routes::*,
    services::*, signed::*, stores::*, suite::*,
};

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
    /// What items of a list, values of a map of the operator's, and named things may be: of a list text, of
    /// the others anything or what the section says, unless this says more.
    pub of: &'static [Form],
    /// What may stand in its place beside what the type says.
    pub or: &'static [Form],
    /// What may stand in its place, whatever the type says.
    pub is: &'static [Form],
    /// How it stands beside others.
    pub need: Need,
    /// One item of the list may stand without brackets; with them there is at least one.
    pub alone: bool,
    /// The list or map is not empty.
    pub filled: bool,
    /// The map may lack what it needs: it is inherited.
    pub partial: bool,
    /// What becomes of what is inherited where it is written.
    pub inherit: Inherit,
}

/// What becomes of what `defaults` say where a route or an upstream says something itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inherit {
    /// Nothing is inherited.
    Nothing,
    /// It is replaced as a whole.
    Replaces,
    /// It stays, except for the fields that are written.
    Merges,
    /// It stays, except for the headers that are written.
    MergesByHeader,
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
/// Not more often than that.
const A_SECOND: Type = Type::Duration(Duration::from_secs(1));
/// Up to 1 TiB.
const ANY_SIZE: Type = Type::Size(0, 1 << 40);

const fn field(key: &'static str, ty: Type, default: &'static str, help: &'static str) -> Field {
    Field {
        key,
        ty,
        default,
        help,
        status: Status::Built,
        of: &[],
        or: &[],
        is: &[],
        need: Need::No,
        alone: false,
        filled: false,
        partial: false,
        inherit: Inherit::Nothing,
    }
}

const fn later(key: &'static str, ty: Type, help: &'static str) -> Field {
    Field { status: Status::Later, ..field(key, ty, "", help) }
}

const fn moved(key: &'static str, instead: &'static str) -> Field {
    Field { status: Status::Moved(instead), ..field(key, Type::Text, "", "") }
}

// === impl Field ===

impl Field {
    const fn of(self, of: &'static [Form]) -> Self {
        Self { of, ..self }
    }

    const fn or(self, or: &'static [Form]) -> Self {
        Self { or, ..self }
    }

    const fn is(self, is: &'static [Form]) -> Self {
        Self { is, ..self }
    }

    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    const fn filled(self) -> Self {
        Self { filled: true, ..self }
    }

    const fn partial(self) -> Self {
        Self { partial: true, ..self }
    }

    const fn replaces(self) -> Self {
        Self { inherit: Inherit::Replaces, ..self }
    }

    const fn merges(self) -> Self {
        Self { inherit: Inherit::Merges, ..self }
    }

    const fn merges_by_header(self) -> Self {
        Self { inherit: Inherit::MergesByHeader, ..self }
    }

    const fn needed(self) -> Self {
        Self { need: Need::Yes, ..self }
    }

    const fn one_of(self, group: &'static str) -> Self {
        Self { need: Need::OneOf(group), ..self }
    }

    const fn some_of(self, group: &'static str) -> Self {
        Self { need: Need::SomeOf(group), ..self }
    }

    const fn elsewhere(self) -> Self {
        Self { need: Need::Elsewhere, ..self }
    }
}

// === impl Inherit ===

impl Inherit {
    /// As people are told.
    pub(crate) fn told(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Replaces => Some("replaces what is inherited"),
            Self::Merges => Some("merges field by field with what is inherited"),
            Self::MergesByHeader => Some("merges header by header with what is inherited"),
        }
    }
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
