//! So many values, each for so long. When there is no room, one that was not used since the hand came by
//! last makes it (CLOCK).

use std::{collections::HashMap, time::Duration};

use ahash::RandomState;
use tokio::time::Instant;

use super::Key;

/// What is kept. What is over stays until its place is needed: it may be asked for as stale.
pub(super) struct Store<V> {
    most: usize,
    most_bytes: usize,
    bytes: usize,
    positions: HashMap<Key, usize, RandomState>,
    entries: Vec<Entry<V>>,
    hand: usize,
}

struct Entry<V> {
    key: Key,
    value: V,
    weight: usize,
    until: Instant,
    stale_until: Instant,
    used: bool,
}

// === impl Store ===

impl<V: Clone> Store<V> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        let (positions, entries) = (HashMap::default(), Vec::new());
        Self { most, most_bytes, bytes: 0, positions, entries, hand: 0 }
    }

    /// The value, if it holds.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<V> {
        let entry = self.entries.get_mut(*self.positions.get(key)?)?;
        (now < entry.until).then(|| {
            entry.used = true;
            entry.value.clone()
        })
    }

    /// The value, if it holds while nobody can be asked.
    pub(super) fn stale(&self, key: &Key, now: Instant) -> Option<V> {
        let entry = self.entries.get(*self.positions.get(key)?)?;
        (now < entry.stale_until).then(|| entry.value.clone())
    }

    /// Keeps a value for the first time, and as stale for the second in addition.
    pub(super) fn keep(
        &mut self,
        key: Key,
        value: V,
        weight: usize,
        now: Instant,
        (life, longer): (Duration, Duration),
    ) {
        self.remove(&key);
        if weight > self.most_bytes || self.most == 0 {
            return;
        }
        while self.entries.len() >= self.most || self.bytes + weight > self.most_bytes {
            let victim = self.victim(now);
            self.remove_at(victim);
        }
        let until = now + life;
        self.positions.insert(key, self.entries.len());
        self.bytes += weight;
        let stale_until = until + longer;
        self.entries.push(Entry { key, value, weight, until, stale_until, used: false });
    }

    /// Forgets it.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(at) = self.positions.get(key) {
            self.remove_at(*at);
        }
    }

    fn remove_at(&mut self, at: usize) {
        let gone = self.entries.swap_remove(at);
        self.bytes -= gone.weight;
        self.positions.remove(&gone.key);
        if let Some(moved) = self.entries.get(at) {
            self.positions.insert(moved.key, at);
        }
    }

    /// The place of one that may go; there is at least one. The hand goes round twice at most.
    fn victim(&mut self, now: Instant) -> usize {
        loop {
            let at = self.hand % self.entries.len();
            self.hand = at + 1;
            let entry = &mut self.entries[at];
            if !entry.used || entry.stale_until <= now {
                return at;
            }
            entry.used = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Whatever is done: no more than there is room for, nothing over its time, and what is given
        /// back is what was kept last.
        #[test]
        fn it_holds_what_was_kept_last_and_never_too_much(
            steps in vec((0_u8..6, 0_u8..12, 0_usize..40, 0_u64..30), 0..300),
        ) {
            let (most, most_bytes) = (5, 100);
            let mut store = Store::new(most, most_bytes);
            let mut last: HashMap<u8, (usize, Instant)> = HashMap::new();
            let mut now = Instant::now();
            let (life, longer) = (Duration::from_secs(50), Duration::from_secs(20));
            for (number, (what, key, weight, seconds)) in steps.into_iter().enumerate() {
                now += Duration::from_secs(seconds);
                let name = [key; 32];
                match what {
                    0..3 => {
                        store.keep(name, number, weight, now, (life, longer));
                        last.insert(key, (number, now));
                    }
                    3 => {
                        store.remove(&name);
                        last.remove(&key);
                    }
                    _ => {
                        let fresh = store.get(&name, now);
                        let stale = store.stale(&name, now);
                        let known = last.get(&key);
                        if let Some(found) = fresh {
                            prop_assert!(known.is_some_and(|(n, at)| *n == found && now < *at + life));
                        }
                        if let Some(found) = stale {
                            prop_assert!(
                                known.is_some_and(|(n, at)| *n == found && now < *at + life + longer)
                            );
                        }
                    }
                }
                prop_assert!(store.entries.len() <= most && store.bytes <= most_bytes);
                prop_assert_eq!(store.entries.len(), store.positions.len());
                prop_assert_eq!(store.bytes, store.entries.iter().map(|it| it.weight).sum::<usize>());
                for (at, entry) in store.entries.iter().enumerate() {
                    prop_assert_eq!(store.positions[&entry.key], at);
                }
            }
        }
    }

    #[test]
    fn what_is_used_stays() {
        let (now, life) = (Instant::now(), (Duration::from_secs(9), Duration::ZERO));
        let mut store = Store::new(3, 1000);
        (1..=3_u8).for_each(|n| store.keep([n; 32], n, 1, now, life));
        assert_eq!(store.get(&[1; 32], now), Some(1));
        store.keep([4; 32], 4, 1, now, life);
        store.keep([5; 32], 5, 1, now, life);
        assert_eq!(store.get(&[1; 32], now), Some(1), "the others were not");
        assert_eq!(store.get(&[5; 32], now), Some(5));
    }
}
