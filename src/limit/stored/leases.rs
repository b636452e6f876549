//! The leases of one limit, for all buckets that are in use. Workers share them, so that one gateway holds
//! one lease of a bucket. Who finds too little in one asks for all who want something of that bucket, in a
//! task of its own: whoever asks first may leave.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::Instant,
};

use super::{
    super::{Standings, elapsed},
    Amount, Away, Entries, Question, Remote,
    lease::{self, Lease},
};

/// Locks, so that workers rarely wait for each other.
const SHARDS: usize = 16;

/// The leases of one limit.
#[derive(Debug)]
pub(crate) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    /// No lease is larger.
    largest: u32,
    /// Leases of one shard.
    room: usize,
    hasher: ahash::RandomState,
    /// What its time is counted from.
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    leases: HashMap<u64, Slot, ahash::RandomState>,
    /// When it was full last, and nothing could be forgotten.
    full_at: u64,
}

#[derive(Debug)]
struct Slot {
    lease: Lease,
    entries: Arc<Entries>,
    /// The question under way.
    round: Arc<Round>,
}

/// One question for all who wait.
#[derive(Debug, Default)]
struct Round {
    done: Arc<Notify>,
    failed: AtomicBool,
}

/// A place among those who wait.
pub(super) struct Waiting {
    round: Arc<Round>,
    done: OwnedNotified,
}

/// What becomes of a request.
pub(super) enum Step {
    Said(Standings),
    /// Somebody asks; nobody, where there is no room to remember what comes.
    Wait(Option<Waiting>),
}

/// What was not used in time.
pub(super) struct Unused {
    entries: Arc<Entries>,
    tokens: u32,
    taken: u64,
}

// === impl Leases ===

impl Leases {
    /// None yet.
    pub(crate) fn new(largest: u32, keys: usize) -> Self {
        Self {
            shards: Default::default(),
            largest,
            room: keys.div_ceil(SHARDS).max(1),
            hasher: ahash::RandomState::new(),
            epoch: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        elapsed(self.epoch, Instant::now())
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    /// Takes what a request costs, or begins to ask for it.
    pub(super) fn take(self: &Arc<Self>, remote: &Arc<dyn Remote>, question: &Question) -> Step {
        let now = self.now();
        let (step, ask) = {
            let mut shard = self.shard(question.key).lock();
            let Some(slot) = shard.slot(question, self.room, now) else { return Step::Wait(None) };
            let taken = slot.lease.take(question.cost, self.largest, now);
            let amount = match &taken {
                lease::Step::Said(_, ahead) => *ahead,
                lease::Step::Ask(amount) => Some(*amount),
                lease::Step::Wait => None,
            };
            if amount.is_some() {
                slot.round = Arc::default();
            }
            let step = match taken {
                lease::Step::Said(standings, _) => Step::Said(standings),
                lease::Step::Ask(_) | lease::Step::Wait => Step::Wait(Some(slot.waiting())),
            };
            (step, amount.map(|amount| (amount, Arc::clone(&slot.entries))))
        };
        if let Some((amount, entries)) = ask {
            tokio::spawn(Arc::clone(self).ask(Arc::clone(remote), question.key, entries, amount));
        }
        step
    }

    /// Asks for more, for all who wait.
    async fn ask(
        self: Arc<Self>,
        remote: Arc<dyn Remote>,
        key: u64,
        entries: Arc<Entries>,
        amount: Amount,
    ) {
        let taken = remote.take(&entries, amount, None).await;
        let now = self.now();
        let mut shard = self.shard(key).lock();
        let Some(slot) = shard.leases.get_mut(&key) else { return };
        match &taken {
            Ok(taken) => slot.lease.granted(taken, amount, now),
            Err(Away) => {
                slot.lease.failed();
                slot.round.failed.store(true, Relaxed);
            }
        }
        slot.round.done.notify_waiters();
    }

    /// Waits for what somebody asks for, and asks again where others were faster.
    pub(super) async fn wait(
        self: &Arc<Self>,
        remote: &Arc<dyn Remote>,
        question: &Question,
        mut waiting: Option<Waiting>,
    ) -> Result<Standings, Away> {
        // Others may be faster again and again; each round takes no longer than a question.
        for _ in 0..8 {
            let Some(Waiting { round, done }) = waiting else { break };
            done.await;
            if round.failed.load(Relaxed) {
                return Err(Away);
            }
            match self.take(remote, question) {
                Step::Said(standings) => return Ok(standings),
                Step::Wait(again) => waiting = again,
            }
        }
        let taken = remote.take(&question.entries, Amount::exactly(question.cost), None).await?;
        Ok(taken.standings)
    }

    /// Takes some more for a request that has passed, or puts some back; what of that is not for the
    /// leases comes back.
    pub(super) fn correct(&self, question: &Question, by: i64) -> i64 {
        let now = self.now();
        let mut shard = self.shard(question.key).lock();
        match shard.leases.get_mut(&question.key) {
            Some(slot) => slot.lease.correct(by, self.largest, now),
            None => by,
        }
    }

    /// How things stand, as far as it is known here.
    pub(super) fn standings(&self, question: &Question) -> Option<Standings> {
        let now = self.now();
        let shard = self.shard(question.key).lock();
        shard.leases.get(&question.key).map(|slot| slot.lease.standings(now))
    }

    /// Gives back what was not used in time, and forgets what is not in use.
    pub(crate) fn tend(&self, remote: &Arc<dyn Remote>) {
        let unused = self.unused();
        if unused.is_empty() {
            return;
        }
        let remote = Arc::clone(remote);
        tokio::spawn(async move {
            for Unused { entries, tokens, taken } in unused {
                // What cannot be given back is lost until it comes back by itself.
                let back = remote.correct(&entries, -i64::from(tokens), Some(taken), None);
                if back.await.is_err() {
                    break;
                }
            }
        });
    }

    pub(super) fn unused(&self) -> Vec<Unused> {
        let now = self.now();
        let mut unused = Vec::new();
        for shard in &self.shards {
            shard.lock().leases.retain(|_, slot| {
                let entries = &slot.entries;
                if let Some((tokens, taken)) = slot.lease.give_back(now) {
                    unused.push(Unused { entries: Arc::clone(entries), tokens, taken });
                }
                !slot.lease.is_idle(now)
            });
        }
        unused
    }

    /// Buckets that are in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().leases.len()).sum()
    }
}

// === impl Shard ===

impl Shard {
    /// The lease of a bucket, if there is room to remember it.
    fn slot(&mut self, question: &Question, room: usize, now: u64) -> Option<&mut Slot> {
        let key = question.key;
        if self.leases.len() >= room && !self.leases.contains_key(&key) {
            // To look at all of them costs too much for each stranger of many.
            if now.saturating_sub(self.full_at) < lease::LIFE / 10 {
                return None;
            }
            self.leases.retain(|_, slot| !slot.lease.is_dispensable(now));
            if self.leases.len() >= room {
                self.full_at = now;
                return None;
            }
        }
        Some(self.leases.entry(key).or_insert_with(|| Slot {
            lease: Lease::default(),
            entries: Arc::clone(&question.entries),
            round: Arc::default(),
        }))
    }
}

// === impl Slot ===

impl Slot {
    fn waiting(&self) -> Waiting {
        let done = Arc::clone(&self.round.done).notified_owned();
        Waiting { round: Arc::clone(&self.round), done }
    }
}
