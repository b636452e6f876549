//! Draws members by weight: from the weights alone, which takes no look at any other member, and
//! exactly among those that are usable, which looks at all.

use super::{
    Group, View,
    dice::{Dice, scale},
};

/// Weights, laid end to end on a line.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// All 1 if they are equal.
    weights: Vec<u32>,
    /// Where each member's piece of the line ends; empty if all are equal.
    ends: Vec<u64>,
    total: u64,
    /// The smallest weight.
    least: u64,
}

// === impl Shares ===

impl Shares {
    pub(super) fn new(mut weights: Vec<u32>) -> Self {
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        if even {
            weights.fill(1);
        }
        let ends: Vec<u64> = weights
            .iter()
            .scan(0, |sum, weight| {
                *sum += u64::from(*weight);
                Some(*sum)
            })
            .collect();
        let total = ends.last().copied().unwrap_or(0);
        let least = weights.iter().min().copied().unwrap_or(0).into();
        Self { weights, ends: if even { Vec::new() } else { ends }, total, least }
    }

    pub(super) fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// The smallest weight.
    pub(super) const fn least(&self) -> u64 {
        self.least
    }

    /// A member by weight.
    pub(super) fn draw(&self, random: u64) -> usize {
        self.find(scale(random, self.total))
    }

    /// A member by weight when the smallest weight is taken from `first`; none if nothing is left.
    /// With equal weights that is any other member.
    pub(super) fn draw_other(&self, first: usize, random: u64) -> Option<usize> {
        let left = self.total - self.least;
        let point = scale(random, left);
        let begin = match self.ends.get(first) {
            Some(end) => end - u64::from(self.weights[first]),
            None => first as u64,
        };
        let skipped = if point >= begin { self.least } else { 0 };
        (left > 0).then(|| self.find(point + skipped))
    }

    fn find(&self, point: u64) -> usize {
        if self.ends.is_empty() {
            // Each weight is 1.
            return usize::try_from(point).unwrap_or(0);
        }
        self.ends.partition_point(|end| *end <= point)
    }
}

// === impl Group ===

impl Group {
    /// A member by weight among those that are usable, as far as they have started.
    pub(super) fn draw_usable(&self, view: &impl View, dice: &mut Dice) -> Option<usize> {
        self.draw_parts(|member| self.part(view, member), dice)
    }

    /// A member by these parts; none if all are 0.
    pub(super) fn draw_parts(&self, part: impl Fn(usize) -> u64, dice: &mut Dice) -> Option<usize> {
        let all = 0..self.members.len();
        let mut left = dice.below(all.clone().map(&part).sum());
        let mut last = None;
        // If a member is lost between the two looks, the last one seen will do.
        for (member, part) in all.map(|member| (member, part(member))).filter(|it| it.1 > 0) {
            match left.checked_sub(part) {
                Some(rest) => left = rest,
                None => return Some(member),
            }
            last = Some(member);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many of the points of the line each member has.
    fn pieces(shares: &Shares, total: u64, find: impl Fn(u64) -> usize) -> Vec<u64> {
        let mut counts = vec![0; shares.weights().len()];
        for point in 0..total {
            // The middle of what scales to this point.
            let random = (u128::from(point) << 64 | 1 << 63) / u128::from(total);
            counts[find(u64::try_from(random).expect("below 2^64"))] += 1;
        }
        counts
    }

    proptest! {
        #[test]
        fn every_member_has_its_weight_and_the_first_has_the_least_taken_off(
            weights in proptest::collection::vec(1u32..20, 1..8),
            first in 0usize..8,
        ) {
            let shares = Shares::new(weights);
            let weights: Vec<u64> = shares.weights().iter().map(|it| u64::from(*it)).collect();
            let total: u64 = weights.iter().sum();
            prop_assert_eq!(&pieces(&shares, total, |it| shares.draw(it)), &weights);
            let first = first % weights.len();
            let left = total - shares.least();
            let mut rest = weights;
            rest[first] -= shares.least();
            let other = |it| shares.draw_other(first, it).expect("something is left");
            prop_assert_eq!(pieces(&shares, left, other), rest);
        }
    }

    #[test]
    fn there_is_no_other_beside_the_only_one() {
        assert_eq!(Shares::new(vec![7]).draw_other(0, 1 << 63), None);
    }
}
