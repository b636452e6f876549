//! What clients see of limits.

use super::*;

fn told(rule: &RateLimit, cost: u32) -> Told {
    let limiter = Arc::new(Limiter::new(rule));
    let standings = limiter.take(7, cost, at(12 * 3600 * SECOND));
    let name = shown_name(rule, &"orders".into(), 0);
    Told { shown: Arc::new(fields::Shown::new(rule, &name, limiter)), standings }
}

#[test]
fn lines_and_map_have_the_form_of_the_draft() {
    let one = rule(vec![flowing(100, 60.0, 10)]);
    let two = RateLimit {
        named: false,
        key: vec![KeyPart::Route],
        ..rule(vec![flowing(5, 30.0, 5), flowing(3, 0.5, 1), of_calendar(1000, Period::Day)])
    };
    let told = [told(&one, 1), told(&two, 1)];
    let mut lines = Vec::new();
    fields::write(&mut lines, &told);
    let lines = String::from_utf8(lines).expect("text");
    assert_eq!(
        lines,
        "ratelimit-policy: \"per-ip\";q=100;w=60, \"orders-30s\";q=5;w=30, \"orders-500ms\";q=3, \
         \"orders-day\";q=1000;w=86400\r\n\
         ratelimit: \"per-ip\";r=9;t=1, \"orders-30s\";r=4;t=6, \"orders-500ms\";r=0;t=1, \
         \"orders-day\";r=999;t=43200\r\n"
    );
    let mut map = HeaderMap::new();
    map.insert("ratelimit", "\"theirs\";r=1".parse().expect("a value"));
    fields::insert(&mut map, &told);
    let all: Vec<_> = map.get_all("ratelimit").iter().map(|v| v.to_str().expect("text")).collect();
    assert_eq!(all[0], "\"theirs\";r=1");
    assert!(lines.contains(&format!("ratelimit: {}\r\n", all[1])), "{all:?}");
    assert!(!map.contains_key("x-ratelimit-limit"));
}

/// One limit with one window is written as a whole, all others piece by piece: into lines as into a map.
#[test]
fn one_limit_alone_is_told_as_among_others() {
    let by_route = |rule| RateLimit { key: vec![KeyPart::Route], ..rule };
    for (limit, cost) in [(7, 1), (7, 7), (100_000, 99_990), (4_000_000_000, 1)] {
        let rule = rule(vec![flowing(limit, 60.0, limit)]);
        for one in [told(&rule, cost), told(&by_route(rule.clone()), cost)] {
            let (mut lines, mut map, mut wanted) = (Vec::new(), HeaderMap::new(), String::new());
            fields::write(&mut lines, std::slice::from_ref(&one));
            fields::insert(&mut map, &[one]);
            for (name, value) in &map {
                wanted += &format!("{name}: {}\r\n", value.to_str().expect("text"));
            }
            assert!(wanted.contains(&format!(";r={};t=", limit - cost)), "{wanted}");
            assert_eq!(String::from_utf8(lines).expect("text"), wanted);
        }
    }
    let none = RateLimit { headers: LimitHeaders::None, ..rule(vec![flowing(7, 60.0, 7)]) };
    let mut lines = Vec::new();
    fields::write(&mut lines, &[told(&none, 1)]);
    assert!(lines.is_empty());
}

#[test]
fn the_log_names_what_refused_or_would_next() {
    let named = |told: &[Told]| {
        let field = fields::logged(told)?.strip_prefix(",\"rate_limit\":\"")?;
        Some(field.strip_suffix('"').expect("a text").to_owned())
    };
    assert_eq!(named(&[]), None);
    let one = rule(vec![flowing(100, 60.0, 10)]);
    let two = RateLimit {
        named: false,
        ..rule(vec![flowing(5, 30.0, 5), of_calendar(1000, Period::Day)])
    };
    assert_eq!(named(&[told(&one, 1)]).as_deref(), Some("per-ip"));
    assert_eq!(named(&[told(&one, 1), told(&two, 1)]).as_deref(), Some("orders-30s"));
    assert_eq!(named(&[told(&one, 11), told(&two, 1)]).as_deref(), Some("per-ip"));
}

#[test]
fn older_fields_tell_of_the_limit_that_is_met_first() {
    let limit = RateLimit {
        headers: LimitHeaders::Legacy,
        ..rule(vec![flowing(100, 60.0, 10), of_calendar(3, Period::Day)])
    };
    let mut map = HeaderMap::new();
    map.insert("x-ratelimit-limit", "9".parse().expect("a value"));
    fields::insert(&mut map, &[told(&limit, 1)]);
    let of = |name: &str| {
        map.get_all(name).iter().map(|v| v.to_str().expect("text")).collect::<Vec<_>>()
    };
    assert_eq!(of("x-ratelimit-limit"), ["3"]);
    assert_eq!(of("x-ratelimit-remaining"), ["2"]);
    assert_eq!(of("x-ratelimit-reset"), ["43200"]);
    assert!(!map.contains_key("ratelimit"));
    let none = RateLimit { headers: LimitHeaders::None, ..limit };
    let mut map = HeaderMap::new();
    fields::insert(&mut map, &[told(&none, 1)]);
    assert!(map.is_empty());
}

proptest! {
    #[test]
    fn numbers_are_written_as_everybody_writes_them(
        left in prop_oneof![0..200_u32, 0..1_000_000_u32, any::<u32>()],
        digits in 0..10_u32,
        below in 0..2_u32,
    ) {
        let edge = 10_u32.pow(digits) - below.min(10_u32.pow(digits));
        let told = Told {
            standings: Standings::from_buf([Standing { left, reset: edge, refused: false }]),
            ..told(&rule(vec![flowing(7, 60.0, 7)]), 1)
        };
        let mut lines = Vec::new();
        fields::write(&mut lines, &[told]);
        let lines = String::from_utf8(lines).expect("text");
        prop_assert!(lines.ends_with(&format!("ratelimit: \"per-ip\";r={left};t={edge}\r\n")), "{lines}");
    }
}
