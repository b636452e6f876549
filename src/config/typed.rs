//! Values for somebody else's schema: the `config` of a layer and the claims of a test. Only there does a
//! plain word have a type of its own, and it is that of YAML 1.2; all other fields type what they are given.

use serde_json::{Number, Value};

use super::tree::{Entry, Kind, Node};

/// A value with its plain words typed.
pub(super) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Seq(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|Entry { key, value, .. }| (key.clone(), json(value))).collect()
        }
        Kind::Scalar(scalar) if scalar.quoted => Value::String(scalar.text.clone()),
        Kind::Scalar(scalar) => plain(&scalar.text),
    }
}

/// A plain word, typed. What no number of JSON can hold stays text: `.inf`, and what has too many digits.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| {
        let signed = digits.starts_with(['+', '-']);
        u64::from_str_radix(digits, radix).ok().filter(|_| !signed).map(Number::from)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        // `010` is eight to some and ten to others.
        let doubtful = unsigned.len() > 1 && unsigned.starts_with('0');
        let whole = || text.parse::<i64>().map(Number::from);
        return (!doubtful)
            .then(|| whole().or_else(|_| text.parse::<u64>().map(Number::from)).ok())?;
    }
    Number::from_f64(text.parse().ok()?)
}
