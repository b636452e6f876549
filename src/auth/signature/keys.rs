//! Keys that sign, and whose they are. A key is of one algorithm, whatever a request says: who could choose
//! would choose the weakest.

use std::{collections::HashMap, fmt};

use ahash::RandomState;
use aws_lc_rs::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use x509_parser::{oid_registry, prelude::FromDer, x509::SubjectPublicKeyInfo};

use super::super::{api_key, watched::Watched};
use crate::config::model::Name;

/// A shorter one can be guessed from any signature.
const SHORTEST_SECRET: usize = 32;
/// Keys in one set, and lines in a file.
const MOST: usize = 100_000;
/// Bytes of the name of a key.
const LONGEST_ID: usize = 128;
/// Before a secret that is no text.
const BASE64: &str = "base64:";

/// A file of keys that is read again when it changes.
pub(crate) type KeysFile = Watched<Keys>;

/// How something is signed (RFC 9421 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`, with a secret both sides have.
    HmacSha256,
    /// `ed25519`.
    Ed25519,
    /// `ecdsa-p256-sha256`.
    EcdsaP256,
    /// `ecdsa-p384-sha384`.
    EcdsaP384,
    /// `rsa-pss-sha512`.
    RsaPss,
    /// `rsa-v1_5-sha256`.
    RsaPkcs1,
}

/// Keys by what requests call them.
pub(crate) struct Keys(HashMap<Box<str>, Key, RandomState>);

/// A key.
pub(super) struct Key {
    pub(super) consumer: Name,
    pub(super) algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// A key as it is written.
#[derive(Clone, Copy)]
pub(crate) enum Written<'w> {
    /// Text, or `base64:` and bytes.
    Secret(&'w str),
    /// A public key (RFC 5280, `SubjectPublicKeyInfo`), and the algorithm where that is not clear.
    Public(&'w [u8], Option<Algorithm>),
}

// === impl Keys ===

impl Keys {
    /// None.
    pub(crate) fn none() -> Self {
        Self(HashMap::default())
    }

    /// Whether a consumer has a key.
    pub(crate) fn has(&self, consumer: &str) -> bool {
        self.0.values().any(|key| *key.consumer == *consumer)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// What is wrong with it, without the key.
    pub(crate) fn add(
        &mut self,
        consumer: &Name,
        id: &str,
        key: Written<'_>,
    ) -> Result<(), String> {
        if !api_key::is_name(consumer) {
            return Err(api_key::Why::Name.to_string());
        }
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(format!(
                "the id of a key is at most {LONGEST_ID} ASCII characters without spaces"
            ));
        }
        if self.0.contains_key(id) {
            return Err("another key has the same id".to_owned());
        }
        if self.0.len() == MOST {
            return Err(format!("there may be at most {MOST}"));
        }
        let (algorithm, material) = match key {
            Written::Secret(text) => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret(text)?);
                (Algorithm::HmacSha256, Material::Secret(Box::new(secret)))
            }
            Written::Public(der, algorithm) => {
                let (algorithm, key) = public(der, algorithm)?;
                (algorithm, Material::Public(key))
            }
        };
        let key = Key { consumer: consumer.clone(), algorithm, material };
        self.0.insert(id.into(), key);
        Ok(())
    }

    /// The keys in a file: lines `consumer id algorithm base64`, `#` before a comment. `name` is what
    /// messages call it.
    ///
    /// # Errors
    /// What is wrong with it, on one line, without any key.
    pub(crate) fn parse_file(name: &str, text: &str) -> Result<Self, String> {
        let mut keys = Self::none();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[consumer, id, algorithm, key] = words.as_slice() else {
                return Err(format!("{name}:{number}: a line is `consumer id algorithm base64`"));
            };
            let at = |why: &str| format!("{name}:{number}: {why}");
            let algorithm = Algorithm::parse(algorithm).ok_or_else(|| at(UNKNOWN))?;
            let der = STANDARD.decode(key).map_err(|_| at("the key is not base64"))?;
            let text = format!("{BASE64}{key}");
            let written = match algorithm {
                Algorithm::HmacSha256 => Written::Secret(&text),
                _ => Written::Public(&der, Some(algorithm)),
            };
            keys.add(&consumer.into(), id, written).map_err(|why| at(&why))?;
        }
        Ok(keys)
    }

    /// The key that is called so.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.len()).finish_non_exhaustive()
    }
}

// === impl Key ===

impl Key {
    /// Whether this is the signature of these bytes. It takes a time that says nothing of a secret.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, bytes, signature).is_ok(),
            Material::Public(key) => key.verify_sig(bytes, signature).is_ok(),
        }
    }
}

fn secret(text: &str) -> Result<Vec<u8>, String> {
    let secret = match text.strip_prefix(BASE64) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| "the secret is not base64")?,
        None => text.as_bytes().to_vec(),
    };
    if secret.len() < SHORTEST_SECRET {
        return Err(format!("a secret that signs has at least {SHORTEST_SECRET} bytes"));
    }
    Ok(secret)
}

fn public(
    der: &[u8],
    wanted: Option<Algorithm>,
) -> Result<(Algorithm, ParsedPublicKey), &'static str> {
    let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(|_| NO_KEY)?;
    let curve = || info.algorithm.parameters.as_ref()?.as_oid().ok();
    let oid = &info.algorithm.algorithm;
    let fitting: &[Algorithm] = if *oid == oid_registry::OID_SIG_ED25519 {
        &[Algorithm::Ed25519]
    } else if *oid == oid_registry::OID_PKCS1_RSAENCRYPTION {
        &[Algorithm::RsaPss, Algorithm::RsaPkcs1]
    } else if *oid == oid_registry::OID_PKCS1_RSASSAPSS {
        &[Algorithm::RsaPss]
    } else if *oid == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        match curve() {
            Some(curve) if curve == oid_registry::OID_EC_P256 => &[Algorithm::EcdsaP256],
            Some(curve) if curve == oid_registry::OID_NIST_EC_P384 => &[Algorithm::EcdsaP384],
            _ => return Err(OTHER_KEY),
        }
    } else {
        return Err(OTHER_KEY);
    };
    let algorithm = match wanted {
        None => fitting[0],
        Some(wanted) if fitting.contains(&wanted) => wanted,
        Some(_) => return Err("the key is of another algorithm"),
    };
    let how: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::Ed25519 => &ED25519,
        Algorithm::EcdsaP256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::EcdsaP384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::RsaPss => &RSA_PSS_2048_8192_SHA512,
        Algorithm::RsaPkcs1 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::HmacSha256 => return Err("a public key is no secret"),
    };
    let key = ParsedPublicKey::new(how, info.subject_public_key.data.as_ref());
    key.map(|key| (algorithm, key)).map_err(|_| NO_KEY)
}

const UNKNOWN: &str = "the algorithm is hmac-sha256, ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-pss-sha512 or rsa-v1_5-sha256";
const NO_KEY: &str = "this is not a public key that can be used (RSA keys have at least 2048 bits)";
const OTHER_KEY: &str = "keys are RSA, Ed25519, or ECDSA over P-256 or P-384";

// === impl Algorithm ===

impl Algorithm {
    /// What the standard calls it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::EcdsaP384 => "ecdsa-p384-sha384",
            Self::RsaPss => "rsa-pss-sha512",
            Self::RsaPkcs1 => "rsa-v1_5-sha256",
        }
    }

    /// The one of this name.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        const ALL: [Algorithm; 6] = [
            Algorithm::HmacSha256,
            Algorithm::Ed25519,
            Algorithm::EcdsaP256,
            Algorithm::EcdsaP384,
            Algorithm::RsaPss,
            Algorithm::RsaPkcs1,
        ];
        ALL.into_iter().find(|it| it.word() == word)
    }
}
