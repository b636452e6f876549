//! A token taken apart: the compact form of RFC 7515 with three parts and nothing optional.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{super::Claims, Algorithm, Flaw, json};

/// Bytes of a token. Most are below 2 KiB; those with hundreds of groups in them are not.
pub(super) const LONGEST: usize = 16 << 10;

/// What a token says of itself. None of it is known to be true.
#[derive(Debug)]
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    /// The name of the key.
    pub(super) kid: Option<String>,
    pub(super) claims: Claims,
    /// What the signature is over.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

// === impl Token ===

impl<'t> Token<'t> {
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, Flaw> {
        if token.len() > LONGEST {
            return Err(Flaw::TooLarge);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Flaw::Malformed);
        };
        match parts.count() {
            0 => {}
            2 => return Err(Flaw::Encrypted),
            _ => return Err(Flaw::Malformed),
        }
        let (algorithm, kid) = header_of(&json::object(&decoded(header)?).ok_or(Flaw::Malformed)?)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        let claims = json::object(&decoded(payload)?).ok_or(Flaw::Malformed)?;
        Ok(Self { algorithm, kid, claims, signed, signature: decoded(signature)? })
    }
}

/// Without padding, and with nothing in the bits that stand for no byte.
fn decoded(part: &[u8]) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)
}

/// The algorithm and the name of the key.
fn header_of(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Flaw> {
    let has = |name| header.contains_key(name);
    if has("enc") {
        return Err(Flaw::Encrypted);
    }
    // We understand no extension, so none that is critical; and none may change what is signed.
    if has("crit") || has("b64") || has("zip") {
        return Err(Flaw::UnknownExtension);
    }
    if has("jwk") {
        return Err(Flaw::EmbeddedKey);
    }
    if let Some(content) = header.get("cty") {
        let nested = |text: &str| is_type(text, "jwt");
        return Err(if content.as_str().is_some_and(nested) {
            Flaw::Nested
        } else {
            Flaw::WrongType
        });
    }
    if let Some(kind) = header.get("typ") {
        let kind = kind.as_str().ok_or(Flaw::Malformed)?;
        if !is_type(kind, "jwt") && !is_type(kind, "at+jwt") {
            return Err(Flaw::WrongType);
        }
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Flaw::Malformed)?;
    let algorithm = Algorithm::parse(algorithm).ok_or(Flaw::WrongAlgorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(Flaw::Malformed)?.to_owned()),
    };
    Ok((algorithm, kid))
}

/// Media types have no case, and `application/` may be left out (RFC 7515 section 4.1.9).
fn is_type(text: &str, kind: &str) -> bool {
    let text = match text.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => text,
    };
    text.eq_ignore_ascii_case(kind)
}
