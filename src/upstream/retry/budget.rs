//! How many further tries an upstream can bear: when it fails under load, retries of everything
//! would multiply that load. The SRE book ("Addressing Cascading Failures", "Handling Overload")
//! gives a client a budget for that; this one is Finagle's `RetryBudget`. It stands before every
//! retry and hedge, one for an upstream, shared by all threads and routes.
//!
//! Each first try deposits its route's share of a token, a further try takes a whole one. Deposits
//! live 5 to 10 seconds, in two halves that take turns: so what may be saved is what 10 s of
//! traffic deposited, at any traffic. A cap of N tokens would be hours of savings for a quiet
//! upstream, and nothing for a busy one. Besides there are 10 tokens that come back at one a
//! second, so that a quiet route may try again at all; they are taken last.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::upstream::{
    fixed::{MILLION, millionths, nanos},
    ticks::Ticks,
};

/// A token, in the millionths that are counted.
const TOKEN: u64 = MILLION;
/// How long deposits go into the same half.
const HALF: Duration = Duration::from_secs(5);
/// Tokens that time alone brings back.
const RESERVE: u64 = 10;
/// In how many nanoseconds one of them.
const REFILL: u64 = 1_000_000_000;

/// The share of a token a route's requests deposit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

/// The budget of one upstream.
#[derive(Debug)]
pub(crate) struct Budget {
    start: Instant,
    ticks: Ticks,
    halves: [AtomicU64; 2],
    /// When the reserve was or would have been empty, in nanoseconds, on a clock that is ahead by
    /// the time it takes to fill it: every second since then is a token.
    empty: AtomicU64,
}

// === impl Share ===

impl Share {
    /// Of a share of one.
    pub(crate) fn new(budget: f64) -> Self {
        Self(millionths(budget))
    }
}

// === impl Budget ===

impl Budget {
    /// A budget that has its reserve.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            ticks: Ticks::new(now, HALF),
            halves: Default::default(),
            empty: AtomicU64::new(0),
        }
    }

    /// A first try is made.
    #[inline]
    pub(crate) fn deposit(&self, share: Share, now: Instant) {
        let half = self.half(now);
        self.halves[half].fetch_add(share.0, Ordering::Relaxed);
    }

    /// Takes a token for a retry or a hedge, if there is one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let half = self.half(now);
        // What is forgotten first goes first.
        withdraw(&self.halves[1 - half]) || withdraw(&self.halves[half]) || self.reserve(now)
    }

    /// The half in use.
    fn half(&self, now: Instant) -> usize {
        let tick = self.ticks.at(now, 2, |fresh| {
            fresh.for_each(|tick| self.halves[(tick & 1) as usize].store(0, Ordering::Relaxed));
        });
        (tick & 1) as usize
    }

    fn reserve(&self, now: Instant) -> bool {
        let passed = nanos(self.start, now);
        let take = |empty: u64| {
            let next = empty.max(passed) + REFILL;
            (next <= passed + RESERVE * REFILL).then_some(next)
        };
        self.empty.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

fn withdraw(half: &AtomicU64) -> bool {
    let take = |deposits: u64| deposits.checked_sub(TOKEN);
    half.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, thread};

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn drain(budget: &Budget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn the_reserve_comes_back_by_the_second() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert_eq!(drain(&budget, now), 10);
        assert_eq!(drain(&budget, now + SECOND * 9 / 10), 0);
        assert_eq!(drain(&budget, now + SECOND * 35 / 10), 3);
        assert_eq!(drain(&budget, now + 4 * SECOND), 1, "half seconds are not lost");
        assert_eq!(drain(&budget, now + 1_000 * SECOND), 10, "and not more than ten");
    }

    #[test]
    fn deposits_are_forgotten_after_ten_seconds() {
        for (after, left) in [(0, 20), (4, 20), (6, 20), (9, 20), (10, 0), (11, 0), (60, 0)] {
            let now = Instant::now();
            let budget = Budget::new(now);
            assert_eq!(drain(&budget, now), 10);
            (0..200).for_each(|_| budget.deposit(Share::new(0.1), now));
            let reserve = after.min(10);
            assert_eq!(drain(&budget, now + after as u32 * SECOND), left + reserve);
        }
    }

    #[test]
    fn what_is_forgotten_first_is_taken_first() {
        let now = Instant::now();
        let budget = Budget::new(now);
        (0..10).for_each(|_| budget.deposit(Share::new(1.0), now));
        (0..10).for_each(|_| budget.deposit(Share::new(1.0), now + 5 * SECOND));
        assert!((0..10).all(|_| budget.take(now + 5 * SECOND)));
        assert_eq!(drain(&budget, now + 10 * SECOND), 10 + 10);
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_share(
            steps in proptest::collection::vec((0u32..5, 0u64..3_000, 1u32..40), 1..200),
            shares in proptest::collection::vec(0u32..=1_000, 3),
        ) {
            let start = Instant::now();
            let budget = Budget::new(start);
            let shares: Vec<_> = shares.iter().map(|share| f64::from(*share) / 1_000.0).collect();
            let (mut now, mut allowed, mut retries) = (start, 10.0, 0u32);
            let mut deposits = Vec::new();
            for (kind, millis, times) in steps {
                match kind {
                    0 => now += Duration::from_millis(millis),
                    route @ 1..=3 => for _ in 0..times {
                        let share = shares[route as usize - 1];
                        budget.deposit(Share::new(share), now);
                        allowed += share;
                        deposits.push((now, share));
                    },
                    _ => {
                        // What may be taken at once: what was deposited in ten seconds, the
                        // reserve.
                        let recent = deposits.iter().filter(|(at, _)| now - *at < 10 * SECOND);
                        let most = recent.map(|(_, share)| share).sum::<f64>() + 10.0;
                        let taken = (0..times).filter(|_| budget.take(now)).count() as u32;
                        prop_assert!(f64::from(taken) <= most + 1e-6);
                        retries += taken;
                    }
                }
                let most = allowed + (now - start).as_secs_f64();
                prop_assert!(f64::from(retries) <= most + 1e-6, "{} > {}", retries, most);
            }
        }

        /// A steady share of failures below the budget is always tried again.
        #[test]
        fn a_share_below_the_budget_is_granted(
            percent in 1u32..=100, failing in 0u32..100, per_second in 1u32..200,
        ) {
            let start = Instant::now();
            let budget = Budget::new(start);
            let share = Share::new(f64::from(percent) / 100.0);
            let mut owed = 0;
            for request in 0..3_000 {
                let now = start + SECOND * request / per_second;
                budget.deposit(share, now);
                owed += failing.min(percent);
                if owed >= 100 {
                    owed -= 100;
                    prop_assert!(budget.take(now), "request {}", request);
                }
            }
        }
    }

    #[test]
    fn threads_take_all_there_is_and_no_more() {
        const DEPOSITS: usize = 200_000;
        let now = Instant::now();
        let budget = Budget::new(now);
        let deposit = || (0..DEPOSITS / 4).for_each(|_| budget.deposit(Share::new(0.5), now));
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(deposit))));
        let take = || (0..DEPOSITS).filter(|_| budget.take(now)).count();
        let taken: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, DEPOSITS / 2 + 10);
    }

    #[test]
    fn threads_keep_to_it_while_the_halves_turn() {
        let start = Instant::now();
        let budget = Budget::new(start);
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for request in 0..20_000u32 {
                        let now = start + Duration::from_micros(u64::from(request) * 500);
                        budget.deposit(Share::new(0.25), now);
                        let got = usize::from(budget.take(now)) + usize::from(budget.take(now));
                        taken.fetch_add(got, Ordering::Relaxed);
                    }
                });
            }
        });
        let (taken, most) = (taken.into_inner(), 80_000 / 4 + 10 + 10);
        // All but what was forgotten, and what the threads lost to each other as the halves turned.
        assert!(taken <= most && taken > most - 100, "{taken} of {most}");
    }
}
