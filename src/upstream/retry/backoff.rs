//! How long to wait before another try: exponential with full jitter, the one of the usual kinds
//! that spreads competing clients best (Brooker, "Exponential Backoff and Jitter", AWS, 2015), and
//! what the upstream asks for in `Retry-After` (RFC 9110 10.2.3).

use std::time::{Duration, SystemTime};

/// The pause before retry number `retry`, which counts from 1: anything from nothing to `base`,
/// doubled with each retry, at most `max`. `random` is any number.
pub(crate) fn pause(retry: u32, base: Duration, max: Duration, random: u64) -> Duration {
    let doubled = 1u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = base.saturating_mul(doubled).min(max);
    longest.mul_f64(random as f64 / u64::MAX as f64).min(longest)
}

/// The pause when the upstream has asked for one: at least that, with the jitter of `pause` on top
/// as far as `max` allows, for all who were told the same second would else come in it. `None` is
/// longer than `max`: no further try.
pub(crate) fn obey(asked: Duration, pause: Duration, max: Duration) -> Option<Duration> {
    (asked <= max).then(|| asked.saturating_add(pause).min(max))
}

/// The value of a `Retry-After`: seconds, or a date as seen from `now`. `None` is neither; then it
/// is as if it were not there.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are still a time that is too long.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_longest_pause_doubles_up_to_the_most() {
        let longest = |retry| pause(retry, 25 * MS, 250 * MS, u64::MAX).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 5, 10, 33, u32::MAX].map(longest),
            [25, 50, 100, 200, 250, 250, 250, 250]
        );
        assert_eq!(pause(3, 25 * MS, 250 * MS, 0), Duration::ZERO);
        assert_eq!(pause(3, 25 * MS, 250 * MS, u64::MAX / 2), 50 * MS);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // as below
        let read = |value| retry_after(value, now).map(|asked| asked.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0\t"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(read("Sunday, 06-Nov-94 08:50:37 GMT"), Some(60));
        assert_eq!(read("Sun Nov  6 08:49:37 1994"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:36 GMT"), Some(0), "the past is now");
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        for wrong in ["", " ", "-1", "+1", "1.5", "1s", "1 2", "soon", "٣"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_longer_wish_than_the_most_stops() {
        assert_eq!(obey(1_001 * MS, Duration::ZERO, 1_000 * MS), None);
        assert_eq!(obey(1_000 * MS, 50 * MS, 1_000 * MS), Some(1_000 * MS));
        assert_eq!(obey(100 * MS, 50 * MS, 1_000 * MS), Some(150 * MS));
        assert_eq!(obey(Duration::MAX, 50 * MS, Duration::MAX), Some(Duration::MAX));
    }

    proptest! {
        #[test]
        fn every_pause_is_in_bounds(
            retry in 0u32..70, base in 0u64..100_000, max in 0u64..1_000_000,
            asked in 0u64..1_000_000, random in any::<u64>(),
        ) {
            let (base, max, asked) = (base as u32 * MS, max as u32 * MS, asked as u32 * MS);
            let own = pause(retry, base, max, random);
            let doubled = base.as_secs_f64() * 2f64.powi(retry.saturating_sub(1) as i32);
            prop_assert!(own <= max && own.as_secs_f64() <= doubled + 1e-6);
            match obey(asked, own, max) {
                Some(pause) => prop_assert!(asked <= pause && pause <= max && own <= pause),
                None => prop_assert!(asked > max),
            }
        }

        #[test]
        fn any_text_is_read(value in ".{0,40}") {
            let _ = retry_after(&value, UNIX_EPOCH);
        }
    }
}
