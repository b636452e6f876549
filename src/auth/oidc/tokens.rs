//! From a code or a refresh token to a session, by way of the provider's token endpoint. Runs on control.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Seconds,
    flow::Flow,
    now,
    provider::{Away, Known, NoTokens, Provider, Tokens},
    renewals::Renewal,
    session::{RefreshToken, Session},
};
use crate::auth::{
    Claims,
    jwt::{self, Algorithm, Audience, Flaw, Rules},
};

/// By how much the clock of the provider may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// Why a login comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The provider cannot be asked.
    Away(Away),
    /// It says that the code is no good.
    Refused,
    /// It said something that is not true.
    Untrue(&'static str),
}

/// Finishes a login with the code the browser has brought.
pub(crate) async fn exchange(
    provider: &Arc<Provider>,
    flow: &Flow,
    code: &str,
    keep: Option<&BTreeSet<String>>,
) -> Result<Session, Failed> {
    let known = provider.known().await.map_err(Failed::Away)?;
    let fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &flow.redirect_uri),
        ("code_verifier", &flow.verifier),
    ];
    let tokens = provider.tokens(&known, fields).await.map_err(|none| match none {
        NoTokens::Away(away) => Failed::Away(away),
        NoTokens::Refused => Failed::Refused,
    })?;
    let id = tokens.id_token.as_deref().ok_or(Failed::Untrue("no_id_token"))?;
    let (claims, until) = verified(provider, known, id, Some(&flow.nonce)).await?;
    let now = now();
    let expires = until.max(lifetime(&tokens, now).unwrap_or(0));
    Ok(Session::new(claims, keep, tokens.refresh_token.map(RefreshToken), now, expires))
}

/// Asks whether the provider still vouches for a session.
pub(crate) async fn renew(
    provider: &Arc<Provider>,
    session: &Session,
    keep: Option<&BTreeSet<String>>,
) -> Renewal {
    let Some(RefreshToken(token)) = &session.refresh else { return Renewal::Refused };
    match renewed(provider, session, token, keep).await {
        Ok(session) => Renewal::Renewed(Arc::new(session)),
        Err(Failed::Refused) => Renewal::Refused,
        Err(Failed::Untrue(why)) => {
            let issuer = &*provider.settings().issuer;
            tracing::warn!(
                issuer,
                why,
                "the OpenID provider renewed a session with a bad ID token"
            );
            Renewal::Refused
        }
        Err(Failed::Away(away)) => {
            let issuer = &*provider.settings().issuer;
            tracing::warn!(issuer, error = %away, "the OpenID provider cannot renew sessions");
            Renewal::Away
        }
    }
}

async fn renewed(
    provider: &Arc<Provider>,
    session: &Session,
    token: &str,
    keep: Option<&BTreeSet<String>>,
) -> Result<Session, Failed> {
    let known = provider.known().await.map_err(Failed::Away)?;
    let fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    let tokens = provider.tokens(&known, fields).await.map_err(|none| match none {
        NoTokens::Away(away) => Failed::Away(away),
        NoTokens::Refused => Failed::Refused,
    })?;
    let (mut claims, mut expires) = (None, 0);
    if let Some(id) = &tokens.id_token {
        let (said, until) = verified(provider, known, id, None).await?;
        if said.get("sub") != session.claims.get("sub") {
            return Err(Failed::Untrue("another_subject"));
        }
        (claims, expires) = (Some(said), until);
    }
    let now = now();
    // Where nothing says how long, it is as long as before.
    let before = session.expires.saturating_sub(session.issued);
    let lifetime = lifetime(&tokens, now);
    let expires = match claims {
        Some(_) => expires.max(lifetime.unwrap_or(0)),
        None => lifetime.unwrap_or_else(|| now.saturating_add(before)),
    };
    let token = tokens.refresh_token.map(RefreshToken);
    Ok(session.renewed(claims, keep, token, now, expires))
}

/// Until when the access token is good, if that is said.
fn lifetime(tokens: &Tokens, now: Seconds) -> Option<Seconds> {
    tokens.expires_in.map(|seconds| now.saturating_add(seconds))
}

/// What a true ID token says, and until when (OpenID Connect Core section 3.1.3.7).
async fn verified(
    provider: &Arc<Provider>,
    known: Arc<Known>,
    token: &str,
    nonce: Option<&str>,
) -> Result<(Claims, Seconds), Failed> {
    let settings = provider.settings();
    let rules = Rules {
        issuer: settings.issuer.clone(),
        audience: Audience::OneOf(vec![settings.client_id.clone()]),
        nonce: nonce.map(str::to_owned),
        algorithms: Algorithm::ALL.to_vec(),
        leeway: LEEWAY,
    };
    let verify = |known: &Known| jwt::verify(token.as_bytes(), &known.keys, &rules, now());
    let verified = match verify(&known) {
        // The provider may have a new key.
        Err(Flaw::UnknownKey) => verify(&*provider.known_anew(&known).await.map_err(Failed::Away)?),
        verified => verified,
    };
    let verified = verified.map_err(|flaw| Failed::Untrue(flaw.word()))?;
    let claims = verified.claims;
    let several = claims.get("aud").and_then(|aud| aud.as_array()).is_some_and(|all| all.len() > 1);
    match claims.get("azp") {
        Some(party) if party.as_str() != Some(&settings.client_id) => {
            return Err(Failed::Untrue("wrong_party"));
        }
        None if several => return Err(Failed::Untrue("wrong_party")),
        _ => {}
    }
    if claims.get("sub").and_then(|sub| sub.as_str()).is_none_or(str::is_empty) {
        return Err(Failed::Untrue("no_subject"));
    }
    Ok((claims, verified.until.saturating_sub(LEEWAY.as_secs())))
}
