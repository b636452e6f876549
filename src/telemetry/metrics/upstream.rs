//! The numbers of an upstream and of its endpoints. Held by what they count, found again by name
//! after a reload; they vanish with the last who holds them.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::families::{
    BREAKER_STATE, BREAKER_TRANSITIONS, DISCOVERY_ANSWERS, DISCOVERY_ENDPOINTS, DISCOVERY_UP,
    EJECTIONS, ENDPOINT_UP, HEALTH_CHECKS, Scrape,
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
    discovery: Discovery,
}

/// The numbers of a source of endpoints.
#[derive(Debug, Default)]
struct Discovery {
    is_there: AtomicBool,
    /// Its last answer was one.
    up: AtomicBool,
    endpoints: AtomicU64,
    changed: AtomicU64,
    unchanged: AtomicU64,
    failed: AtomicU64,
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
            discovery: Discovery::default(),
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

    /// Its endpoints are found; so many are known.
    pub fn discovered(&self, endpoints: usize) {
        self.discovery.endpoints.store(endpoints as u64, Relaxed);
        self.discovery.is_there.store(true, Relaxed);
    }

    /// Its endpoints are in the file, maybe again.
    pub fn not_discovered(&self) {
        self.discovery.is_there.store(false, Relaxed);
    }

    /// The source of its endpoints has answered.
    pub fn discovery_said(&self, changed: bool, endpoints: usize) {
        let it = &self.discovery;
        it.up.store(true, Relaxed);
        it.endpoints.store(endpoints as u64, Relaxed);
        (if changed { &it.changed } else { &it.unchanged }).fetch_add(1, Relaxed);
    }

    /// The source of its endpoints has not answered.
    pub fn discovery_failed(&self) {
        self.discovery.up.store(false, Relaxed);
        self.discovery.failed.fetch_add(1, Relaxed);
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
        self.discovery.scrape(&self.name, out);
        for endpoint in self.endpoints.lock().iter().filter_map(Weak::upgrade) {
            endpoint.scrape(&self.name, out);
        }
    }
}

// === impl Discovery ===

impl Discovery {
    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    fn scrape(&self, upstream: &str, out: &mut Scrape) {
        if !self.is_there.load(Relaxed) {
            return;
        }
        let up = f64::from(u8::from(self.up.load(Relaxed)));
        out.gauge(DISCOVERY_UP, &[upstream], up);
        out.gauge(DISCOVERY_ENDPOINTS, &[upstream], self.endpoints.load(Relaxed) as f64);
        let answers =
            [("changed", &self.changed), ("unchanged", &self.unchanged), ("failed", &self.failed)];
        for (result, count) in answers {
            out.counter(DISCOVERY_ANSWERS, &[upstream, result], count.load(Relaxed) as f64);
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
