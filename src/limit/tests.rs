//! The windows against a slow model, the table against an attacker, and the keys.

mod told;

use std::{num::NonZeroU32, time::Duration};

use http::HeaderMap;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    auth::api_key::carrier::Carrier,
    body::Body,
    config::model::{Cost, KeyPart, LimitHeaders, Mode, Period, Window},
    telemetry::testing,
};

const SECOND: u64 = 1_000_000_000;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("more than nothing")
}

fn flowing(limit: u32, seconds: f64, burst: u32) -> Window {
    let period = Period::Every(Duration::from_secs_f64(seconds));
    Window { limit: number(limit), period, burst: number(burst) }
}

fn of_calendar(limit: u32, period: Period) -> Window {
    Window { limit: number(limit), period, burst: number(limit) }
}

pub(crate) fn rule(windows: Vec<Window>) -> RateLimit {
    RateLimit {
        policy: "per-ip".into(),
        named: true,
        windows,
        key: vec![KeyPart::ClientIp],
        ipv6_prefix: 64,
        keys: 1000,
        cost: Cost::Fixed(1),
        headers: LimitHeaders::Draft,
        exempt: Vec::new(),
        mode: Mode::Enforce,
        stored: None,
    }
}

/// Buckets that let two pass, and no more for long.
pub(super) fn two_in_an_hour() -> Limiter {
    Limiter::new(&rule(vec![flowing(2, 3600.0, 2)]))
}

/// A day after some midnight in January 2026.
fn at(nanos: u64) -> Now {
    Now { nanos: nanos + 1, unix: 1_768_003_200 + nanos / SECOND }
}

fn passes(limiter: &Limiter, key: u64, cost: u32, now: Now) -> bool {
    !refused(&limiter.take(key, cost, now))
}

// === against a slow model ===

/// The same, as one would explain it: a bucket that leaks, and a count for each day.
struct Model {
    windows: Vec<Window>,
    /// Nanoseconds in each bucket, or requests of the day.
    level: Vec<u128>,
    last: Now,
}

impl Model {
    fn take(&mut self, cost: u32, now: Now) -> bool {
        let elapsed = u128::from(now.nanos - self.last.nanos);
        let same_day = now.unix / 86400 == self.last.unix / 86400;
        self.last = now;
        let mut after = Vec::new();
        let mut good = true;
        for (window, level) in self.windows.iter().zip(&mut self.level) {
            let (grain, room) = match window.period {
                Period::Every(time) => {
                    *level = level.saturating_sub(elapsed);
                    let grain = (time / window.limit.get()).as_nanos();
                    (grain, grain * u128::from(window.burst.get()))
                }
                _ => {
                    *level = if same_day { *level } else { 0 };
                    (1, u128::from(window.limit.get()))
                }
            };
            let full = *level + grain * u128::from(cost);
            good &= full <= room;
            after.push(full);
        }
        if good {
            self.level = after;
        }
        good
    }
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let flow = (1u32..50, 0.01f64..30.0, 1u32..20).prop_map(|(n, time, b)| flowing(n, time, b));
    let day = (1u32..60).prop_map(|limit| of_calendar(limit, Period::Day));
    vec(prop_oneof![3 => flow, 1 => day], 1..4)
}

proptest! {
    #[test]
    fn decides_as_a_leaky_bucket_does(
        windows in windows(),
        steps in vec((prop_oneof![8 => 0u64..2 * SECOND, 1 => 0..40_000 * SECOND], 1u32..4), 1..200),
    ) {
        let limiter = Limiter::new(&rule(windows.clone()));
        let level = vec![0; windows.len()];
        let mut model = Model { windows, level, last: at(0) };
        let mut nanos = 0;
        for (step, cost) in steps {
            nanos += step;
            let standings = limiter.take(7, cost, at(nanos));
            prop_assert_eq!(!refused(&standings), model.take(cost, at(nanos)), "{} {}", nanos, cost);
        }
    }

    /// What clients are told is true: as many as are left pass now, one more does not, and one does after
    /// the time that was named.
    #[test]
    fn what_is_told_is_what_happens(
        windows in windows(),
        steps in vec((0u64..2 * SECOND, 1u32..3), 1..50),
    ) {
        let limiter = Limiter::new(&rule(windows));
        let mut nanos = 0;
        for (step, cost) in steps {
            nanos += step;
            let standings = limiter.take(7, cost, at(nanos));
            let left = standings.iter().map(|window| window.left).min().unwrap_or(0);
            if refused(&standings) && cost == 1 {
                prop_assert!(!passes(&limiter, 7, 1, at(nanos)));
            } else if left > 0 {
                prop_assert!(passes(&limiter, 7, left, at(nanos)), "{:?}", standings);
                prop_assert!(!passes(&limiter, 7, 1, at(nanos)), "{:?}", standings);
            }
            let told = limiter.take(7, 1, at(nanos));
            if refused(&told) {
                let wait = told.iter().filter(|w| w.refused).map(|w| w.reset).max().unwrap_or(0);
                prop_assert!(wait > 0);
                nanos += u64::from(wait) * SECOND;
                prop_assert!(passes(&limiter, 7, 1, at(nanos)), "{:?}", told);
            }
        }
    }
}

// === accuracy ===

#[test]
fn lets_through_what_it_says_at_a_hundred_times_the_limit() {
    for (rate, burst) in [(10, 1), (100, 10), (1000, 100), (3, 1), (700, 700)] {
        let limiter = Limiter::new(&rule(vec![flowing(rate, 1.0, burst)]));
        let (mut nanos, mut let_through) = (0, 0);
        let step = SECOND / u64::from(rate) / 100;
        while nanos <= 10 * SECOND {
            let_through += u64::from(passes(&limiter, 7, 1, at(nanos)));
            nanos += step;
        }
        let promised = f64::from(burst) + 10.0 * f64::from(rate);
        let off = (let_through as f64 - promised).abs();
        assert!(off <= (promised / 100.0).max(1.0), "{let_through} of {promised}");
    }
}

#[test]
fn a_day_is_counted_in_whole_and_ends_at_midnight() {
    let limiter = Limiter::new(&rule(vec![of_calendar(5, Period::Day)]));
    let noon = at(12 * 3600 * SECOND);
    let last: Vec<_> = (0..6).map(|_| limiter.take(1, 1, noon)[0]).collect();
    assert_eq!(last.iter().map(|it| it.left).collect::<Vec<_>>(), [4, 3, 2, 1, 0, 0]);
    assert!(last[5].refused && last.iter().all(|it| it.reset == 12 * 3600));
    assert!(!passes(&limiter, 1, 1, at((24 * 3600 - 1) * SECOND)));
    assert_eq!(limiter.take(1, 1, at(24 * 3600 * SECOND))[0].left, 4);
}

#[test]
fn where_one_window_refuses_nothing_is_taken_from_the_others() {
    let windows = vec![flowing(1, 1.0, 1), flowing(10, 3600.0, 10)];
    let limiter = Limiter::new(&rule(windows));
    assert_eq!(limiter.take(1, 1, at(0))[1].left, 9);
    for _ in 0..20 {
        let standings = limiter.take(1, 1, at(0));
        assert!(standings[0].refused && !standings[1].refused);
        assert_eq!(standings[1].left, 9);
    }
}

#[test]
fn what_was_taken_is_put_back_and_debts_are_paid_off() {
    let limiter = Limiter::new(&rule(vec![flowing(10, 1.0, 10), of_calendar(100, Period::Day)]));
    let left = |nanos| {
        let standings = limiter.take(1, 0, at(nanos));
        (standings[0].left, standings[1].left)
    };
    limiter.take(1, 4, at(0));
    limiter.correct(1, -4, at(0));
    assert_eq!(left(0), (10, 100));
    limiter.correct(1, 30, at(0));
    assert_eq!(left(0), (0, 70));
    assert!(!passes(&limiter, 1, 1, at(2 * SECOND)), "20 more than there was are owed");
    assert!(passes(&limiter, 1, 1, at(2 * SECOND + SECOND / 10)));
    limiter.correct(1, i64::from(u32::MAX), at(3 * SECOND));
    assert_eq!(left(3 * SECOND), (0, 0));
    assert_eq!(left(400 * 24 * 3600 * SECOND), (10, 100), "nobody owes for ever");
}

// === keys ===

fn of(key: Vec<KeyPart>, prefix: u8) -> impl Fn(&str, &str, &[(&str, &str)]) -> u64 {
    let limit = RateLimit { key, ipv6_prefix: prefix, ..rule(vec![flowing(1, 1.0, 1)]) };
    let limiter = Limiter::new(&limit);
    move |ip, target, fields| {
        let mut head = testing::head();
        head.client_ip = ip.parse().ok();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse().expect("a target");
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        *request.headers_mut() = headers;
        let exchange = Exchange::new(head);
        exchange.note(|outcome| {
            let field = |name: &str| fields.iter().find(|it| it.0 == name).map(|it| it.1);
            outcome.consumer = field("consumer").map(Into::into);
            let claim = |value: &str| {
                let value = serde_json::from_str(value).expect("JSON");
                Arc::new(serde_json::Map::from_iter([("plan".to_owned(), value)]))
            };
            outcome.claims = field("claims").map(claim);
        });
        limiter.key(&request, &exchange)
    }
}

#[test]
fn addresses_count_by_prefix_and_in_whatever_clothes() {
    let ip = of(vec![KeyPart::ClientIp], 64);
    let ip = |text| ip(text, "/", &[]);
    assert_eq!(ip("2001:db8:1:2::1"), ip("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(ip("2001:db8:1:2::1"), ip("2001:db8:1:3::1"));
    assert_ne!(ip("192.0.2.1"), ip("192.0.2.2"));
    assert_eq!(ip("192.0.2.1"), ip("::ffff:192.0.2.1"));
    assert_ne!(ip("192.0.2.1"), ip("::c000:201"));
    assert_eq!(ip("nobody"), ip("nobody either"));
    assert_ne!(ip("nobody"), ip("0.0.0.0"));
    for (prefix, alike) in
        [(32, "2001:db8:ffff::"), (48, "2001:db8:1:ffff::"), (128, "2001:db8:1:2::1")]
    {
        let ip = of(vec![KeyPart::ClientIp], prefix);
        assert_eq!(ip("2001:db8:1:2::1", "/", &[]), ip(alike, "/", &[]), "{prefix}");
        assert_ne!(ip("2001:db8:1:2::1", "/", &[]), ip("2001:db9::1", "/", &[]), "{prefix}");
    }
    let exact = of(vec![KeyPart::ClientIp], 128);
    assert_ne!(exact("2001:db8::1", "/", &[]), exact("2001:db8::2", "/", &[]));
}

#[test]
fn parts_of_a_key_are_told_apart_and_a_missing_one_is_one_bucket() {
    let carried = |text| KeyPart::Request(Carrier::parse(text).expect("a carrier"));
    for (part, one, other) in [
        (carried("header:x-tenant"), ("/", [("x-tenant", "a")]), ("/", [("x-tenant", "b")])),
        (carried("cookie:sid"), ("/", [("cookie", "sid=a")]), ("/", [("cookie", "sid=b")])),
        (carried("query:q"), ("/?q=a", [("x", "")]), ("/?q=b", [("x", "")])),
        (KeyPart::Consumer, ("/", [("consumer", "a")]), ("/", [("consumer", "b")])),
        (KeyPart::Claim("plan".into()), ("/", [("claims", "\"a\"")]), ("/", [("claims", "7")])),
    ] {
        let key = of(vec![part.clone()], 64);
        let (one, other) = (key("192.0.2.1", one.0, &one.1), key("192.0.2.1", other.0, &other.1));
        let missing = key("192.0.2.1", "/", &[]);
        assert_eq!(missing, key("192.0.2.9", "/", &[]), "{part:?}");
        assert!(one != other && one != missing, "{part:?}");
    }
    let key = of(vec![carried("header:x-tenant")], 64);
    let twice = key("192.0.2.1", "/", &[("x-tenant", "a"), ("x-tenant", "b")]);
    assert_eq!(twice, key("192.0.2.1", "/", &[]), "a client cannot choose which one counts");
    assert_ne!(key("192.0.2.1", "/", &[("x-tenant", "")]), twice, "empty is a value");
    let both = of(vec![carried("header:a"), carried("header:b")], 64);
    let of = |a: &str, b: &str| both("192.0.2.1", "/", &[("a", a), ("b", b)]);
    assert_ne!(of("xy", "z"), of("x", "yz"));
    let only_b = both("192.0.2.1", "/", &[("b", "x")]);
    assert_ne!(both("192.0.2.1", "/", &[("a", "x")]), only_b);
}

// === memory ===

/// Ten million keys in an optimised build; debug builds are thirty times slower.
const STRANGERS: u64 = if cfg!(debug_assertions) { 400_000 } else { 10_000_000 };

/// An attacker has a thousand keys for each key there is room for, and uses each of them once. Those that
/// are really in use are remembered.
#[test]
fn millions_of_strangers_take_no_memory_and_push_out_nobody_in_use() {
    let keys = usize::try_from(STRANGERS / 100).expect("a few");
    let table = Table::new(&[flowing(5, 1.0, 10)], keys);
    let most = (keys + 2048) * 16;
    let hasher = ahash::RandomState::with_seed(7);
    let honest: Vec<u64> = (0..100).map(|number| hasher.hash_one(("honest", number))).collect();
    let over = hasher.hash_one("over its limit");
    let (mut nanos, mut forgotten, mut escaped) = (0, 0, 0);
    // Half a million strangers in a second; each honest key comes three times in that, in turn.
    for stranger in 0..STRANGERS {
        nanos += 2_000;
        table.take(hasher.hash_one(stranger), 1, at(nanos));
        if stranger.is_multiple_of(1_600) {
            let key = honest[usize::try_from(stranger / 1_600).unwrap_or(0) % 100];
            // It gets back 1.6 before it comes again, so it owes more than any stranger.
            let left = table.take(key, 4, at(nanos))[0].left;
            forgotten += u64::from(stranger > 160_000 && left == 6);
            escaped += u64::from(!refused(&table.take(over, 10, at(nanos))));
        }
    }
    assert!(table.bytes() <= most, "{} of {most}", table.bytes());
    assert!(table.len() >= keys * 9 / 10, "{} of {keys}", table.len());
    // One at the start, and one in two seconds, as it may.
    let seconds = nanos / SECOND;
    assert!(escaped <= seconds / 2 + 1, "{escaped} in {seconds}s");
    assert_eq!(forgotten, 0, "honest keys that had all of it back too soon");
}

#[test]
fn a_full_set_loses_the_one_that_has_used_least() {
    let table = Table::new(&[flowing(1, 1.0, 10), of_calendar(1000, Period::Day)], 8);
    for key in 1..=8 {
        // The seventh has used one, all others more.
        table.take(
            key,
            if key == 7 { 1 } else { 2 + u32::try_from(key).unwrap_or(0) % 3 },
            at(key),
        );
    }
    assert_eq!((table.len(), table.bytes()), (8, 8 * 24));
    table.take(9, 5, at(20));
    assert_eq!((table.len(), table.bytes()), (8, 8 * 24));
    let used = |key| 1000 - table.take(key, 0, at(20))[1].left;
    assert_eq!([1, 2, 3, 4, 5, 6, 7, 8, 9].map(used)[..6], [3, 4, 2, 3, 4, 2]);
    assert_eq!((used(7), used(8), used(9)), (0, 4, 5));
}

#[test]
fn a_limit_takes_memory_as_its_keys_come_and_forgets_none_of_them() {
    let table = Table::new(&[flowing(5, 1.0, 10), of_calendar(100, Period::Day)], 100_000);
    let hasher = ahash::RandomState::with_seed(7);
    table.take(7, 0, at(0));
    assert_eq!(table.bytes(), 0, "who only asks leaves no trace");
    table.take(7, 1, at(0));
    assert_eq!(table.bytes(), 8 * 24, "one set of eight");
    for (keys, most) in [(1_000, 120_000), (10_000, 1_000_000), (30_000, 2_600_000)] {
        for key in 0..keys {
            table.take(hasher.hash_one(key), 1, at(0));
        }
        let bytes = table.bytes();
        assert!(bytes <= most, "{bytes} for {keys} keys");
    }
    // Each as often as it came.
    let left = |key: i32| table.take(hasher.hash_one(key), 0, at(0))[1].left;
    let came = |key: i32| 99 - u32::from(key < 1_000) - u32::from(key < 10_000);
    let kept = (0..30_000).filter(|key| left(*key) == came(*key)).count();
    assert!(kept >= 29_900, "{kept} of 30000");
}
