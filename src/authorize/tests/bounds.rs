//! What no expression and no request can do: panic, allow by failing, or take long.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn crowd(count: usize) -> Asked {
    let groups: Vec<_> = (0..count).map(|at| format!("group-{at}")).collect();
    let mut head = testing::head();
    head.uri = format!("/{}?q={}", "a".repeat(8000), "a=".repeat(8000)).parse().unwrap();
    Asked::new(head, json!({ "groups": groups, "long": "a".repeat(16_000) }))
}

/// Rules a hostile request would like to be asked.
const DEAR: &[&str] = &[
    "claims.groups.exists(a, claims.groups.exists(b, a + b == 'x'))",
    "claims.groups.all(a, claims.groups.all(b, a != b + 'x'))",
    "claims.groups.map(a, claims.groups.map(b, claims.groups)).size() == 0",
    "claims.groups.exists(a, claims.long.contains(a + 'b'))",
    "claims.groups.exists(a, claims.long.matches('(a|aa|b)*c$'))",
    "claims.groups.exists(a, request.query['z'] == 'b' || request.path + a == claims.long)",
    "claims.groups.filter(a, claims.long.split('a').size() == 1).size() == 0",
    "claims.groups.map(a, claims.long + claims.long + claims.long).size() == 0",
    "claims.groups.exists(a, claims.groups != claims.groups.filter(b, true)) && false",
    "claims.groups.exists(a, claims.long.lowerAscii().upperAscii() == a)",
];

#[test]
fn a_thousand_groups_are_no_burden_and_more_than_that_get_no_answer() {
    let asked = crowd(1000);
    assert_eq!(asked.says("'group-999' in claims.groups"), Ok(true));
    assert_eq!(asked.says("claims.groups.exists(g, g == 'group-999')"), Ok(true));
    assert_eq!(asked.says("claims.groups.all(g, g.startsWith('group-'))"), Ok(true));
    for text in DEAR {
        let since = tokio::time::Instant::now();
        assert_eq!(asked.says(text), Err(Failed::TooCostly), "{text}");
        // Milliseconds when optimised; this is not, and shares its machine.
        assert!(since.elapsed() < Duration::from_secs(2), "{text}: {:?}", since.elapsed());
    }
}

#[test]
fn what_was_too_costly_cannot_be_hidden() {
    let asked = crowd(1000);
    let dear = DEAR[0];
    for text in [
        format!("{dear} || true"),
        format!("true || {dear} ? {dear} || true : true"),
        format!("!({dear} && false)"),
        format!("[1, 2].exists(x, {dear} || x == 2)"),
        format!("({dear} || true) || true"),
        format!("[{dear} || true, true].exists(x, x)"),
    ] {
        assert_eq!(asked.says(&text), Err(Failed::TooCostly), "{text}");
    }
    // All rules of one request share what there is.
    let (dear, cheap) = (Rule::compile(dear).unwrap(), Rule::compile("true").unwrap());
    let facts = Facts::new(&asked.request, &asked.exchange, true);
    assert_eq!(cheap.holds(&facts), Ok(true));
    assert_eq!(dear.holds(&facts), Err(Failed::TooCostly));
    assert_eq!(cheap.holds(&facts), Err(Failed::TooCostly));
}

#[test]
fn no_expression_is_too_long_or_too_deep() {
    let refused = |text: String| Rule::compile(&text).is_err();
    assert!(refused(format!("{}true", " ".repeat(LONGEST))));
    assert!(refused(format!("true{}", " && true".repeat(510))), "steps");
    for depth in [60, 500, 1300] {
        for text in [
            format!("{}true{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}1{} == []", "[".repeat(depth), "]".repeat(depth)),
            format!("{}1{} == 1", "size(".repeat(depth), ")".repeat(depth)),
            format!("{}true", "true?".repeat(depth)),
        ] {
            assert!(refused(text.clone()), "{text}");
        }
        // Deep or not, they end.
        let _ = Rule::compile(&format!("{}true", "!".repeat(depth)));
        let _ = Rule::compile(&format!("{}true", "-".repeat(depth)));
        let _ = Rule::compile(&format!("claims{} == 1", ".a".repeat(depth)));
        let _ = Rule::compile(&format!("claims{} == 1", "[0]".repeat(depth)));
        let _ = Rule::compile(&format!("true{}", "?true:true".repeat(depth)));
        let _ = Rule::compile(&format!("1{} == 1", "+1".repeat(depth)));
        let _ = Rule::compile(&"a(".repeat(depth));
        let _ = Rule::compile(&"'".repeat(depth));
    }
}

/// Pieces of expressions.
const PIECES: &[&str] = &[
    "request",
    "client",
    "claims",
    "consumer",
    "now",
    ".",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "==",
    "<",
    "+",
    "-",
    "*",
    "/",
    "%",
    "in",
    "'",
    "\"",
    "'''",
    "r'",
    "b'",
    "1",
    "0x",
    "1u",
    "1e9",
    "9223372036854775808",
    "true",
    "null",
    "has",
    "all",
    "exists",
    "map",
    "filter",
    "matches",
    "size",
    "timestamp",
    "duration",
    "inNetwork",
    ".groups",
    ".exists(g, ",
    ".path",
    "\\",
    "\\u",
    "\\x",
    "`",
    "//",
    "\n",
    "@",
    "ä",
    "_",
];

/// Some of them in any order, and other characters.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(str::to_owned),
        any::<char>().prop_map(|c| c.to_string()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in soup()) {
        match Rule::compile(&text) {
            Ok(rule) => {
                let asked = Asked::usual();
                let _ = rule.holds(&Facts::new(&asked.request, &asked.exchange, true));
            }
            Err(problem) => prop_assert!(text.get(problem.at.clone()).is_some(), "{problem:?}"),
        }
    }

    #[test]
    fn no_request_makes_a_rule_panic_and_none_allows_by_failing(
        path in "/[a-z%/]{0,30}",
        query in "[a-z0-9=&%+]{0,40}",
        header in prop::collection::vec(0x20u8..=0xff, 0..40),
        claim in json(),
        at in 0..TRUE.len(),
    ) {
        let mut head = testing::head();
        let Ok(uri) = format!("{path}?{query}").parse() else { return Ok(()) };
        head.uri = uri;
        let keys = ["sub", "level", "score", "groups", "scope", "auth_time", "nested", "big"];
        let claims: Claims = keys.map(|key| (key.to_owned(), claim.clone())).into_iter().collect();
        let mut asked = Asked::new(head, claims.into());
        if let Ok(value) = HeaderValue::from_bytes(&header) {
            asked.request.headers_mut().append("x-team", value);
        }
        for text in [TRUE[at], FAILING[at % FAILING.len()].0] {
            let (said, turned) = (asked.says(text), asked.says(&format!("!({text})")));
            match said {
                Ok(holds) => prop_assert_eq!(turned, Ok(!holds), "{}", text),
                Err(_) => prop_assert!(turned.is_err(), "{}", text),
            }
        }
    }

    #[test]
    fn moments_are_read_as_they_are_written(seconds in 0i64..=253_402_300_799) {
        let date = time::Date::of(seconds * time::SECOND);
        let (hour, minute) = (date.second_of_day / 3600, date.second_of_day / 60 % 60);
        let text = format!(
            "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{:02}Z",
            date.year, date.month, date.day, date.second_of_day % 60,
        );
        prop_assert_eq!(time::parse(&text), Some(seconds * time::SECOND), "{}", text);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z ]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("team|id|[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn what_is_no_moment_and_no_duration() {
    for text in [
        "",
        "2026-11-21",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T08:60:00Z",
        "2026-11-21T08:33:46",
        "2026-11-21 08:33:46Z",
        "2026-1-21T08:33:46Z",
        "2026-11-21T08:33:46.Z",
        "2026-11-21T08:33:46+1:00",
        "2026-11-21T08:33:46+24:00",
        "ä026-11-21T08:33:46Z",
        "0000-01-01T00:00:00Z",
    ] {
        assert_eq!(time::parse(text), None, "{text}");
    }
    assert!(time::parse("2024-02-29T23:59:59.123456789+23:59").is_some());
    for text in ["", "-", "5", "m", "5d", "1h5", "h1", "1..5s", "9999999999h", "ä", "5ä"] {
        assert_eq!(time::parse_duration(text), None, "{text}");
    }
    assert_eq!(time::parse_duration("-1h30m"), Some(-5400 * time::SECOND));
    assert_eq!(time::parse_duration("1.5s250ms"), Some(1_750_000));
}
