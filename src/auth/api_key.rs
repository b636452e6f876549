//! API keys and whose they are. The layer takes what a request shows ([`carrier`]) and asks
//! [`Keys`] for the consumer.
//!
//! **Why no timing tells anything of a key.** What was presented is hashed with SHA-256, and the hash
//! with HMAC-SHA-256 under a random key that this set of keys alone has and that never leaves it.
//! Both take a time that depends on the length only, which whoever asks knows. The map is looked
//! into with the outcome. However its search and its comparisons leak, they leak bits of a value
//! nobody outside can work out or come near to: changing one byte of the guess changes all of it.
//! So there is no way from "nearly" to "right", and there is no length or prefix to find.
//!
//! Secrets are not kept, not even those of the plain form: only these outcomes are.

pub(crate) mod carrier;
mod scheme;

use std::{collections::HashMap, fmt};

use ahash::RandomState;
use aws_lc_rs::{
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    hmac,
    rand::SystemRandom,
};

pub(crate) use self::scheme::{ApiKeys, Known};
use super::watched::Watched;
use crate::config::model::Name;

/// A shorter plain secret can be guessed, over the network or from its hash.
pub(crate) const SHORTEST: usize = 16;

/// Nobody has a longer key; more is not even hashed.
pub(crate) const LONGEST: usize = 8 << 10;

/// Secrets in one set, and lines in a file.
const MOST: usize = 100_000;

/// Bytes of a consumer's name.
const LONGEST_NAME: usize = 128;

/// A file of keys that is read again when it changes.
pub(crate) type KeysFile = Watched<Keys>;

type Hash = [u8; SHA256_OUTPUT_LEN];

/// In what form secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// The SHA-256 of each, as 64 hexadecimal digits.
    Sha256,
}

/// Whose keys there are.
pub(crate) struct Keys {
    /// Of this set alone.
    key: hmac::Key,
    consumers: HashMap<Hash, Name, RandomState>,
}

/// Which entry is wrong, counted from 0.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) entry: usize,
    pub(crate) why: Why,
}

/// What is wrong with an entry. It says nothing of the secret, and nothing of what may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Name,
    Short,
    Long,
    Characters,
    NoHash,
    /// Another consumer has this secret, in this entry.
    Taken(usize),
    TooMany,
}

// === impl Keys ===

impl Keys {
    /// The keys of these consumers; one may have several.
    ///
    /// # Errors
    /// The first entry that is wrong.
    pub(crate) fn new<'e>(
        entries: impl IntoIterator<Item = (Name, &'e str)>,
        form: Form,
    ) -> Result<Self, Wrong> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the system has random numbers");
        let mut keys = Self { key, consumers: HashMap::default() };
        let mut first: HashMap<Hash, usize, RandomState> = HashMap::default();
        for (entry, (name, secret)) in entries.into_iter().enumerate() {
            let wrong = |why| Wrong { entry, why };
            if entry == MOST {
                return Err(wrong(Why::TooMany));
            }
            if !is_name(&name) {
                return Err(wrong(Why::Name));
            }
            let hash = keys.keyed(&form.hash(secret).map_err(wrong)?);
            let before = *first.entry(hash).or_insert(entry);
            if keys.consumers.get(&hash).is_some_and(|other| *other != name) {
                return Err(wrong(Why::Taken(before)));
            }
            keys.consumers.insert(hash, name);
        }
        Ok(keys)
    }

    /// The keys in a file: lines `consumer secret`, `#` before a comment. `name` is what messages
    /// call it.
    ///
    /// # Errors
    /// What is wrong with it, on one line, without any secret.
    pub(crate) fn parse_file(name: &str, text: &str, form: Form) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if number > MOST {
                return Err(format!("{name}:{number}: {}", Why::TooMany));
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(consumer), Some(secret), None) = (words.next(), words.next(), words.next())
            else {
                // Not which words: any of them may be the secret.
                return Err(format!("{name}:{number}: a line is a consumer and a secret"));
            };
            entries.push((Name::from(consumer), secret));
            lines.push(number);
        }
        Self::new(entries, form).map_err(|wrong| {
            let at = lines[wrong.entry];
            match wrong.why {
                Why::Taken(first) => {
                    format!("{name}:{at}: {}: the one of line {}", wrong.why, lines[first])
                }
                why => format!("{name}:{at}: {why}"),
            }
        })
    }

    /// Whether a consumer has a key.
    pub(crate) fn has(&self, consumer: &str) -> bool {
        self.consumers.values().any(|name| **name == *consumer)
    }

    /// Whose key this is. Nothing is nobody's, and neither is what is longer than any key.
    pub(crate) fn consumer_of(&self, presented: &[u8]) -> Option<&Name> {
        if presented.is_empty() || presented.len() > LONGEST {
            return None;
        }
        self.consumers.get(&self.keyed(digest(&SHA256, presented).as_ref()))
    }

    /// How many secrets there are.
    pub(crate) fn len(&self) -> usize {
        self.consumers.len()
    }

    fn keyed(&self, hash: &[u8]) -> Hash {
        let tag = hmac::sign(&self.key, hash);
        tag.as_ref().try_into().expect("the output of HMAC-SHA-256 is as long as that of SHA-256")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Whether this can name a consumer: in a log, in a metric and in a header. Most secrets can, so
/// not even a name that is refused is shown.
pub(super) fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+/".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= LONGEST_NAME
        && name.bytes().all(inner)
}

/// What is wrong with a plain secret. It goes through headers, so it has no white space.
pub(crate) fn flaw(secret: &str) -> Option<Why> {
    if secret.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some(Why::Characters);
    }
    if secret.chars().count() < SHORTEST {
        return Some(Why::Short);
    }
    (secret.len() > LONGEST).then_some(Why::Long)
}

// === impl Form ===

impl Form {
    /// The SHA-256 of a secret that is written in this form.
    fn hash(self, written: &str) -> Result<Hash, Why> {
        match self {
            Self::Plain => {
                if let Some(why) = flaw(written) {
                    return Err(why);
                }
                let hash = digest(&SHA256, written.as_bytes());
                Ok(hash.as_ref().try_into().expect("this is its length"))
            }
            Self::Sha256 => hex(written).ok_or(Why::NoHash),
        }
    }
}

/// What 64 hexadecimal digits stand for.
fn hex(text: &str) -> Option<Hash> {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    if text.len() != 2 * hash.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(
                f,
                "a consumer's name is letters, digits and `-_.:@+/`, at most {LONGEST_NAME} of \
                 them, a letter or digit first"
            ),
            Self::Short => write!(f, "a secret has at least {SHORTEST} characters"),
            Self::Long => write!(f, "a secret has at most {LONGEST} bytes"),
            Self::Characters => f.write_str("a secret has no white space or control characters"),
            Self::NoHash => f.write_str("a SHA-256 is 64 hexadecimal digits"),
            Self::Taken(_) => f.write_str("another consumer has the same secret"),
            Self::TooMany => write!(f, "there may be at most {MOST}"),
        }
    }
}

#[cfg(test)]
mod tests;
