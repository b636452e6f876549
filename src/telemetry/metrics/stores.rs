//! The numbers of stores in which several gateways count together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    families::{STORE_CALLS, STORE_DEGRADED, STORE_DURATION, STORE_UP, Scrape},
    histogram::{Buckets, Histogram},
};
use crate::config::model::Name;

/// The numbers of one store.
#[derive(Debug)]
pub struct StoreMetrics {
    name: Name,
    up: AtomicBool,
    calls: [AtomicU64; StoreCall::WORDS.len()],
    duration: Histogram,
    /// By policy.
    degraded: Mutex<BTreeMap<Name, Arc<Degraded>>>,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// It was answered.
    Answered,
    /// There was no answer in time.
    Timeout,
    /// It failed, or was answered with an error.
    Failed,
    /// It was not made, as the store is away.
    Away,
}

/// Decisions of one policy while its store was away.
#[derive(Debug, Default)]
pub struct Degraded([AtomicU64; Alone::WORDS.len()]);

/// How something is decided while a store is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// By the share of this gateway.
    Local,
    /// The request passes.
    Allowed,
    /// It does not.
    Denied,
}

/// Seconds. A store next door answers within a millisecond, and nobody waits for a second.
const BOUNDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

// === impl StoreCall ===

impl StoreCall {
    const WORDS: [&'static str; 4] = ["answered", "timeout", "failed", "away"];
}

// === impl Alone ===

impl Alone {
    const WORDS: [&'static str; 3] = ["local", "allowed", "denied"];
}

// === impl Degraded ===

impl Degraded {
    /// Counts one.
    pub fn count(&self, alone: Alone) {
        self.0[alone as usize].fetch_add(1, Relaxed);
    }
}

// === impl StoreMetrics ===

impl StoreMetrics {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            up: AtomicBool::new(false),
            calls: Default::default(),
            duration: Histogram::new(Arc::new(Buckets::new(&BOUNDS))),
            degraded: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether it can be asked.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    /// What was said last of that.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Counts a call.
    pub fn count(&self, call: StoreCall) {
        self.calls[call as usize].fetch_add(1, Relaxed);
    }

    /// Counts one that was answered.
    pub fn answered(&self, took: Duration) {
        self.count(StoreCall::Answered);
        self.duration.observe(took);
    }

    /// The decisions of a policy while the store is away.
    pub fn degraded(&self, policy: &Name) -> Arc<Degraded> {
        Arc::clone(self.degraded.lock().entry(Arc::clone(policy)).or_default())
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        let name: &str = &self.name;
        out.gauge(STORE_UP, &[name], f64::from(u8::from(self.up.load(Relaxed))));
        for (word, count) in StoreCall::WORDS.iter().zip(&self.calls) {
            out.counter(STORE_CALLS, &[name, word], count.load(Relaxed) as f64);
        }
        if let Some(duration) = self.duration.proto() {
            out.histogram(STORE_DURATION, &[name], duration);
        }
        for (policy, degraded) in &*self.degraded.lock() {
            for (word, count) in Alone::WORDS.iter().zip(&degraded.0) {
                let count = count.load(Relaxed);
                if count > 0 {
                    out.counter(STORE_DEGRADED, &[name, policy, word], count as f64);
                }
            }
        }
    }
}
