//! A login under way: what the gateway must remember while the browser is at the provider. It stands
//! sealed in a cookie of its own, found again by the `state` that the provider gives back, so several
//! tabs can log in at once and nobody can finish a login that another browser began.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    Seconds,
    seal::{Keyring, Purpose, random},
};

/// How long somebody may take at the provider.
pub(crate) const LIFE: Duration = Duration::from_mins(10);
/// A longer first URL is forgotten, so that cookies stay small.
const LONGEST: usize = 1024;

/// A login under way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    /// Against answers to a login that another browser began.
    #[serde(rename = "s")]
    pub(crate) state: String,
    /// Against tokens of another login.
    #[serde(rename = "n")]
    pub(crate) nonce: String,
    /// Against codes that somebody else has taken (RFC 7636).
    #[serde(rename = "v")]
    pub(crate) verifier: String,
    /// Where the provider sends the browser.
    #[serde(rename = "r")]
    pub(crate) redirect_uri: String,
    /// Where the browser wanted to go.
    #[serde(rename = "f")]
    first: String,
    /// When it began.
    #[serde(rename = "b")]
    pub(crate) begun: Seconds,
}

// === impl Flow ===

impl Flow {
    /// A login that begins now; `None` without randomness.
    pub(crate) fn new(first: &str, redirect_uri: String, now: Seconds) -> Option<Self> {
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        Some(Self { state, nonce, verifier, redirect_uri, first: here(first).into(), begun: now })
    }

    /// What the provider is shown of the verifier: its SHA-256.
    pub(crate) fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// Where the browser goes after the login, on this host.
    pub(crate) fn first(&self) -> &str {
        here(&self.first)
    }

    /// Whether too much time has passed.
    pub(crate) const fn is_over(&self, now: Seconds) -> bool {
        now >= self.begun.saturating_add(LIFE.as_secs())
    }

    /// For the browser to keep.
    pub(crate) fn sealed(&self, keys: &Keyring) -> Option<String> {
        keys.seal(Purpose::Flow, &serde_json::to_vec(self).ok()?)
    }

    /// What the browser kept.
    pub(crate) fn open(keys: &Keyring, seal: &[u8]) -> Option<Self> {
        serde_json::from_slice(&keys.open(Purpose::Flow, seal)?).ok()
    }

    /// The login with this state, if it still goes on.
    pub(crate) fn find(keys: &Keyring, seal: &[u8], state: &str, now: Seconds) -> Option<Self> {
        let flow = Self::open(keys, seal)?;
        let same = verify_slices_are_equal(flow.state.as_bytes(), state.as_bytes()).is_ok();
        (same && !flow.is_over(now)).then_some(flow)
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// The target if it is one on the host it is told to: `//other` and `/\other` are other hosts to
/// a browser, which also takes out tabs and line ends before it looks.
fn here(target: &str) -> &str {
    let plain = target.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\');
    let local = target.starts_with('/') && !target.starts_with("//");
    if plain && local && target.len() <= LONGEST { target } else { "/" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Seconds = 1_800_000_000;

    fn keys() -> Keyring {
        Keyring::new(&["sso"], ["a secret of thirty-two characters"])
    }

    fn flow(first: &str) -> Flow {
        Flow::new(first, "https://app/oauth2/callback".into(), NOW).unwrap()
    }

    #[test]
    fn it_comes_back_by_its_state_and_in_time_only() {
        let flow = flow("/deep?a=1");
        let seal = flow.sealed(&keys()).unwrap();
        let find = |state: &str, after| Flow::find(&keys(), seal.as_bytes(), state, NOW + after);
        assert_eq!(find(&flow.state, 0), Some(flow.clone()));
        assert_eq!(find(&flow.state, 599), Some(flow.clone()));
        assert_eq!(find(&flow.state, 600), None);
        for state in ["", "x", &flow.state[1..], &flow.state[..42], &flow.nonce] {
            assert_eq!(find(state, 0), None, "{state}");
        }
        let session = keys().seal(Purpose::Session, &serde_json::to_vec(&flow).unwrap()).unwrap();
        assert_eq!(Flow::find(&keys(), session.as_bytes(), &flow.state, NOW), None);
        assert!(!format!("{flow:?}").contains(&flow.verifier));
    }

    #[test]
    fn all_that_must_be_random_is() {
        let (one, other) = (flow("/"), flow("/"));
        let all = [&one, &other].map(|it| [&it.state, &it.nonce, &it.verifier]).concat();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 6);
        assert!(all.iter().all(|it| it.len() == 43), "RFC 7636 wants 43 at least");
    }

    #[test]
    fn the_challenge_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let flow = Flow { verifier, ..flow("/") };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn nobody_is_sent_to_another_host() {
        for target in ["/", "/a", "/a/b?c=d&e=%2F", "/a//b", "/?next=https://evil", "/@evil"] {
            assert_eq!(flow(target).first(), target);
        }
        for target in [
            "",
            "a",
            "//evil",
            "///evil",
            "/\\evil",
            "\\\\evil",
            "https://evil",
            "javascript:x",
            "/\t/evil",
            "/\n/evil",
            "/a b",
            "/ä",
            "@evil",
            "*",
            "/a\\b",
            "/\u{7f}",
        ] {
            assert_eq!(flow(target).first(), "/", "{target:?}");
        }
        assert_eq!(flow(&format!("/{}", "x".repeat(LONGEST))).first(), "/");
    }

    proptest! {
        #[test]
        fn wherever_it_leads_it_is_here(target in "[/\\\\a.:@?#%\t\r\n ]{0,12}") {
            let flow = flow(&target);
            let first = flow.first();
            prop_assert!(first.starts_with('/') && !first.starts_with("//"));
            prop_assert!(!first.contains(['\\', '\t', '\r', '\n']));
        }
    }
}
