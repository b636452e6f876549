//! Slow start: an endpoint that has just come into use gets a growing part of its weight, so that
//! its caches and its compiler warm up on a trickle.
//!
//! It works with every way of balancing but `hash`: there a key belongs to its endpoint, and moving
//! keys away for a minute and back again would lose what the hash is for.

use std::time::Duration;

/// All of its weight.
pub const FULL: u32 = 1024;

/// What it starts with: a tenth.
const START: u32 = FULL / 10;

/// The part of its weight, out of [`FULL`], that an endpoint has at an age when its slow start takes
/// the whole `window`.
pub fn ramp(age: Duration, window: Duration) -> u32 {
    if age >= window {
        return FULL;
    }
    let grown = u128::from(FULL - START) * age.as_nanos() / window.as_nanos();
    START + u32::try_from(grown).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_starts_at_a_tenth_and_grows_in_a_straight_line() {
        let window = Duration::from_secs(10);
        let at = |seconds| ramp(Duration::from_secs(seconds), window);
        assert_eq!([at(0), at(5), at(10), at(11)], [102, 563, 1024, 1024]);
        assert_eq!(ramp(Duration::ZERO, Duration::ZERO), FULL);
    }

    proptest! {
        #[test]
        fn it_never_shrinks_and_never_leaves_its_range(
            age in any::<Duration>(),
            more in any::<Duration>(),
            window in any::<Duration>(),
        ) {
            let (young, old) = (ramp(age, window), ramp(age.saturating_add(more), window));
            prop_assert!((START..=FULL).contains(&young) && young <= old && old <= FULL);
        }
    }
}
