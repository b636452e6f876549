//! `peak_ewma`: the cheaper of two members taken by weight, where the cost is what the endpoint's
//! latency makes of the requests it has.
//!
//! After Finagle's `PeakEwma` (com.twitter.finagle.loadbalancer), which linkerd uses as well: an
//! average of the latency that weighs what is recent exponentially more (EWMA), except that a
//! latency above it, a peak, replaces it at once. So it sees trouble in one answer and trusts again
//! slowly. An endpoint that gets nothing gets cheaper with time, so it is tried again.
//!
//! The weight divides the requests in flight and not the cost (see `two_choices`): with a cost
//! divided by the weight, the heavier of two idle endpoints would win each time.
//!
//! A latency is what an *answer* took. An endpoint that fails fast would look like a fast one, so a
//! failed try is better left out, or given to [`Latency::abandon`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Group, View, two_choices};

/// What is known of the latency of one endpoint. Any number of threads use it without a lock.
///
/// One word holds the estimate in microseconds (an `f32`, upper half) and when it was made (lower
/// half, in ticks of 1.024 ms), so that the two always belong together. 0 is no estimate. An answer
/// within the same tick as the last changes nothing unless it is a peak: a busy endpoint's word is
/// written about a thousand times a second, not once per request.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

/// How long it takes until the past counts for a third (1/e), in ticks: 10 s.
const TAU: f32 = 10_000_000.0 / TICK as f32;

/// Microseconds of a tick.
const TICK: u64 = 1024;

/// What each request in flight costs while nothing has been measured, in microseconds. The first
/// costs nothing: an idle new endpoint is tried at once, by one request at a time.
const UNMEASURED: u64 = 1_000_000;

/// A reader or writer may be late by so many ticks (about a minute) without being taken for one
/// that comes when the ticks have gone round once (after 50 days).
const LATE: u32 = 1 << 16;

/// What an estimate keeps of itself, at least, for all requests but the first: 1/e.
const SOBER: f32 = 0.367_879_44;

/// An estimate and when it was made.
#[derive(Clone, Copy)]
struct Estimate {
    micros: f32,
    tick: u32,
}

/// The next member; none if none is usable.
pub(super) fn pick(group: &Group, view: &impl View, random: u64) -> Option<usize> {
    two_choices::pick(group, view, random, |first, second| {
        view.cost(second.at, second.load) < view.cost(first.at, first.load)
    })
}

// === impl Latency ===

impl Latency {
    /// Nothing measured yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// An answer took `micros`. `now` counts microseconds from any beginning; the same for all calls.
    pub fn observe(&self, micros: u64, now: u64) {
        self.update(now, |tick, known| {
            let measured = (micros as f32).max(1.0);
            match known {
                Some(known) if measured <= known.micros => {
                    let age = known.age(tick);
                    let kept = decay(age);
                    let micros = known.micros * kept + measured * (1.0 - kept);
                    (age > 0).then_some(Estimate { micros, tick })
                }
                _ => Some(Estimate { micros: measured, tick }),
            }
        });
    }

    /// A request was given up after `micros`, cancelled or timed out: it would have taken at least
    /// that, so this raises the estimate and never lowers it.
    pub fn abandon(&self, micros: u64, now: u64) {
        self.update(now, |tick, known| {
            let measured = (micros as f32).max(1.0);
            let estimate = known.map_or(0.0, |known| known.micros * decay(known.age(tick)));
            (measured > estimate).then_some(Estimate { micros: measured, tick })
        });
    }

    /// What one more request costs with so many in flight: in the usual case the estimate, times all
    /// of them.
    ///
    /// When there has been no answer for a time, the first request is cheap, as the estimate has
    /// decayed: the endpoint is tried. The others are not that cheap, or all that come before its
    /// answer would follow.
    pub fn cost(&self, now: u64, in_flight: usize) -> u64 {
        let Some(known) = Estimate::unpack(self.0.load(Ordering::Relaxed)) else {
            return UNMEASURED.saturating_mul(in_flight as u64);
        };
        let kept = decay(known.age(tick_of(now)));
        (known.micros * kept + known.micros * kept.max(SOBER) * in_flight as f32) as u64
    }

    fn update(&self, now: u64, next: impl Fn(u32, Option<Estimate>) -> Option<Estimate>) {
        let tick = tick_of(now);
        let step = |word| {
            let known = Estimate::unpack(word);
            // Somebody who is late does not turn the clock back.
            let latest = known.filter(|known| known.age(tick) == 0).map_or(tick, |it| it.tick);
            next(latest, known).map(Estimate::pack)
        };
        // An error means that there is nothing to change.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }
}

// === impl Estimate ===

impl Estimate {
    /// Never 0: no estimate is below 1 µs.
    fn pack(self) -> u64 {
        u64::from(self.micros.to_bits()) << 32 | u64::from(self.tick)
    }

    fn unpack(word: u64) -> Option<Self> {
        let micros = f32::from_bits((word >> 32) as u32);
        (word != 0).then_some(Self { micros, tick: word as u32 })
    }

    /// Ticks since it was made.
    const fn age(self, tick: u32) -> u32 {
        let age = tick.wrapping_sub(self.tick);
        if age > u32::MAX - LATE { 0 } else { age }
    }
}

/// What is left of an estimate after so many ticks.
fn decay(age: u32) -> f32 {
    (-(age as f32) / TAU).exp()
}

/// Goes round in 50 days.
const fn tick_of(now: u64) -> u32 {
    (now / TICK) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_peak_raises_at_once_and_decays_to_a_third_in_ten_seconds() {
        let latency = Latency::new();
        latency.observe(1_000, 0);
        assert_eq!(latency.cost(0, 0), 1_000);
        latency.observe(50_000, 10);
        assert_eq!(latency.cost(10, 0), 50_000);
        let later = latency.cost(10 * SECOND, 0);
        assert!((18_300..18_500).contains(&later), "{later}");
        // Short answers bring it down no faster.
        (0..10_000).for_each(|at| latency.observe(1, at * 1_000));
        let later = latency.cost(10 * SECOND, 0);
        assert!((18_300..18_500).contains(&later), "{later}");
    }

    #[test]
    fn small_steps_are_not_rounded_away() {
        let latency = Latency::new();
        latency.observe(100, 0);
        (0..60_000).for_each(|at| latency.observe(50, at * 1_100));
        let settled = latency.cost(66 * SECOND, 0);
        assert!((49..=51).contains(&settled), "{settled}");
    }

    #[test]
    fn an_unmeasured_endpoint_is_tried_but_not_flooded() {
        let (new, known) = (Latency::new(), Latency::new());
        known.observe(20_000, 0);
        assert!(new.cost(0, 0) < known.cost(0, 0));
        assert!(new.cost(0, 1) > known.cost(0, 40));
        assert!(new.cost(0, 1) < known.cost(0, 60), "even then it is an endpoint");
    }

    #[test]
    fn one_left_alone_is_tried_but_not_flooded() {
        let (alone, busy) = (Latency::new(), Latency::new());
        alone.observe(20_000, 0);
        (0..100).for_each(|second| busy.observe(10_000, second * SECOND));
        let now = 99 * SECOND;
        assert!(alone.cost(now, 0) < busy.cost(now, 0));
        assert!(alone.cost(now, 3) > busy.cost(now, 1));
    }

    #[test]
    fn a_request_given_up_counts_as_its_age_at_least() {
        let latency = Latency::new();
        latency.abandon(3_000, 0);
        assert_eq!(latency.cost(0, 0), 3_000);
        latency.abandon(10, 5 * SECOND);
        let lower = latency.cost(5 * SECOND, 0);
        assert!((1_700..1_900).contains(&lower), "only time lowers it: {lower}");
        // Above what has become of the estimate, though not above the estimate of then.
        latency.abandon(2_500, 10 * SECOND);
        assert_eq!(latency.cost(10 * SECOND, 0), 2_500);
    }

    #[test]
    fn a_late_writer_does_not_turn_the_clock_back() {
        let latency = Latency::new();
        latency.observe(1_000, 10 * SECOND);
        latency.observe(9_000, 9 * SECOND);
        assert_eq!(latency.cost(10 * SECOND, 0), 9_000);
        assert_eq!(latency.cost(9 * SECOND, 0), 9_000);
    }

    #[test]
    fn no_peak_is_lost_between_threads() {
        let latency = Latency::new();
        std::thread::scope(|scope| {
            for thread in 1..=4u64 {
                let latency = &latency;
                scope.spawn(move || {
                    for micros in (0..200_000).map(|step| step * 4 + thread) {
                        latency.observe(micros, 0);
                        // Within one tick nothing lowers it.
                        assert!(latency.cost(0, 0) >= micros);
                    }
                });
            }
        });
        assert_eq!(latency.cost(0, 0), 199_999 * 4 + 4);
    }

    proptest! {
        #[test]
        fn the_estimate_stays_within_what_was_measured(
            answers in proptest::collection::vec((1u64..10_000_000, 0u64..20_000_000), 1..40),
            start in any::<u64>(),
        ) {
            let latency = Latency::new();
            let mut now = start;
            for (micros, pause) in &answers {
                now = now.wrapping_add(*pause);
                latency.observe(*micros, now);
            }
            let most = answers.iter().map(|it| it.0).max().unwrap_or(0);
            let least = answers.iter().map(|it| it.0).min().unwrap_or(0);
            let cost = latency.cost(now, 0);
            // The first numbers of the time may jump when it goes round.
            prop_assert!(cost <= most + 1 && cost + 1 >= least, "{least} {cost} {most}");
            let costs: Vec<u64> = (0..10).map(|load| latency.cost(now, load)).collect();
            prop_assert!(costs.is_sorted(), "{costs:?}");
            prop_assert!(latency.cost(now.wrapping_add(SECOND), 0) <= cost);
        }
    }
}
