//! Questions to the services that policies ask who may pass.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::families::{AUTH_QUESTIONS, Scrape};
use crate::config::model::Name;

/// What came of the questions of one policy.
#[derive(Debug)]
pub struct Asked {
    policy: Name,
    counts: [AtomicU64; Question::WORDS.len()],
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The service said who may pass.
    Answered,
    /// It did not.
    Failed,
    /// It was not asked: it had said so before.
    Kept,
    /// It was not asked: another request was asking.
    Joined,
    /// It could not say, and what it had said before was used.
    Stale,
    /// It could not say, and the request passed.
    LetThrough,
}

// === impl Question ===

impl Question {
    const WORDS: [&'static str; 6] =
        ["answered", "failed", "kept", "joined", "stale", "let_through"];
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(policy: Name) -> Self {
        Self { policy, counts: Default::default() }
    }

    /// Whose questions these are.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Counts one.
    pub fn count(&self, question: Question) {
        self.counts[question as usize].fetch_add(1, Relaxed);
    }

    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
    pub(super) fn scrape(&self, out: &mut Scrape) {
        for (word, count) in Question::WORDS.iter().zip(&self.counts) {
            let count = count.load(Relaxed);
            if count > 0 {
                out.counter(AUTH_QUESTIONS, &[&self.policy, word], count as f64);
            }
        }
    }
}
