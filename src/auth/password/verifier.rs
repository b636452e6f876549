//! Whether a password is right. A verification takes the time and the memory it was made to take,
//! so it never runs on a worker; only so many run at once, only so many wait, none is done
//! twice at a time, and what was right a short while ago need not be done again.
//!
//! **What may be learned from outside.** A name nobody has is treated as one that somebody has, in
//! every respect. What is right is known sooner the second time, but only to who has sent it. Pairs are
//! known here by HMAC-SHA-256 under a random key of the process, of the user, the password and the
//! hash it was right for. So a reload with another hash forgets, one with the same hash does not,
//! and no comparison of such values tells anything of a password.

use std::{collections::HashMap, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use ahash::RandomState;
use aws_lc_rs::{hmac, rand::SystemRandom};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::Instant,
};

use super::{
    hash::{Hash, OutOfMemory},
    recent::{Recent, Tag},
    users::Users,
};

/// What may be going on at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Verifications that run.
    pub(crate) running: NonZeroUsize,
    /// Verifications that wait for that.
    pub(crate) waiting: usize,
    /// Pairs that are kept.
    pub(crate) recent: usize,
    /// For how long after they were verified.
    pub(crate) life: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
    /// Nobody could find out: there is too much to do, or too little memory.
    Busy,
}

/// The one that verifies for all policies.
pub(crate) struct Passwords {
    shared: Arc<Shared>,
    /// Where verifications run.
    runtime: Handle,
}

struct Shared {
    key: hmac::Key,
    limits: Limits,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    check: Box<Check>,
}

struct State {
    recent: Recent,
    /// By pair: where the verdict is told.
    flights: HashMap<Tag, watch::Sender<Option<Verdict>>, RandomState>,
    /// By name, whether somebody has it or not.
    crowds: HashMap<Tag, Crowd, RandomState>,
}

/// Verifications for one name. One that is tried and tried again takes half of the slots.
struct Crowd {
    flights: usize,
    slots: Arc<Semaphore>,
}

/// A verification under way. When it goes, however it ends, whoever waits is told.
struct Flight {
    shared: Arc<Shared>,
    pair: Tag,
    name: Tag,
    now: Instant,
    verdict: Option<Verdict>,
    /// Whether nobody waits and it has given up its place, which may be another's by now.
    given_up: bool,
}

/// [`Hash::verify`], but in tests.
type Check = dyn Fn(&Hash, &str) -> Result<bool, OutOfMemory> + Send + Sync;

// === impl Limits ===

impl Limits {
    /// For so many that run at once.
    pub(crate) fn for_cores(cores: NonZeroUsize) -> Self {
        Self { running: cores, waiting: 64, recent: 4096, life: Duration::from_secs(300) }
    }

    /// Of one name, that run.
    fn running_of_one(self) -> usize {
        (self.running.get() / 2).max(1)
    }

    /// Of one name, that run or wait.
    fn of_one(self) -> usize {
        self.running_of_one() + self.waiting / 8
    }
}

// === impl Passwords ===

impl Passwords {
    /// `runtime` is where verifications wait and run: not that of the workers.
    pub(crate) fn new(limits: Limits, runtime: Handle) -> Self {
        Self::with(limits, runtime, Hash::verify)
    }

    fn with(
        limits: Limits,
        runtime: Handle,
        check: impl Fn(&Hash, &str) -> Result<bool, OutOfMemory> + Send + Sync + 'static,
    ) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system has random numbers");
        let slots = Arc::new(Semaphore::new(limits.running.get()));
        let state = Mutex::new(State {
            recent: Recent::new(limits.recent, limits.life),
            flights: HashMap::default(),
            crowds: HashMap::default(),
        });
        let shared = Shared { key, limits, slots, state, check: Box::new(check) };
        Self { shared: Arc::new(shared), runtime }
    }

    /// Whether this is the password of one of these users.
    pub(crate) async fn verify(
        &self,
        users: &Users,
        user: &str,
        password: &str,
        now: Instant,
    ) -> Verdict {
        let name = self.shared.tag(&[user.as_bytes()]);
        let pick = u64::from_be_bytes(*name.first_chunk().expect("a tag is longer"));
        // No users, no secrets.
        let Some((hash, known)) = users.hash_of(user, pick) else { return Verdict::Bad };
        let pair = self.shared.tag(&[user.as_bytes(), hash.id(), password.as_bytes()]);
        let mut verdict = {
            let mut state = self.shared.state.lock();
            if state.recent.knows(&pair, now) {
                return Verdict::Good;
            }
            match state.flights.get(&pair) {
                Some(sender) => sender.subscribe(),
                None => {
                    let Some((verdict, turn)) = self.shared.board(&mut state, pair, name) else {
                        return Verdict::Busy;
                    };
                    drop(state);
                    let flight = Flight::new(&self.shared, pair, name, now);
                    self.runtime.spawn(flight.fly(turn, hash, known, password.to_owned()));
                    verdict
                }
            }
        };
        let told = verdict.wait_for(Option::is_some).await;
        told.ok().and_then(|verdict| *verdict).unwrap_or(Verdict::Busy)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // With their lengths, or `ab` and `c` would be `a` and `bc`.
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("this is the length of HMAC-SHA-256")
    }

    /// Takes a place for a verification, if there is one: where it will be told, and the slots of
    /// its name.
    fn board(
        &self,
        state: &mut State,
        pair: Tag,
        name: Tag,
    ) -> Option<(watch::Receiver<Option<Verdict>>, Arc<Semaphore>)> {
        let of_this_name = state.crowds.get(&name).map_or(0, |crowd| crowd.flights);
        if state.flights.len() >= self.limits.running.get() + self.limits.waiting
            || of_this_name >= self.limits.of_one()
        {
            return None;
        }
        let slots = || Arc::new(Semaphore::new(self.limits.running_of_one()));
        let crowd =
            state.crowds.entry(name).or_insert_with(|| Crowd { flights: 0, slots: slots() });
        crowd.flights += 1;
        let (sender, receiver) = watch::channel(None);
        state.flights.insert(pair, sender);
        Some((receiver, Arc::clone(&crowd.slots)))
    }
}

// === impl Flight ===

impl Flight {
    fn new(shared: &Arc<Shared>, pair: Tag, name: Tag, now: Instant) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, pair, name, now, verdict: None, given_up: false }
    }

    async fn fly(mut self, turn: Arc<Semaphore>, hash: Arc<Hash>, known: bool, password: String) {
        let Ok(turn) = turn.acquire_owned().await else { return };
        let Ok(slot) = Arc::clone(&self.shared.slots).acquire_owned().await else { return };
        if self.give_up() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        // What is under way cannot be stopped, so it keeps its slots until it ends.
        let work = spawn_blocking(move || {
            let _held = (turn, slot);
            (shared.check)(&hash, &password)
        });
        self.verdict = match work.await {
            Ok(Ok(true)) if known => Some(Verdict::Good),
            Ok(Ok(_)) => Some(Verdict::Bad),
            Ok(Err(OutOfMemory)) => {
                tracing::error!("no memory to verify a password");
                None
            }
            Err(_) => None,
        };
    }

    /// Gives up the place if nobody waits any more.
    fn give_up(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        let waiting = state.flights.get(&self.pair).map_or(0, watch::Sender::receiver_count);
        if waiting == 0 {
            state.flights.remove(&self.pair);
            self.given_up = true;
        }
        self.given_up
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if self.verdict == Some(Verdict::Good) {
            state.recent.keep(self.pair, self.now);
        }
        if !self.given_up
            && let Some(sender) = state.flights.remove(&self.pair)
        {
            // Without a verdict they hear that the sender has gone.
            sender.send_replace(self.verdict);
        }
        if let Some(crowd) = state.crowds.get_mut(&self.name) {
            crowd.flights -= 1;
            if crowd.flights == 0 {
                state.crowds.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
