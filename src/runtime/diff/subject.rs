//! The thing that is compared, with both of its sides: what is different of it becomes a change with its
//! places.

use std::collections::BTreeMap;

use super::{Change, Effect, Sign};
use crate::config::model::{Config, Name, Origins, Place};

/// Where one side of a thing was written.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) config: &'a Config,
    /// The thing itself.
    pub(super) place: Place,
    /// Its keys.
    pub(super) origins: Option<&'a Origins>,
}

/// A thing with two sides.
pub(super) struct Subject<'a, 'o> {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    pub(super) out: &'o mut Vec<Change>,
}

/// A thing that is only on one side, or on both.
pub(super) enum Both<'a, T> {
    Added(&'a T),
    Removed(&'a T),
    Stayed(&'a T, &'a T),
}

/// The things of two maps by their names: what is in the new one, then what has gone.
pub(super) fn named<'a, T>(
    old: &'a BTreeMap<Name, T>,
    new: &'a BTreeMap<Name, T>,
) -> impl Iterator<Item = (&'a Name, Both<'a, T>)> {
    let came = new.iter().map(|(name, new)| match old.get(name) {
        None => (name, Both::Added(new)),
        Some(old) => (name, Both::Stayed(old, new)),
    });
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    came.chain(gone.map(|(name, old)| (name, Both::Removed(old))))
}

// === impl Side ===

impl<'a> Side<'a> {
    /// A thing that has a place and no keys with places.
    pub(super) fn at(config: &'a Config, place: Place) -> Self {
        Self { config, place, origins: None }
    }

    /// Where a key is written, or else the thing.
    fn show(&self, key: &str) -> Option<String> {
        let lines = &self.config.lines;
        let of_key = self.origins.and_then(|origins| {
            let of = |key| origins.at(key).or_else(|| origins.of(key).into_iter().next());
            // A field that is gone was beside those that are still there.
            let above = || key.starts_with("headers.").then(|| parents(key).find_map(of))?;
            let origin = of(key).or_else(above)?;
            lines.show(origin.via.filter(|_| origin.inherited).unwrap_or(origin.place))
        });
        of_key.or_else(|| lines.show(self.place))
    }
}

/// `a.b`, `a` of `a.b.c`.
fn parents(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above)).skip(1)
}

// === impl Subject ===

impl Subject<'_, '_> {
    /// The thing came or went.
    pub(super) fn whole(&mut self, sign: Sign, effect: Effect, what: String, note: Option<String>) {
        let here = Some(what).filter(|what| !what.is_empty());
        let (old, new) = if sign == Sign::Removed { (here, None) } else { (None, here) };
        self.push(sign, effect, "", (old, new), note);
    }

    /// A key that is different.
    pub(super) fn key(&mut self, key: &str, effect: Effect, old: String, new: String) {
        self.noted(key, effect, (old, new), None);
    }

    /// The same, with what follows from it.
    pub(super) fn noted(
        &mut self,
        key: &str,
        effect: Effect,
        (old, new): (String, String),
        note: Option<String>,
    ) {
        // What looks alike is different in something that is not shown.
        let shown = if old == new { (None, None) } else { (Some(old), Some(new)) };
        self.push(Sign::Changed, effect, key, shown, note);
    }

    /// Something of a key came or went: `+ partner-b`.
    pub(super) fn part(&mut self, key: &str, effect: Effect, old: &[String], new: &[String]) {
        let came = new.iter().filter(|item| !old.contains(item));
        let gone = old.iter().filter(|item| !new.contains(item));
        self.moved(key, effect, came.cloned().collect(), gone.cloned().collect());
    }

    /// The same, where it is known what came and what went.
    pub(super) fn moved(
        &mut self,
        key: &str,
        effect: Effect,
        came: Vec<String>,
        gone: Vec<String>,
    ) {
        let came = came.into_iter().map(|item| format!("+{item}"));
        let parts: Vec<String> =
            came.chain(gone.into_iter().map(|item| format!("-{item}"))).collect();
        let note = if parts.is_empty() { "in another order".to_owned() } else { parts.join(", ") };
        self.push(Sign::Changed, effect, key, (None, None), Some(note));
    }

    /// A key that does not decide who may pass.
    pub(super) fn other<T: PartialEq>(
        &mut self,
        key: &str,
        old: &T,
        new: &T,
        show: impl Fn(&T) -> String,
    ) {
        if old != new {
            self.key(key, Effect::Other, show(old), show(new));
        }
    }

    fn push(
        &mut self,
        sign: Sign,
        effect: Effect,
        key: &str,
        (old, new): (Option<String>, Option<String>),
        note: Option<String>,
    ) {
        self.out.push(Change {
            effect,
            sign,
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            key: key.to_owned(),
            old,
            new,
            note,
            at: self.new.show(key).filter(|_| sign != Sign::Removed),
            was: self.old.show(key).filter(|_| sign != Sign::Added),
        });
    }
}
