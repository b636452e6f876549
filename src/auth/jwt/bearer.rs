//! A token that lets its bearer pass (RFC 6750), whoever is asked whether it is true: where it is in a
//! request, who it is from, and what is said of one that is not.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{
    super::{
        Claims, Denied, Identity,
        api_key::carrier::{Carrier, Found},
        denied::Kind,
    },
    Demand, Flaw,
    demands::{find, plain},
    told,
};
use crate::layers::Request;

/// Bytes of a consumer's name.
const LONGEST_NAME: usize = 256;

/// What a policy reads in the claims of a token.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) require: Vec<Demand>,
    /// The claim that names the consumer; without one there is none.
    pub(crate) consumer: Option<String>,
    pub(crate) pass_claims: Vec<(HeaderName, String)>,
}

/// The token of a request.
pub(crate) fn shown<'r>(from: &Carrier, request: &'r Request) -> Result<Cow<'r, [u8]>, Denied> {
    match from {
        Carrier::Header(name) if *name == AUTHORIZATION => {
            bearer(request.headers()).map(Cow::Borrowed)
        }
        from => match from.take(request.uri(), request.headers()) {
            Found::None => Err(Denied::NOTHING),
            Found::Several => Err(Denied::SEVERAL),
            Found::One(token) => Ok(token),
        },
    }
}

/// Takes the token out of a request.
pub(crate) fn strip(from: &Carrier, request: &mut Request) {
    if let Carrier::Header(name) = from {
        request.headers_mut().remove(name);
        return;
    }
    let mut uri = std::mem::take(request.uri_mut());
    from.remove(&mut uri, request.headers_mut());
    *request.uri_mut() = uri;
}

/// What is said of one that does not let pass (RFC 6750 section 3). The reason is one of ours, never
/// something the token says.
pub(crate) fn challenge(denied: Denied) -> Option<HeaderValue> {
    let error = match denied.kind {
        Kind::Wrong => "invalid_token",
        Kind::Forbidden => "insufficient_scope",
        Kind::Nothing | Kind::Unavailable | Kind::Busy | Kind::Body(_) => {
            return Some(HeaderValue::from_static("Bearer"));
        }
    };
    let text = format!("Bearer error=\"{error}\", error_description=\"{}\"", denied.word);
    HeaderValue::try_from(text).ok()
}

/// What follows `Bearer` in `Authorization`. What else stands there is for somebody else.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Err(Denied::NOTHING) };
    if values.next().is_some() {
        return Err(Denied::SEVERAL);
    }
    match first.as_bytes().split_at_checked(6) {
        Some((scheme, [])) if scheme.eq_ignore_ascii_case(b"bearer") => Ok(&[]),
        Some((scheme, [b' ', token @ ..])) if scheme.eq_ignore_ascii_case(b"bearer") => {
            Ok(token.trim_ascii())
        }
        _ => Err(Denied::NOTHING),
    }
}

// === impl Reading ===

impl Reading {
    /// Who a token with these claims is from.
    pub(crate) fn identity(&self, claims: Claims) -> Result<Identity, Flaw> {
        self.allows(&claims)?;
        let consumer = match &self.consumer {
            None => None,
            Some(claim) => {
                let value = find(&claims, claim).ok_or(Flaw::MissingClaim)?;
                let name = plain(value).filter(|name| is_name(name)).ok_or(Flaw::MalformedClaim)?;
                Some(name.as_ref().into())
            }
        };
        let tells = told::fields(&self.pass_claims, &claims);
        Ok(Identity { consumer, tells, claims: Some(Arc::new(claims)), ..Identity::default() })
    }

    /// Whether these claims are what they must be.
    pub(crate) fn allows(&self, claims: &Claims) -> Result<(), Flaw> {
        match self.require.iter().all(|demand| demand.holds(claims)) {
            true => Ok(()),
            false => Err(Flaw::ClaimNotAllowed),
        }
    }

    /// The fields in which the upstream is told.
    pub(crate) fn tells(&self) -> Vec<HeaderName> {
        self.pass_claims.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Whether this can name a consumer, in a log and in a header.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
