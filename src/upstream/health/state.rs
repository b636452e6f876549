//! What the checks of one endpoint say about it. One bad check among good ones is no illness and
//! one good one no cure: as in Envoy and HAProxy (`rise`, `fall`), a change takes several in a row.
//! The checker of the endpoint observes; all threads read, at the cost of a load.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// How many checks in a row change what is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Good ones.
    pub(crate) healthy_after: u32,
    /// Bad ones.
    pub(crate) unhealthy_after: u32,
}

/// What is believed until a check has spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initial {
    /// It is well, until `unhealthy_after` checks say no.
    Healthy,
    /// It is not, until the first check: as in Envoy, one good check is enough then.
    Unhealthy,
}

/// The belief has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// The health of one endpoint. It takes the thresholds anew with each check, so it outlives a
/// reload that changes them.
#[derive(Debug)]
pub(crate) struct Health {
    healthy: AtomicBool,
    checks: Mutex<Checks>,
}

/// What the checker remembers.
#[derive(Debug)]
struct Checks {
    /// The next check is the first.
    first: bool,
    /// Checks in a row that contradict the belief.
    against: u32,
}

// === impl Health ===

impl Health {
    /// An endpoint that was never checked.
    pub(crate) fn new(initial: Initial) -> Self {
        Self {
            healthy: AtomicBool::new(initial == Initial::Healthy),
            checks: Mutex::new(Checks { first: true, against: 0 }),
        }
    }

    /// A check is done.
    pub(crate) fn observe(&self, good: bool, thresholds: Thresholds) -> Option<Change> {
        let mut checks = self.checks.lock();
        let first = std::mem::replace(&mut checks.first, false);
        if good == self.is_healthy() {
            checks.against = 0;
            return None;
        }
        checks.against += 1;
        let (needed, change) = match good {
            true if first => (1, Change::Healthy),
            true => (thresholds.healthy_after, Change::Healthy),
            false => (thresholds.unhealthy_after, Change::Unhealthy),
        };
        if checks.against < needed {
            return None;
        }
        checks.against = 0;
        self.healthy.store(good, Ordering::Relaxed);
        Some(change)
    }

    /// There are no checks any more: it counts as well, and the next check is the first.
    pub(crate) fn forget(&self) {
        let mut checks = self.checks.lock();
        *checks = Checks { first: true, against: 0 };
        self.healthy.store(true, Ordering::Relaxed);
    }

    /// Whether it may be chosen, as far as the checks know.
    #[inline]
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// No check has spoken yet.
    pub(crate) fn is_unknown(&self) -> bool {
        self.checks.lock().first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { healthy_after: 2, unhealthy_after: 3 };

    #[test]
    fn the_first_good_check_is_enough_and_the_first_bad_one_is_not() {
        let health = Health::new(Initial::Unhealthy);
        assert!(!health.is_healthy() && health.is_unknown());
        assert_eq!(health.observe(true, THRESHOLDS), Some(Change::Healthy));
        assert!(health.is_healthy() && !health.is_unknown());
        let health = Health::new(Initial::Healthy);
        assert_eq!(health.observe(false, THRESHOLDS), None);
        assert_eq!(health.observe(false, THRESHOLDS), None);
        assert!(health.is_healthy());
        assert_eq!(health.observe(false, THRESHOLDS), Some(Change::Unhealthy));
        // From here on, one good check is no cure.
        assert_eq!(health.observe(true, THRESHOLDS), None);
        assert_eq!(health.observe(true, THRESHOLDS), Some(Change::Healthy));
    }

    #[test]
    fn a_bad_first_check_of_an_unhealthy_endpoint_uses_up_the_favour() {
        let health = Health::new(Initial::Unhealthy);
        assert_eq!(health.observe(false, THRESHOLDS), None);
        assert_eq!(health.observe(true, THRESHOLDS), None);
        assert_eq!(health.observe(true, THRESHOLDS), Some(Change::Healthy));
    }

    proptest! {
        /// The belief changes exactly when the last checks, as many as it takes, all contradict it.
        #[test]
        fn a_change_takes_checks_in_a_row(
            checks in proptest::collection::vec(any::<bool>(), 1..80),
            healthy_after in 1u32..6, unhealthy_after in 1u32..6, initial in any::<bool>(),
        ) {
            let thresholds = Thresholds { healthy_after, unhealthy_after };
            let initial = if initial { Initial::Healthy } else { Initial::Unhealthy };
            let health = Health::new(initial);
            for at in 0..checks.len() {
                let before = health.is_healthy();
                let needed = if before { unhealthy_after } else { healthy_after } as usize;
                let row = checks[..=at].iter().rev().take_while(|good| **good != before).count();
                let favour = at == 0 && !before && checks[0];
                let expected = (row >= needed || favour).then_some(match before {
                    true => Change::Unhealthy,
                    false => Change::Healthy,
                });
                prop_assert_eq!(health.observe(checks[at], thresholds), expected);
                prop_assert_eq!(health.is_healthy(), before != expected.is_some());
            }
        }
    }
}
