//! Observed quantiles against exact ones, over time and under threads.

use std::thread;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The least sample that the share `of` of all does not exceed.
fn exact(samples: &[u64], of: f64) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[((of * samples.len() as f64).ceil() as usize).clamp(1, samples.len()) - 1]
}

/// Whether `found` is the `exact` one within the error of a bucket.
fn near(found: Option<Duration>, exact: u64) -> bool {
    let found = found.map_or(0, |found| found.as_micros() as u64);
    exact <= found && found <= exact + exact / 16
}

#[test]
fn the_buckets_cover_all_numbers_once() {
    assert_eq!((bucket(0), highest(0), bucket(15), bucket(16)), (0, 0, 15, 16));
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    assert_eq!(highest(BUCKETS - 1), u64::from(u32::MAX));
    for at in 0..BUCKETS - 1 {
        assert_eq!(bucket(highest(at)), at);
        assert_eq!(bucket(highest(at) + 1), at + 1);
    }
}

#[test]
fn nothing_is_known_without_enough_samples() {
    let now = Instant::now();
    let latency = Latency::new(now);
    for _ in 0..49 {
        latency.record(700, now);
        assert_eq!(latency.quantile(0.5, now), None);
    }
    latency.record(700, now);
    assert!(near(latency.quantile(0.5, now), 700));
    assert_eq!(latency.quantile(0.5, now + 20 * SECOND), None, "it has forgotten");
}

#[test]
fn an_answer_is_kept_for_a_tenth_of_a_second() {
    let now = Instant::now();
    let latency = Latency::new(now);
    let median = Quantile::new(0.5, now);
    assert_eq!(median.get(&latency, now), None);
    (0..50).for_each(|_| latency.record(700, now));
    assert_eq!(median.get(&latency, now + SECOND * 99 / 1_000), None);
    assert!(near(median.get(&latency, now + SECOND / 10), 700));
    assert!(near(median.get(&latency, now + 11 * SECOND), 700));
    assert_eq!(median.get(&latency, now + 20 * SECOND), None);
}

proptest! {
    #[test]
    fn quantiles_are_within_a_sixteenth_above_the_truth(
        samples in proptest::collection::vec(
            prop_oneof![0u64..2_000, 0u64..1_000_000, 0u64..4_000_000_000], 50..400
        ),
        of in 0.0f64..=1.0,
    ) {
        let now = Instant::now();
        let latency = Latency::new(now);
        for (at, micros) in samples.iter().enumerate() {
            // In both histograms.
            latency.record(*micros, now + 19 * SECOND * at as u32 / samples.len() as u32);
        }
        let (found, exact) = (latency.quantile(of, now + 19 * SECOND), exact(&samples, of));
        prop_assert!(near(found, exact), "{:?} for {}", found, exact);
    }

    /// Whatever it was before and whenever it changes: two epochs later nothing else is known.
    #[test]
    fn follows_a_change_within_two_epochs(
        before in 1u64..10_000_000, after in 1u64..10_000_000, changed_at in 0u64..60_000,
        per_second in 10u64..50,
    ) {
        let start = Instant::now();
        let latency = Latency::new(start);
        let record = |from: u64, to: u64, micros| {
            for at in (from..to).step_by(1_000 / per_second as usize) {
                latency.record(micros, start + Duration::from_millis(at));
            }
        };
        record(0, changed_at, before);
        record(changed_at, changed_at + 20_000, after);
        let now = start + Duration::from_millis(changed_at + 20_000);
        for of in [0.01, 0.5, 0.99] {
            let found = latency.quantile(of, now);
            prop_assert!(near(found, after), "{:?} for {}", found, after);
        }
    }
}

#[test]
fn no_sample_of_a_thread_is_lost() {
    let now = Instant::now();
    let latency = Latency::new(now);
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let latency = &latency;
            scope.spawn(move || {
                (0..10_000).for_each(|at| latency.record(thread * 10_000 + at, now));
            });
        }
    });
    for of in [0.01, 0.25, 0.5, 0.95, 1.0] {
        assert!(near(latency.quantile(of, now), (of * 40_000.0) as u64 - 1));
    }
}

/// Hedging cuts the slow tries off. Were they left out, only the fast ones would be known, and more
/// and more of them would be slow.
#[test]
fn what_is_usual_stays_when_all_that_is_slower_is_cut_off_there() {
    let start = Instant::now();
    let usual = Usual::new(start);
    let mut random = 1u64;
    let mut found = None;
    for round in 0..600 {
        let now = start + Duration::from_millis(100) * round;
        found = usual.quantile(0.95, now);
        for _ in 0..50 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let took = Duration::from_micros((random >> 33) % 100_000);
            usual.record(found.map_or(took, |found| took.min(found)), now);
        }
    }
    let found = found.expect("plenty of samples").as_millis();
    assert!((90..=108).contains(&found), "{found} ms, not 95");
    let (p50, p99) = (usual.quantile(0.5, start), usual.quantile(0.99, start));
    assert!(p50 < p99 && p99.is_some());
}
