//! The value of a sticky cookie: it brings a client back to the endpoint that answered it first. It
//! stands before the balancer, which is asked only when the cookie names no endpoint that is there.
//!
//! The value is a keyed hash (HMAC-SHA-256, RFC 2104, cut to 128 bits as its section 5 allows) of
//! the names of the upstream and the endpoint. So it tells nobody the name, no client can make one
//! up for an endpoint it would like, and it means the same endpoint when others come and go.
//! Nothing in it ends it: that is the cookie's `Max-Age`.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Bytes of the hash that are used.
const BYTES: usize = 16;
/// What else the same secret may be used for makes other values.
const PURPOSE: &[u8] = b"tidegate sticky 1";

/// The values of one upstream's endpoints.
///
/// All are worked out in advance, and a cookie is looked up among them. That need not take the same
/// time for each wrong value: the map hashes the whole of it with random keys of its own, so how
/// long it takes says nothing about how many leading characters were right.
pub(crate) struct Sticky {
    values: Vec<Box<str>>,
    positions: HashMap<Box<str>, usize>,
}

/// The key of a secret of any length.
pub(crate) fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

/// The value that stands for `endpoint` of `upstream`.
pub(crate) fn seal(key: &hmac::Key, upstream: &str, endpoint: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    // With their lengths, or `ab` and `c` would be `a` and `bc`.
    for part in [PURPOSE, upstream.as_bytes(), endpoint.as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..BYTES])
}

// === impl Sticky ===

impl Sticky {
    /// The values of `endpoints`, by their position. Of two with the same name the first is meant.
    pub(crate) fn new<'e>(
        key: &hmac::Key,
        upstream: &str,
        endpoints: impl IntoIterator<Item = &'e str>,
    ) -> Self {
        let seal = |endpoint| seal(key, upstream, endpoint).into_boxed_str();
        let values: Vec<_> = endpoints.into_iter().map(seal).collect();
        let named = values.iter().enumerate().rev();
        let positions = named.map(|(position, value)| (value.clone(), position)).collect();
        Self { values, positions }
    }

    /// The endpoint a cookie names, if it is still there.
    pub(crate) fn find(&self, value: &str) -> Option<usize> {
        self.positions.get(value).copied()
    }

    /// What to put into the cookie for the endpoint at `position`.
    pub(crate) fn value(&self, position: usize) -> Option<&str> {
        self.values.get(position).map(AsRef::as_ref)
    }
}

impl std::fmt::Debug for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values are secrets of their clients.
        f.debug_struct("Sticky").field("endpoints", &self.values.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_value_is_what_it_was() {
        // It must not change between versions: clients would lose their endpoints.
        let value = seal(&key(b"secret"), "shop", "http://10.0.0.1:80");
        assert_eq!(value, "MWvrTYyjXRo-0bTsEhpAoQ");
    }

    #[test]
    fn values_are_short_and_say_nothing() {
        let sticky = Sticky::new(&key(b"secret"), "shop", ["http://one", "http://two"]);
        let value = sticky.value(0).expect("there");
        assert_eq!(value.len(), 22);
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert!(!format!("{sticky:?}").contains(value));
    }

    proptest! {
        #[test]
        fn every_endpoint_is_found_by_its_value_and_by_nothing_else(
            names in proptest::collection::vec("[a-c]{1,3}", 1..12), other in "[A-Za-z0-9_-]{22}",
            place in 0usize..22,
        ) {
            let sticky = Sticky::new(&key(b"secret"), "shop", names.iter().map(String::as_str));
            for (position, name) in names.iter().enumerate() {
                let value = sticky.value(position).expect("there").to_owned();
                let first = names.iter().position(|other| other == name);
                prop_assert_eq!(sticky.find(&value), first);
                prop_assert_eq!(&value, &seal(&key(b"secret"), "shop", name));
                // Changed anywhere, even in the bits that decode to nothing, it is worth nothing.
                let mut changed = value.into_bytes();
                changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
                prop_assert_eq!(sticky.find(std::str::from_utf8(&changed).unwrap()), None);
            }
            prop_assert_eq!(sticky.find(&other), None);
            prop_assert_eq!((sticky.find(""), sticky.value(names.len())), (None, None));
        }

        #[test]
        fn values_outlive_a_change_of_the_list(
            names in proptest::collection::hash_set("[a-z]{1,6}", 2..12), keep in 1usize..11,
        ) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let before = Sticky::new(&key(b"secret"), "shop", names.iter().copied());
            let kept: Vec<_> = names.iter().copied().rev().take(keep).chain(["new one"]).collect();
            let after = Sticky::new(&key(b"secret"), "shop", kept.iter().copied());
            for (position, name) in names.iter().enumerate() {
                let found = after.find(before.value(position).expect("there"));
                prop_assert_eq!(found, kept.iter().position(|other| other == name));
            }
        }

        #[test]
        fn key_upstream_and_endpoint_all_count(
            parts in proptest::collection::hash_set(("[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}"), 2..20),
        ) {
            let values: HashSet<_> = parts
                .iter()
                .map(|(secret, upstream, name)| seal(&key(secret.as_bytes()), upstream, name))
                .collect();
            prop_assert_eq!(values.len(), parts.len());
        }
    }
}
