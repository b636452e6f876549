//! `Authorization: Basic` (RFC 7617): the user and the password a request shows.
//!
//! Padding of base64 may be missing, for clients that leave it out are many and nothing else can be
//! meant. Everything else is strict: half of the padding, or bits that mean nothing, are not base64.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

/// Bytes of a user's name.
pub(crate) const LONGEST_USER: usize = 255;

/// Bytes of a password. The hashes would take more, and time for it.
pub(crate) const LONGEST_PASSWORD: usize = 1024;

/// Both with the colon, in base64.
const LONGEST: usize = (LONGEST_USER + 1 + LONGEST_PASSWORD).div_ceil(3) * 4;

/// A user and a password, both without control characters.
#[derive(PartialEq, Eq)]
pub(crate) struct Basic {
    text: String,
    colon: usize,
}

/// What is wrong with credentials that begin with `Basic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    TooLong,
    Base64,
    Utf8,
    Control,
    Colon,
}

// === impl Basic ===

impl Basic {
    /// Reads the value of `Authorization`; nothing if it is of another scheme.
    ///
    /// # Errors
    /// What is wrong with the credentials.
    pub(crate) fn parse(value: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((scheme, rest)) = value.split_first_chunk::<5>() else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case(b"basic") || rest.first().is_some_and(|b| *b != b' ') {
            return Ok(None);
        }
        let encoded = rest.trim_ascii();
        if encoded.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        let padded = encoded.ends_with(b"=");
        let engine = if padded { STANDARD } else { STANDARD_NO_PAD };
        let decoded = engine.decode(encoded).map_err(|_| Malformed::Base64)?;
        let text = String::from_utf8(decoded).map_err(|_| Malformed::Utf8)?;
        if text.chars().any(char::is_control) {
            return Err(Malformed::Control);
        }
        let colon = text.find(':').ok_or(Malformed::Colon)?;
        if colon > LONGEST_USER || text.len() - colon - 1 > LONGEST_PASSWORD {
            return Err(Malformed::TooLong);
        }
        Ok(Some(Self { text, colon }))
    }

    pub(crate) fn user(&self) -> &str {
        &self.text[..self.colon]
    }

    pub(crate) fn password(&self) -> &str {
        &self.text[self.colon + 1..]
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People type passwords where the name belongs.
        f.debug_struct("Basic").finish_non_exhaustive()
    }
}

// === impl Malformed ===

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "user or password is too long",
            Self::Base64 => "the credentials are not base64",
            Self::Utf8 => "user or password is not UTF-8 text",
            Self::Control => "user or password has control characters",
            Self::Colon => "no colon stands between user and password",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Result<Option<(String, String)>, Malformed> {
        let basic = Basic::parse(value.as_bytes())?;
        Ok(basic.map(|basic| (basic.user().to_owned(), basic.password().to_owned())))
    }

    fn pair(user: &str, password: &str) -> Result<Option<(String, String)>, Malformed> {
        Ok(Some((user.to_owned(), password.to_owned())))
    }

    fn sent(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let aladdin = pair("Aladdin", "open sesame");
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(read("bASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ== "), aladdin);
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), pair("test", "123£"));
    }

    #[test]
    fn other_schemes_are_none_of_ours() {
        for other in ["", "Basi", "Bearer dGVzdDoxMjPCow==", "Basics dGVzdDox", "Basic\tdGVzdDox"] {
            assert_eq!(read(other), Ok(None), "{other}");
        }
    }

    #[test]
    fn there_is_one_spelling_with_or_without_padding() {
        assert_eq!(read("Basic dGVzdDoxMjPCow"), pair("test", "123£"));
        for wrong in [
            "Basic dGVzdDoxMjPCow=",   // half of the padding
            "Basic dGVzdDoxMjPCox==",  // bits that mean nothing
            "Basic dGVzdDoxMjPCow===", // too much
            "Basic dGVz dDoxMjPCow==",
            "Basic dGVzdDo_-w==", // of the other alphabet
            "Basic dGVzdDoxMjPCow==, Basic dGVzdDoxMjPCow==",
            "Basic user:password",
            "Basic \u{e4}",
        ] {
            assert_eq!(read(wrong), Err(Malformed::Base64), "{wrong}");
        }
    }

    #[test]
    fn what_is_in_it_is_judged() {
        assert_eq!(read(&sent("a:b:c")), pair("a", "b:c"));
        assert_eq!(read(&sent(":")), pair("", ""));
        assert_eq!(read(&sent("no colon")), Err(Malformed::Colon));
        assert_eq!(read("Basic"), Err(Malformed::Colon));
        assert_eq!(read("Basic "), Err(Malformed::Colon));
        assert_eq!(read(&sent(b"j\xf6rg:x")), Err(Malformed::Utf8));
        for control in ["a:b\0", "a\n:b", "a:b\u{7f}", "a:\u{85}"] {
            assert_eq!(read(&sent(control)), Err(Malformed::Control), "{control:?}");
        }
    }

    #[test]
    fn lengths_have_an_end() {
        let (user, password) = ("u".repeat(LONGEST_USER), "p".repeat(LONGEST_PASSWORD));
        assert_eq!(read(&sent(format!("{user}:{password}"))), pair(&user, &password));
        for long in [format!("{user}u:"), format!(":{password}p"), format!("{user}:p{password}")] {
            assert_eq!(read(&sent(&long)), Err(Malformed::TooLong));
        }
        // Not even decoded.
        let endless = format!("Basic {}", "!".repeat(LONGEST + 1));
        assert_eq!(read(&endless), Err(Malformed::TooLong));
    }

    #[test]
    fn it_shows_neither() {
        let basic = Basic::parse(sent("hunter2:hunter2").as_bytes()).unwrap().unwrap();
        assert_eq!(format!("{basic:?}"), "Basic { .. }");
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives(user in "[^:\\p{Cc}]{0,60}", password in "[^\\p{Cc}]{0,60}") {
            let text = format!("{user}:{password}");
            prop_assert_eq!(read(&sent(&text)), pair(&user, &password));
            let bare = format!("Basic {}", STANDARD_NO_PAD.encode(&text));
            prop_assert_eq!(read(&bare), pair(&user, &password));
        }

        #[test]
        fn nothing_is_a_panic(value in "Basic [A-Za-z0-9+/=]{0,40}", any in any::<Vec<u8>>()) {
            let _ = read(&value);
            let _ = Basic::parse(&any);
        }
    }
}
