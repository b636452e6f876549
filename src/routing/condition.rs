//! Conditions on header and query values.
//!
//! A repeated header is one value joined with `, ` (RFC 9110 5.3) and of a repeated query parameter
//! the first counts: so two different exact values can never both hold, which is what conflict
//! detection relies on.

use std::fmt;

use http::{HeaderMap, HeaderName};
use regex::bytes::{Regex, RegexBuilder};
use smallvec::SmallVec;

/// Memory one compiled expression may take; what the operator writes must not eat the machine.
pub(super) const REGEX_SIZE: usize = 1 << 20;

/// What is wrong with an expression, for the operator.
#[allow(clippy::needless_pass_by_value)] // it is given to `map_err`
pub(super) fn complaint(error: regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(most) => format!(
            "this expression would take more than {} KiB of memory: repeat less, and take `[0-9A-Za-z_]` \
             for `\\w`, which is all of Unicode",
            most >> 10
        ),
        error => error.to_string(),
    }
}

/// What a header or query value has to be.
#[derive(Clone, Debug)]
pub enum ValueCondition {
    /// Equal to this.
    Exact(Box<str>),
    /// There, whatever its value.
    Present,
    /// Not there.
    Absent,
    /// Matches this expression, anywhere unless it has anchors.
    Regex(Regex),
    /// Starts with this.
    Prefix(Box<str>),
}

// === impl ValueCondition ===

impl ValueCondition {
    /// A condition by regular expression.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn regex(source: &str) -> Result<Self, String> {
        RegexBuilder::new(source).size_limit(REGEX_SIZE).build().map(Self::Regex).map_err(complaint)
    }

    /// Whether a value, or its absence, fulfils the condition.
    pub fn matches(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Self::Absent, value) => value.is_none(),
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::Exact(want), Some(value)) => want.as_bytes() == value,
            (Self::Prefix(want), Some(value)) => value.starts_with(want.as_bytes()),
            (Self::Regex(regex), Some(value)) => regex.is_match(value),
        }
    }

    pub(super) fn matches_header(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { return self.matches(None) };
        let Some(second) = values.next() else { return self.matches(Some(first.as_bytes())) };
        let mut joined: SmallVec<[u8; 256]> = SmallVec::from_slice(first.as_bytes());
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value.as_bytes());
        }
        self.matches(Some(&joined))
    }

    pub(super) fn matches_query(&self, query: Option<&str>, key: &str) -> bool {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !decoded(name).eq(key.bytes()) {
                continue;
            }
            if !value.contains(['%', '+']) {
                return self.matches(Some(value.as_bytes()));
            }
            let value: SmallVec<[u8; 256]> = decoded(value).collect();
            return self.matches(Some(&value));
        }
        self.matches(None)
    }

    /// Whether no value can fulfil both. Expressions are never assumed to differ.
    pub(super) fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, other) | (other, Self::Absent) => !matches!(other, Self::Absent),
            (Self::Exact(a), Self::Exact(b)) => a != b,
            (Self::Exact(exact), Self::Prefix(prefix))
            | (Self::Prefix(prefix), Self::Exact(exact)) => !exact.starts_with(&**prefix),
            (Self::Prefix(a), Self::Prefix(b)) => !a.starts_with(&**b) && !b.starts_with(&**a),
            _ => false,
        }
    }

    /// Whether two conditions are written alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ValueCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "`{value}`"),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::Regex(regex) => write!(f, "a match of `{}`", regex.as_str()),
            Self::Prefix(prefix) => write!(f, "`{prefix}…`"),
        }
    }
}

/// A query key or value without its escapes; a bad escape stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'+' => Some(b' '),
            b'%' => match (digit(at), digit(at + 1)) {
                (Some(high), Some(low)) => {
                    at += 2;
                    Some(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"))
                }
                _ => Some(b'%'),
            },
            byte => Some(byte),
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn exact(text: &str) -> ValueCondition {
        ValueCondition::Exact(text.into())
    }

    #[test]
    fn repeated_headers_are_one_value() {
        let name = HeaderName::from_static("x-a");
        let mut headers = HeaderMap::new();
        assert!(ValueCondition::Absent.matches_header(&headers, &name));
        headers.append(&name, HeaderValue::from_static("1"));
        assert!(exact("1").matches_header(&headers, &name));
        headers.append(&name, HeaderValue::from_static("2"));
        assert!(!exact("1").matches_header(&headers, &name));
        assert!(exact("1, 2").matches_header(&headers, &name));
        assert!(ValueCondition::regex("2$").unwrap().matches_header(&headers, &name));
    }

    #[test]
    fn query_is_decoded_and_the_first_counts() {
        let takes = |condition: ValueCondition, query| condition.matches_query(query, "a b");
        assert!(takes(exact("x y"), Some("z=1&a%20b=x+y&a+b=2")));
        assert!(!takes(exact("2"), Some("a+b=1&a+b=2")));
        assert!(takes(exact(""), Some("a+b")));
        assert!(takes(exact("%zz"), Some("a+b=%zz")));
        assert!(takes(ValueCondition::Absent, None));
        assert!(takes(ValueCondition::Absent, Some("ab=1")));
    }

    #[test]
    fn disjoint_only_when_proven() {
        let prefix = |text: &str| ValueCondition::Prefix(text.into());
        let regex = || ValueCondition::regex("^1$").unwrap();
        assert!(exact("1").is_disjoint(&exact("2")));
        assert!(!exact("1").is_disjoint(&exact("1")));
        assert!(ValueCondition::Absent.is_disjoint(&regex()));
        assert!(!ValueCondition::Absent.is_disjoint(&ValueCondition::Absent));
        assert!(!ValueCondition::Present.is_disjoint(&exact("1")));
        assert!(!regex().is_disjoint(&exact("2")));
        assert!(prefix("v1").is_disjoint(&prefix("v2")) && !prefix("v").is_disjoint(&prefix("v2")));
        assert!(prefix("v1").is_disjoint(&exact("v")));
    }
}
