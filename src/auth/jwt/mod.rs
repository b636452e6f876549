//! JSON web tokens and whose they are. A token is taken apart strictly ([`token`]), held against what is
//! expected ([`rules`]), and only then is one signature verified, with the one key of the issuer that it
//! names ([`keys`]). That much knows no network, clock or file and is [`verify`]; around it are where keys
//! come from ([`remote`]), what is known already ([`remembered`]), and the policy ([`scheme`]).
//!
//! **What no token gets to say.** Neither which key it is verified with beyond picking one of the
//! issuer's by its `kid`, nor which algorithm beyond picking one that the policy accepts and the key is
//! made for. `jku`, `x5u` and `x5c` are not looked at, `jwk` is refused, and so is everything that would
//! change what the signature covers (`crit`, `b64`).
//!
//! **What a refusal costs.** Everything before the signature is linear in a token of bounded size, a
//! refused token comes as far as a good one at most, and there is one verification or none.

mod algorithm;
pub(crate) mod bearer;
mod demands;
pub(super) mod json;
mod key;
mod keys;
mod remembered;
mod remote;
pub(super) mod rules;
mod scheme;
mod token;
pub(crate) mod told;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    algorithm::Algorithm,
    bearer::is_name,
    demands::{Demand, find, plain},
    keys::KeySet,
    remote::{At, Published, Remote},
    rules::{Audience, Rules},
    scheme::{Jwt, Keys, SetFile, Settings},
};
use super::{Claims, Denied};

/// A token that is true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verified {
    /// What the issuer says.
    pub(crate) claims: Claims,
    /// When it stops being true, in seconds since 1970.
    pub(crate) until: u64,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Longer than any token.
    TooLarge,
    /// Not three parts of base64url, not JSON, or a name twice.
    Malformed,
    /// A JWE: it is not for the gateway to read.
    Encrypted,
    /// A token within a token.
    Nested,
    /// Of a type that is no access token, as a proof of possession or a logout token.
    WrongType,
    /// An algorithm that is not accepted, or not one of the key.
    WrongAlgorithm,
    /// It brings a key along.
    EmbeddedKey,
    /// Its header changes how it is to be understood.
    UnknownExtension,
    /// It names no key of the issuer.
    UnknownKey,
    /// It names no key, and several would fit.
    AmbiguousKey,
    /// The signature is not one of that key over these bytes.
    BadSignature,
    /// A claim is missing without which no token is accepted.
    MissingClaim,
    /// A claim has a type it cannot have.
    MalformedClaim,
    /// From somebody else.
    WrongIssuer,
    /// For somebody else.
    WrongAudience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It says that it was made in the future.
    IssuedInFuture,
    /// Not the one that was asked for.
    WrongNonce,
    /// It is true, and says nothing that lets it pass.
    ClaimNotAllowed,
}

/// What a token says, if it is one that these keys have signed and that keeps to these rules at `now`,
/// in seconds since 1970.
///
/// # Errors
/// What is wrong with it. [`Flaw::UnknownKey`] is for a token that would be a good one otherwise, as
/// far as can be told without a key: it is worth asking the issuer for its keys.
pub(crate) fn verify(
    token: &[u8],
    keys: &KeySet,
    rules: &Rules,
    now: u64,
) -> Result<Verified, Flaw> {
    let token = token::Token::parse(token)?;
    if !rules.algorithms.contains(&token.algorithm) {
        return Err(Flaw::WrongAlgorithm);
    }
    let until = rules.judge(&token.claims, now)?;
    let key = keys.find(token.kid.as_deref(), token.algorithm)?;
    match key.verify_sig(token.signed, &token.signature) {
        Ok(()) => Ok(Verified { claims: token.claims, until }),
        Err(_) => Err(Flaw::BadSignature),
    }
}

// === impl Flaw ===

impl Flaw {
    /// The reason in a log, a metric and an answer.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Encrypted => "encrypted",
            Self::Nested => "nested",
            Self::WrongType => "wrong_type",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::EmbeddedKey => "embedded_key",
            Self::UnknownExtension => "unknown_extension",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim => "missing_claim",
            Self::MalformedClaim => "malformed_claim",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::WrongNonce => "wrong_nonce",
            Self::ClaimNotAllowed => "claim_not_allowed",
        }
    }
}

impl From<Flaw> for Denied {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::ClaimNotAllowed => Self::forbidden(flaw.word()),
            _ => Self::wrong(flaw.word()),
        }
    }
}
