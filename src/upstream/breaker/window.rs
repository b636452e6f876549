//! The results a closed breaker remembers: ten buckets, each a tenth of the window long, so a
//! result is forgotten after nine to ten tenths of it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::upstream::ticks::Ticks;

const BUCKETS: u64 = 10;

/// Results of the recent past.
#[derive(Debug)]
pub(super) struct Window {
    ticks: Ticks,
    /// Results in the upper half of the word and the bad ones in the lower: both in one addition.
    buckets: [AtomicU64; BUCKETS as usize],
    /// Some of them are bad. A hint: good results among good ones are not summed up.
    failing: AtomicBool,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        Self {
            ticks: Ticks::new(now, length / BUCKETS as u32),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            failing: AtomicBool::new(false),
        }
    }

    /// Adds a result. Returns the results and the bad ones among them, unless all are good.
    #[inline]
    pub(super) fn add(&self, bad: bool, now: Instant) -> Option<(u64, u64)> {
        let tick = self.ticks.at(now, BUCKETS, |fresh| {
            fresh.for_each(|tick| self.bucket(tick).store(0, Ordering::Relaxed));
            self.failing.store(self.sum().1 > 0, Ordering::Relaxed);
        });
        self.bucket(tick).fetch_add(1 << 32 | u64::from(bad), Ordering::Relaxed);
        if bad {
            self.failing.store(true, Ordering::Relaxed);
        }
        (bad || self.failing.load(Ordering::Relaxed)).then(|| self.sum())
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        self.failing.store(false, Ordering::Relaxed);
    }

    fn bucket(&self, tick: u64) -> &AtomicU64 {
        &self.buckets[(tick % BUCKETS) as usize]
    }

    fn sum(&self) -> (u64, u64) {
        let words = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        words.fold((0, 0), |(all, bad), word| (all + (word >> 32), bad + (word & 0xffff_ffff)))
    }
}
