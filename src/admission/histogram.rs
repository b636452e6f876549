//! How long some requests took, for one question: how long did most of them take at most? Even buckets in
//! every doubling, so the answer is at most a sixteenth off.

use std::time::Duration;

/// Even buckets of a doubling, as a power of two.
const FINE: u32 = 4;
/// Doublings told apart: up to 2^27 microseconds, two minutes.
const TOP: u32 = 27;
const BUCKETS: usize = (TOP as usize - FINE as usize + 1) << FINE;

/// Latencies in buckets.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u32,
}

// === impl Histogram ===

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

impl Histogram {
    /// One took so long.
    pub(super) fn add(&mut self, took: Duration) {
        self.counts[bucket(took)] += 1;
        self.total += 1;
    }

    /// How many there are.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        if self.total > 0 {
            self.counts.fill(0);
            self.total = 0;
        }
    }

    /// What the share `of` did not exceed.
    pub(super) fn quantile(&self, of: f64) -> Option<Duration> {
        let wanted = (f64::from(self.total) * of).ceil().max(1.0);
        let mut so_far = 0.0;
        let at = self.counts.iter().position(|count| {
            so_far += f64::from(*count);
            so_far >= wanted
        });
        at.map(upper)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).min((1 << TOP) - 1);
    let doubling = (u32::BITS - micros.leading_zeros()).saturating_sub(FINE + 1);
    ((doubling << FINE) + (micros >> doubling)) as usize
}

/// The longest time in a bucket.
fn upper(bucket: usize) -> Duration {
    let doubling = (bucket >> FINE).saturating_sub(1);
    let lower = (bucket - (doubling << FINE)) << doubling;
    Duration::from_micros((lower + (1 << doubling) - 1) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_known_of_nothing() {
        let mut it = Histogram::default();
        assert_eq!((it.quantile(0.9), it.total()), (None, 0));
        it.add(Duration::from_secs(3600));
        assert!(it.quantile(0.5) > Some(Duration::from_secs(100)));
        it.clear();
        assert_eq!(it.quantile(0.9), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_truth_and_a_sixteenth_at_most(
            mut micros in prop::collection::vec(0u64..1 << TOP, 1..200),
            of in 0.01f64..1.0,
        ) {
            let mut it = Histogram::default();
            micros.iter().for_each(|micros| it.add(Duration::from_micros(*micros)));
            micros.sort_unstable();
            let rank = ((micros.len() as f64 * of).ceil() as usize).max(1);
            let (truth, said) = (micros[rank - 1], it.quantile(of).expect("not empty"));
            let said = said.as_micros() as u64;
            prop_assert!(said >= truth && said <= truth + truth / 16, "{said} for {truth}");
        }
    }
}
