//! What has been learned about one endpoint: active checks, failures in a row, latency, when it came
//! back. Kept by upstream and endpoint over reloads, whatever else of the endpoint changes. The
//! balancer asks it before each choice; `trial` and the health checks tell it how things went.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    balance::{self, slow_start},
    fixed::nanos,
    health::state::{Change, Health, Initial, Thresholds},
    outlier::Outlier,
};
use crate::telemetry::metrics::EndpointMetrics;

/// The record of one endpoint, shared by all threads.
#[derive(Debug)]
pub(crate) struct Vitals {
    start: Instant,
    /// Why it is out of rotation, a bit for each reason. Usually 0, which is all a choice looks at.
    out: AtomicU8,
    /// Active checks.
    pub(crate) health: Health,
    /// Passive ejection.
    pub(crate) outlier: Outlier,
    /// For `peak_ewma`.
    latency: balance::Latency,
    /// When it came back into rotation, in nanoseconds; 0 is never.
    back: AtomicU64,
    pub(crate) metrics: Arc<EndpointMetrics>,
}

/// Active checks say no.
const SICK: u8 = 1;
/// It was ejected; whether it still is, the clock says.
const EJECTED: u8 = 2;

// === impl Vitals ===

impl Vitals {
    /// An endpoint nothing is known of.
    pub(crate) fn new(initial: Initial, now: Instant, metrics: Arc<EndpointMetrics>) -> Self {
        let sick = initial == Initial::Unhealthy;
        metrics.set_up(!sick);
        Self {
            start: now,
            out: AtomicU8::new(if sick { SICK } else { 0 }),
            health: Health::new(initial),
            outlier: Outlier::new(now),
            latency: balance::Latency::new(),
            back: AtomicU64::new(0),
            metrics,
        }
    }

    /// Whether it may be chosen.
    #[inline]
    pub(crate) fn is_in(&self) -> bool {
        self.out.load(Ordering::Relaxed) == 0 || self.look_again()
    }

    #[cold]
    fn look_again(&self) -> bool {
        let now = Instant::now();
        let out = self.out.load(Ordering::Relaxed);
        if out & EJECTED != 0 && !self.outlier.is_ejected(now) {
            self.clear(EJECTED, now);
            // Somebody may have ejected it again meanwhile.
            if self.outlier.is_ejected(Instant::now()) {
                self.set(EJECTED);
            }
        }
        self.out.load(Ordering::Relaxed) == 0
    }

    /// Whether active checks allow it.
    pub(crate) fn is_well(&self) -> bool {
        self.out.load(Ordering::Relaxed) & SICK == 0
    }

    /// A check is done.
    pub(crate) fn checked(
        &self,
        good: bool,
        thresholds: Thresholds,
        now: Instant,
    ) -> Option<Change> {
        let change = self.health.observe(good, thresholds)?;
        match change {
            Change::Healthy => self.clear(SICK, now),
            Change::Unhealthy => self.set(SICK),
        }
        Some(change)
    }

    /// It is no longer checked: what the checks said is forgotten. Whether that was bad.
    pub(crate) fn unchecked(&self, now: Instant) -> bool {
        self.health.forget();
        let sick = !self.is_well();
        if sick {
            self.clear(SICK, now);
        }
        sick
    }

    /// It was ejected.
    pub(crate) fn ejected(&self) {
        self.metrics.ejected();
        self.set(EJECTED);
    }

    fn set(&self, why: u8) {
        self.out.fetch_or(why, Ordering::Relaxed);
        self.metrics.set_up(false);
    }

    fn clear(&self, why: u8, now: Instant) {
        // Many threads may find it out at once; one of them changes it.
        if self.out.fetch_and(!why, Ordering::Relaxed) == why {
            self.back.store(nanos(self.start, now).max(1), Ordering::Relaxed);
            self.metrics.set_up(true);
        }
    }

    /// It is new in an upstream that already had others.
    pub(crate) fn is_new(&self, now: Instant) {
        self.back.store(nanos(self.start, now).max(1), Ordering::Relaxed);
    }

    /// The part of its weight it has while it warms up, of [`slow_start::FULL`].
    pub(crate) fn ramp(&self, window: Duration, now: Instant) -> u32 {
        match self.back.load(Ordering::Relaxed) {
            0 => slow_start::FULL,
            back => {
                let age = nanos(self.start, now).saturating_sub(back);
                slow_start::ramp(Duration::from_nanos(age), window)
            }
        }
    }

    /// Whether its slow start is over.
    pub(crate) fn is_warm(&self, window: Duration, now: Instant) -> bool {
        self.ramp(window, now) == slow_start::FULL
    }

    // === latency ===

    fn micros(&self, now: Instant) -> u64 {
        nanos(self.start, now) / 1000
    }

    /// An answer took so long.
    pub(crate) fn answered(&self, took: Duration, now: Instant) {
        self.latency.observe(took.as_micros() as u64, self.micros(now));
    }

    /// A request was given up after so long.
    pub(crate) fn abandoned(&self, after: Duration, now: Instant) {
        self.latency.abandon(after.as_micros() as u64, self.micros(now));
    }

    /// What one more request costs, for `peak_ewma`.
    pub(crate) fn cost(&self, in_flight: usize, now: Instant) -> u64 {
        self.latency.cost(self.micros(now), in_flight)
    }
}
