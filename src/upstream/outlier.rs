//! Passive ejection: an endpoint that fails several times in a row is taken out of rotation for a
//! while. It stands behind the choice of an endpoint and is told how each try went; the balancer
//! asks it whether the endpoint may be chosen.
//!
//! As Envoy's outlier detection (consecutive failures): each ejection that follows soon lasts twice
//! as long, and each `eject_for` of good health takes one doubling back. The cap on what may be out
//! at once is held under a lock of the upstream, which only an endpoint that is about to be ejected
//! takes.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::fixed::{MILLION, millionths, nanos, span};

/// When endpoints of an upstream are ejected, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Failures in a row.
    pub(crate) after: u32,
    /// Time of a first ejection.
    pub(crate) eject_for: Duration,
    /// Share of the endpoints that may be out, of one.
    pub(crate) max_ejected: f64,
}

/// Doubling stops here, unless `eject_for` itself is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Decides for all endpoints of one upstream. It must live as long as they do, over reloads too:
/// two locks over the same endpoints would be none.
#[derive(Debug, Default)]
pub(crate) struct Ejections(Mutex<()>);

/// The endpoints of an upstream, as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// All that may get requests when all is well.
    pub(crate) total: usize,
    /// Those that are ejected.
    pub(crate) ejected: usize,
    /// Those that can be chosen: neither ejected nor ill by active checks. The candidate is among
    /// them, if it can be.
    pub(crate) usable: usize,
}

/// The record of one endpoint, shared by all threads.
#[derive(Debug)]
pub(crate) struct Outlier {
    start: Instant,
    /// Failures in a row.
    failures: AtomicU32,
    /// End of the last ejection in nanoseconds; 0 is never.
    until: AtomicU64,
    /// Doublings of the next ejection. Only under the lock of [`Ejections`].
    doublings: AtomicU32,
}

/// An endpoint was just taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ejected {
    /// When it comes back.
    pub(crate) until: Instant,
}

/// Whether one more may be ejected. The share is rounded down, but one always may be: with three
/// endpoints and 10 % nothing would ever happen. Never the last one that can be chosen.
pub(crate) fn may_eject(now: Census, max_ejected: f64) -> bool {
    let share = now.total as u64 * millionths(max_ejected) / MILLION;
    (now.ejected as u64) < share.max(1) && now.usable > 1
}

// === impl Outlier ===

impl Outlier {
    /// An endpoint nothing is known of.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            failures: AtomicU32::new(0),
            until: AtomicU64::new(0),
            doublings: AtomicU32::new(0),
        }
    }

    /// A try succeeded.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A try failed. `census` counts the upstream's endpoints at `now`; it is called when this one
    /// is to be ejected, under the lock, so that no other thread ejects meanwhile.
    pub(crate) fn failed(
        &self,
        now: Instant,
        settings: &Settings,
        ejections: &Ejections,
        census: impl FnOnce() -> Census,
    ) -> Option<Ejected> {
        // Late failures of requests sent before an ejection say nothing about the time after it.
        if self.is_ejected(now)
            || self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1) < settings.after
        {
            return None;
        }
        let _lock = ejections.0.lock();
        if self.is_ejected(now) {
            return None;
        }
        // Also when the cap says no: the next ones need not take the lock until there are enough.
        self.failures.store(0, Ordering::Relaxed);
        may_eject(census(), settings.max_ejected).then(|| self.eject(now, settings))
    }

    /// Only under the lock.
    fn eject(&self, now: Instant, settings: &Settings) -> Ejected {
        let (passed, step) = (nanos(self.start, now), span(settings.eject_for).max(1));
        let healthy = passed.saturating_sub(self.until.load(Ordering::Relaxed)) / step;
        let doublings = u64::from(self.doublings.load(Ordering::Relaxed)).saturating_sub(healthy);
        let doublings = u32::try_from(doublings).unwrap_or(0);
        let longest = span(LONGEST).max(step);
        let length = step.saturating_mul(1 << doublings.min(32)).min(longest);
        // Once at the cap, further doublings would only have to be taken back again.
        let next = if length < longest { doublings + 1 } else { doublings };
        self.doublings.store(next, Ordering::Relaxed);
        self.until.store(passed.saturating_add(length), Ordering::Relaxed);
        Ejected { until: now + Duration::from_nanos(length) }
    }

    /// Whether it must not be chosen.
    #[inline]
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && nanos(self.start, now) < until
    }

    /// How long it must not be chosen yet, if it is ejected.
    pub(crate) fn ejected_for(&self, now: Instant) -> Option<Duration> {
        let left = self.until.load(Ordering::Relaxed).checked_sub(nanos(self.start, now))?;
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// When its last ejection ends or ended.
    #[cfg(test)]
    pub(crate) fn ejected_until(&self) -> Option<Instant> {
        let until = self.until.load(Ordering::Relaxed);
        (until != 0).then(|| self.start + Duration::from_nanos(until))
    }
}

#[cfg(test)]
mod tests;
