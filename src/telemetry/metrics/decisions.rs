//! What the policies of a route have said of its requests.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::families::{DECISIONS, REFUSALS, Scrape};

/// What a policy has decided on one route.
#[derive(Debug, Default)]
pub struct Decisions {
    verdicts: [AtomicU64; Verdict::WORDS.len()],
    /// Why, where a kind of policy has reasons.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allowed,
    /// It may not.
    Denied,
    /// It may not, and passes, for the policy only watches.
    Shadow,
    /// It is answered by a login, to which somebody is sent.
    Login,
    /// It was the last step of a login.
    LoggedIn,
    /// It was a step of a logout.
    Logout,
}

// === impl Verdict ===

impl Verdict {
    const WORDS: [&'static str; 6] =
        ["allowed", "denied", "shadow", "login", "logged_in", "logout"];

    /// In one word.
    pub(crate) const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

// === impl Decisions ===

impl Decisions {
    /// Counts one.
    pub fn count(&self, verdict: Verdict) {
        self.verdicts[verdict as usize].fetch_add(1, Relaxed);
    }

    /// How many there were.
    #[cfg(test)]
    pub(crate) fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize].load(Relaxed)
    }

    /// Counts why one was refused, or would have been.
    pub fn refused(&self, why: &'static str) {
        *self.refused.lock().entry(why).or_default() += 1;
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, [route, kind, policy]: [&str; 3], out: &mut Scrape) {
        for (word, count) in Verdict::WORDS.iter().zip(&self.verdicts) {
            let count = count.load(Relaxed);
            if count > 0 {
                out.counter(DECISIONS, &[route, kind, policy, word], count as f64);
            }
        }
        for (why, count) in &*self.refused.lock() {
            out.counter(REFUSALS, &[route, kind, policy, why], *count as f64);
        }
    }
}
