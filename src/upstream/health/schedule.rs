//! When the checks of an endpoint happen. Each pause is up to a tenth longer or shorter than asked
//! for, so that many gateways do not fall into step and ask all at once.

use std::time::Duration;

/// No first check waits longer.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The pause before the first check: none to speak of, but a thousand endpoints do not get theirs
/// in the same moment. `random` is any number.
pub(crate) fn first(every: Duration, random: u64) -> Duration {
    part(FIRST_WITHIN.min(every / 10), random)
}

/// The pause between two checks: 90 % to 110 % of `every`. `random` is any number.
pub(crate) fn next(every: Duration, random: u64) -> Duration {
    (every - every / 10).saturating_add(part(every / 5, random))
}

/// Nothing to all of `whole`.
fn part(whole: Duration, random: u64) -> Duration {
    whole.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_whole_range_is_used() {
        let every = Duration::from_secs(5);
        assert_eq!((first(every, 0), first(every, u64::MAX)), (Duration::ZERO, every / 10));
        assert_eq!((next(every, 0), next(every, u64::MAX)), (every * 9 / 10, every * 11 / 10));
        assert_eq!(next(every, u64::MAX / 2), every);
        assert_eq!(first(Duration::from_secs(3_600), u64::MAX), FIRST_WITHIN);
    }

    proptest! {
        #[test]
        fn pauses_stay_within_a_tenth(millis in 1u64..10_000_000, random in any::<u64>()) {
            let every = Duration::from_millis(millis);
            prop_assert!(first(every, random) <= FIRST_WITHIN.min(every / 10));
            let pause = next(every, random);
            prop_assert!(every * 9 / 10 <= pause && pause <= every * 11 / 10, "{pause:?}");
        }
    }
}
