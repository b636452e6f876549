//! Pairs of user and password that were right a short while ago, for a verification costs
//! milliseconds and browsers send the same pair with every request. What is kept is a keyed hash of
//! each ([`super::verifier`] makes it), so nobody learns anything from how long a look takes.

use std::{collections::HashMap, time::Duration};

use ahash::RandomState;
use tokio::time::Instant;

/// A keyed hash.
pub(super) type Tag = [u8; 32];

/// At most so many, each for so long after it was verified, however often it is used. When there is
/// no room, one that was not used since the hand came by last makes it (CLOCK).
pub(super) struct Recent {
    bound: usize,
    life: Duration,
    positions: HashMap<Tag, usize, RandomState>,
    entries: Vec<Entry>,
    hand: usize,
}

struct Entry {
    tag: Tag,
    until: Instant,
    used: bool,
}

// === impl Recent ===

impl Recent {
    pub(super) fn new(bound: usize, life: Duration) -> Self {
        let (positions, entries) = (HashMap::default(), Vec::new());
        Self { bound, life, positions, entries, hand: 0 }
    }

    /// Whether it was right a short while ago.
    pub(super) fn knows(&mut self, tag: &Tag, now: Instant) -> bool {
        let entry = self.positions.get(tag).and_then(|at| self.entries.get_mut(*at));
        entry.filter(|entry| now < entry.until).map(|entry| entry.used = true).is_some()
    }

    /// Keeps one that was right at `now`.
    pub(super) fn keep(&mut self, tag: Tag, now: Instant) {
        let entry = Entry { tag, until: now + self.life, used: false };
        if let Some(at) = self.positions.get(&tag) {
            self.entries[*at] = entry;
        } else if self.entries.len() < self.bound {
            self.positions.insert(tag, self.entries.len());
            self.entries.push(entry);
        } else if let Some(at) = self.room(now) {
            self.positions.remove(&self.entries[at].tag);
            self.positions.insert(tag, at);
            self.entries[at] = entry;
        }
    }

    /// The place of one that may go. The hand goes round twice at most.
    fn room(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..=2 * self.entries.len() {
            let at = self.hand;
            let entry = self.entries.get_mut(at)?;
            self.hand = (at + 1) % self.bound;
            if !entry.used || entry.until <= now {
                return Some(at);
            }
            entry.used = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const LIFE: Duration = Duration::from_secs(300);

    fn tag(number: u8) -> Tag {
        [number; 32]
    }

    #[test]
    fn it_ends_after_its_life_however_often_it_is_used() {
        let (start, mut recent) = (Instant::now(), Recent::new(4, LIFE));
        assert!(!recent.knows(&tag(1), start));
        recent.keep(tag(1), start);
        for seconds in [0, 100, 299] {
            assert!(recent.knows(&tag(1), start + Duration::from_secs(seconds)), "{seconds}");
        }
        assert!(!recent.knows(&tag(1), start + LIFE));
        recent.keep(tag(1), start + LIFE);
        assert!(recent.knows(&tag(1), start + LIFE * 2 - Duration::from_nanos(1)));
        assert!(!recent.knows(&tag(1), start + LIFE * 2));
    }

    #[test]
    fn what_is_used_stays_and_what_is_over_goes() {
        let (start, mut recent) = (Instant::now(), Recent::new(3, LIFE));
        (1..=3).for_each(|number| recent.keep(tag(number), start));
        assert!(recent.knows(&tag(1), start) && recent.knows(&tag(3), start));
        recent.keep(tag(4), start);
        let known =
            |recent: &mut Recent, now| (1..=5).map(|n| recent.knows(&tag(n), now)).collect();
        let all: Vec<bool> = known(&mut recent, start);
        assert_eq!(all, [true, false, true, true, false]);
        // All are in use now, and one goes all the same.
        recent.keep(tag(5), start);
        let all: Vec<bool> = known(&mut recent, start);
        assert_eq!(all.iter().filter(|known| **known).count(), 3);
        assert!(all[4]);
        // What is over goes first, in use or not.
        let mut recent = Recent::new(2, LIFE);
        recent.keep(tag(2), start + LIFE);
        recent.keep(tag(1), start);
        assert!(recent.knows(&tag(1), start) && recent.knows(&tag(2), start));
        recent.keep(tag(3), start + LIFE);
        assert!(recent.knows(&tag(2), start + LIFE) && recent.knows(&tag(3), start + LIFE));
    }

    #[test]
    fn none_may_be_kept() {
        let (now, mut recent) = (Instant::now(), Recent::new(0, LIFE));
        recent.keep(tag(1), now);
        assert!(!recent.knows(&tag(1), now));
    }

    proptest! {
        #[test]
        fn never_too_many_and_never_another(
            bound in 0usize..6, steps in vec((0u8..12, any::<bool>(), 0u64..120), 0..200),
        ) {
            let mut recent = Recent::new(bound, LIFE);
            let mut now = Instant::now();
            let mut kept = HashMap::new();
            for (number, keep, seconds) in steps {
                now += Duration::from_secs(seconds);
                if keep {
                    recent.keep(tag(number), now);
                    kept.insert(number, now);
                    // What was kept last is there, if anything may be.
                    prop_assert_eq!(recent.knows(&tag(number), now), bound > 0);
                } else if recent.knows(&tag(number), now) {
                    prop_assert!(kept.get(&number).is_some_and(|then| now < *then + LIFE));
                }
                prop_assert!(recent.entries.len() <= bound);
                prop_assert_eq!(recent.entries.len(), recent.positions.len());
                for (at, entry) in recent.entries.iter().enumerate() {
                    prop_assert_eq!(recent.positions.get(&entry.tag), Some(&at));
                }
            }
        }

        #[test]
        fn while_there_is_room_all_are_known(numbers in vec(any::<u8>(), 0..40)) {
            let (now, mut recent) = (Instant::now(), Recent::new(40, LIFE));
            numbers.iter().for_each(|number| recent.keep(tag(*number), now));
            for number in 0..=u8::MAX {
                prop_assert_eq!(recent.knows(&tag(number), now), numbers.contains(&number));
            }
        }
    }
}
