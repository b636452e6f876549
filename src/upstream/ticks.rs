//! Time in even stretches, for sums that forget: whoever counts something asks for the number of
//! the present stretch, and the first to ask in a new one empties what is to be used again. It
//! stands under the breaker, the retry budget and the latencies. In the usual case it is one load
//! and one multiplication; nobody ever waits for another thread.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::fixed::{nanos, span};

/// Numbers the stretches since a start.
#[derive(Debug)]
pub(crate) struct Ticks {
    start: Instant,
    /// Nanoseconds of a stretch.
    length: u64,
    current: AtomicU64,
    turning: AtomicBool,
}

impl Ticks {
    /// Stretches of `length` from `start`.
    pub(crate) fn new(start: Instant, length: Duration) -> Self {
        Self {
            start,
            length: span(length).max(1),
            current: AtomicU64::new(0),
            turning: AtomicBool::new(false),
        }
    }

    /// The stretch of `now`. `clear(stretches)` is called once for the new ones, before any thread
    /// is told of them; it gets at most the last `kept` of them.
    #[inline]
    pub(crate) fn at(&self, now: Instant, kept: u64, clear: impl FnOnce(Stretches)) -> u64 {
        let passed = nanos(self.start, now);
        let tick = self.current.load(Ordering::Acquire);
        // An instant before the stretch wraps around to a huge number and is sorted out in `turn`.
        if passed.wrapping_sub(tick.wrapping_mul(self.length)) < self.length {
            return tick;
        }
        self.turn(passed, kept, clear)
    }

    #[cold]
    fn turn(&self, passed: u64, kept: u64, clear: impl FnOnce(Stretches)) -> u64 {
        let wanted = passed / self.length;
        // While another thread clears, the old stretch is still good enough.
        if !self.turning.swap(true, Ordering::Acquire) {
            let before = self.current.load(Ordering::Relaxed);
            // The clocks of two threads may cross: time only moves on.
            if wanted > before {
                clear((before + 1).max((wanted + 1).saturating_sub(kept))..=wanted);
                self.current.store(wanted, Ordering::Release);
            }
            self.turning.store(false, Ordering::Release);
        }
        self.current.load(Ordering::Acquire)
    }
}

/// Numbers of stretches.
pub(crate) type Stretches = std::ops::RangeInclusive<u64>;

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_new_stretch_is_cleared_once_before_use(
            steps in proptest::collection::vec((0u64..400, any::<bool>()), 1..60),
            kept in 1u64..12,
        ) {
            let start = Instant::now();
            let ticks = Ticks::new(start, Duration::from_millis(10));
            let (mut at, mut latest) = (1_000u64, 0);
            let mut cleared = std::collections::BTreeSet::new();
            for (step, back) in steps {
                at = if back { at - step.min(at) } else { at + step };
                let before = latest;
                let tick = ticks.at(start + Duration::from_millis(at), kept, |stretches| {
                    for stretch in stretches {
                        assert!(cleared.insert(stretch), "{stretch} was cleared twice");
                    }
                });
                latest = before.max(at / 10);
                prop_assert_eq!(tick, latest);
                for stretch in (before + 1).max((latest + 1).saturating_sub(kept))..=latest {
                    prop_assert!(cleared.contains(&stretch));
                }
            }
        }
    }

    #[test]
    fn threads_clear_each_stretch_once() {
        let start = Instant::now();
        let ticks = Ticks::new(start, Duration::from_nanos(3));
        let cleared = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..30_000 {
                        ticks.at(start + Duration::from_nanos(at), 10_000, |stretches| {
                            // Now and then, what another thread might do here, it does.
                            if stretches.start().is_multiple_of(8) {
                                thread::yield_now();
                            }
                            cleared.lock().expect("no panic").extend(stretches);
                        });
                    }
                });
            }
        });
        assert_eq!(*cleared.lock().expect("no panic"), (1..10_000).collect::<Vec<_>>());
    }
}
