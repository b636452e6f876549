//! The numbers of an upstream and of its endpoints. Held by what they count, found again by name
//! after a reload; they vanish with the last who holds them.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::families::{
    BREAKER_STATE, BREAKER_TRANSITIONS, EJECTIONS, ENDPOINT_UP, HEALTH_CHECKS, Scrape,
};
use crate::config::model::Name;

/// The numbers of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    name: Name,
    endpoints: Mutex<Vec<Weak<EndpointMetrics>>>,
    has_breaker: AtomicBool,
    /// 0 closed, 1 half-open, 2 open.
    breaker: AtomicU8,
    /// By the state entered.
    transitions: [AtomicU64; 3],
}

/// The numbers of one endpoint.
#[derive(Debug)]
pub struct EndpointMetrics {
    name: Name,
    up: AtomicBool,
    ejections: AtomicU64,
    good_checks: AtomicU64,
    bad_checks: AtomicU64,
}

/// The states of a breaker, as its label says them.
const STATES: [&str; 3] = ["closed", "half_open", "open"];

// === impl UpstreamMetrics ===

impl UpstreamMetrics {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            endpoints: Mutex::default(),
            has_breaker: AtomicBool::new(false),
            breaker: AtomicU8::new(0),
            transitions: Default::default(),
        }
    }

    /// The numbers of an endpoint; the same as long as somebody holds them.
    pub fn endpoint(&self, name: &Name) -> Arc<EndpointMetrics> {
        let mut endpoints = self.endpoints.lock();
        endpoints.retain(|known| known.strong_count() > 0);
        let known = endpoints.iter().filter_map(Weak::upgrade).find(|known| known.name == *name);
        known.unwrap_or_else(|| {
            let new = Arc::new(EndpointMetrics::new(Arc::clone(name)));
            endpoints.push(Arc::downgrade(&new));
            new
        })
    }

    /// It has a breaker, or no longer.
    pub fn set_breaker(&self, there: bool, state: u8) {
        self.has_breaker.store(there, Relaxed);
        self.breaker.store(state, Relaxed);
    }

    /// Its breaker has entered this state; see [`Self::set_breaker`] for the one it is in.
    pub fn breaker_became(&self, state: u8) {
        self.transitions[usize::from(state.min(2))].fetch_add(1, Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        if self.has_breaker.load(Relaxed) {
            out.gauge(BREAKER_STATE, &[&self.name], f64::from(self.breaker.load(Relaxed)));
            for (state, count) in STATES.iter().zip(&self.transitions) {
                let count = count.load(Relaxed) as f64;
                out.counter(BREAKER_TRANSITIONS, &[&self.name, state], count);
            }
        }
        for endpoint in self.endpoints.lock().iter().filter_map(Weak::upgrade) {
            endpoint.scrape(&self.name, out);
        }
    }
}

// === impl EndpointMetrics ===

impl EndpointMetrics {
    fn new(name: Name) -> Self {
        Self {
            name,
            up: AtomicBool::new(true),
            ejections: AtomicU64::new(0),
            good_checks: AtomicU64::new(0),
            bad_checks: AtomicU64::new(0),
        }
    }

    /// Whether requests go there.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    /// It was taken out of rotation for its failures.
    pub fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// A health check is done.
    pub fn checked(&self, good: bool) {
        (if good { &self.good_checks } else { &self.bad_checks }).fetch_add(1, Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    fn scrape(&self, upstream: &str, out: &mut Scrape) {
        let labels = [upstream, &*self.name];
        out.gauge(ENDPOINT_UP, &labels, f64::from(u8::from(self.up.load(Relaxed))));
        out.counter(EJECTIONS, &labels, self.ejections.load(Relaxed) as f64);
        for (result, count) in [("good", &self.good_checks), ("bad", &self.bad_checks)] {
            let labels = [upstream, &*self.name, result];
            out.counter(HEALTH_CHECKS, &labels, count.load(Relaxed) as f64);
        }
    }
}
