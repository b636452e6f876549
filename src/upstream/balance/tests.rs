//! What holds for every way of balancing.

use std::{cell::RefCell, collections::VecDeque};

use proptest::prelude::*;

use super::{dice::Dice, *};

const WAYS: [Balance; 5] = [
    Balance::RoundRobin,
    Balance::LeastRequests,
    Balance::Random,
    Balance::PeakEwma,
    Balance::Hash,
];

/// The ways slow start works with.
const STARTING: [Balance; 4] = {
    let [a, b, c, d, _] = WAYS;
    [a, b, c, d]
};

/// Picks per simulation: 1 % is five deviations at a share of one half.
const PICKS: u64 = 60_000;

const NAMES: [&str; 8] = [
    "http://a:80",
    "http://b:80",
    "http://c:80",
    "http://d:80",
    "http://e:80",
    "http://f:80",
    "http://g:80",
    "http://h:80",
];

/// A view that is written down.
#[derive(Clone, Debug)]
struct Seen {
    load: Vec<usize>,
    usable: Vec<bool>,
    /// Microseconds per request.
    latency: Vec<u64>,
    ramp: Option<Vec<u32>>,
}

impl View for Seen {
    fn load(&self, at: usize) -> usize {
        self.load[at]
    }

    fn usable(&self, at: usize) -> bool {
        self.usable[at]
    }

    fn cost(&self, at: usize, in_flight: usize) -> u64 {
        self.latency[at] * (in_flight as u64 + 1)
    }

    fn is_ramping(&self) -> bool {
        self.ramp.is_some()
    }

    fn ramp(&self, at: usize) -> u32 {
        self.ramp.as_ref().expect("asked only while something ramps")[at]
    }
}

impl Seen {
    /// Idle, usable, equally fast.
    fn calm(members: usize) -> Self {
        Self {
            load: vec![0; members],
            usable: vec![true; members],
            latency: vec![1_000; members],
            ramp: None,
        }
    }
}

/// A balancer over members of one priority.
fn flat(kind: Balance, weights: &[u32]) -> Balancer {
    let members: Vec<_> = weights.iter().map(|weight| (*weight, 0)).collect();
    with_priorities(kind, &members)
}

/// A balancer over weights and priorities.
fn with_priorities(kind: Balance, members: &[(u32, u32)]) -> Balancer {
    let member = |((weight, priority), name): (&(u32, u32), &'static str)| Member {
        name,
        weight: *weight,
        priority: *priority,
    };
    Balancer::new(kind, &members.iter().zip(NAMES).map(member).collect::<Vec<_>>())
}

/// Picks with `in_flight` requests always under way; each ends at a random time. The share of each.
fn shares(balancer: &Balancer, mut seen: Seen, in_flight: usize, seed: u64) -> Vec<f64> {
    let mut dice = Dice::new(seed);
    let mut running = VecDeque::new();
    let mut counts = vec![0u64; seen.load.len()];
    for _ in 0..PICKS {
        let at = balancer.pick(&seen, Some(dice.roll()), dice.roll()).expect("one is usable");
        counts[at] += 1;
        seen.load[at] += 1;
        running.push_back(at);
        if running.len() > in_flight {
            let ends = usize::try_from(dice.below(running.len() as u64)).expect("small");
            let at = running.swap_remove_back(ends).expect("there is one");
            seen.load[at] -= 1;
        }
    }
    counts.iter().map(|count| *count as f64 / PICKS as f64).collect()
}

fn wanted(parts: &[u32]) -> Vec<f64> {
    let total: u32 = parts.iter().sum();
    parts.iter().map(|part| f64::from(*part) / f64::from(total)).collect()
}

fn close(is: &[f64], wanted: &[f64]) -> Result<(), TestCaseError> {
    let far = is.iter().zip(wanted).any(|(is, wanted)| (is - wanted).abs() > 0.01);
    prop_assert!(!far, "{is:?} and not {wanted:?}");
    Ok(())
}

#[test]
fn round_robin_follows_the_weights_exactly() {
    let balancer = flat(Balance::RoundRobin, &[5, 1, 1]);
    let mut counts = [0; 3];
    for random in 0..70 {
        counts[balancer.pick(&Seen::calm(3), None, random).expect("usable")] += 1;
    }
    assert_eq!(counts, [50, 10, 10]);
}

#[test]
fn the_turns_of_a_lost_member_go_round() {
    let balancer = flat(Balance::RoundRobin, &[1, 1, 1]);
    let mut seen = Seen::calm(3);
    seen.usable[0] = false;
    let mut counts = [0; 3];
    for _ in 0..600 {
        counts[balancer.pick(&seen, None, 0).expect("usable")] += 1;
    }
    assert_eq!(counts, [0, 300, 300]);
}

#[test]
fn two_choices_take_the_better_of_two() {
    let mut seen = Seen::calm(2);
    seen.load = vec![10, 3];
    let mut dice = Dice::new(1);
    for kind in [Balance::LeastRequests, Balance::PeakEwma] {
        let balancer = flat(kind, &[1, 1]);
        assert!((0..100).all(|_| balancer.pick(&seen, None, dice.roll()) == Some(1)), "{kind:?}");
    }
    // Fewer requests, but each takes longer.
    seen.latency = vec![1_000, 4_000];
    let balancer = flat(Balance::PeakEwma, &[1, 1]);
    assert!((0..100).all(|_| balancer.pick(&seen, None, dice.roll()) == Some(0)));
}

#[test]
fn a_member_is_as_loaded_as_its_weight_makes_it() {
    let mut seen = Seen::calm(2);
    seen.load = vec![8, 4];
    let mut dice = Dice::new(1);
    for kind in [Balance::LeastRequests, Balance::PeakEwma] {
        // With 8 requests, none of its 4 servers is as busy as the one with 4.
        let balancer = flat(kind, &[4, 1]);
        assert!((0..100).all(|_| balancer.pick(&seen, None, dice.roll()) == Some(0)), "{kind:?}");
    }
}

/// A small third member does not keep two large ones from being compared.
#[test]
fn a_light_member_does_not_blur_the_heavy_ones() {
    let mut seen = Seen::calm(3);
    seen.load = vec![50, 10, 0];
    let balancer = flat(Balance::LeastRequests, &[100, 100, 1]);
    let mut dice = Dice::new(1);
    let busy = (0..10_000).filter(|_| balancer.pick(&seen, None, dice.roll()) == Some(0)).count();
    // It is drawn twice for a quarter, and never taken when drawn with the other.
    assert!((2_300..2_700).contains(&busy), "{busy}");
}

#[test]
fn a_slow_endpoint_gets_less_than_its_weight() {
    let mut seen = Seen::calm(3);
    seen.latency[1] = 10_000;
    let is = shares(&flat(Balance::PeakEwma, &[1, 1, 1]), seen, 12, 1);
    assert!(is[1] < 0.1, "{is:?}");
}

#[test]
fn priorities_are_used_in_order_and_only_when_needed() {
    for kind in WAYS {
        let balancer =
            with_priorities(kind, &[(1, Member::BACKUP), (0, 0), (1, 0), (1, 7), (1, 7), (1, 0)]);
        let mut seen = Seen::calm(6);
        let mut dice = Dice::new(1);
        let mut picked = |seen: &Seen| {
            let mut picked: Vec<_> = (0..100)
                .filter_map(|_| balancer.pick(seen, Some(dice.roll()), dice.roll()))
                .collect();
            picked.sort_unstable();
            picked.dedup();
            picked
        };
        assert_eq!(picked(&seen), [2, 5], "{kind:?}");
        seen.usable[2] = false;
        assert_eq!(picked(&seen), [5], "{kind:?}");
        seen.usable[5] = false;
        assert_eq!(picked(&seen), [3, 4], "{kind:?}");
        seen.usable[3] = false;
        seen.usable[4] = false;
        assert_eq!(picked(&seen), [0], "{kind:?}");
        seen.usable[0] = false;
        assert_eq!(picked(&seen), [0; 0], "{kind:?}");
    }
}

#[test]
fn a_plain_pick_looks_at_two_members_at_most_and_at_no_ramp() {
    struct Counted(RefCell<Vec<usize>>);
    impl View for Counted {
        fn load(&self, _: usize) -> usize {
            0
        }
        fn usable(&self, at: usize) -> bool {
            self.0.borrow_mut().push(at);
            true
        }
        fn ramp(&self, _: usize) -> u32 {
            panic!("nothing ramps")
        }
    }
    for kind in WAYS {
        for weights in [[1; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
            let balancer = flat(kind, &weights);
            let mut dice = Dice::new(1);
            for _ in 0..100 {
                let view = Counted(RefCell::default());
                balancer.pick(&view, Some(dice.roll()), dice.roll());
                assert!(view.0.borrow().len() <= 2, "{kind:?}");
            }
        }
    }
}

#[test]
fn hash_goes_by_the_key_and_without_one_by_chance() {
    let balancer = flat(Balance::Hash, &[1, 1, 1]);
    let seen = Seen::calm(3);
    let mut dice = Dice::new(1);
    let with_key: Vec<_> = (0..50).map(|_| balancer.pick(&seen, Some(7), dice.roll())).collect();
    assert!(with_key.windows(2).all(|pair| pair[0] == pair[1]));
    let without: Vec<_> = (0..50).map(|_| balancer.pick(&seen, None, dice.roll())).collect();
    assert!((0..3).all(|at| without.contains(&Some(at))));
}

/// Written down: a gateway of another version, on another machine, must say the same.
#[test]
fn hash_gives_the_same_keys_to_the_same_names_for_ever() {
    let balancer = flat(Balance::Hash, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let key = |it: u64| hash::of(format!("user-{it}").as_bytes());
    let pick = |it| balancer.pick(&Seen::calm(8), Some(key(it)), 0).expect("usable");
    let sum = (0..10_000).fold(0u64, |sum, it| sum.wrapping_mul(31).wrapping_add(pick(it) as u64));
    assert_eq!(
        ((0..16).map(pick).collect::<Vec<_>>(), sum),
        (vec![7, 6, 5, 6, 5, 6, 7, 1, 2, 6, 1, 3, 1, 4, 5, 7], 1_813_080_042_045_537_546)
    );
}

proptest! {
    #[test]
    fn only_usable_members_are_picked_and_one_always_if_there_is_one(
        members in proptest::collection::vec((0u32..5, 0u32..3), 1..8),
        usable in proptest::collection::vec(any::<bool>(), 8),
        ramp in proptest::option::of(proptest::collection::vec(0u32..=1024, 8)),
        load in proptest::collection::vec(0usize..5, 8),
        random in any::<u64>(),
    ) {
        for kind in WAYS.into_iter().filter(|it| members.len() < 4 || *it != Balance::Hash) {
            let balancer = with_priorities(kind, &members);
            let (usable, ramp, load) = (usable.clone(), ramp.clone(), load.clone());
            let seen = Seen { usable, ramp, load, ..Seen::calm(8) };
            let possible = |at: &usize| seen.usable[*at] && members[*at].0 > 0;
            let first = (0..members.len()).filter(possible).map(|at| members[at].1).min();
            match balancer.pick(&seen, None, random) {
                Some(at) => prop_assert!(possible(&at) && Some(members[at].1) == first),
                None => prop_assert!(first.is_none()),
            }
        }
    }
}

/// Under loads that follow the picks, light and heavy. The same numbers each time: with so few
/// requests in flight that fractions of them matter, the bound is not far.
#[test]
fn two_choices_follow_the_weights_under_any_load() {
    let weights: [&[u32]; 6] =
        [&[2, 1], &[9, 1], &[3, 2], &[5, 1, 1], &[100, 100, 1], &[7, 5, 3, 2]];
    for weights in weights {
        for in_flight in [1, 2, 4, 7, 10, 40, 300] {
            for kind in [Balance::LeastRequests, Balance::PeakEwma] {
                let is = shares(&flat(kind, weights), Seen::calm(weights.len()), in_flight, 1);
                close(&is, &wanted(weights)).expect("within 1 %");
            }
        }
    }
}

#[test]
fn two_choices_follow_the_weights_under_load_while_others_start_or_are_lost() {
    for in_flight in [1, 5, 40] {
        for kind in [Balance::LeastRequests, Balance::PeakEwma] {
            let balancer = flat(kind, &[4, 3, 2, 1]);
            let mut seen = Seen::calm(4);
            seen.usable[1] = false;
            let is = shares(&balancer, seen.clone(), in_flight, 1);
            close(&is, &wanted(&[4, 0, 2, 1])).expect("within 1 %");
            seen.ramp = Some(vec![256, 1024, 1024, 1024]);
            let is = shares(&balancer, seen, in_flight, 1);
            close(&is, &wanted(&[1, 0, 2, 1])).expect("within 1 %");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// All loads zero, and every pick for ever in flight.
    #[test]
    fn shares_follow_the_weights(
        weights in proptest::collection::vec(1u32..20, 2..6),
        seed in any::<u64>(),
    ) {
        for kind in WAYS {
            let balancer = flat(kind, &weights);
            for in_flight in [0, usize::MAX] {
                let is = shares(&balancer, Seen::calm(weights.len()), in_flight, seed);
                close(&is, &wanted(&weights))?;
            }
        }
    }

    #[test]
    fn shares_follow_the_weights_while_members_are_lost(
        weights in proptest::collection::vec(1u32..20, 3..6),
        usable in proptest::collection::vec(any::<bool>(), 6),
        seed in any::<u64>(),
    ) {
        let mut seen = Seen::calm(weights.len());
        seen.usable.copy_from_slice(&usable[..weights.len()]);
        seen.usable[0] = true;
        let part = |(weight, usable): (&u32, &bool)| weight * u32::from(*usable);
        let parts: Vec<u32> = weights.iter().zip(&seen.usable).map(part).collect();
        for kind in WAYS {
            close(&shares(&flat(kind, &weights), seen.clone(), 0, seed), &wanted(&parts))?;
        }
    }

    #[test]
    fn shares_follow_the_weights_and_the_slow_start(
        members in proptest::collection::vec((1u32..20, 102u32..=1024), 2..6),
        seed in any::<u64>(),
    ) {
        let (weights, ramp): (Vec<u32>, Vec<u32>) = members.iter().copied().unzip();
        let parts: Vec<u32> = members.iter().map(|(weight, ramp)| weight * ramp).collect();
        let seen = Seen { ramp: Some(ramp), ..Seen::calm(weights.len()) };
        for kind in STARTING {
            close(&shares(&flat(kind, &weights), seen.clone(), 0, seed), &wanted(&parts))?;
        }
    }
}
