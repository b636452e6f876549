//! Tokens that were verified a short while ago, so that a token that comes with every request costs a
//! look and no signature. The whole token is compared, never a hash alone. Only good tokens get in, so
//! nobody without many of them can push others out; when there are too many, those not used of late go.

use std::{collections::HashMap, fmt, sync::Arc};

use ahash::RandomState;
use parking_lot::Mutex;

use super::super::Identity;

/// Parts with a lock of their own, for workers not to wait for each other.
const SHARDS: usize = 16;

/// Tokens of one generation of a shard, and their bytes.
const MOST: usize = 512;
const MOST_BYTES: usize = 512 << 10;

/// Whom good tokens are from.
pub(super) struct Remembered([Mutex<Shard>; SHARDS]);

/// Two generations: what is used moves into the younger one, and once that is full the older is dropped.
#[derive(Default)]
struct Shard {
    /// The set of keys they were verified with.
    keys: u64,
    young: HashMap<Tail, Entry, RandomState>,
    old: HashMap<Tail, Entry, RandomState>,
    /// Of the young ones.
    bytes: usize,
}

/// The end of a token, which is of its signature: no two good tokens have the same, and where two have,
/// the later one is remembered. Hashing all of a token would cost more than all the rest.
type Tail = [u8; 32];

struct Entry {
    token: Box<[u8]>,
    identity: Arc<Identity>,
    until: u64,
}

// === impl Remembered ===

impl Remembered {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Whom this token is from, if it was verified with this set of keys and still counts.
    pub(super) fn find(&self, token: &[u8], keys: u64, now: u64) -> Option<Arc<Identity>> {
        let tail = tail(token);
        let mut shard = self.shard(&tail).lock();
        if shard.keys != keys {
            return None;
        }
        let good = |entry: &Entry| *entry.token == *token && now < entry.until;
        if let Some(entry) = shard.young.get(&tail) {
            return good(entry).then(|| Arc::clone(&entry.identity));
        }
        if !shard.old.get(&tail).is_some_and(good) {
            return None;
        }
        let entry = shard.old.remove(&tail)?;
        let identity = Arc::clone(&entry.identity);
        shard.keep(tail, entry);
        Some(identity)
    }

    /// Keeps a token that was verified.
    pub(super) fn keep(&self, token: &[u8], keys: u64, identity: &Arc<Identity>, until: u64) {
        let tail = tail(token);
        let mut shard = self.shard(&tail).lock();
        if shard.keys < keys {
            *shard = Shard { keys, ..Shard::default() };
        }
        // One that a removed key has signed does not come back.
        if shard.keys == keys {
            let identity = Arc::clone(identity);
            shard.keep(tail, Entry { token: token.into(), identity, until });
        }
    }

    fn shard(&self, tail: &Tail) -> &Mutex<Shard> {
        let mixed = tail.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
        &self.0[usize::from(mixed) % SHARDS]
    }
}

/// The last bytes of a token; what is shorter is no token.
fn tail(token: &[u8]) -> Tail {
    token.last_chunk().copied().unwrap_or_default()
}

// === impl Shard ===

impl Shard {
    fn keep(&mut self, tail: Tail, entry: Entry) {
        if self.young.len() >= MOST || self.bytes + entry.token.len() > MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += entry.token.len();
        if let Some(before) = self.young.insert(tail, entry) {
            self.bytes -= before.token.len();
        }
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(all: &Remembered, token: &str, keys: u64, now: u64) -> bool {
        all.find(&long(token), keys, now).is_some()
    }

    /// As long as tokens are at least, with an end of its own.
    fn long(token: &str) -> Vec<u8> {
        format!("{token:.>40}").into_bytes()
    }

    #[test]
    fn until_its_end_and_with_its_keys_alone() {
        let (all, who) = (Remembered::new(), Identity::named("ann".into()));
        assert!(!known(&all, "token", 1, 0));
        all.keep(&long("token"), 1, &who, 10);
        assert!(known(&all, "token", 1, 9));
        assert!(!known(&all, "token", 1, 10));
        assert!(!known(&all, "toke", 1, 9) && !known(&all, "tokens", 1, 9));
        assert!(!known(&all, "token", 2, 9), "another set of keys");
        // Verified with a set that was replaced meanwhile.
        all.keep(&long("token"), 2, &who, 10);
        all.keep(&long("other-token"), 2, &who, 10);
        all.keep(&long("token"), 1, &who, 10);
        assert!(!known(&all, "token", 1, 9) && known(&all, "token", 2, 9));
    }

    #[test]
    fn the_whole_token_counts_and_not_its_end() {
        let (all, who) = (Remembered::new(), Identity::named("ann".into()));
        let (one, two) = (format!("a{:.>40}", "x"), format!("b{:.>40}", "x"));
        all.keep(one.as_bytes(), 1, &who, 10);
        assert!(all.find(one.as_bytes(), 1, 9).is_some());
        assert!(all.find(two.as_bytes(), 1, 9).is_none());
        all.keep(two.as_bytes(), 1, &who, 10);
        assert!(all.find(one.as_bytes(), 1, 9).is_none());
        assert!(all.find(two.as_bytes(), 1, 9).is_some());
    }

    #[test]
    fn there_are_never_too_many_and_those_in_use_stay() {
        let (all, who) = (Remembered::new(), Identity::named("ann".into()));
        all.keep(&long("used"), 1, &who, 10);
        for number in 0..40_000 {
            all.keep(&long(&format!("token-{number}")), 1, &who, 10);
            assert!(known(&all, "used", 1, 9), "{number}");
        }
        let count: usize =
            all.0.iter().map(|it| it.lock()).map(|it| it.young.len() + it.old.len()).sum();
        assert!((2 * MOST..=2 * MOST * SHARDS).contains(&count), "{count}");
        assert!(!known(&all, "token-0", 1, 9) && known(&all, "token-39999", 1, 9));
        for number in 0..4000 {
            all.keep(format!("{number:016384}").as_bytes(), 1, &who, 10);
        }
        let bytes: usize = all.0.iter().map(|it| it.lock().bytes).sum();
        assert!(bytes <= SHARDS * MOST_BYTES, "{bytes}");
        let count: usize = all.0.iter().map(|it| it.lock().young.len()).sum();
        assert!(count <= SHARDS * 32, "{count}");
    }
}
