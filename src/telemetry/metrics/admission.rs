//! What limits on concurrency do: how many may, how many are, how many wait, and who was shed.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::families::{
    CONCURRENCY_BASELINE, CONCURRENCY_IN_FLIGHT, CONCURRENCY_LIMIT, CONCURRENCY_WAITING,
    OVERLOAD_LEVEL, OVERLOAD_PRESSURE, SHED, Scrape,
};
use crate::{
    admission::Limiter,
    config::model::{Class, Name},
    server::overload::{Overload, Resource},
};

/// A limit whose numbers are shown.
#[derive(Debug)]
pub struct Limited {
    kind: &'static str,
    name: Name,
    limiter: Weak<Limiter>,
}

/// Requests of a route that were refused because there was too much to do, by class and why.
#[derive(Debug, Default)]
pub(super) struct Sheds([[AtomicU64; WHY.len()]; Class::ALL.len()]);

/// Why requests are shed.
const WHY: [&str; 4] = ["queue_full", "outranked", "queue_timeout", "overload"];

/// How much too much there is to do, and of what.
pub(super) fn scrape_overload(overload: &Overload, out: &mut Scrape) {
    out.gauge(OVERLOAD_LEVEL, &[], f64::from(overload.level()));
    for resource in Resource::ALL {
        out.gauge(OVERLOAD_PRESSURE, &[resource.word()], overload.pressure(resource));
    }
}

// === impl Limited ===

impl Limited {
    /// The limit of a policy, of a route or of an upstream.
    pub(crate) fn new(kind: &'static str, name: Name, limiter: &Arc<Limiter>) -> Self {
        Self { kind, name, limiter: Arc::downgrade(limiter) }
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        let Some(limiter) = self.limiter.upgrade() else { return };
        let labels = [self.kind, &*self.name];
        out.gauge(CONCURRENCY_LIMIT, &labels, limiter.limit() as f64);
        out.gauge(CONCURRENCY_IN_FLIGHT, &labels, limiter.in_flight() as f64);
        out.gauge(CONCURRENCY_WAITING, &labels, limiter.waiting() as f64);
        if let Some(baseline) = limiter.baseline() {
            out.gauge(CONCURRENCY_BASELINE, &labels, baseline.as_secs_f64());
        }
    }
}

// === impl Sheds ===

impl Sheds {
    pub(super) fn count(&self, class: Class, why: &'static str) {
        if let Some(at) = WHY.iter().position(|word| *word == why) {
            self.0[class as usize][at].fetch_add(1, Relaxed);
        }
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, route: &str, out: &mut Scrape) {
        for (class, counts) in Class::ALL.iter().zip(&self.0) {
            for (why, count) in WHY.iter().zip(counts) {
                let count = count.load(Relaxed);
                if count > 0 {
                    out.counter(SHED, &[route, class.word(), why], count as f64);
                }
            }
        }
    }
}
