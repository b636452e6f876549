//! Wall-clock time of an [`Instant`] without asking the system each time: log lines and request
//! ids take their time stamps from the instants a request has anyway.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// How long a thread believes its pair of clocks before it reads them again.
const TRUST: Duration = Duration::from_secs(1);

/// Both clocks, read at the same moment.
#[derive(Clone, Copy)]
struct Anchor {
    instant: Instant,
    unix_micros: u64,
}

thread_local! {
    static ANCHOR: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// Microseconds since 1970 at `at`, which is now or lies before it.
pub fn unix_micros(at: Instant) -> u64 {
    let known = ANCHOR.get().and_then(|anchor| anchor.micros(at));
    known.unwrap_or_else(|| {
        let (now, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
        let fresh = Anchor { instant: now, unix_micros: micros(since.unwrap_or_default()) };
        ANCHOR.set(Some(fresh));
        fresh.micros(at).unwrap_or(fresh.unix_micros)
    })
}

impl Anchor {
    /// Microseconds since 1970, unless that is too far ahead.
    fn micros(&self, at: Instant) -> Option<u64> {
        match at.checked_duration_since(self.instant) {
            Some(after) if after < TRUST => Some(self.unix_micros.saturating_add(micros(after))),
            Some(_) => None,
            None => Some(self.unix_micros.saturating_sub(micros(self.instant - at))),
        }
    }
}

/// Milliseconds since 1970 at `now`, for request ids.
pub fn unix_millis(now: Instant) -> u64 {
    unix_micros(now) / 1000
}

/// Whole microseconds; a request that takes 580,000 years is cut.
pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000) + u64::from(duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system_micros() -> u64 {
        micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
    }

    #[test]
    fn agrees_with_the_system_clock() {
        let now = Instant::now();
        assert!(unix_micros(now).abs_diff(system_micros()) < 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn moves_with_the_instant_in_both_directions() {
        let start = Instant::now();
        let at_start = unix_micros(start);
        tokio::time::advance(Duration::from_millis(250)).await;
        let now = Instant::now();
        assert_eq!(unix_micros(now), at_start + 250_000);
        assert_eq!(unix_micros(start), at_start);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_the_clocks_again_after_a_second() {
        let start = Instant::now();
        unix_micros(start);
        tokio::time::advance(Duration::from_secs(3600)).await;
        let now = Instant::now();
        // An hour of paused time has passed, but hardly any in the world.
        assert!(unix_micros(now).abs_diff(system_micros()) < 500_000);
    }
}
