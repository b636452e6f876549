//! As many random numbers as a choice needs from the one it was given: splitmix64 (Steele, Lea and
//! Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).

/// Numbers that follow from one.
#[derive(Debug)]
pub(super) struct Dice(u64);

/// 2^64 divided by the golden ratio.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

// === impl Dice ===

impl Dice {
    pub(super) const fn new(random: u64) -> Self {
        Self(random)
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below the given one (0 for 0).
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        scale(self.roll(), limit)
    }
}

/// Spreads every bit of a number over all others; each result has one origin.
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Brings a number out of all 64 bits below `limit`, without a division.
pub(super) const fn scale(random: u64, limit: u64) -> u64 {
    ((random as u128 * limit as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the reference implementation for seed 0.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut dice = Dice::new(0);
        assert_eq!(dice.roll(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(dice.roll(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(dice.roll(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn scaling_reaches_every_number_below_the_limit_and_no_other() {
        assert_eq!(scale(u64::MAX, 3), 2);
        assert_eq!(scale(u64::MAX / 2, 3), 1);
        assert_eq!(scale(0, 3), 0);
        assert_eq!(scale(u64::MAX, 0), 0);
    }
}
