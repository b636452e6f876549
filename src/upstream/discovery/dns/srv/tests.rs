//! What becomes of SRV records.

use proptest::prelude::*;

use super::*;
use crate::config;

fn record(priority: u16, weight: u16, port: u16, target: &str) -> Service {
    Service { priority, weight, port, target: target.to_owned() }
}

/// URL, priority and weight of each endpoint.
fn made(records: &[Service]) -> Vec<(String, u32, u32)> {
    let set = endpoints(records.to_vec(), Scheme::Http).unwrap();
    set.endpoints.iter().map(|e| (e.url.value.to_string(), e.priority, e.weight)).collect()
}

#[test]
fn priorities_are_ranks_and_weights_are_shares() {
    let records = [
        record(20, 0, 81, "c.example"),
        record(10, 60, 80, "b.example"),
        record(10, 40, 80, "a.example"),
        record(65535, 7, 82, "10.0.0.1"),
    ];
    let expected = [
        ("http://a.example:80", 0, 40),
        ("http://b.example:80", 0, 60),
        ("http://c.example:81", 1, 1),
        ("http://10.0.0.1:82", 2, 7),
    ];
    assert_eq!(made(&records), expected.map(|(url, p, w)| (url.to_owned(), p, w)));
}

#[test]
fn endpoints_are_as_if_written() {
    for scheme in [Scheme::Http, Scheme::Https, Scheme::H2c] {
        let set = endpoints(vec![record(1, 1, 443, "a_b.example")], scheme).unwrap();
        let url = format!("{}://a_b.example:443", scheme.as_str());
        assert_eq!(set.endpoints, [config::endpoint("test", &url).unwrap()]);
    }
}

#[test]
fn weights_keep_their_ratios() {
    let table: [(&[u64], &[u32]); 11] = [
        (&[], &[]),
        (&[0, 0], &[1, 1]),
        (&[0, 1], &[1, 1000]),
        (&[0, 1, 3], &[1, 333, 999]),
        (&[0, 600, 7], &[1, 600, 7]),
        (&[5], &[5]),
        (&[1000, 999], &[1000, 999]),
        (&[10_000, 20_000, 30_000], &[1, 2, 3]),
        (&[65_535, 1], &[1000, 1]),
        (&[65_535, 32_768, 0], &[1000, 500, 1]),
        (&[65_535], &[1]),
    ];
    for (weights, expected) in table {
        assert_eq!(scaled(weights), expected, "{weights:?}");
    }
}

#[test]
fn a_service_that_is_decidedly_not_there() {
    assert_eq!(endpoints(vec![record(0, 0, 0, "")], Scheme::Http).unwrap(), Set::default());
    let set = endpoints(vec![record(0, 0, 0, ""), record(1, 1, 80, "a")], Scheme::Http).unwrap();
    assert_eq!((set.endpoints.len(), set.refused.len()), (1, 1), "{set:?}");
}

#[test]
fn what_is_no_endpoint_is_refused_and_the_others_count() {
    let set = endpoints(
        vec![
            record(1, 1, 0, "zero.example"),
            record(1, 1, 80, "a b.example"),
            record(1, 1, 80, "b\\.c.example"),
            record(1, 1, 80, "good.example"),
        ],
        Scheme::Http,
    )
    .unwrap();
    assert_eq!(set.endpoints.len(), 1);
    assert_eq!(
        set.refused,
        [
            "`1 1 80 a b.example.`: it is not the name of a host",
            "`1 1 80 b\\.c.example.`: it is not the name of a host",
            "`1 1 0 zero.example.`: port 0 is no port",
        ]
    );
    let none = endpoints(vec![record(1, 2, 0, "zero.example")], Scheme::Http);
    assert_eq!(none, Err("`1 2 0 zero.example.`: port 0 is no port".to_owned()));
}

#[test]
fn the_same_port_of_the_same_host_is_one_endpoint() {
    let records = [
        record(5, 30, 80, "a.example"),
        record(5, 1, 81, "a.example"),
        record(5, 20, 80, "a.example"),
        record(9, 90, 80, "a.example"),
    ];
    let set = endpoints(records.to_vec(), Scheme::Http).unwrap();
    assert_eq!(
        set.refused,
        [
            "`5 30 80 a.example.`: this port of this host again, weights are added",
            "`9 90 80 a.example.`: it has the priority 5 already",
        ]
    );
    let expected = [("http://a.example:80", 0, 50), ("http://a.example:81", 0, 1)];
    assert_eq!(made(&records), expected.map(|(url, p, w)| (url.to_owned(), p, w)));
}

#[test]
fn the_last_rank_is_shared() {
    let priorities: Vec<u16> = (0..200).map(|n| n * 3).collect();
    let found = ranks(&priorities);
    assert_eq!(found[..101], (0..=100).collect::<Vec<u32>>());
    assert!(found[100..].iter().all(|rank| *rank == 100));
}

/// One weight, of a kind that matters: small, large, zero.
fn weight() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..=20_u64, 1..=1000_u64, 1..=65_535_u64]
}

proptest! {
    #[test]
    fn scaled_weights_are_shares_within_bounds(
        weights in prop::collection::vec(weight(), 1..40), times in 1..=100_u64
    ) {
        let weights: Vec<u64> = weights.iter().map(|weight| weight * times).collect();
        let scaled = scaled(&weights);
        prop_assert_eq!(scaled.len(), weights.len());
        prop_assert!(scaled.iter().all(|weight| (1..=1000).contains(weight)));
        let most = *weights.iter().max().unwrap();
        let ours = *scaled.iter().max().unwrap();
        let shared = weights.iter().copied().fold(0, gcd);
        for (theirs, mine) in weights.iter().zip(&scaled) {
            if *theirs == 0 {
                prop_assert_eq!(*mine, 1);
            } else if most / shared <= 1000 {
                prop_assert_eq!(theirs * u64::from(ours), most * u64::from(*mine), "exact");
            } else {
                let (expected, found) =
                    (*theirs as f64 / most as f64, f64::from(*mine) / f64::from(ours));
                prop_assert!((expected - found).abs() <= 0.001, "{expected} {found}");
                let apart = (found / expected - 1.0).abs();
                prop_assert!(expected < 0.05 || apart <= 0.01, "{expected} {found}");
            }
        }
        for (a, b) in weights.iter().zip(&scaled) {
            for (c, d) in weights.iter().zip(&scaled) {
                prop_assert!(a < c || b >= d, "the order is kept");
            }
        }
    }

    #[test]
    fn any_records_make_endpoints_in_order(
        records in prop::collection::vec(
            (0..300_u16, any::<u16>(), 1..5_u16, "[a-c]{1,2}"), 1..300
        )
    ) {
        let records: Vec<_> =
            records.into_iter().map(|(p, w, port, host)| record(p, w, port, &host)).collect();
        let set = endpoints(records.clone(), Scheme::Http).unwrap();
        let mut shuffled = records.clone();
        shuffled.reverse();
        prop_assert_eq!(&endpoints(shuffled, Scheme::Http).unwrap(), &set, "whatever the order");
        prop_assert_eq!(set.endpoints.len() + set.refused.len(), records.len());
        prop_assert!(set.endpoints.is_sorted_by_key(|e| e.priority));
        let ranks: Vec<u32> = set.endpoints.iter().map(|e| e.priority).collect();
        prop_assert_eq!(ranks[0], 0);
        prop_assert!(ranks.windows(2).all(|pair| pair[1] - pair[0] <= 1), "no gaps");
        prop_assert!(*ranks.last().unwrap() <= 100);
        // Of two endpoints, the one with the lower priority is used before or with the other.
        let lowest = |url: &str| {
            let of = |r: &&Service| format!("http://{}:{}", r.target, r.port) == url;
            records.iter().filter(of).map(|r| r.priority).min().unwrap()
        };
        let theirs: Vec<u16> = set.endpoints.iter().map(|e| lowest(&e.url.value)).collect();
        prop_assert!(theirs.is_sorted());
    }
}
