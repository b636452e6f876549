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

/// Microseconds since 1970 at `at`, which is `now` or lies before it.
pub fn unix_micros(at: Instant, now: Instant) -> u64 {
    let anchor = ANCHOR.get().filter(|a| now.saturating_duration_since(a.instant) < TRUST);
    let anchor = anchor.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let fresh = Anchor { instant: now, unix_micros: micros(since) };
        ANCHOR.set(Some(fresh));
        fresh
    });
    match at.checked_duration_since(anchor.instant) {
        Some(after) => anchor.unix_micros.saturating_add(micros(after)),
        None => anchor.unix_micros.saturating_sub(micros(anchor.instant - at)),
    }
}

/// Milliseconds since 1970 at `now`, for request ids.
pub fn unix_millis(now: Instant) -> u64 {
    unix_micros(now, now) / 1000
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
        assert!(unix_micros(now, now).abs_diff(system_micros()) < 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn moves_with_the_instant_in_both_directions() {
        let start = Instant::now();
        let at_start = unix_micros(start, start);
        tokio::time::advance(Duration::from_millis(250)).await;
        let now = Instant::now();
        assert_eq!(unix_micros(now, now), at_start + 250_000);
        assert_eq!(unix_micros(start, now), at_start);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_the_clocks_again_after_a_second() {
        let start = Instant::now();
        unix_micros(start, start);
        tokio::time::advance(Duration::from_secs(3600)).await;
        let now = Instant::now();
        // An hour of paused time has passed, but hardly any in the world.
        assert!(unix_micros(now, now).abs_diff(system_micros()) < 500_000);
    }
}
