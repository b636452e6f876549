//! Tests of the canonical form.

use proptest::prelude::*;

use super::*;

const STRICT: Normalize = Normalize { merge_slashes: true, keep_encoded_slash: false };
const KEEP: Normalize = Normalize { merge_slashes: true, keep_encoded_slash: true };
const NO_MERGE: Normalize = Normalize { merge_slashes: false, keep_encoded_slash: false };

#[test]
fn gives_one_spelling() {
    for (raw, rules, want) in [
        ("/", STRICT, "/"),
        ("/orders/7;v=1", STRICT, "/orders/7;v=1"),
        ("/%6frders/%7e", STRICT, "/orders/~"),
        ("/a%c3%a9%3a", STRICT, "/a%C3%A9%3A"),
        ("/a/./b/../c", STRICT, "/a/c"),
        ("/a/%2e%2E/b", STRICT, "/b"),
        ("/../../a", STRICT, "/a"),
        ("/a/..", STRICT, "/"),
        ("/a/b/.", STRICT, "/a/b/"),
        ("//a///b//", STRICT, "/a/b/"),
        ("//a//b//", NO_MERGE, "//a//b//"),
        ("/a//../b", NO_MERGE, "/a/b"),
        ("/.../..a/.b", STRICT, "/.../..a/.b"),
        ("/orders%2e", STRICT, "/orders."),
        ("/{a}|\"^`<>", STRICT, "/%7Ba%7D%7C%22%5E%60%3C%3E"),
        ("/;jsessionid=1", STRICT, "/;jsessionid=1"),
        ("/a%2fb", KEEP, "/a%2Fb"),
        ("/%E0%A4%85", STRICT, "/%E0%A4%85"),
        ("/a%3bb", STRICT, "/a%3Bb"),
        // A second decoding changes nothing that matters.
        ("/50%25/a%2520b/%253A%253F%2523", STRICT, "/50%25/a%2520b/%253A%253F%2523"),
        ("/caf%25C3%25A9/%25zz%25", STRICT, "/caf%25C3%25A9/%25zz%25"),
        ("/a%252fb/..%252", KEEP, "/a%252fb/..%252"),
    ] {
        assert_eq!(canonical(raw, rules).as_deref(), Ok(want), "{raw}");
    }
}

#[test]
fn borrows_what_is_canonical() {
    for raw in ["/", "/a/b.c/..d", "/%E0%A4%85/%20", "/a;x=1/b", "/a!$&'()*+,=:@[]"] {
        assert!(is_canonical(raw.as_bytes(), STRICT), "{raw}");
        assert!(matches!(canonical(raw, STRICT), Ok(Cow::Borrowed(_))), "{raw}");
    }
}

#[test]
fn refuses_hostile_paths() {
    for (raw, rules, want) in [
        ("", STRICT, PathError::NotAbsolute),
        ("*", STRICT, PathError::NotAbsolute),
        ("a/b", STRICT, PathError::NotAbsolute),
        ("/a%2Fb", STRICT, PathError::EncodedSlash),
        ("/a/..%2fb", STRICT, PathError::EncodedSlash),
        ("/a/..%2fb", KEEP, PathError::EncodedSlash),
        ("/a/b%2f%2e%2e%2fc", KEEP, PathError::EncodedSlash),
        ("/a/b%2f..;x", KEEP, PathError::EncodedSlash),
        ("/a\\b", STRICT, PathError::Backslash),
        ("/a%5cb", STRICT, PathError::EncodedBackslash),
        ("/a%00", STRICT, PathError::Control),
        ("/a%0d%0ab", STRICT, PathError::Control),
        ("/a%7f", STRICT, PathError::Control),
        ("/a\u{1}", STRICT, PathError::Control),
        ("/a\u{7f}", STRICT, PathError::Control),
        ("/a%", STRICT, PathError::BadEscape),
        ("/a%2", STRICT, PathError::BadEscape),
        ("/a%zz", STRICT, PathError::BadEscape),
        ("/%%32e", STRICT, PathError::BadEscape),
        ("/a/..;/b", STRICT, PathError::DotParameter),
        ("/a/..;x=1/b", STRICT, PathError::DotParameter),
        ("/a/%2e%2e;/b", STRICT, PathError::DotParameter),
        ("/a/.;/b", STRICT, PathError::DotParameter),
        ("/a/..%3b/b", STRICT, PathError::DotParameter),
        ("/;x/admin", STRICT, PathError::EmptyParameter),
        ("/%c0%ae%c0%ae/a", STRICT, PathError::Overlong),
        ("/%c0%2e", STRICT, PathError::Overlong),
        ("/%e0%80%af", STRICT, PathError::Overlong),
        ("/%f0%80%80%af", STRICT, PathError::Overlong),
        ("/%f8%80%80%80%af", STRICT, PathError::Overlong),
        ("/%fc%80%80%80%80%af", STRICT, PathError::Overlong),
        ("/%3bx/admin", STRICT, PathError::EmptyParameter),
        ("/a%2f%2e%3Bx", KEEP, PathError::EncodedSlash),
        ("/caf\u{e9}", STRICT, PathError::NotAscii),
        ("/a b", STRICT, PathError::Space),
        ("/a#b", STRICT, PathError::Delimiter),
        ("/a?b", STRICT, PathError::Delimiter),
    ] {
        assert_eq!(canonical(raw, rules), Err(want), "{raw}");
    }
}

#[test]
fn refuses_what_a_second_decoding_would_change() {
    for raw in [
        // This was canonical once, as two characters `%25` and text. A server behind a decoding
        // proxy, or one that decodes twice itself, reads `/../a`.
        "/%252e%252e/a",
        "/%2561dmin",
        "/%25%36%31dmin",
        "/a%252fb",
        "/a%255Cb",
        "/a/..%253b/b",
        "/admin%253bx",
        "/a%2500",
        "/a%250d%250ab",
        "/a%257f",
        "/%25252e",
        "/a%252520",
        "/a%25%32%35",
        // Lenient decoders leave a lone `%` alone, and find an escape behind it.
        "/%25%252e",
        "/%2525e",
        "/%25c0%25ae",
        "/%25C0",
        "/%E0%2580%25AF",
        "/%25e0%80%25af",
        "/%25u0061dmin",
        "/%25U002e",
    ] {
        for rules in [STRICT, KEEP, NO_MERGE] {
            if !(rules == KEEP && raw == "/a%252fb") {
                assert_eq!(canonical(raw, rules), Err(PathError::DoubleEncoding), "{raw}");
            }
        }
    }
    // Where an encoded slash is data, it still hides no dot segment.
    for raw in ["/a/..%252fb", "/a%252f..", "/a%252F.%252Fb", "/a%252f..;x", "/a%252f..%3Bx%252f"] {
        assert_eq!(canonical(raw, KEEP), Err(PathError::DoubleEncoding), "{raw}");
    }
    assert_eq!(canonical("/a%2525252F", KEEP), Err(PathError::DoubleEncoding));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%2F", "%25", "2e", ";", "a", "B", "%41",
        "%c3%a9", "%3b", "%3B", "%20", "{", "~", "%7e", "%e0", "%A4", "//", "5", "c0", "25", "%80",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|p| format!("/{}", p.concat()))
}

/// Decodes what can be decoded, as most servers do.
fn lenient(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.filter(|_| bytes[at] == b'%');
        out.push(value.map_or(bytes[at], |d| u8::from_str_radix(d, 16).unwrap()));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn is_idempotent_and_clean(raw in pieces(), merge: bool, keep: bool) {
        let rules = Normalize { merge_slashes: merge, keep_encoded_slash: keep };
        let Ok(once) = canonical(&raw, rules) else { return Ok(()) };
        let again = canonical(&once, rules);
        prop_assert_eq!(again.as_deref(), Ok(&*once));
        prop_assert!(once.starts_with('/'));
        prop_assert!(!once.split('/').any(|s| matches!(stem(s), "." | "..")));
        prop_assert!(!once.to_ascii_lowercase().contains("%2e"));
        prop_assert!(!merge || !once.contains("//"));
        prop_assert!(keep || !once.contains("%2F"));
        // Nobody who decodes it twice, or three times, finds a path that is not there.
        let twice = lenient(&lenient(once.as_bytes()));
        prop_assert!(!twice.split(|b| *b == b'/').any(|s| s == b".." || s == b"."), "{once}");
        prop_assert!(lenient(&twice) == twice, "{once}");
        // The fast scan agrees with the slow passes.
        if is_canonical(raw.as_bytes(), rules) {
            let slow = decode(raw.as_bytes(), rules).and_then(|d| remove_segments(&d, rules));
            prop_assert_eq!(slow.as_deref(), Ok(&*raw));
        }
    }

    #[test]
    fn never_panics(raw in ".{0,20}") {
        let _ = canonical(&format!("/{raw}"), KEEP);
    }
}
