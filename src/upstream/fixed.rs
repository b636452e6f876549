//! Numbers in the form that fits an atomic, for what the threads of an upstream share: time as
//! nanoseconds since a start, shares as millionths. Time always comes from the caller, who has
//! looked at the clock anyway; so every machine below can be tested without waiting.

use std::time::Duration;

use tokio::time::Instant;

/// The whole, in millionths.
pub(crate) const MILLION: u64 = 1_000_000;

/// Nanoseconds from `start` to `now`; 0 before it. 584 years fit.
pub(crate) fn nanos(start: Instant, now: Instant) -> u64 {
    span(now.saturating_duration_since(start))
}

/// A length of time in nanoseconds.
pub(crate) const fn span(length: Duration) -> u64 {
    length.as_secs().saturating_mul(1_000_000_000).saturating_add(length.subsec_nanos() as u64)
}

/// A share of one in millionths.
pub(crate) fn millionths(share: f64) -> u64 {
    // In bounds by the clamp; no number at all is 0.
    (share.clamp(0.0, 1.0) * MILLION as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_at_their_bounds() {
        let start = Instant::now();
        assert_eq!(nanos(start, start + Duration::from_micros(3)), 3_000);
        assert_eq!(nanos(start + Duration::from_secs(1), start), 0);
        assert_eq!(span(Duration::MAX), u64::MAX);
        assert_eq!([-1.0, 0.025, 7.0, f64::NAN].map(millionths), [0, 25_000, MILLION, 0]);
    }
}
