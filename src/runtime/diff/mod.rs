//! What is different between two configurations, in the operator's own names, and what it means for who may
//! pass: a pure function of the two. Names are compared, never positions, so a route that moved down in its
//! file has not changed. The log of a reload, `tidegate diff` and the history of reloads all say this.
//!
//! One file for each kind of thing. What cannot be judged counts as widening: it is better to be asked
//! about a change too many.

mod auth;
mod edge;
mod guard;
mod headers;
mod human;
mod limits;
mod nets;
mod pairs;
mod policies;
mod reach;
mod route;
mod schemes;
mod stores;
mod subject;
mod texts;
mod upstream;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::route::target_of;
pub use self::{edge::show_address, human::human};
use crate::config::model::Config;

/// The difference between two configurations. Empty if nothing an operator wrote has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Everything that came, went or changed: what widens first, then what narrows, then the rest.
    pub changes: Vec<Change>,
    /// Upstreams that are as they were: their pools, health and breakers are kept.
    pub kept: usize,
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it means for who may pass.
    pub effect: Effect,
    /// What became of it.
    pub sign: Sign,
    /// What kind of thing it is: `route`, `upstream`, `policy`, `listener`, `server`, …
    pub kind: String,
    /// Its name; empty where there is one only.
    pub name: String,
    /// What of it; empty is the thing itself.
    pub key: String,
    /// What it was; none where that is a secret, or where it was not there.
    pub old: Option<String>,
    /// What it is.
    pub new: Option<String>,
    /// What follows from that.
    pub note: Option<String>,
    /// Where that is written, `routes.yaml:39`.
    pub at: Option<String>,
    /// Where that was written, in the old files.
    pub was: Option<String>,
}

/// What a change means for who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Somebody may do more than before, or may for all that can be told.
    Widens,
    /// Somebody may do less.
    Narrows,
    /// It does not decide who may pass.
    Other,
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is different.
    Changed,
    /// It is different and takes effect after a restart.
    Restart,
}

// === impl Diff ===

impl Diff {
    /// What is different in `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Vec::new();
        let out = &mut changes;
        let old = &*edge::renamed(old, new, out);
        edge::listeners(old, new, out);
        edge::sections(old, new, out);
        stores::all(old, new, out);
        policies::all(old, new, out);
        upstream::all(old, new, out);
        route::all(old, new, out);
        reach::all(old, new, out);
        // What widens first; within that, in the order found.
        changes.sort_by_key(|change: &Change| change.effect);
        let kept = new.upstreams.iter().filter(|(name, new)| {
            old.upstreams.get(*name).is_some_and(|old| upstream::same(old, new))
        });
        let kept = kept.count();
        Self { changes, kept }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether somebody may do more than before.
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.effect == Effect::Widens)
    }

    /// One line for each change; the sign is its first character. What operators fear to have lost is
    /// said at the end.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = human::grouped(&self.changes)
            .iter()
            .map(|group| match group.first.effect {
                Effect::Widens => format!("{}  ⚠ widens access", group.line()),
                Effect::Narrows | Effect::Other => group.line(),
            })
            .collect();
        lines.extend(self.kept_line().filter(|_| !self.is_empty()));
        lines
    }

    /// How many upstreams are as they were.
    fn kept_line(&self) -> Option<String> {
        match self.kept {
            0 => None,
            1 => Some("= 1 upstream unchanged: pools kept".to_owned()),
            several => Some(format!("= {several} upstreams unchanged: pools kept")),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

// === impl Effect ===

impl Effect {
    /// What it means if these are true.
    fn of(widens: bool, narrows: bool) -> Self {
        match (widens, narrows) {
            (true, _) => Self::Widens,
            (false, true) => Self::Narrows,
            (false, false) => Self::Other,
        }
    }

    /// A limit: more of it widens; none at all is the most.
    fn limit<N: PartialOrd>(old: Option<N>, new: Option<N>) -> Self {
        match (old, new) {
            (Some(_), None) => Self::Widens,
            (None, Some(_)) => Self::Narrows,
            (None, None) => Self::Other,
            (Some(old), Some(new)) => Self::of(new > old, new < old),
        }
    }
}

// === impl Sign ===

impl Sign {
    /// The first character of a line.
    fn char(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Restart => '!',
        }
    }
}
