//! One key of a set (RFC 7517, 7518 and 8037), ready to verify with. Everything a key says of itself
//! must agree: its type, its curve, its algorithm and what it is for.

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Kind};

/// Bits of an RSA modulus: below is broken, above only costs time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Bytes of the name of a key.
const LONGEST_KID: usize = 512;

/// A public key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// What it can verify, parsed once for each algorithm.
    pub(super) able: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Why a key of a set is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is for something else, and may stand there.
    Other,
    /// It cannot be a good key.
    Wrong(&'static str),
}

// === impl Key ===

impl Key {
    pub(super) fn parse(jwk: &Value) -> Result<Self, Unusable> {
        let jwk = jwk.as_object().ok_or(Unusable::Wrong("it is no object"))?;
        let kind = text(jwk, "kty")?.ok_or(Unusable::Wrong("it has no `kty`"))?;
        // Who has it can sign, and now whoever reads the set has it. An `oct` key is nothing else.
        if kind != "oct" && jwk.contains_key("d") {
            return Err(Unusable::Wrong("it is a private key"));
        }
        if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") || !may_verify(jwk)? {
            return Err(Unusable::Other);
        }
        let curve = text(jwk, "crv")?;
        let kind = match (kind, curve) {
            ("RSA", _) => Kind::Rsa,
            ("EC", Some("P-256")) => Kind::P256,
            ("EC", Some("P-384")) => Kind::P384,
            ("OKP", Some("Ed25519")) => Kind::Ed25519,
            _ => return Err(Unusable::Other),
        };
        let only = match text(jwk, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::parse(name).ok_or(Unusable::Other)?),
        };
        if only.is_some_and(|only| only.kind() != kind) {
            return Err(Unusable::Wrong("its `alg` is not one of its `kty`"));
        }
        let kid = text(jwk, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Unusable::Wrong("its `kid` is too long"));
        }
        let material = Material::parse(jwk, kind)?;
        let able = Algorithm::ALL.into_iter().filter(|algorithm| match only {
            Some(only) => *algorithm == only,
            None => algorithm.kind() == kind,
        });
        let able = able.map(|algorithm| Some((algorithm, material.prepared(algorithm)?)));
        let able = able.collect::<Option<Vec<_>>>();
        Ok(Self { kid, able: able.ok_or(Unusable::Wrong("it is no point or number of its kind"))? })
    }

    pub(super) fn for_algorithm(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.able.iter().find(|(it, _)| *it == algorithm).map(|(_, key)| key)
    }
}

/// What a key is made of.
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point, as the library reads it.
    Point(Vec<u8>),
}

// === impl Material ===

impl Material {
    fn parse(jwk: &Map<String, Value>, kind: Kind) -> Result<Self, Unusable> {
        let sized = |name, size| {
            let bytes = bytes(jwk, name)?;
            let wrong = Unusable::Wrong("a coordinate has not the length of its curve");
            if bytes.len() == size { Ok(bytes) } else { Err(wrong) }
        };
        match kind {
            Kind::Rsa => {
                let (n, e) = (number(bytes(jwk, "n")?), number(bytes(jwk, "e")?));
                let bits =
                    n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
                if !RSA_BITS.contains(&bits) {
                    return Err(Unusable::Wrong("an RSA key has from 2048 to 8192 bits"));
                }
                // 1 signs everything, and a huge one makes verifying slow.
                if e.len() > 4 || e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
                    return Err(Unusable::Wrong("its exponent is no usual one"));
                }
                Ok(Self::Rsa { n, e })
            }
            Kind::P256 | Kind::P384 => {
                let size = if kind == Kind::P256 { 32 } else { 48 };
                let (x, y) = (sized("x", size)?, sized("y", size)?);
                // Uncompressed (SEC 1 section 2.3.3).
                Ok(Self::Point([&[4], &*x, &*y].concat()))
            }
            Kind::Ed25519 => Ok(Self::Point(sized("x", 32)?)),
        }
    }

    fn prepared(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(algorithm.rsa()?).ok()
            }
            Self::Point(point) => ParsedPublicKey::new(algorithm.verification(), point).ok(),
        }
    }
}

/// Whether `key_ops`, if it is there, names what we do.
fn may_verify(jwk: &Map<String, Value>) -> Result<bool, Unusable> {
    let Some(operations) = jwk.get("key_ops") else { return Ok(true) };
    let operations = operations.as_array().ok_or(Unusable::Wrong("its `key_ops` is no list"))?;
    Ok(operations.iter().any(|operation| operation == "verify"))
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, Unusable> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unusable::Wrong("a member of it is no text")),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    let text = text(jwk, name)?.ok_or(Unusable::Wrong("a part of it is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unusable::Wrong("a part of it is no base64url"))
}

/// Without the leading zeros some write and none should (RFC 7518 section 2).
fn number(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}
