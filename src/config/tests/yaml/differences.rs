//! Where the two differ, and why that is right. All else that we accept is the same to both.

use serde_yaml_oracle::Value;

use super::{
    super::super::{tree::Node, typed},
    compare::{self, Verdict, judge},
};

/// A byte order mark before the first line: to them it is a column of that line, which makes another file of
/// many. They are asked without it.
pub(super) const MARK: char = '\u{feff}';

/// They refuse what we accept.
pub(super) fn refused(said: &str) -> bool {
    // A whole number that 64 bits do not hold. To us it is text.
    said.contains("as u128") || said.contains("as i128")
        // Two keys that are one number to them: `1` and `0x1`. Keys are text to us.
        || said.contains("duplicate entry with key")
}

/// The number that a plain word is to them only.
pub(super) fn number(text: &str) -> Option<f64> {
    let (minus, unsigned) = match text.split_at_checked(1) {
        Some(("-", rest)) => (true, rest),
        Some(("+", rest)) => (false, rest),
        _ => (false, text),
    };
    let whole = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().map(|it| it as f64);
    let found = match unsigned.split_at_checked(2) {
        // Not in JSON.
        _ if matches!(unsigned, ".inf" | ".Inf" | ".INF") => Some(f64::INFINITY),
        _ if matches!(unsigned, ".nan" | ".NaN" | ".NAN") => Some(f64::NAN),
        // Not in YAML 1.2: binary digits, and a sign before `0x` or `0o`.
        Some(("0b", digits)) => whole(digits, 2),
        Some(("0x", digits)) => whole(digits, 16),
        Some(("0o", digits)) => whole(digits, 8),
        _ => None,
    };
    found.map(|it| if minus { -it } else { it })
}

fn value(text: &str) -> Node {
    let root = compare::ours(text).unwrap();
    root.entries().unwrap()[0].value.clone()
}

fn is_known(text: &str) {
    assert!(matches!(judge(text), Verdict::Known), "{:?}", judge(text));
}

#[test]
fn a_byte_order_mark_is_no_column() {
    let text = "\u{feff}a: 1\nb: 2\n";
    assert_eq!(compare::ours(text).unwrap().entries().unwrap().len(), 2);
    assert!(serde_yaml_oracle::from_str::<Value>(text).is_err());
}

#[test]
fn a_number_of_more_than_64_bits_is_text() {
    is_known("a: 18446744073709551616");
    assert_eq!(typed::json(&value("a: 18446744073709551616")), "18446744073709551616");
}

#[test]
fn keys_are_text_whatever_numbers_they_are() {
    is_known("1: a\n0x1: b\n");
    assert_eq!(compare::ours("1: a\n0x1: b\n").unwrap().entries().unwrap().len(), 2);
}

#[test]
fn numbers_are_those_of_yaml_1_2_and_of_json() {
    for (word, theirs) in [
        ("0b11", 3.0),
        ("-0x1F", -31.0),
        ("+0o7", 7.0),
        (".inf", f64::INFINITY),
        ("-.Inf", -f64::INFINITY),
    ] {
        let text = format!("a: {word}");
        assert_eq!(typed::json(&value(&text)), word);
        assert_eq!(compare::theirs(&text).unwrap()["a"].as_f64(), Some(theirs));
        assert!(matches!(judge(&text), Verdict::Same), "the judge knows");
    }
    assert_eq!(typed::json(&value("a: .nan")), ".nan");
}
