//! Nonces that have been used. None is forgotten as long as its signature could be used again: where there
//! is no room for another, the request is refused.

use std::{cmp::Reverse, collections::BinaryHeap};

use ahash::AHashSet;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;

/// Nonces of all policies together; each takes some 60 bytes.
const MOST: usize = 1 << 20;

/// Enough of a digest: who wants two alike has to try 2^64 times.
type Print = [u8; 16];

/// What all configurations of a process remember.
#[derive(Debug)]
pub(crate) struct Nonces {
    most: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    prints: AHashSet<Print>,
    /// Until when each counts, the first first.
    ends: BinaryHeap<Reverse<(i64, Print)>>,
}

/// What is known of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonce {
    /// It is new, and not new any more.
    New,
    /// It was used.
    Used,
    /// There is no room to remember it.
    NoRoom,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_room(MOST)
    }
}

impl Nonces {
    /// For so many at a time.
    pub(crate) fn with_room(most: usize) -> Self {
        Self { most, seen: Mutex::default() }
    }

    /// Uses the nonce that these parts name together. It counts until `until`; both in Unix seconds.
    pub(crate) fn take(&self, parts: &[&str], until: i64, now: i64) -> Nonce {
        let print = print(parts);
        let mut seen = self.seen.lock();
        seen.forget(now);
        if seen.prints.contains(&print) {
            return Nonce::Used;
        }
        if seen.prints.len() >= self.most {
            return Nonce::NoRoom;
        }
        seen.prints.insert(print);
        seen.ends.push(Reverse((until, print)));
        Nonce::New
    }
}

impl Seen {
    fn forget(&mut self, now: i64) {
        while self.ends.peek().is_some_and(|Reverse((until, _))| *until < now) {
            if let Some(Reverse((_, print))) = self.ends.pop() {
                self.prints.remove(&print);
            }
        }
    }
}

fn print(parts: &[&str]) -> Print {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.finish();
    digest.as_ref()[..16].try_into().expect("a SHA-256 is longer")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nonce_is_used_once_and_room_comes_back() {
        let nonces = Nonces::with_room(2);
        assert_eq!(nonces.take(&["k", "a"], 100, 0), Nonce::New);
        assert_eq!(nonces.take(&["k", "a"], 100, 100), Nonce::Used, "its last second counts");
        assert_eq!(nonces.take(&["", "ka"], 90, 0), Nonce::New, "the parts are kept apart");
        assert_eq!(nonces.take(&["k", "b"], 100, 90), Nonce::NoRoom);
        assert_eq!(nonces.take(&["k", "a"], 100, 90), Nonce::Used, "nothing is forgotten for it");
        assert_eq!(nonces.take(&["k", "b"], 100, 91), Nonce::New);
        assert_eq!(nonces.take(&["k", "a"], 300, 101), Nonce::New, "it could not be used again");
    }

    proptest! {
        /// Against a list that forgets nothing.
        #[test]
        fn none_is_taken_twice_while_it_counts(
            uses in prop::collection::vec((0u8..8, 0i64..20, 0i64..3), 0..80),
        ) {
            let nonces = Nonces::with_room(4);
            let mut all: Vec<(u8, i64)> = Vec::new();
            let mut now = 0;
            for (name, life, pause) in uses {
                now += pause;
                let counts = |end: &i64| *end >= now;
                let used = all.iter().any(|(other, end)| *other == name && counts(end));
                let room = all.iter().filter(|(_, end)| counts(end)).count() < 4;
                let expected = match (used, room) {
                    (true, _) => Nonce::Used,
                    (false, true) => Nonce::New,
                    (false, false) => Nonce::NoRoom,
                };
                let found = nonces.take(&[&name.to_string()], now + life, now);
                prop_assert_eq!(found, expected);
                if found == Nonce::New {
                    all.push((name, now + life));
                }
            }
        }
    }
}
