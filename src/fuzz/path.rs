//! The canonical form of paths: one spelling, which is its own, means the same as the raw path, and
//! hides nothing from a reader that decodes once more or drops parameters.

use super::RULES;
use crate::routing::{Normalize, canonical};

pub(super) fn check(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    for rules in RULES {
        if let Ok(path) = canonical(raw, rules) {
            is_clean(&path, rules);
            assert_eq!(canonical(&path, rules).as_deref(), Ok(&*path), "of {raw:?}");
            assert_eq!(resolve(raw, rules), resolve(&path, rules), "of {raw:?}");
        }
    }
}

/// Nothing in it is read differently by anybody.
pub(super) fn is_clean(path: &str, rules: Normalize) {
    assert!(path.starts_with('/'), "{path:?}");
    assert!(
        path.bytes().all(|b| b.is_ascii_graphic() && !b"\\#?\"<>^`{|}".contains(&b)),
        "bad bytes in {path:?}"
    );
    assert!(!rules.merge_slashes || !path.contains("//"), "{path:?}");
    assert!(rules.keep_encoded_slash || !path.contains("%2F"), "{path:?}");
    let decoded = decode(path);
    assert!(!decoded.iter().any(|b| b.is_ascii_control() || *b == b'\\'), "{path:?}");
    for segment in decoded.split(|&byte| byte == b'/') {
        let stem = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        assert!(stem != b"." && stem != b"..", "a dot segment in {path:?}");
    }
    for (at, _) in path.match_indices('%') {
        let digits = path.get(at + 1..at + 3).unwrap_or_default().as_bytes();
        let upper = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
        assert!(digits.len() == 2 && digits.iter().all(upper), "escapes in {path:?}");
        let value = decode(&path[at..at + 3])[0];
        let unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        assert!(!unreserved, "an escape for nothing in {path:?}");
    }
}

/// The segments a path leads through, fully decoded: RFC 3986 section 5.2.4 in its simplest form.
fn resolve(path: &str, rules: Normalize) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let decoded = decode(segment);
        let last = segments.peek().is_none();
        match decoded.as_slice() {
            b"." | b".." => {
                if decoded.len() == 2 {
                    out.pop();
                }
                if last {
                    out.push(Vec::new());
                }
            }
            b"" if rules.merge_slashes && !last => {}
            _ => out.push(decoded),
        }
    }
    out
}

fn decode(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}
