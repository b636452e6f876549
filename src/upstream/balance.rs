//! Which endpoint of an upstream gets the next request. Pure: it sees weights, loads and a source of
//! random numbers, and returns positions.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::model::Balance;

/// Chooses endpoints by their position.
#[derive(Debug)]
pub struct Balancer {
    kind: Balance,
    primary: Group,
    backup: Group,
}

/// Endpoints that are used together.
#[derive(Debug, Default)]
struct Group {
    /// Positions with a weight above 0.
    members: Vec<usize>,
    /// Weight of each member.
    weights: Vec<u32>,
    /// All weights are equal.
    even: bool,
    /// Order of a weighted round.
    round: Vec<usize>,
    next: AtomicUsize,
}

/// Longest weighted round that is laid out in advance.
const ROUND_LIMIT: u64 = 4096;

// === impl Balancer ===

impl Balancer {
    /// A balancer over `(weight, backup)` of each endpoint.
    pub fn new(kind: Balance, endpoints: &[(u32, bool)]) -> Self {
        let group = |wanted: bool| {
            let chosen = endpoints.iter().enumerate().filter(|(_, (_, backup))| *backup == wanted);
            Group::new(kind, chosen.map(|(at, (weight, _))| (at, *weight)))
        };
        Self { kind, primary: group(false), backup: group(true) }
    }

    /// The next endpoint. `load` tells the requests in flight at a position, `usable` whether it may
    /// be chosen at all; `random` is any number.
    pub fn pick(
        &self,
        load: impl Fn(usize) -> usize,
        usable: impl Fn(usize) -> bool,
        random: u64,
    ) -> Option<usize> {
        if self.backup.members.is_empty()
            && let [only] = self.primary.members[..]
        {
            return usable(only).then_some(only);
        }
        self.primary
            .pick(self.kind, &load, &usable, random)
            .or_else(|| self.backup.pick(self.kind, &load, &usable, random))
    }
}

// === impl Group ===

impl Group {
    fn new(kind: Balance, endpoints: impl Iterator<Item = (usize, u32)>) -> Self {
        let (members, weights): (Vec<_>, Vec<_>) =
            endpoints.filter(|(_, weight)| *weight > 0).unzip();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let round = match kind {
            Balance::RoundRobin if !even => smooth_round(&weights),
            _ => (0..members.len()).collect(),
        };
        Self { members, weights, even, round, next: AtomicUsize::new(0) }
    }

    fn pick(
        &self,
        kind: Balance,
        load: &impl Fn(usize) -> usize,
        usable: &impl Fn(usize) -> bool,
        random: u64,
    ) -> Option<usize> {
        let member = match kind {
            _ if self.members.is_empty() => return None,
            Balance::RoundRobin => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                self.round[turn % self.round.len()]
            }
            Balance::Random => self.weighted(random),
            Balance::LeastRequests => self.lighter(load, usable, random),
        };
        let count = self.members.len();
        // The one chosen may be out of order: the next in line takes its turn.
        (0..count)
            .map(|step| self.members[(member + step) % count])
            .find(|position| usable(*position))
    }

    /// A member by its weight.
    fn weighted(&self, random: u64) -> usize {
        if self.even {
            return usize::try_from(random % self.members.len() as u64).unwrap_or(0);
        }
        let total: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = random % total;
        for (member, weight) in self.weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return member,
            }
        }
        0
    }

    /// Power of two choices: the less loaded of two members taken by weight.
    fn lighter(
        &self,
        load: &impl Fn(usize) -> usize,
        usable: &impl Fn(usize) -> bool,
        random: u64,
    ) -> usize {
        let first = self.weighted(random & 0xffff_ffff);
        let mut second = self.weighted(random >> 32);
        if first == second {
            second = (first + 1) % self.members.len();
        }
        let (a, b) = (self.members[first], self.members[second]);
        match (usable(a), usable(b)) {
            (true, false) => return first,
            (false, true) => return second,
            _ => {}
        }
        // Requests per weight, compared without division.
        let (wa, wb) = (u64::from(self.weights[first]), u64::from(self.weights[second]));
        let heavier = (load(a) as u64 + 1) * wb > (load(b) as u64 + 1) * wa;
        if heavier { second } else { first }
    }
}

/// Smooth weighted round robin, laid out once: no member gets two turns in a row that it does not
/// have to. Long rounds are scaled down.
fn smooth_round(weights: &[u32]) -> Vec<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b))).max(1);
    let scale = (total / divisor).div_ceil(ROUND_LIMIT).max(1) * divisor;
    let shares: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from((u64::from(*weight) / scale).max(1)).unwrap_or(1))
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

    fn count(balancer: &Balancer, endpoints: usize, picks: u64) -> Vec<u64> {
        let mut counts = vec![0; endpoints];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..picks {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = balancer.pick(|_| 0, |_| true, random).expect("one is usable");
            counts[at] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_follows_the_weights_exactly() {
        let balancer = Balancer::new(Balance::RoundRobin, &[(5, false), (1, false), (1, false)]);
        assert_eq!(count(&balancer, 3, 70), [50, 10, 10]);
    }

    #[test]
    fn random_and_least_requests_follow_the_weights_roughly() {
        for kind in [Balance::Random, Balance::LeastRequests] {
            let balancer = Balancer::new(kind, &[(1, false), (1, false)]);
            for share in count(&balancer, 2, 10_000) {
                assert!((4_500..5_500).contains(&share), "{kind:?} {share}");
            }
        }
        let balancer = Balancer::new(Balance::Random, &[(9, false), (1, false)]);
        let counts = count(&balancer, 2, 10_000);
        assert!((8_800..9_200).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn least_requests_takes_the_lighter_of_two() {
        let balancer = Balancer::new(Balance::LeastRequests, &[(1, false), (1, false)]);
        for random in 0..100u64 {
            let at = balancer.pick(|at| [10, 3][at], |_| true, random * 0x1_0000_0001);
            assert_eq!(at, Some(1));
        }
    }

    #[test]
    fn weight_zero_gets_nothing_and_backups_only_when_needed() {
        let balancer = Balancer::new(Balance::RoundRobin, &[(0, false), (1, false), (1, true)]);
        assert_eq!(count(&balancer, 3, 10), [0, 10, 0]);
        assert_eq!(balancer.pick(|_| 0, |at| at != 1, 7), Some(2));
        assert_eq!(balancer.pick(|_| 0, |_| false, 7), None);
    }

    proptest! {
        #[test]
        fn only_usable_members_are_picked(
            endpoints in proptest::collection::vec((0u32..5, any::<bool>()), 1..8),
            usable in proptest::collection::vec(any::<bool>(), 8),
            random in any::<u64>(),
        ) {
            for kind in [Balance::RoundRobin, Balance::LeastRequests, Balance::Random] {
                let balancer = Balancer::new(kind, &endpoints);
                let picked = balancer.pick(|at| at, |at| usable[at], random);
                let possible = |at: usize| usable[at] && endpoints[at].0 > 0;
                match picked {
                    Some(at) => prop_assert!(possible(at)),
                    None => prop_assert!(!(0..endpoints.len()).any(possible)),
                }
            }
        }
    }
}
