//! The last reloads: when, by whom, with what result; and what the accepted ones were read from, so that one
//! of them can be put back. In memory only: a restart begins with what the files say.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use super::{diff::Diff, reload::Trigger};
use crate::config::Snapshot;

/// Reloads that are remembered.
pub const MOST: usize = 20;
/// Bytes of files that are kept for them; the oldest are let go of first.
const MOST_BYTES: usize = 64 << 20;

/// The last reloads, the oldest first.
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
    last: u64,
}

/// One reload.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number; the first configuration is 1.
    pub number: u64,
    /// When.
    pub at: SystemTime,
    /// Who asked for it.
    pub by: Trigger,
    /// Fingerprint of what was read.
    pub hash: String,
    /// What became of it.
    pub result: Result<Arc<Diff>, Arc<str>>,
    /// What it was read from, if it was accepted and is still kept.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Somebody went back from it to an earlier one.
    pub left: bool,
}

// === impl History ===

impl History {
    /// Remembers one and returns its number.
    pub(super) fn push(
        &mut self,
        by: Trigger,
        hash: &str,
        result: Result<Diff, String>,
        snapshot: Option<Arc<Snapshot>>,
    ) -> u64 {
        self.last += 1;
        self.entries.push_back(Entry {
            number: self.last,
            at: SystemTime::now(),
            by,
            hash: hash.to_owned(),
            result: result.map(Arc::new).map_err(Into::into),
            snapshot,
            left: false,
        });
        if self.entries.len() > MOST {
            self.entries.pop_front();
        }
        self.forget();
        self.last
    }

    /// All of them, the newest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// Somebody went from one to another: if that was back, nobody gets there without naming it.
    pub(super) fn left(&mut self, from: &str, to: u64) {
        let back = self.place(from).is_none_or(|place| to < place);
        let chosen = self.entries.iter().find(|it| it.number == to).map(|it| it.hash.clone());
        for entry in &mut self.entries {
            if entry.hash == from {
                entry.left = back;
            } else if Some(&entry.hash) == chosen.as_ref() {
                entry.left = false;
            }
        }
    }

    /// The number under which one came, and not under which it was put back.
    fn place(&self, hash: &str) -> Option<u64> {
        let all = || self.entries().filter(|it| it.result.is_ok() && it.hash == hash);
        let came = all().find(|it| it.by != Trigger::Rollback).or_else(|| all().next());
        came.map(|it| it.number)
    }

    /// The one that is meant: a number, the beginning of a fingerprint (the newest one), or without either the
    /// last accepted one before `live` that nobody went back from.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn find(&self, which: Option<&str>, live: &str) -> Result<&Entry, String> {
        let accepted = |it: &&Entry| it.result.is_ok();
        let Some(which) = which else {
            let place = self.place(live).unwrap_or(u64::MAX);
            let left = |hash: &str| self.entries.iter().any(|it| it.left && it.hash == hash);
            let other = |it: &&Entry| {
                let before = it.number < place && it.hash != live;
                before && it.snapshot.is_some() && !left(&it.hash)
            };
            let found = self.entries().filter(accepted).find(other);
            return found.ok_or_else(|| {
                "there is no earlier configuration that nobody went back from: `tidegate history` \
                 lists them, and `tidegate rollback N` takes any"
                    .to_owned()
            });
        };
        let by_number = which.parse::<u64>().ok();
        let mut found = self.entries().filter(|it| by_number == Some(it.number));
        let by_hash = |it: &&Entry| which.len() >= 4 && it.hash.starts_with(which);
        let found = found.next().or_else(|| self.entries().filter(accepted).find(by_hash));
        let found = found.ok_or_else(|| {
            format!("no remembered configuration is `{which}`: `tidegate history` lists them")
        })?;
        match (&found.result, &found.snapshot) {
            (Err(_), _) => Err(format!("number {} was refused: it never ran", found.number)),
            (Ok(_), None) => {
                Err(format!("number {} is no longer kept: it was large", found.number))
            }
            (Ok(_), Some(_)) => Ok(found),
        }
    }

    /// Lets go of the oldest files until the rest is small enough. What several have alike counts once.
    fn forget(&mut self) {
        let (mut bytes, mut newer): (usize, Option<Arc<Snapshot>>) = (0, None);
        for entry in self.entries.iter_mut().rev() {
            let Some(snapshot) = &entry.snapshot else { continue };
            bytes += snapshot.size_beside(newer.as_deref());
            // What runs is always kept: it is asked for by `diff --live`.
            if bytes > MOST_BYTES && newer.is_some() {
                entry.snapshot = None;
            } else {
                newer = Some(Arc::clone(snapshot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(history: &mut History, hash: &str) -> u64 {
        let snapshot = Some(Arc::default());
        history.push(Trigger::Admin, hash, Ok(Diff::default()), snapshot)
    }

    #[test]
    fn the_last_twenty_are_remembered_and_found() {
        let mut history = History::default();
        for at in 1..=25 {
            assert_eq!(accepted(&mut history, &format!("hash{at:02}")), at);
        }
        let numbers: Vec<u64> = history.entries().map(|it| it.number).collect();
        assert_eq!(numbers, (6..=25).rev().collect::<Vec<_>>());
        let find = |which: Option<&str>| history.find(which, "hash25").map(|it| it.number);
        assert_eq!(find(None), Ok(24), "the one before what runs");
        assert_eq!((find(Some("7")), find(Some("hash09"))), (Ok(7), Ok(9)));
        assert_eq!(find(Some("hash")), Ok(25), "the newest");
        for unknown in ["5", "26", "has", "", "x"] {
            assert!(find(Some(unknown)).is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_was_refused_cannot_be_put_back() {
        let mut history = History::default();
        assert!(history.find(None, "").is_err(), "there is nothing");
        accepted(&mut history, "aaaa");
        history.push(Trigger::Watch, "bbbb", Err("wrong".to_owned()), None);
        accepted(&mut history, "cccc");
        assert_eq!(history.find(None, "cccc").map(|it| it.number), Ok(1));
        let error = history.find(Some("2"), "cccc").unwrap_err();
        assert!(error.contains("refused"), "{error}");
        assert!(history.find(Some("bbbb"), "cccc").is_err());
    }

    #[test]
    fn going_back_again_goes_further_back_and_never_to_what_was_left() {
        let mut history = History::default();
        let back = |history: &mut History, which: Option<&str>, live: &str| {
            let found = history.find(which, live).map(|it| (it.number, it.hash.clone()));
            let (number, hash) = found.ok()?;
            history.push(Trigger::Rollback, &hash, Ok(Diff::default()), Some(Arc::default()));
            history.left(live, number);
            Some(hash)
        };
        for hash in ["aaaa", "bbbb", "bad1"] {
            accepted(&mut history, hash);
        }
        assert_eq!(back(&mut history, None, "bad1").as_deref(), Some("bbbb"));
        assert_eq!(back(&mut history, None, "bbbb").as_deref(), Some("aaaa"), "further back");
        assert_eq!(back(&mut history, None, "aaaa"), None, "there is nothing before it");
        // The next bad one does not lead to the last bad one, nor to what somebody went back from.
        accepted(&mut history, "bad1");
        accepted(&mut history, "bad2");
        assert_eq!(back(&mut history, None, "bad2").as_deref(), Some("aaaa"));
        // Whoever names one gets it, and it counts again.
        assert_eq!(back(&mut history, Some("bbbb"), "aaaa").as_deref(), Some("bbbb"));
        accepted(&mut history, "cccc");
        assert_eq!(back(&mut history, None, "cccc").as_deref(), Some("bbbb"));
    }
}
