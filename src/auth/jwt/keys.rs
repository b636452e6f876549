//! The keys of an issuer (RFC 7517 section 5). What is for something else is passed over, what is wrong
//! is left out and said, and a set without a single usable key is none.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::Value;

use super::{
    Algorithm, Flaw, json,
    key::{Key, Unusable},
};

/// Bytes of a set.
pub(crate) const LARGEST: usize = 512 << 10;

/// Keys of a set.
const MOST: usize = 256;

/// The keys of an issuer, of one moment.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<String>,
    /// Another number for each set that was read.
    pub(crate) number: u64,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// Why it is none, on one line that shows nothing of it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if text.len() > LARGEST {
            return Err(format!("a set of keys has at most {} KiB", LARGEST >> 10));
        }
        let set = json::object(text).ok_or("this is no JSON object, or one with a name twice")?;
        let Some(Value::Array(written)) = set.get("keys") else {
            return Err("this is no set of keys: it has no list `keys`".to_owned());
        };
        if written.len() > MOST {
            return Err(format!("a set has at most {MOST} keys"));
        }
        let (mut keys, mut left_out): (Vec<Key>, _) = (Vec::new(), Vec::new());
        for (at, jwk) in (1..).zip(written) {
            match Key::parse(jwk) {
                Ok(key) if keys.iter().any(|other| is_taken(other, &key)) => {
                    left_out.push(format!("key {at}: another has its `kid`"));
                }
                Ok(key) => keys.push(key),
                Err(Unusable::Other) => {}
                Err(Unusable::Wrong(why)) => left_out.push(format!("key {at}: {why}")),
            }
        }
        if keys.is_empty() {
            let why = left_out.first().map_or("none is for signatures we verify", String::as_str);
            return Err(format!("this set has no usable key: {why}"));
        }
        Ok(Self { keys, left_out, number: NUMBER.fetch_add(1, Relaxed) })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Which keys are wrong, and why.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The one key for a token of this algorithm that names this key, or none.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&ParsedPublicKey, Flaw> {
        let named = self.keys.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let mut able = named.clone().filter_map(|key| key.for_algorithm(algorithm));
        match (able.next(), able.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(Flaw::AmbiguousKey),
            (None, _) if kid.is_some() && named.count() > 0 => Err(Flaw::WrongAlgorithm),
            (None, _) => Err(Flaw::UnknownKey),
        }
    }
}

/// Whether a name would stand for two keys of one kind.
fn is_taken(known: &Key, new: &Key) -> bool {
    let shared = |(algorithm, _): &(Algorithm, _)| new.for_algorithm(*algorithm).is_some();
    known.kid.is_some() && known.kid == new.kid && known.able.iter().any(shared)
}
