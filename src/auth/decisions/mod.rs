//! What somebody has said of requests that are alike, kept for a while: one question for many of them.
//!
//! It is known by a keyed hash of what the operator says tells requests apart ([`Parts`]), so that no
//! credential is kept and nobody can make two that meet. Who may pass and who may not are kept apart
//! ([`store`]): whoever tries a million keys pushes out none of those that are right.
//!
//! Of equal questions one is asked: [`Decisions::turn`] says who asks and who waits. When the one who asks
//! is gone without a word, the next of those who wait asks.

mod store;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use ahash::RandomState;
use aws_lc_rs::{hmac, rand::SystemRandom};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use self::store::Store;

/// A keyed hash of what tells requests apart.
pub(crate) type Key = [u8; 32];

/// Bytes that all that is kept of one kind may take.
const MOST_BYTES: usize = 16 << 20;

/// How long what was said is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// That somebody may pass.
    pub ttl: Duration,
    /// That somebody may not.
    pub negative_ttl: Duration,
    /// Both, this much longer while those who know cannot be asked.
    pub stale_if_error: Duration,
    /// How many of each are kept.
    pub max: usize,
}

/// What was said and is kept.
pub(crate) struct Decisions<V> {
    life: Life,
    secret: hmac::Key,
    state: Mutex<State<V>>,
}

struct State<V> {
    good: Store<V>,
    bad: Store<V>,
    /// What is being asked.
    flights: HashMap<Key, watch::Receiver<Option<Said<V>>>, RandomState>,
}

/// What is to be done for one request.
pub(crate) enum Turn<V> {
    /// It was said a short while ago.
    Known(V),
    /// Nobody has asked.
    Ask(Asking<V>),
    /// Somebody is asking.
    Wait(Waiting<V>),
}

/// What came of a question, for those who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said<V> {
    /// It holds for all that are alike.
    Of(V),
    /// It was meant for the one who asked: each must ask.
    Private,
    /// Nobody could say, for this reason.
    Nothing(&'static str),
}

/// What is known of something that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Somebody may pass.
    pub(crate) good: bool,
    /// It holds no longer than this.
    pub(crate) at_most: Option<Duration>,
    /// Bytes it takes.
    pub(crate) weight: usize,
}

/// The right to ask, and the duty to say what came of it.
pub(crate) struct Asking<V> {
    of: Arc<Decisions<V>>,
    key: Key,
    tell: watch::Sender<Option<Said<V>>>,
}

/// A place among those who wait.
pub(crate) struct Waiting<V>(watch::Receiver<Option<Said<V>>>);

/// What tells requests apart, put together. What belongs to one part cannot be moved to the next.
pub(crate) struct Parts(hmac::Context);

// === impl Decisions ===

impl<V: Clone> Decisions<V> {
    /// Nothing was said yet.
    pub(crate) fn new(life: Life) -> Arc<Self> {
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system has random numbers");
        let store = || Store::new(life.max, MOST_BYTES);
        let state = State { good: store(), bad: store(), flights: HashMap::default() };
        Arc::new(Self { life, secret, state: Mutex::new(state) })
    }

    /// The beginning of a key.
    pub(crate) fn parts(&self) -> Parts {
        Parts(hmac::Context::with_key(&self.secret))
    }

    /// What is to be done for a request with this key.
    pub(crate) fn turn(self: &Arc<Self>, key: Key, now: Instant) -> Turn<V> {
        let mut state = self.state.lock();
        let State { good, bad, flights } = &mut *state;
        if let Some(known) = good.get(&key, now).or_else(|| bad.get(&key, now)) {
            return Turn::Known(known);
        }
        // A flight whose asker is gone without a word is none.
        let alive = |flight: &&watch::Receiver<_>| flight.has_changed().is_ok();
        if let Some(flight) = flights.get(&key).filter(alive) {
            return Turn::Wait(Waiting(flight.clone()));
        }
        let (tell, flight) = watch::channel(None);
        flights.insert(key, flight);
        Turn::Ask(Asking { of: Arc::clone(self), key, tell })
    }

    /// What was said before, where those who know cannot be asked now.
    pub(crate) fn stale(&self, key: &Key, now: Instant) -> Option<V> {
        let mut state = self.state.lock();
        let State { good, bad, .. } = &mut *state;
        good.stale(key, now).or_else(|| bad.stale(key, now))
    }

    /// Keeps what was said of these.
    fn keep(&self, key: Key, value: V, note: Note, now: Instant) {
        let Life { ttl, negative_ttl, stale_if_error, .. } = self.life;
        let life = if note.good { ttl } else { negative_ttl };
        let life = note.at_most.map_or(life, |most| most.min(life));
        // What ends by itself is over then, whoever can be asked.
        let longer = note.at_most.map_or(stale_if_error, |most| stale_if_error.min(most - life));
        let mut state = self.state.lock();
        let State { good, bad, .. } = &mut *state;
        let (store, other) = if note.good { (good, bad) } else { (bad, good) };
        other.remove(&key);
        if life.is_zero() {
            store.remove(&key);
        } else {
            store.keep(key, value, note.weight, now, (life, longer));
        }
    }
}

impl<V> fmt::Debug for Decisions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions").field("life", &self.life).finish_non_exhaustive()
    }
}

// === impl Asking ===

impl<V: Clone> Asking<V> {
    /// It was said, and holds for all that are alike.
    pub(crate) fn said(self, value: V, note: Note, now: Instant) {
        self.of.keep(self.key, value.clone(), note, now);
        self.tell.send_replace(Some(Said::Of(value)));
    }

    /// It was said, and holds for this one only.
    pub(crate) fn private(self) {
        self.tell.send_replace(Some(Said::Private));
    }

    /// Nobody could say. What was said before holds, if it is not too old.
    pub(crate) fn failed(self, why: &'static str, now: Instant) -> Option<V> {
        let stale = self.of.stale(&self.key, now);
        let said = stale.clone().map_or(Said::Nothing(why), Said::Of);
        self.tell.send_replace(Some(said));
        stale
    }
}

impl<V> Drop for Asking<V> {
    fn drop(&mut self) {
        // Whoever comes from here on asks, or knows.
        self.of.state.lock().flights.remove(&self.key);
    }
}

// === impl Waiting ===

impl<V: Clone> Waiting<V> {
    /// What came of it; nothing, if whoever asked is gone without a word.
    pub(crate) async fn said(mut self) -> Option<Said<V>> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|said| said.clone())
    }
}

// === impl Parts ===

impl Parts {
    /// One part, with all its values; none is not the same as an empty one.
    pub(crate) fn add<'p>(&mut self, values: impl IntoIterator<Item = &'p [u8]>) {
        for value in values {
            self.0.update(&[1]);
            self.0.update(&(value.len() as u64).to_be_bytes());
            self.0.update(value);
        }
        self.0.update(&[0]);
    }

    /// The key.
    pub(crate) fn key(self) -> Key {
        let tag = self.0.sign();
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        key
    }
}

#[cfg(test)]
mod tests;
