//! Names and values as in a query or the body of a form.

use std::fmt::Write as _;

/// `a=1&b=%20`.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The URL with these fields at the end of its query.
pub(crate) fn with_query(url: &str, fields: &[(&str, &str)]) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{}", encode(fields))
}

/// The value of a name that stands there once; `None` if it is not there, or twice.
pub(crate) fn only(query: &str, name: &str) -> Option<String> {
    let mut values = query.split('&').filter_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(found)? == name).then_some(value)
    });
    match (values.next(), values.next()) {
        (Some(value), None) => unescape(value),
        _ => None,
    }
}

/// `None` if there is a bad escape, or no text.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries_are_made_and_read() {
        assert_eq!(
            with_query("https://a/b", &[("a b", "ä&=+")]),
            "https://a/b?a%20b=%C3%A4%26%3D%2B"
        );
        assert_eq!(with_query("https://a/b?c=d", &[("e", "f")]), "https://a/b?c=d&e=f");
        let query = "a=1&b=x%20y+z&c=1&c=2&d&%65=5&bad=%zz&cut=%4&raw=%ff";
        for (name, value) in
            [("a", Some("1")), ("b", Some("x y z")), ("d", Some("")), ("e", Some("5"))]
        {
            assert_eq!(only(query, name).as_deref(), value, "{name}");
        }
        for name in ["c", "x", "bad", "cut", "raw"] {
            assert_eq!(only(query, name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(name in "\\PC{1,8}", value in "\\PC{0,20}") {
            let query = encode(&[("\u{1}first", "x"), (&name, &value)]);
            prop_assert_eq!(only(&query, &name), Some(value));
        }

        #[test]
        fn anything_is_read_without_harm(query in "\\PC{0,60}") {
            let _ = only(&query, "a");
        }
    }
}
