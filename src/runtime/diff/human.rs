//! A difference for people: what widens, what narrows, then the rest. The same change of many routes, as
//! `defaults` make it, is one line.

use std::{collections::HashMap, fmt::Write as _};

use super::{Change, Diff, Effect, Sign};
use crate::explain::words::{count, few};

/// The same change of several things.
pub(super) struct Group<'a> {
    pub(super) first: &'a Change,
    names: Vec<&'a str>,
}

/// A line is filled up to this, so that places stand below each other.
const WIDTH: usize = 60;

/// Changes that differ in nothing but the name of their thing are one.
pub(super) fn grouped(changes: &[Change]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known = HashMap::new();
    for change in changes {
        let Change { effect, kind, key, old, new, note, at, .. } = change;
        // Each has its own place where it was not inherited.
        let at = at.as_ref().filter(|_| change.sign == Sign::Changed);
        let alike = (*effect, change.sign.char(), kind, key, old, new, note, at);
        match known.get(&alike) {
            Some(group) if change.sign == Sign::Changed => {
                let group: &mut Group<'_> = &mut groups[*group];
                group.names.push(&change.name);
            }
            _ => {
                known.insert(alike, groups.len());
                groups.push(Group { first: change, names: vec![&change.name] });
            }
        }
    }
    groups
}

/// All of it, with places.
pub fn human(diff: &Diff) -> String {
    if diff.is_empty() {
        return "no difference".to_owned();
    }
    let groups = grouped(&diff.changes);
    let mut text = String::new();
    for (effect, title) in [
        (Effect::Widens, "widens access"),
        (Effect::Narrows, "narrows access"),
        (Effect::Other, "other changes"),
    ] {
        let here: Vec<&Group<'_>> = groups.iter().filter(|it| it.first.effect == effect).collect();
        if here.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{title} ({}):", here.len());
        for group in here {
            let line = format!("  {:WIDTH$}  {}", group.line(), group.place());
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    if let Some(kept) = diff.kept_line() {
        let _ = write!(text, "\n{kept}");
    }
    text
}

// === impl Group ===

impl Group<'_> {
    /// `~ route orders  auth: partners → none, anybody may use it`.
    pub(super) fn line(&self) -> String {
        let Change { sign, kind, key, old, new, note, .. } = self.first;
        let mut text = format!("{} ", sign.char());
        match self.names.as_slice() {
            [""] => text.push_str(kind),
            [one] => drop(write!(text, "{kind} {one}")),
            several => drop(write!(text, "{}: {}", count(several.len(), kind), few(several))),
        }
        text.push_str("  ");
        if !key.is_empty() {
            let _ = write!(text, "{key}: ");
        }
        let values = match (old, new) {
            (Some(old), Some(new)) => format!("{old} → {new}"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) if note.is_none() => "changed".to_owned(),
            (None, None) => String::new(),
        };
        text.push_str(&values);
        if let Some(note) = note {
            let comma = if values.is_empty() { "" } else { "; " };
            let _ = write!(text, "{comma}{note}");
        }
        text.trim_end().trim_end_matches(':').to_owned()
    }

    /// Where it is written; of what is gone, where it was.
    fn place(&self) -> String {
        match (&self.first.at, &self.first.was) {
            (Some(at), _) => at.clone(),
            (None, Some(was)) => format!("was {was}"),
            (None, None) => String::new(),
        }
    }
}
