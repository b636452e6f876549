//! How long the tries of an upstream have taken lately, for hedging: a second try is worth its cost
//! once the first is slower than most ("The Tail at Scale", Dean and Barroso, 2013, hedge after the
//! 95th percentile). It stands behind forwarding, which records each good try.
//!
//! The counts are HdrHistogram's: 16 even buckets for every doubling, so an answer is at most a
//! sixteenth above the truth and never below it. Two histograms take turns, so that the past is
//! forgotten after 10 to 20 seconds. All threads add to them without waiting for each other.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    fixed::{nanos, span},
    ticks::Ticks,
};

/// How long one histogram is filled.
const EPOCH: Duration = Duration::from_secs(10);
/// With fewer samples nothing is known.
const ENOUGH: u64 = 50;
/// An answer is used so long before it is worked out anew.
const FRESH: Duration = Duration::from_millis(100);

/// Even buckets of a doubling, as a power of two.
const FINE: u32 = 4;
/// Doublings told apart: up to 2^32 microseconds, 71 minutes.
const BUCKETS: usize = (32 - FINE as usize + 1) << FINE;

/// Latencies of one upstream.
#[derive(Debug)]
pub(crate) struct Latency {
    ticks: Ticks,
    epochs: [Box<Histogram>; 2],
}

/// A question that is asked often, with its last answer.
#[derive(Debug)]
pub(crate) struct Quantile {
    start: Instant,
    /// Which, of one.
    of: f64,
    /// The answer in microseconds and one; 0 is none.
    answer: AtomicU64,
    /// When it has to be worked out again.
    due: AtomicU64,
}

/// The latencies of an upstream, and the questions that hedging asks of them.
#[derive(Debug)]
pub(crate) struct Usual {
    latency: Latency,
    quantiles: [Quantile; 4],
}

#[derive(Debug)]
struct Histogram([AtomicU32; BUCKETS]);

// === impl Latency ===

impl Latency {
    /// Nothing is known.
    pub(crate) fn new(now: Instant) -> Self {
        Self { ticks: Ticks::new(now, EPOCH), epochs: [Histogram::new(), Histogram::new()] }
    }

    /// A try that began well before `now` took so many microseconds.
    #[inline]
    pub(crate) fn record(&self, micros: u64, now: Instant) {
        let epoch = &self.epochs[self.epoch(now)];
        epoch.0[bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// The least time that the share `of` of the tries did not exceed, rounded up to a bucket.
    pub(crate) fn quantile(&self, of: f64, now: Instant) -> Option<Duration> {
        self.epoch(now);
        let [a, b] = &self.epochs;
        // One look, for they change meanwhile.
        let counts: [u64; BUCKETS] = std::array::from_fn(|at| a.count(at) + b.count(at));
        let all: u64 = counts.iter().sum();
        if all < ENOUGH {
            return None;
        }
        let wanted = ((of * all as f64).ceil() as u64).clamp(1, all);
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(|at| Duration::from_micros(highest(at)))
    }

    /// The one in use.
    fn epoch(&self, now: Instant) -> usize {
        let tick = self.ticks.at(now, 2, |fresh| {
            fresh.for_each(|tick| self.epochs[(tick & 1) as usize].clear());
        });
        (tick & 1) as usize
    }
}

// === impl Quantile ===

impl Quantile {
    /// Asks for the share `of` of one.
    pub(crate) fn new(of: f64, now: Instant) -> Self {
        Self { start: now, of, answer: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// [`Latency::quantile`], at most a tenth of a second old.
    #[inline]
    pub(crate) fn get(&self, latency: &Latency, now: Instant) -> Option<Duration> {
        let (passed, due) = (nanos(self.start, now), self.due.load(Ordering::Relaxed));
        if passed >= due {
            self.renew(latency, now, passed, due);
        }
        self.answer.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    #[cold]
    fn renew(&self, latency: &Latency, now: Instant, passed: u64, due: u64) {
        let next = passed.saturating_add(span(FRESH));
        // One thread works it out; the others take the old answer meanwhile.
        if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let micros = latency.quantile(self.of, now).map_or(0, |found| span(found) / 1_000 + 1);
            self.answer.store(micros, Ordering::Relaxed);
        }
    }
}

// === impl Usual ===

impl Usual {
    /// Nothing is known.
    pub(crate) fn new(now: Instant) -> Self {
        let quantiles = [0.5, 0.9, 0.95, 0.99].map(|of| Quantile::new(of, now));
        Self { latency: Latency::new(now), quantiles }
    }

    /// A try that ended `now` took so long.
    pub(crate) fn record(&self, time: Duration, now: Instant) {
        self.latency.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), now);
    }

    /// What the share `of` of the tries did not exceed, as it was a moment ago.
    pub(crate) fn quantile(&self, of: f64, now: Instant) -> Option<Duration> {
        match self.quantiles.iter().find(|known| known.of == of) {
            Some(known) => known.get(&self.latency, now),
            None => self.latency.quantile(of, now),
        }
    }
}

// === impl Histogram ===

impl Histogram {
    fn new() -> Box<Self> {
        Box::new(Self(std::array::from_fn(|_| AtomicU32::new(0))))
    }

    fn count(&self, at: usize) -> u64 {
        u64::from(self.0[at].load(Ordering::Relaxed))
    }

    fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// Small numbers have a bucket each; of larger ones the leading bits count.
fn bucket(micros: u64) -> usize {
    let micros = u32::try_from(micros).unwrap_or(u32::MAX);
    let shift = (31 - FINE).saturating_sub(micros.leading_zeros());
    ((shift as usize) << FINE) + (micros >> shift) as usize
}

/// The largest number in a bucket.
fn highest(bucket: usize) -> u64 {
    let shift = (bucket >> FINE).saturating_sub(1);
    let first = bucket - (shift << FINE);
    ((first as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests;
