//! Sealing: what the gateway hands to browsers to keep, so that they can neither read nor change it.
//!
//! A seal is `base64url(version, salt, AES-256-GCM(text))`. Each has a key and a nonce of its own, derived
//! (HKDF-SHA256) from the operator's secret, from what the seal is for and from its random salt: so no
//! number of seals wears a key out, and none opens where it was not meant to be.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    rand,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

const VERSION: u8 = 1;
const SALT_LEN: usize = 24;
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;

/// What a seal is for. One for something else does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody who has logged in.
    Session,
    /// A login under way.
    Flow,
}

/// The keys of one policy. The first one seals, all of them open: that is how they are rotated.
pub(crate) struct Keyring {
    /// Whose they are, without two owners that read the same.
    owner: Vec<u8>,
    keys: Vec<Prk>,
}

/// How much [`Prk::expand`] is to make.
struct Length;

// === impl Keyring ===

impl Keyring {
    /// The keys of an owner: the name of a policy and whatever else must be the same.
    pub(crate) fn new<'s>(owner: &[&str], secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let owner = owner.iter().flat_map(|part| {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
            length.into_iter().chain(part.bytes())
        });
        let salt = Salt::new(HKDF_SHA256, b"tidegate oidc");
        let keys = secrets.into_iter().map(|secret| salt.extract(secret.as_bytes()));
        Self { owner: owner.collect(), keys: keys.collect() }
    }

    /// Seals a text; `None` if there is no key or no randomness.
    pub(crate) fn seal(&self, purpose: Purpose, text: &[u8]) -> Option<String> {
        let mut salt = [0; SALT_LEN];
        rand::fill(&mut salt).ok()?;
        let (key, nonce) = self.derived(self.keys.first()?, purpose, &salt)?;
        let mut sealed = text.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from([VERSION]), &mut sealed).ok()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode([&[VERSION], &salt[..], &sealed].concat()))
    }

    /// What was sealed, if it was with one of the keys, for this owner and purpose, and nobody changed it.
    pub(crate) fn open(&self, purpose: Purpose, seal: &[u8]) -> Option<Vec<u8>> {
        let raw = BASE64_URL_SAFE_NO_PAD.decode(seal).ok()?;
        let (&version, rest) = raw.split_first()?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_LEN>()?;
        if version != VERSION || sealed.len() < TAG_LEN {
            return None;
        }
        self.keys.iter().find_map(|key| {
            let (key, nonce) = self.derived(key, purpose, salt)?;
            let mut sealed = sealed.to_vec();
            let length = key.open_in_place(nonce, Aad::from([VERSION]), &mut sealed).ok()?.len();
            sealed.truncate(length);
            Some(sealed)
        })
    }

    fn derived(
        &self,
        key: &Prk,
        purpose: Purpose,
        salt: &[u8; SALT_LEN],
    ) -> Option<(LessSafeKey, Nonce)> {
        let purpose: &[u8] = match purpose {
            Purpose::Session => b"session",
            Purpose::Flow => b"flow",
        };
        let mut made = [0; KEY_LEN + NONCE_LEN];
        key.expand(&[purpose, salt, &self.owner], Length).ok()?.fill(&mut made).ok()?;
        let (key, nonce) = made.split_at(KEY_LEN);
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some((LessSafeKey::new(key), Nonce::try_assume_unique_for_key(nonce).ok()?))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

// === impl Length ===

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_LEN + NONCE_LEN
    }
}

/// Random text of 256 bits that nobody guesses; `None` without randomness.
pub(crate) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const OLD: &str = "an old secret of thirty-two chars";
    const NEW: &str = "a newer secret of thirty-two char";

    fn ring(secrets: &[&str]) -> Keyring {
        Keyring::new(&["sso", "https://issuer", "app"], secrets.iter().copied())
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        let (old, both, new) = (ring(&[OLD]), ring(&[NEW, OLD]), ring(&[NEW]));
        let before = old.seal(Purpose::Session, b"ann").unwrap();
        let after = both.seal(Purpose::Session, b"ann").unwrap();
        let opens = |ring: &Keyring, seal: &str| ring.open(Purpose::Session, seal.as_bytes());
        for (ring, before_opens, after_opens) in
            [(&old, true, false), (&both, true, true), (&new, false, true)]
        {
            assert_eq!(opens(ring, &before).is_some(), before_opens);
            assert_eq!(opens(ring, &after).is_some(), after_opens);
        }
        assert_eq!(opens(&both, &before).as_deref(), Some(&b"ann"[..]));
        assert!(ring(&[]).seal(Purpose::Session, b"ann").is_none());
        assert!(!format!("{both:?}").contains("secret"));
    }

    #[test]
    fn it_opens_for_its_owner_and_its_purpose_only() {
        let seal = ring(&[OLD]).seal(Purpose::Session, b"ann").unwrap();
        assert!(ring(&[OLD]).open(Purpose::Flow, seal.as_bytes()).is_none());
        for owner in [
            &["other", "https://issuer", "app"][..],
            &["sso", "https://issuer", "other"],
            &["sso", "https://other", "app"],
            &["ssohttps://issuer", "app"],
            &["sso", "https://issuerapp", ""],
            &["sso", "https://issuer", "app", ""],
        ] {
            let other = Keyring::new(owner, [OLD]);
            assert!(other.open(Purpose::Session, seal.as_bytes()).is_none(), "{owner:?}");
        }
    }

    #[test]
    fn no_two_are_the_same_and_none_is_readable() {
        let ring = ring(&[OLD]);
        let one = ring.seal(Purpose::Flow, b"https://readable").unwrap();
        assert_ne!(one, ring.seal(Purpose::Flow, b"https://readable").unwrap());
        let raw = BASE64_URL_SAFE_NO_PAD.decode(&one).unwrap();
        assert!(!String::from_utf8_lossy(&raw).contains("readable"));
        assert_ne!(random(), random());
    }

    #[test]
    fn what_is_no_seal_does_not_open() {
        let seal = ring(&[OLD]).seal(Purpose::Session, b"").unwrap();
        let mut other_version = BASE64_URL_SAFE_NO_PAD.decode(&seal).unwrap();
        other_version[0] = 2;
        let other_version = BASE64_URL_SAFE_NO_PAD.encode(other_version);
        let cut = |by: usize| seal[..seal.len() - by].to_owned();
        for seal in [
            String::new(),
            "AQ".into(),
            "AQ==".into(),
            "ä".into(),
            other_version,
            cut(1),
            cut(4),
            cut(seal.len() - 40),
            format!("{seal}AAAA"),
            format!("{seal}="),
            format!(" {seal}"),
        ] {
            assert!(ring(&[OLD]).open(Purpose::Session, seal.as_bytes()).is_none(), "{seal}");
        }
    }

    proptest! {
        #[test]
        fn it_gives_back_what_was_sealed(text in vec(any::<u8>(), 0..6000)) {
            let ring = ring(&[NEW, OLD]);
            let seal = ring.seal(Purpose::Session, &text).unwrap();
            prop_assert_eq!(ring.open(Purpose::Session, seal.as_bytes()), Some(text));
        }

        #[test]
        fn one_bit_more_or_less_and_it_does_not_open(
            text in vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let ring = ring(&[OLD]);
            let seal = ring.seal(Purpose::Session, &text).unwrap();
            let mut raw = BASE64_URL_SAFE_NO_PAD.decode(seal).unwrap();
            let at = at.index(raw.len());
            raw[at] ^= 1 << bit;
            let seal = BASE64_URL_SAFE_NO_PAD.encode(raw);
            prop_assert_eq!(ring.open(Purpose::Session, seal.as_bytes()), None);
        }

        #[test]
        fn nonsense_does_not_open(seal in vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(ring(&[OLD]).open(Purpose::Session, &seal), None);
        }
    }
}
