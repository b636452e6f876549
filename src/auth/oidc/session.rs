//! A session: who has logged in, until when the provider vouches for that, and how it can be asked
//! again. It stands sealed in the browser's cookie and nowhere else.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    super::Claims,
    Seconds,
    seal::{Keyring, Purpose},
};

/// What the protocol itself says in an ID token; nobody behind the gateway has use for it.
const PROTOCOL: [&str; 12] = [
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "rt_hash",
    "auth_time",
];

/// A refresh begins so long before the end, at most.
const EARLY: Seconds = 60;

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What the provider says of them; `sub` is always there.
    #[serde(rename = "c")]
    pub(crate) claims: Claims,
    /// When they logged in.
    #[serde(rename = "b")]
    pub(crate) begun: Seconds,
    /// When the provider vouched for them last.
    #[serde(rename = "i")]
    pub(crate) issued: Seconds,
    /// Until when it did.
    #[serde(rename = "e")]
    pub(crate) expires: Seconds,
    /// When a request of theirs was last written down.
    #[serde(rename = "u")]
    pub(crate) used: Seconds,
    /// With what the provider can be asked again.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none", default)]
    pub(crate) refresh: Option<RefreshToken>,
}

/// A refresh token. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RefreshToken(pub(crate) String);

/// How long sessions last, by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From the login.
    pub(crate) max: Seconds,
    /// Without a request.
    pub(crate) idle: Option<Seconds>,
}

/// What may be done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: there must be a new login. One word says why.
    Over(&'static str),
    /// The provider must be asked again. Until its answer is there the session holds, or does not.
    Due { holds: bool },
    /// It holds; whether its use must be written down.
    Good { touch: bool },
}

// === impl Session ===

impl Session {
    /// Somebody of whom the provider has just said this.
    pub(crate) fn new(
        claims: Claims,
        keep: Option<&BTreeSet<String>>,
        refresh: Option<RefreshToken>,
        now: Seconds,
        expires: Seconds,
    ) -> Self {
        let claims = kept(claims, keep);
        Self { claims, begun: now, issued: now, expires, used: now, refresh }
    }

    /// The same login after the provider vouched for it again. What it does not say stays.
    pub(crate) fn renewed(
        &self,
        claims: Option<Claims>,
        keep: Option<&BTreeSet<String>>,
        refresh: Option<RefreshToken>,
        now: Seconds,
        expires: Seconds,
    ) -> Self {
        Self {
            claims: claims.map_or_else(|| self.claims.clone(), |claims| kept(claims, keep)),
            begun: self.begun,
            issued: now,
            expires,
            used: now,
            refresh: refresh.or_else(|| self.refresh.clone()),
        }
    }

    /// The subject.
    pub(crate) fn subject(&self) -> &str {
        self.claims.get("sub").and_then(|sub| sub.as_str()).unwrap_or_default()
    }

    /// What may be done with it now.
    pub(crate) fn standing(&self, limits: Limits, now: Seconds) -> Standing {
        if now >= self.begun.saturating_add(limits.max) {
            return Standing::Over("session_too_old");
        }
        if limits.idle.is_some_and(|idle| now >= self.used.saturating_add(idle)) {
            return Standing::Over("session_idle");
        }
        let holds = now < self.expires;
        if self.refresh.is_none() && !holds {
            return Standing::Over("session_expired");
        }
        let early = EARLY.min(self.expires.saturating_sub(self.issued) / 10);
        if self.refresh.is_some() && now >= self.expires.saturating_sub(early) {
            return Standing::Due { holds };
        }
        // Not with every request, for each costs a seal and a cookie.
        let touch =
            limits.idle.is_some_and(|idle| now >= self.used.saturating_add((idle / 8).max(1)));
        Standing::Good { touch }
    }

    /// How long a browser should keep it.
    pub(crate) fn life(&self, limits: Limits, now: Seconds) -> Duration {
        let mut end = self.begun.saturating_add(limits.max);
        if self.refresh.is_none() {
            end = end.min(self.expires);
        }
        if let Some(idle) = limits.idle {
            end = end.min(now.saturating_add(idle));
        }
        Duration::from_secs(end.saturating_sub(now))
    }

    /// For the browser to keep.
    pub(crate) fn sealed(&self, keys: &Keyring) -> Option<String> {
        keys.seal(Purpose::Session, &serde_json::to_vec(self).ok()?)
    }

    /// What the browser kept.
    pub(crate) fn open(keys: &Keyring, seal: &[u8]) -> Option<Self> {
        let session: Self = serde_json::from_slice(&keys.open(Purpose::Session, seal)?).ok()?;
        (!session.subject().is_empty()).then_some(session)
    }
}

/// What of an ID token is kept.
fn kept(claims: Claims, keep: Option<&BTreeSet<String>>) -> Claims {
    let is_kept = |name: &str| match keep {
        Some(names) => name == "sub" || name == "iss" || names.contains(name),
        None => !PROTOCOL.contains(&name),
    };
    claims.into_iter().filter(|(name, _)| is_kept(name)).collect()
}

// === impl RefreshToken ===

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("«redacted»")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Seconds = 1_800_000_000;
    const HOUR: Seconds = 3600;

    fn claims(value: &serde_json::Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    fn ann(refresh: Option<&str>) -> Session {
        let refresh = refresh.map(|token| RefreshToken(token.into()));
        Session::new(claims(&json!({ "sub": "ann" })), None, refresh, NOW, NOW + HOUR)
    }

    #[test]
    fn what_is_kept() {
        let token = json!({ "sub": "ann", "iss": "i", "aud": "app", "exp": 1, "iat": 1, "nonce": "n",
                            "at_hash": "h", "email": "a@b", "groups": ["x"] });
        let all = Session::new(claims(&token), None, None, NOW, NOW);
        let named = |claims: &Claims| claims.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(named(&all.claims), "email groups iss sub");
        let keep = BTreeSet::from(["email".to_owned(), "aud".to_owned()]);
        let some = Session::new(claims(&token), Some(&keep), None, NOW, NOW);
        assert_eq!(named(&some.claims), "aud email iss sub");
    }

    #[test]
    fn every_end_to_the_second() {
        let max = Limits { max: 10 * HOUR, idle: None };
        let idle = Limits { max: 10 * HOUR, idle: Some(800) };
        let good = Standing::Good { touch: false };
        for (refresh, limits, after, expected) in [
            (None, max, 0, good),
            (None, max, HOUR - 1, good),
            (None, max, HOUR, Standing::Over("session_expired")),
            (Some("r"), max, HOUR - 61, good),
            (Some("r"), max, HOUR - 60, Standing::Due { holds: true }),
            (Some("r"), max, HOUR - 1, Standing::Due { holds: true }),
            (Some("r"), max, HOUR, Standing::Due { holds: false }),
            (Some("r"), max, 10 * HOUR - 1, Standing::Due { holds: false }),
            (Some("r"), max, 10 * HOUR, Standing::Over("session_too_old")),
            (None, idle, 99, good),
            (None, idle, 100, Standing::Good { touch: true }),
            (None, idle, 799, Standing::Good { touch: true }),
            (None, idle, 800, Standing::Over("session_idle")),
            (Some("r"), idle, HOUR, Standing::Over("session_idle")),
        ] {
            let standing = ann(refresh).standing(limits, NOW + after);
            assert_eq!(standing, expected, "{refresh:?} {limits:?} {after}");
        }
        // A token of ten seconds is not always due.
        let short = Session { expires: NOW + 10, ..ann(Some("r")) };
        assert_eq!(short.standing(max, NOW + 8), good);
        assert_eq!(short.standing(max, NOW + 9), Standing::Due { holds: true });
    }

    #[test]
    fn a_renewal_keeps_what_the_provider_does_not_say() {
        let keep = BTreeSet::new();
        let old = ann(Some("one"));
        let later = NOW + HOUR;
        let renewed = old.renewed(None, None, None, later, later + HOUR);
        assert_eq!(renewed.claims, old.claims);
        assert_eq!((renewed.begun, renewed.issued, renewed.used), (NOW, later, later));
        assert_eq!(renewed.refresh, old.refresh);
        let two = Some(RefreshToken("two".into()));
        let said = claims(&json!({ "sub": "ann", "email": "new" }));
        let renewed = old.renewed(Some(said), Some(&keep), two.clone(), later, later + HOUR);
        assert_eq!((renewed.claims.len(), renewed.refresh), (1, two));
    }

    #[test]
    fn a_browser_keeps_it_no_longer_than_it_holds() {
        let max = Limits { max: 10 * HOUR, idle: None };
        let idle = Limits { max: 10 * HOUR, idle: Some(800) };
        let life = |refresh, limits, after| ann(refresh).life(limits, NOW + after).as_secs();
        assert_eq!(life(None, max, 0), HOUR);
        assert_eq!(life(Some("r"), max, HOUR), 9 * HOUR);
        assert_eq!(life(Some("r"), idle, HOUR), 800);
        assert_eq!(life(Some("r"), max, 11 * HOUR), 0);
    }

    #[test]
    fn sealed_and_opened_and_never_shown() {
        let keys = Keyring::new(&["sso"], ["a secret of thirty-two characters"]);
        let session = ann(Some("refresh-me"));
        let seal = session.sealed(&keys).unwrap();
        assert_eq!(Session::open(&keys, seal.as_bytes()), Some(session.clone()));
        assert!(!format!("{session:?}").contains("refresh-me"));
        for text in ["", "{}", "[]", r#"{"c":{},"b":1,"i":1,"e":1,"u":1}"#] {
            let seal = keys.seal(Purpose::Session, text.as_bytes()).unwrap();
            assert_eq!(Session::open(&keys, seal.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_never_holds_past_its_ends(
            after in 0u64..20_000, lasts in 0u64..10_000, max in 1u64..15_000,
            idle in prop::option::of(1u64..5_000), refresh in any::<bool>(),
        ) {
            let mut session = ann(refresh.then_some("r"));
            session.expires = NOW + lasts;
            match session.standing(Limits { max, idle }, NOW + after) {
                Standing::Good { .. } | Standing::Due { holds: true } => {
                    prop_assert!(after < lasts && after < max);
                    prop_assert!(idle.is_none_or(|idle| after < idle));
                }
                Standing::Due { holds: false } => {
                    prop_assert!(refresh && after >= lasts && after < max);
                }
                Standing::Over(_) => {
                    let ended = after >= max || idle.is_some_and(|idle| after >= idle);
                    prop_assert!(ended || (!refresh && after >= lasts));
                }
            }
        }
    }
}
