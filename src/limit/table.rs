//! Buckets in memory that grows with the keys that come, up to what is measured out for it and no further.
//! Nothing is there before the first key. A key has its place in one set of eight, chosen by a hash nobody
//! outside can compute. Where a new key finds its set full, there are twice as many sets from then on; where
//! there are as many as there may be, the one goes that has used the least of what it may: first those that have got everything back, which is to forget
//! nothing, then of two that have used as much the one that was used longer ago. A key that is over its
//! limit goes last of all. Whoever comes with millions of keys forgets his own: each of them has used
//! less than a key that is really in use. What is lost with a key that goes is its debt: it may come as
//! often as one that was never there.
//!
//! A set is a line of eight hashes and, for each window, a line of eight words of state: with one window 16
//! bytes a key, and 8 for each further one.

use std::{fmt, mem, sync::Arc};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    Now, Standings,
    window::{Window, Word},
};
use crate::config::model;

/// Keys of a set.
const WAYS: usize = 8;
/// Locks, so that workers rarely wait for each other.
const MOST_SHARDS: usize = 64;

/// Buckets by hash of their key.
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
}

struct Shard {
    /// Sets, one after the other. A hash of 0 is a free place.
    words: Box<[Word]>,
    /// So many there are.
    sets: usize,
    /// So many there may be.
    most: usize,
    /// None before the first question.
    windows: Box<[Window]>,
    /// What they are made of.
    rules: Arc<[model::Window]>,
}

// === impl Table ===

impl Table {
    /// Room for at least so many keys, or a few more, which is taken as they come.
    pub(super) fn new(windows: &[model::Window], keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).max(1);
        let shards = (sets / 16).clamp(1, MOST_SHARDS);
        let rules: Arc<[model::Window]> = windows.into();
        let shard = || Mutex::new(Shard::new(&rules, sets.div_ceil(shards)));
        Self { shards: (0..shards).map(|_| shard()).collect() }
    }

    /// Takes `cost` out of every window, or out of none.
    #[inline(always)]
    pub(super) fn take(&self, key: u64, cost: u32, now: Now) -> Standings {
        self.shard(key).lock().take(key, cost, now)
    }

    /// Takes more out, or puts something back.
    pub(super) fn correct(&self, key: u64, by: i64, now: Now) {
        self.shard(key).lock().correct(key, by, now);
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        &self.shards[part(key >> 32, self.shards.len())]
    }

    /// Bytes its keys hold.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().words.len() * size_of::<Word>()).sum()
    }

    /// Keys that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Where in `parts` equal parts 32 bits lie.
fn part(bits: u64, parts: usize) -> usize {
    // What comes out is smaller than `parts`.
    (((bits & 0xffff_ffff) * parts as u64) >> 32) as usize
}

// === impl Shard ===

impl Shard {
    fn new(rules: &Arc<[model::Window]>, most: usize) -> Self {
        let (words, windows) = (Box::default(), Box::default());
        Self { words, sets: 0, most, windows, rules: Arc::clone(rules) }
    }

    /// Somebody asks for the first time.
    #[cold]
    fn begin(&mut self) {
        self.windows = self.rules.iter().map(Window::new).collect();
    }

    #[inline(always)]
    fn take(&mut self, key: u64, cost: u32, now: Now) -> Standings {
        // Nearly all limits have one.
        if let [window] = &*self.windows {
            let mut place = self.place(key, now);
            let (word, standing) = window.take(self.word(&place, 0), cost, now);
            if cost > 0 && !standing.refused {
                if !place.known {
                    place = self.room(key, place, now);
                }
                self.words[place.set + place.way] = named(key);
                self.words[place.of(0)] = word;
            }
            return Standings::from_buf([standing]);
        }
        self.take_of_all(key, cost, now)
    }

    /// Apart, so that the usual way is short.
    #[inline(never)]
    fn take_of_all(&mut self, key: u64, cost: u32, now: Now) -> Standings {
        if self.windows.len() < self.rules.len() {
            self.begin();
            return self.take(key, cost, now);
        }
        let place = self.place(key, now);
        let mut all = Standings::new();
        let mut after: SmallVec<[Word; 4]> = SmallVec::new();
        for (at, window) in self.windows.iter().enumerate() {
            let (word, standing) = window.take(self.word(&place, at), cost, now);
            after.push(word);
            all.push(standing);
        }
        if !super::refused(&all) {
            // Who only asks leaves no trace.
            if cost > 0 {
                self.store(key, place, &after, now);
            }
            return all;
        }
        // Where one refuses, nothing is taken from the others.
        for (at, window) in self.windows.iter().enumerate() {
            if !all[at].refused {
                (_, all[at]) = window.take(self.word(&place, at), 0, now);
            }
        }
        all
    }

    fn correct(&mut self, key: u64, by: i64, now: Now) {
        if self.windows.len() < self.rules.len() {
            self.begin();
        }
        let place = self.place(key, now);
        let one = |(at, window): (usize, &Window)| window.correct(self.word(&place, at), by, now);
        let after: SmallVec<[Word; 4]> = self.windows.iter().enumerate().map(one).collect();
        self.store(key, place, &after, now);
    }

    /// What a place says of a window.
    fn word(&self, place: &Place, window: usize) -> Word {
        if place.known { self.words[place.of(window)] } else { 0 }
    }

    fn store(&mut self, key: u64, place: Place, after: &[Word], now: Now) {
        let place = if place.known { place } else { self.room(key, place, now) };
        self.words[place.set + place.way] = named(key);
        for (at, word) in after.iter().enumerate() {
            self.words[place.of(at)] = *word;
        }
    }

    /// Where a key is, or where it would be.
    #[inline(always)]
    fn place(&self, key: u64, now: Now) -> Place {
        let set = part(key, self.sets) * WAYS * (1 + self.windows.len());
        let name = named(key);
        let first = favourite(key);
        // There may be no set yet.
        if self.words.get(set + first) == Some(&name) {
            return Place { set, way: first, known: true };
        }
        self.other_place(set, first, name, now)
    }

    /// Where it is not where it is looked for first.
    #[cold]
    fn other_place(&self, set: usize, first: usize, name: Word, now: Now) -> Place {
        let names = self.words.get(set..set + WAYS).unwrap_or_default();
        match names.iter().position(|word| *word == name) {
            Some(way) => Place { set, way, known: true },
            None if names.is_empty() => Place { set, way: first, known: false },
            None => Place { set, way: self.dispensable(set, first, now), known: false },
        }
    }

    /// Where a key goes that is not there: no other one has to leave as long as there may be more sets.
    #[cold]
    fn room(&mut self, key: u64, mut place: Place, now: Now) -> Place {
        while self.sets < self.most && self.words.get(place.set + place.way) != Some(&0) {
            self.grow(now);
            place = self.place(key, now);
        }
        place
    }

    /// Twice as many sets, with all keys that were there. The last step may be a smaller one.
    fn grow(&mut self, now: Now) {
        let line = WAYS * (1 + self.windows.len());
        self.sets = (self.sets * 2).clamp(1, self.most);
        let before = mem::replace(&mut self.words, vec![0; self.sets * line].into());
        for set in before.chunks_exact(line) {
            for (way, name) in set[..WAYS].iter().enumerate().filter(|(_, name)| **name != 0) {
                let place = self.place(*name, now);
                self.words[place.set + place.way] = *name;
                for at in 0..self.windows.len() {
                    self.words[place.of(at)] = set[(1 + at) * WAYS + way];
                }
            }
        }
    }

    /// The place in a set that is missed least.
    fn dispensable(&self, set: usize, first: usize, now: Now) -> usize {
        let mut best = (first, f64::INFINITY, Word::MAX);
        for way in (0..WAYS).map(|step| (first + step) % WAYS) {
            if self.words[set + way] == 0 {
                return way;
            }
            let place = Place { set, way, known: true };
            let (mut used, mut last) = (0.0, 0);
            for (at, window) in self.windows.iter().enumerate() {
                let word = self.word(&place, at);
                used = window.share(word, now).max(used);
                last = word.max(last);
            }
            if (used, last) < (best.1, best.2) {
                best = (way, used, last);
            }
        }
        best.0
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let sets = self.words.chunks_exact(WAYS * (1 + self.windows.len()));
        sets.flat_map(|set| &set[..WAYS]).filter(|word| **word != 0).count()
    }
}

/// A key's place in a shard.
struct Place {
    /// Where its set begins.
    set: usize,
    way: usize,
    /// It is there, and not only where it would be.
    known: bool,
}

// === impl Place ===

impl Place {
    fn of(&self, window: usize) -> usize {
        self.set + (1 + window) * WAYS + self.way
    }
}

/// Where in its set a key is looked for first.
fn favourite(key: u64) -> usize {
    (key >> 32) as usize % WAYS
}

/// What stands for a key in its set.
fn named(key: u64) -> Word {
    key.max(1)
}
