//! Ejection against a plain model of it, and its cap under threads.

use std::thread;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings(after: u32, max_ejected: f64) -> Settings {
    Settings { after, eject_for: 10 * SECOND, max_ejected }
}

fn census(endpoints: &[Outlier], now: Instant) -> Census {
    let ejected = endpoints.iter().filter(|endpoint| endpoint.is_ejected(now)).count();
    Census { total: endpoints.len(), ejected, usable: endpoints.len() - ejected }
}

/// Fails `endpoint` until it is ejected; it is one of ten.
fn eject(endpoint: &Outlier, now: Instant) -> Duration {
    let lock = Ejections::default();
    let alone = Census { total: 10, ejected: 0, usable: 10 };
    let mut tries = (0..3).map(|_| endpoint.failed(now, &settings(3, 0.5), &lock, || alone));
    assert_eq!((tries.next(), tries.next()), (Some(None), Some(None)));
    tries.next().flatten().expect("the third failure ejects").until - now
}

#[test]
fn each_ejection_that_follows_soon_lasts_twice_as_long() {
    let mut now = Instant::now();
    let endpoint = Outlier::new(now);
    assert_eq!(endpoint.ejected_until(), None);
    for expected in [10, 20, 40, 80, 160, 300, 300, 300] {
        let length = eject(&endpoint, now);
        assert_eq!(length, expected * SECOND);
        assert_eq!(endpoint.ejected_until(), Some(now + length));
        assert!(endpoint.is_ejected(now + length - SECOND / 1000));
        now += length;
        assert!(!endpoint.is_ejected(now));
    }
    // One step back for each ten seconds of good health.
    for (healthy, expected) in [(10, 160), (25, 80), (0, 160), (1_000, 10)] {
        now += healthy * SECOND;
        let length = eject(&endpoint, now);
        assert_eq!(length, expected * SECOND, "after {healthy} s of good health");
        now += length;
    }
}

#[test]
fn a_long_eject_for_is_kept() {
    let now = Instant::now();
    let (endpoint, lock) = (Outlier::new(now), Ejections::default());
    let settings = Settings { after: 1, eject_for: 900 * SECOND, max_ejected: 0.5 };
    let alone = Census { total: 10, ejected: 0, usable: 10 };
    for at in [0, 900, 1_800] {
        let now = now + at * SECOND;
        let until = endpoint.failed(now, &settings, &lock, || alone).map(|ejected| ejected.until);
        assert_eq!(until, Some(now + 900 * SECOND));
    }
}

#[test]
fn the_cap_in_figures() {
    let may = |ejected, total, percent: u32| {
        may_eject(Census { total, ejected, usable: total - ejected }, f64::from(percent) / 100.0)
    };
    assert!(may(0, 3, 10), "one may always be ejected");
    assert!(!may(1, 3, 10) && !may(1, 3, 50) && may(1, 4, 50) && !may(2, 4, 50));
    assert!(may(8, 10, 100) && !may(9, 10, 100) && !may(0, 1, 100), "never the last one");
    assert!(may(28, 100, 29) && !may(29, 100, 29), "shares are exact");
    // The others are ill by active checks.
    assert!(!may_eject(Census { total: 10, ejected: 0, usable: 1 }, 1.0));
}

proptest! {
    #[test]
    fn the_cap_holds_for_all_numbers(
        total in 0usize..60, ejected in 0usize..60, ill in 0usize..60, percent in 0u32..=100,
    ) {
        let ejected = ejected.min(total);
        let usable = (total - ejected).saturating_sub(ill);
        let may = may_eject(Census { total, ejected, usable }, f64::from(percent) / 100.0);
        let share = (ejected + 1) * 100 <= total * percent as usize || ejected == 0;
        prop_assert_eq!(may, share && usable >= 2);
    }

    #[test]
    fn ejects_after_failures_in_a_row_and_never_beyond_the_cap(
        after in 1u32..5, total in 1usize..8, percent in 1u32..=100,
        steps in proptest::collection::vec((0usize..8, 0u32..8, 0u32..3), 1..400),
    ) {
        let start = Instant::now();
        let settings = settings(after, f64::from(percent) / 100.0);
        let lock = Ejections::default();
        let endpoints: Vec<_> = (0..total).map(|_| Outlier::new(start)).collect();
        let mut rows = vec![0; total];
        let mut now = start;
        for (at, kind, seconds) in steps {
            let (at, endpoint) = (at % total, &endpoints[at % total]);
            now += seconds * SECOND;
            let before = census(&endpoints, now);
            if kind == 0 {
                endpoint.succeeded();
                rows[at] = 0;
                continue;
            }
            let was_out = endpoint.is_ejected(now);
            let ejected = endpoint.failed(now, &settings, &lock, || census(&endpoints, now));
            rows[at] += u32::from(!was_out);
            let enough = rows[at] == after && !was_out;
            let expected = enough && may_eject(before, settings.max_ejected);
            prop_assert_eq!(ejected.is_some(), expected);
            if enough {
                rows[at] = 0;
            }
            prop_assert_eq!(endpoint.is_ejected(now), was_out || expected);
            let out = census(&endpoints, now).ejected;
            let cap = (total * percent as usize / 100).max(1).min(total - 1);
            prop_assert!(out <= cap, "{} of {} are out", out, total);
        }
    }
}

/// All endpoints fail at once, seen by many threads.
#[test]
fn threads_never_eject_beyond_the_cap() {
    let now = Instant::now();
    for (total, max_ejected, cap) in [(2, 1.0, 1), (10, 0.3, 3), (10, 1.0, 9), (3, 0.1, 1)] {
        for _ in 0..200 {
            let lock = Ejections::default();
            let settings = settings(2, max_ejected);
            let endpoints: Vec<_> = (0..total).map(|_| Outlier::new(now)).collect();
            let told: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|offset| {
                        let (lock, endpoints) = (&lock, &endpoints);
                        scope.spawn(move || {
                            let fail = |at: usize| {
                                let endpoint = &endpoints[(at + offset) % total];
                                endpoint.failed(now, &settings, lock, || {
                                    let census = census(endpoints, now);
                                    thread::yield_now(); // makes any gap between the two wider
                                    census
                                })
                            };
                            (0..4 * total).filter(|at| fail(*at).is_some()).count()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            });
            assert_eq!((census(&endpoints, now).ejected, told), (cap, cap));
        }
    }
}
