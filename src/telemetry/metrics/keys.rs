//! The numbers of the keys an issuer publishes. Held by what fetches them; several may share them.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::families::{KEYS, KEYS_FETCHES, KEYS_TIME, KEYS_UP, Scrape};
use crate::config::model::Name;

/// The numbers of one source of keys.
#[derive(Debug)]
pub struct KeysMetrics {
    name: Name,
    up: AtomicBool,
    keys: AtomicU64,
    /// Seconds since 1970, when they came last.
    at: AtomicU64,
    good: AtomicU64,
    failed: AtomicU64,
}

// === impl KeysMetrics ===

impl KeysMetrics {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            up: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            at: AtomicU64::new(0),
            good: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// They came, so many, at this time since 1970.
    pub fn fetched(&self, keys: usize, at: Duration) {
        self.keys.store(keys as u64, Relaxed);
        self.at.store(at.as_secs(), Relaxed);
        self.good.fetch_add(1, Relaxed);
        self.up.store(true, Relaxed);
    }

    /// They did not come.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
        self.up.store(false, Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        let name: &str = &self.name;
        out.gauge(KEYS_UP, &[name], f64::from(u8::from(self.up.load(Relaxed))));
        out.gauge(KEYS, &[name], self.keys.load(Relaxed) as f64);
        out.gauge(KEYS_TIME, &[name], self.at.load(Relaxed) as f64);
        out.counter(KEYS_FETCHES, &[name, "good"], self.good.load(Relaxed) as f64);
        out.counter(KEYS_FETCHES, &[name, "failed"], self.failed.load(Relaxed) as f64);
    }
}
