//! A histogram of durations. Counts whole nanoseconds, so an observation is two plain additions
//! instead of a loop around a floating-point sum; `prometheus` only sees it when it is scraped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus::proto;

/// Upper bounds, shared by all histograms of one configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Buckets {
    /// As the operator wrote them, ascending, in seconds.
    seconds: Vec<f64>,
    nanos: Vec<u64>,
}

/// Durations, counted by bucket.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: Arc<Buckets>,
    /// One more than bounds: the last is beyond all of them. Not cumulative.
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

// === impl Buckets ===

impl Buckets {
    /// Sorted, without doubles and without what is no number.
    pub(super) fn new(seconds: &[f64]) -> Self {
        let mut seconds: Vec<f64> =
            seconds.iter().copied().filter(|s| s.is_finite() && *s >= 0.0).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.dedup();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // not negative; saturates
        let nanos = seconds.iter().map(|s| (s * 1e9).round() as u64).collect();
        Self { seconds, nanos }
    }
}

// === impl Histogram ===

impl Histogram {
    pub(super) fn new(bounds: Arc<Buckets>) -> Self {
        let counts = (0..=bounds.nanos.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_nanos: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Most requests end in one of the first buckets: a scan beats a binary search.
        let bounds = &self.bounds.nanos;
        let bucket = bounds.iter().position(|bound| nanos <= *bound).unwrap_or(bounds.len());
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// As scraped; `None` if nothing was observed. The count is the sum of the buckets, so the two
    /// never disagree; the sum may lag behind by the requests of this very moment.
    pub(super) fn proto(&self) -> Option<proto::Histogram> {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(self.bounds.seconds.len());
        for (bound, count) in self.bounds.seconds.iter().zip(&self.counts) {
            total += count.load(Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(total);
            buckets.push(bucket);
        }
        total += self.counts[self.bounds.seconds.len()].load(Relaxed);
        let mut out = proto::Histogram::default();
        out.set_sample_count(total);
        out.set_sample_sum(Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64());
        out.set_bucket(buckets);
        (total > 0).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_rest_goes_beyond() {
        let histogram = Histogram::new(Arc::new(Buckets::new(&[0.01, 0.005])));
        for micros in [5000, 5001, 10_000, 10_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let out = histogram.proto().unwrap();
        let counts: Vec<_> =
            out.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count())).collect();
        assert_eq!(counts, [(0.005, 1), (0.01, 3)]);
        assert_eq!(out.get_sample_count(), 4);
        assert!((out.get_sample_sum() - 0.030_002).abs() < 1e-12);
    }

    #[test]
    fn bounds_that_are_no_numbers_are_left_out() {
        let buckets = Buckets::new(&[f64::NAN, 1.0, f64::INFINITY, -1.0, 1.0]);
        assert_eq!(buckets.seconds, [1.0]);
        assert_eq!(buckets.nanos, [1_000_000_000]);
    }
}
