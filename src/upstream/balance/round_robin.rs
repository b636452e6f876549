//! `round_robin`: one after the other, by weight.
//!
//! A weighted round is laid out once, smoothly: no member gets two turns in a row that it does not
//! have to (the algorithm of nginx's `upstream`, commit 52327e0627f4). The turns of a member that
//! cannot take them go round by a second counter, so that all others get their part of them and not
//! only the next in line.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Group, View, dice::Dice, slow_start};

/// A round and how far it has gone.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Members in the order of their turns.
    round: Vec<usize>,
    next: AtomicUsize,
    /// Who gets the next turn that somebody could not take.
    spare: AtomicUsize,
}

/// Longest weighted round that is laid out in advance.
const ROUND_LIMIT: u64 = 4096;

/// Turns looked at for somebody who can take one that was lost, before all members are.
const SPARE_TURNS: usize = 16;

// === impl Rounds ===

impl Rounds {
    pub(super) fn new(weights: &[u32]) -> Self {
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let round = if even { (0..weights.len()).collect() } else { smooth_round(weights) };
        Self { round, next: AtomicUsize::new(0), spare: AtomicUsize::new(0) }
    }

    fn turn(&self, counter: &AtomicUsize) -> usize {
        self.round[counter.fetch_add(1, Ordering::Relaxed) % self.round.len()]
    }
}

/// The next member; none if none is usable.
pub(super) fn pick(group: &Group, rounds: &Rounds, view: &impl View, random: u64) -> Option<usize> {
    let is_ramping = view.is_ramping();
    let mut dice = Dice::new(random);
    // A member in its slow start passes on most of its turns.
    let mut takes = |member: usize| {
        group.usable(view, member)
            && (!is_ramping || dice.below(u64::from(slow_start::FULL)) < group.ramp(view, member))
    };
    if !view.is_further() {
        let member = rounds.turn(&rounds.next);
        if takes(member) {
            return Some(member);
        }
    }
    (0..SPARE_TURNS)
        .map(|_| rounds.turn(&rounds.spare))
        .find(|member| takes(*member))
        .or_else(|| group.draw_usable(view, &mut dice))
}

/// Smooth weighted round robin. Long rounds are scaled down, to the nearest turn.
fn smooth_round(weights: &[u32]) -> Vec<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b))).max(1);
    let scale = (total / divisor).div_ceil(ROUND_LIMIT).max(1) * divisor;
    let shares: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from(((u64::from(*weight) + scale / 2) / scale).max(1)).unwrap_or(1))
        .collect();
    let sum: i64 = shares.iter().sum();
    let mut credit = vec![0i64; shares.len()];
    (0..sum)
        .map(|_| {
            for (credit, share) in credit.iter_mut().zip(&shares) {
                *credit += share;
            }
            let best = (0..credit.len()).max_by_key(|at| (credit[*at], -(*at as i64))).unwrap_or(0);
            credit[best] -= sum;
            best
        })
        .collect()
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_round_is_smooth() {
        assert_eq!(smooth_round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(smooth_round(&[100, 200]), [1, 0, 1]);
    }

    proptest! {
        #[test]
        fn a_long_round_is_short_and_close_to_the_weights(
            weights in proptest::collection::vec(1u32..=u32::MAX, 2..20),
        ) {
            let round = smooth_round(&weights);
            prop_assert!(round.len() as u64 <= ROUND_LIMIT + 20, "{}", round.len());
            let total: f64 = weights.iter().map(|it| f64::from(*it)).sum();
            for (member, weight) in weights.iter().enumerate() {
                let turns = round.iter().filter(|it| **it == member).count();
                let share = turns as f64 / round.len() as f64;
                prop_assert!((share - f64::from(*weight) / total).abs() < 0.01);
            }
        }
    }
}
