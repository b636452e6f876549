//! How often: buckets of requests that are alike in what a limit goes by. Pure; every question comes
//! with the moment it is asked at. `layers/rate_limit` asks, `runtime/limits` makes what it asks of what
//! the file says, `fields` tells clients of it.
//!
//! Buckets live in the memory of this process; those of `stored` live outside, where several gateways share
//! them.

mod calendar;
pub(crate) mod fields;
mod key;
pub(crate) mod stored;
mod table;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::Instant;

pub(crate) use self::key::Keys;
use self::{stored::Entries, table::Table};
use crate::{
    config::model::{Name, RateLimit},
    layers::Request,
    server::client::nanos_of,
    telemetry::exchange::Exchange,
};

/// A moment, on the clock that never jumps and on the one that knows what day it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Nanoseconds since some moment before any other.
    pub(crate) nanos: u64,
    /// Seconds since 1970.
    pub(crate) unix: u64,
}

/// How a window stands after a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What may come at once.
    pub(crate) left: u32,
    /// Seconds until it is more; of a window that has refused, until it would not refuse again.
    pub(crate) reset: u32,
    /// It has refused.
    pub(crate) refused: bool,
}

/// The windows of a limit, in the order written.
pub(crate) type Standings = SmallVec<[Standing; 1]>;

/// Buckets of one policy.
#[derive(Debug)]
pub(crate) struct Limiter {
    keys: Keys,
    buckets: Table,
    /// What its time is counted from.
    epoch: Instant,
    /// The same as connections count time.
    epoch_nanos: u64,
}

// === impl Limiter ===

impl Limiter {
    /// Buckets nothing has come to yet.
    pub(crate) fn new(limit: &RateLimit) -> Self {
        let keys = Keys::new(&limit.key, limit.ipv6_prefix);
        let buckets = Table::new(&limit.windows, limit.keys);
        let epoch = Instant::now();
        Self { keys, buckets, epoch, epoch_nanos: nanos_of(epoch) }
    }

    /// A moment, by its instant and by the microseconds since 1970.
    pub(crate) fn at(&self, instant: Instant, unix_micros: u64) -> Now {
        Now { nanos: elapsed(self.epoch, instant), unix: unix_micros / 1_000_000 }
    }

    /// A moment as a connection knows it, which costs less.
    pub(crate) fn at_nanos(&self, nanos: u64, unix_micros: u64) -> Now {
        Now { nanos: nanos.saturating_sub(self.epoch_nanos) + 1, unix: unix_micros / 1_000_000 }
    }

    /// The bucket of a request: the same for requests that are alike in what the limit goes by.
    #[inline]
    pub(crate) fn key(&self, request: &Request, exchange: &Exchange) -> u64 {
        self.keys.of(request, exchange)
    }

    /// What requests of that bucket have in common, for those who count outside of this process.
    pub(crate) fn entries(&self, request: &Request, exchange: &Exchange) -> Entries {
        self.keys.entries(request, exchange)
    }

    /// Takes `cost` out of a bucket, unless some window refuses; then nothing is taken.
    #[inline(always)]
    pub(crate) fn take(&self, key: u64, cost: u32, now: Now) -> Standings {
        self.buckets.take(key, cost, now)
    }

    /// Takes more out, whether it is there or not, or puts something back.
    pub(crate) fn correct(&self, key: u64, by: i64, now: Now) {
        self.buckets.correct(key, by, now);
    }
}

/// Nanoseconds since an epoch, and one more, as no bucket is as old as that.
fn elapsed(epoch: Instant, instant: Instant) -> u64 {
    let age = instant.saturating_duration_since(epoch);
    let nanos = age.as_secs().saturating_mul(1_000_000_000);
    nanos.saturating_add(u64::from(age.subsec_nanos()) + 1)
}

/// Whether any window has refused.
pub(crate) fn refused(standings: &[Standing]) -> bool {
    match standings {
        // Nearly always; a loop that expects more costs more.
        [window] => window.refused,
        all => all.iter().any(|window| window.refused),
    }
}

/// What is told of one policy with the answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// How.
    pub(crate) shown: Arc<fields::Shown>,
    /// Its windows.
    pub(crate) standings: Standings,
}

/// What a limit is called: by its name, or by the route it was written in.
pub(crate) fn shown_name(limit: &RateLimit, route: &Name, number: usize) -> Name {
    match number {
        _ if limit.named => Arc::clone(&limit.policy),
        0 => Arc::clone(route),
        more => format!("{route}-{}", more + 1).into(),
    }
}
