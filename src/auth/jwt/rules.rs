//! What a token must say: of whom, for whom, and when. Pure, with the time as an argument.

use std::time::Duration;

use serde_json::Value;

use super::{super::Claims, Algorithm, Flaw};

/// Seconds that fit a number of JSON in all its readers.
const LAST: f64 = (1_u64 << 53) as f64;

/// What is expected of a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    /// `iss`, letter for letter.
    pub(crate) issuer: String,
    /// `aud`.
    pub(crate) audience: Audience,
    /// `nonce`: what a login has sent along, for ID tokens.
    pub(crate) nonce: Option<String>,
    /// The algorithms accepted.
    pub(crate) algorithms: Vec<Algorithm>,
    /// By how much the clocks of others may differ.
    pub(crate) leeway: Duration,
}

/// For whom a token may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One of these.
    OneOf(Vec<String>),
    /// Whoever trusts the issuer (`audience: any`).
    Any,
}

// === impl Rules ===

impl Rules {
    /// Until when what these claims say is true, in seconds since 1970.
    pub(super) fn judge(&self, claims: &Claims, now: u64) -> Result<u64, Flaw> {
        let issuer = claims.get("iss").ok_or(Flaw::MissingClaim)?;
        if issuer.as_str() != Some(&self.issuer) {
            return Err(Flaw::WrongIssuer);
        }
        self.audience.judge(claims.get("aud"))?;
        if let Some(nonce) = &self.nonce {
            let said = claims.get("nonce").ok_or(Flaw::MissingClaim)?;
            if said.as_str() != Some(nonce) {
                return Err(Flaw::WrongNonce);
            }
        }
        let (now, leeway) = (now as f64, self.leeway.as_secs_f64());
        let until = date(claims, "exp")?.ok_or(Flaw::MissingClaim)? + leeway;
        if now >= until {
            return Err(Flaw::Expired);
        }
        if date(claims, "nbf")?.is_some_and(|since| now + leeway < since) {
            return Err(Flaw::NotYetValid);
        }
        if date(claims, "iat")?.is_some_and(|made| now + leeway < made) {
            return Err(Flaw::IssuedInFuture);
        }
        // Between 0 and a little more than `LAST`. `now` is whole, so the end of a second counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(until.ceil() as u64)
    }
}

/// What the issuer itself says of a token must be of whom, for whom and in time, as far as it says so, at
/// `now` in seconds since 1970; how long it is true from then on, if it says that. Whose clock counts is
/// no question: the issuer was asked.
pub(in crate::auth) fn judge_active(
    issuer: Option<&str>,
    audience: Option<&Audience>,
    claims: &Claims,
    now: f64,
) -> Result<Option<Duration>, Flaw> {
    if let Some(wanted) = issuer {
        let said = claims.get("iss").ok_or(Flaw::MissingClaim)?;
        if said.as_str() != Some(wanted) {
            return Err(Flaw::WrongIssuer);
        }
    }
    if let Some(audience) = audience {
        audience.judge(claims.get("aud"))?;
    }
    if date(claims, "nbf")?.is_some_and(|since| now < since) {
        return Err(Flaw::NotYetValid);
    }
    let Some(until) = date(claims, "exp")? else { return Ok(None) };
    if now >= until {
        return Err(Flaw::Expired);
    }
    Ok(Some(Duration::from_secs_f64(until - now)))
}

/// Seconds since 1970 (RFC 7519 section 2), perhaps with a fraction.
fn date(claims: &Claims, name: &str) -> Result<Option<f64>, Flaw> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
    seconds.map(Some).ok_or(Flaw::MalformedClaim)
}

// === impl Audience ===

impl Audience {
    /// A text, or a list of nothing but texts.
    fn judge(&self, said: Option<&Value>) -> Result<(), Flaw> {
        let Self::OneOf(accepted) = self else { return Ok(()) };
        let is_ours = |text: &str| accepted.iter().any(|ours| ours == text);
        let good = match said.ok_or(Flaw::MissingClaim)? {
            Value::String(text) => is_ours(text),
            Value::Array(items) => {
                items.iter().all(Value::is_string)
                    && items.iter().filter_map(Value::as_str).any(is_ours)
            }
            _ => false,
        };
        if good { Ok(()) } else { Err(Flaw::WrongAudience) }
    }
}
