//! Bytes a second: what flows is let through and counted, and when it was more than its share, nothing more
//! flows until that is made up for. So no piece is cut, and nothing is lost that did not fit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::model::Rates;

/// So many bytes a second, for all that share it.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: u64,
    /// When everything that has flowed would have, at this rate; in the past, there is room.
    paid: Mutex<Instant>,
}

/// The bandwidth of a connection, or of all of a policy, each way.
#[derive(Debug)]
pub(crate) struct Buckets {
    id: u64,
    rates: Rates,
    pub(crate) request: Option<Arc<Bucket>>,
    pub(crate) response: Option<Arc<Bucket>>,
}

/// After a pause as much may come at once as in this time.
const BURST: Duration = Duration::from_millis(100);

// === impl Bucket ===

impl Bucket {
    /// With nothing flown yet.
    pub(crate) fn new(rate: u64, now: Instant) -> Self {
        Self { rate: rate.max(1), paid: Mutex::new(now) }
    }

    /// So many bytes have flowed; how long nothing more may.
    #[allow(clippy::cast_precision_loss)] // a piece has kilobytes
    pub(crate) fn flow(&self, bytes: usize, now: Instant) -> Duration {
        let takes = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut paid = self.paid.lock();
        let from = now.checked_sub(BURST).map_or(*paid, |earliest| paid.max(earliest));
        *paid = from + takes;
        paid.saturating_duration_since(now)
    }
}

// === impl Buckets ===

impl Buckets {
    /// New ones, with an id that no others have.
    pub(crate) fn new(rates: Rates, now: Instant) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self::with(NEXT.fetch_add(1, Relaxed), rates, now)
    }

    /// A connection's part of those with this id.
    pub(crate) fn with(id: u64, rates: Rates, now: Instant) -> Self {
        let bucket = |rate: Option<u64>| rate.map(|rate| Arc::new(Bucket::new(rate, now)));
        Self { id, rates, request: bucket(rates.request), response: bucket(rates.response) }
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    pub(crate) const fn rates(&self) -> Rates {
        self.rates
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn after_a_pause_a_tenth_of_a_second_flows_at_once() {
        let start = Instant::now();
        let it = Bucket::new(1000, start);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(it.flow(100, at(1000)), Duration::ZERO);
        assert_eq!(it.flow(100, at(1000)), Duration::from_millis(100));
        assert_eq!(it.flow(50, at(1100)), Duration::from_millis(50));
        assert_eq!(it.flow(100, at(9000)), Duration::ZERO);
    }

    proptest! {
        /// Whoever waits as long as told to gets the rate and the burst, and not a piece more.
        #[test]
        fn nothing_flows_faster(
            rate in 1_000u64..10_000_000,
            pieces in prop::collection::vec((1usize..70_000, 0u64..200), 1..80),
        ) {
            let start = Instant::now();
            let (it, mut now, mut flowed) = (Bucket::new(rate, start), start, 0u64);
            for (bytes, pause) in pieces {
                // Seen before this piece, which is never cut.
                let time = now.saturating_duration_since(start) + BURST;
                prop_assert!(flowed as f64 <= rate as f64 * time.as_secs_f64() + 1.0);
                flowed += bytes as u64;
                now += it.flow(bytes, now) + Duration::from_millis(pause);
            }
        }
    }
}
