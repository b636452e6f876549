//! Who asks an issuer: a name and a password, as `Authorization: Basic` (RFC 6749 section 2.3.1).

use std::{fmt::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;

use crate::auth::watched::Watched;

/// A file with a password, as the field that shows it.
pub(crate) type SecretFile = Watched<HeaderValue>;

/// What is shown to the issuer.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// The connection says who asks.
    None,
    Fixed(HeaderValue),
    File(Arc<SecretFile>),
}

// === impl Credentials ===

impl Credentials {
    /// The field that shows them.
    pub(super) fn now(&self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Fixed(value) => Some(value.clone()),
            Self::File(file) => Some((**file.now()).clone()),
        }
    }
}

/// The field for a name and a password, which nobody sees in a message.
pub(crate) fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let pair = format!("{}:{}", encoded(id.as_bytes()), encoded(secret.as_bytes()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The password in a file: its one line.
pub(crate) fn secret(name: &str, text: &str) -> Result<String, String> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains(['\n', '\r', '\0']) {
        return Err(format!("{name}: one line with the secret is needed"));
    }
    Ok(line.to_owned())
}

/// As in a form (`application/x-www-form-urlencoded`).
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(*byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_encoded_twice_and_not_seen() {
        let value = basic("gate way", "s3cret: %&?ü").unwrap();
        let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(pair, "gate+way:s3cret%3A+%25%26%3F%C3%BC");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn a_file_is_one_line() {
        for (text, line) in [("a b", Some("a b")), ("a\n", Some("a")), ("a\r\n", Some("a"))] {
            assert_eq!(secret("f", text).ok().as_deref(), line);
        }
        for text in ["", "\n", "a\nb", "a\n\n"] {
            assert_eq!(secret("f", text).unwrap_err(), "f: one line with the secret is needed");
        }
    }
}
