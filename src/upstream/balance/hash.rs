//! `hash`: the same key goes to the same endpoint, and when endpoints come and go, only the keys
//! move that must.
//!
//! Rendezvous hashing (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit
//! Rates", IEEE/ACM ToN 6(1), 1998): of all members the one wins whose hash together with the key is
//! highest. With weights (C. Schindelhauer and G. Schomaker, "Weighted Distributed Hash Tables", SPAA
//! 2005) it is the one of the highest -weight / ln(hash), hash in (0, 1); here its reciprocal, the
//! lowest. A member that goes leaves its keys to all others by weight, and one that comes takes its
//! part from all of them: no key moves between two that stay.
//!
//! The winners are found in advance for 65,536 slots of keys, so a pick is one look into a table of
//! 128 KiB. With so many, a share is off by 0.2 % in the worst case (one deviation at a share of one
//! half). The number is the same however many members there are: if it were not, all keys would move
//! whenever it changed. Building takes time in proportion to the members.
//!
//! Nothing here may differ between two gateways, between versions, or between machines. So there is no
//! ahash (its result for fixed seeds depends on the version and on the instructions of the CPU), no
//! `DefaultHasher` (it may change with any Rust), and no `f64::ln` (its last digit is the platform's).
//! It is no defence either: who knows the names of the endpoints can find keys of one of them.
//!
//! Slow start does not apply (see `slow_start`).

use super::dice::{GOLDEN, mix};

/// Who has which keys.
#[derive(Debug)]
pub(super) struct Table {
    members: Vec<Racer>,
    /// The winner of each slot; empty if there are not two members.
    slots: Box<[u16]>,
}

/// A member, as far as it counts here.
#[derive(Debug)]
struct Racer {
    /// Hash of the name.
    seed: u64,
    /// 1 / weight.
    inverse: f64,
}

const SLOT_BITS: u32 = 16;

/// Hash of a key or of a name, the same everywhere and for ever: FNV-1a (RFC 9923), whose
/// weak upper bits the end of splitmix64 makes good.
pub fn of(bytes: &[u8]) -> u64 {
    mix(fnv1a(bytes))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

// === impl Table ===

impl Table {
    /// A table for names and weights. Members beyond the 65,535th get nothing.
    pub(super) fn new<'n>(members: impl Iterator<Item = (&'n str, u32)>) -> Self {
        let members: Vec<Racer> = members
            .take(usize::from(u16::MAX))
            .map(|(name, weight)| Racer {
                seed: of(name.as_bytes()),
                inverse: 1.0 / f64::from(weight),
            })
            .collect();
        let mut table = Self { members, slots: Box::default() };
        if table.members.len() > 1 {
            let winner = |slot| table.race(slot, |_| true).and_then(|it| u16::try_from(it).ok());
            table.slots = (0..1 << SLOT_BITS).map(|slot| winner(slot).unwrap_or(0)).collect();
        }
        table
    }

    /// The member that has a key; if it is not usable, the next best for the key's slot.
    pub(super) fn pick(&self, key: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        // Again, for a key may be anything.
        self.owner(mix(key) >> (u64::BITS - SLOT_BITS), usable)
    }

    fn owner(&self, slot: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let winner = self.slots.get(usize::try_from(slot).unwrap_or(0));
        match winner.map(|it| usize::from(*it)).filter(|it| usable(*it)) {
            Some(winner) => Some(winner),
            None => self.race(slot, usable),
        }
    }

    /// The best of a slot among those that may run.
    fn race(&self, slot: u64, runs: impl Fn(usize) -> bool) -> Option<usize> {
        let course = mix((slot + 1).wrapping_mul(GOLDEN));
        let (mut best, mut winner) = (f64::INFINITY, None);
        for (member, racer) in self.members.iter().enumerate() {
            // In [0, 1), and 1 minus it is exact.
            let hash = (mix(racer.seed ^ course) >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
            // -ln(1 - x) is x at least: most are out without a logarithm.
            if hash * racer.inverse >= best || !runs(member) {
                continue;
            }
            let score = minus_ln(1.0 - hash).max(hash) * racer.inverse;
            if score < best {
                (best, winner) = (score, Some(member));
            }
        }
        winner
    }
}

/// -ln(x) for x in [2^-53, 1], from nothing but operations that IEEE 754 gives to the last bit.
fn minus_ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & MANTISSA | 1.0f64.to_bits());
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1;
    }
    // ln(m) = 2 artanh(t), |t| < 0.172: what the series leaves out is below 10^-11.
    let t = (m - 1.0) / (m + 1.0);
    let s = t * t;
    let series = 1.0 + s * (1.0 / 3.0 + s * (0.2 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s / 11.0))));
    -(f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * t * series)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Named = (String, u32);

    fn table(members: &[Named]) -> Table {
        Table::new(members.iter().map(|(name, weight)| (name.as_str(), *weight)))
    }

    /// The owner of every slot, by name.
    fn owners<'m>(table: &Table, members: &'m [Named], lost: Option<usize>) -> Vec<&'m str> {
        let owner = |slot| table.owner(slot, |it| Some(it) != lost);
        (0..1u64 << SLOT_BITS)
            .map(|slot| owner(slot).map(|it| members[it].0.as_str()).unwrap_or_default())
            .collect()
    }

    fn share(owners: &[&str], name: &str) -> f64 {
        owners.iter().filter(|it| **it == name).count() as f64 / owners.len() as f64
    }

    /// Names such as endpoints have, each once, with weights.
    fn members(most: usize) -> impl Strategy<Value = Vec<Named>> {
        proptest::collection::btree_map(0u32..100_000, 1u32..10, 2..most).prop_map(|members| {
            let name = |it| format!("http://10.0.{}.{}:8080", it / 256, it % 256);
            members.into_iter().map(|(it, weight)| (name(it), weight)).collect()
        })
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_logarithm_is_one() {
        for x in [1.0, 0.999_999_999, 0.9, 0.708, 0.707, 0.5, 0.3, 1e-3, 1e-9, 2f64.powi(-53)] {
            let (own, exact) = (minus_ln(x), -x.ln());
            assert!((own - exact).abs() <= 1e-10 * exact.max(1e-300), "{x}: {own} {exact}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn shares_follow_the_weights(members in members(7)) {
            let owners = owners(&table(&members), &members, None);
            let total: u32 = members.iter().map(|it| it.1).sum();
            for (name, weight) in &members {
                let wanted = f64::from(*weight) / f64::from(total);
                let is = share(&owners, name);
                prop_assert!((is - wanted).abs() < 0.01, "{name} {is} {wanted}");
            }
        }

        #[test]
        fn one_that_comes_or_goes_moves_its_own_share_only(
            members in members(7),
            at in any::<proptest::sample::Index>(),
        ) {
            let at = at.index(members.len());
            let (name, weight) = members[at].clone();
            let mut fewer = members.clone();
            // Who stays may be written in another order.
            fewer.swap_remove(at);
            let total: u32 = members.iter().map(|it| it.1).sum();
            let all = owners(&table(&members), &members, None);
            let rest = owners(&table(&fewer), &fewer, None);
            let moved = all.iter().zip(&rest).filter(|(all, rest)| all != rest);
            prop_assert!(moved.clone().all(|(all, _)| **all == name));
            let part = moved.count() as f64 / all.len() as f64;
            let own = f64::from(weight) / f64::from(total);
            prop_assert!(part < own + 0.01, "{part} of the keys moved for a share of {own}");
        }

        #[test]
        fn keys_of_one_that_is_lost_go_where_they_would_without_it(
            members in members(7),
            at in any::<proptest::sample::Index>(),
        ) {
            let at = at.index(members.len());
            let mut fewer = members.clone();
            fewer.remove(at);
            let lost = owners(&table(&members), &members, Some(at));
            prop_assert!(lost == owners(&table(&fewer), &fewer, None));
        }

        #[test]
        fn keys_of_one_that_is_lost_spread_by_weight(
            members in members(6),
            at in any::<proptest::sample::Index>(),
        ) {
            let lost = at.index(members.len());
            let table = table(&members);
            let before = owners(&table, &members, None);
            let after = owners(&table, &members, Some(lost));
            let name = &members[lost].0;
            let heirs: Vec<&str> = before.iter().zip(after).filter(|it| it.0 == name)
                .map(|it| it.1).collect();
            let total: u32 = members.iter().map(|it| it.1).sum::<u32>() - members[lost].1;
            // Six deviations of what so few keys allow.
            let slack = 3.0 / (heirs.len() as f64).sqrt();
            for (name, weight) in members.iter().filter(|it| it.0 != *name) {
                let wanted = f64::from(*weight) / f64::from(total);
                let is = share(&heirs, name);
                prop_assert!((is - wanted).abs() < slack, "{name} {is} {wanted} {slack}");
            }
        }

        #[test]
        fn a_changed_weight_moves_keys_only_to_or_from_its_member(
            members in members(6),
            weight in 1u32..10,
        ) {
            let mut changed = members.clone();
            let grows = weight > members[0].1;
            changed[0].1 = weight;
            let before = owners(&table(&members), &members, None);
            let after = owners(&table(&changed), &changed, None);
            for (before, after) in before.iter().zip(&after).filter(|(a, b)| a != b) {
                prop_assert_eq!(*if grows { after } else { before }, &members[0].0);
            }
        }
    }

    #[test]
    fn keys_that_differ_little_are_spread() {
        let members: Vec<Named> = (0..4).map(|it| (format!("http://h{it}:80"), 1)).collect();
        let table = table(&members);
        let mut plain = [0; 4];
        let mut hashed = [0; 4];
        for key in 0..40_000u64 {
            plain[table.pick(key, |_| true).expect("usable")] += 1;
            let key = of(format!("user-{key}").as_bytes());
            hashed[table.pick(key, |_| true).expect("usable")] += 1;
        }
        for count in plain.iter().chain(&hashed) {
            assert!((9_600..10_400).contains(count), "{plain:?} {hashed:?}");
        }
    }
}
