//! What one gateway has taken of one bucket ahead. Pure: every question comes with the moment it is asked
//! at. As many are taken as are used in a short while, so that a busy key is rarely asked for and a quiet
//! one holds nothing back from other gateways.

use std::time::Duration;

use super::{super::Standings, Amount, Taken};

const MILLI: u64 = 1_000_000;
/// What is not used within this time is given back.
pub(super) const LIFE: u64 = 1000 * MILLI;
/// Who asks again that soon may take twice as many.
const SOON: u64 = 100 * MILLI;
/// A party that has nothing left is asked again no sooner and no later than this.
const EMPTY: (u64, u64) = (MILLI, 1000 * MILLI);

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Lease {
    tokens: u32,
    /// How many are taken at once, now.
    size: u32,
    /// Somebody asks for more.
    asking: bool,
    /// They are of no use after this moment.
    until: u64,
    /// There are no more before this moment.
    empty_until: u64,
    /// When it was said last how things stand, and what.
    said_at: u64,
    said: Standings,
    /// The same on the clock of who said it.
    unix: u64,
    /// What was not used in time, and when it had been taken.
    spoiled: (u32, u64),
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is known. There may be more to ask for, ahead.
    Said(Standings, Option<Amount>),
    /// So many must be asked for first.
    Ask(Amount),
    /// Somebody asks already.
    Wait,
}

// === impl Lease ===

impl Lease {
    /// What becomes of a request of this cost. Where it asks for more, somebody must do so, and call
    /// [`Self::granted`] or [`Self::failed`]. No lease is larger than `largest`.
    pub(super) fn take(&mut self, cost: u32, largest: u32, now: u64) -> Step {
        self.spoil(now);
        if let Some(left) = self.tokens.checked_sub(cost) {
            self.tokens = left;
            let ahead = (!self.asking && left < self.size / 2 && now >= self.empty_until)
                .then(|| self.ahead(largest, now));
            return Step::Said(self.standings(now), ahead);
        }
        if now < self.empty_until {
            return Step::Said(self.refusal(now), None);
        }
        if self.asking {
            return Step::Wait;
        }
        self.grow(largest, now);
        self.asking = true;
        let least = cost - self.tokens;
        Step::Ask(Amount { least, most: least.max(self.size.saturating_sub(self.tokens)) })
    }

    fn ahead(&mut self, largest: u32, now: u64) -> Amount {
        self.grow(largest, now);
        self.asking = true;
        Amount { least: 1, most: self.size.saturating_sub(self.tokens).max(1) }
    }

    fn grow(&mut self, largest: u32, now: u64) {
        let soon = self.said_at != 0 && now.saturating_sub(self.said_at) < SOON;
        let size = if soon { self.size.saturating_mul(2) } else { self.size };
        self.size = size.clamp(1, largest.max(1));
    }

    /// So many have come.
    pub(super) fn granted(&mut self, taken: &Taken, wanted: Amount, now: u64) {
        self.spoil(now);
        self.asking = false;
        self.tokens = self.tokens.saturating_add(taken.granted);
        self.said.clone_from(&taken.standings);
        (self.said_at, self.unix) = (now, taken.unix);
        if taken.granted > 0 {
            let ends = taken.ends.map_or(LIFE, nanos);
            self.until = now.saturating_add(LIFE.min(ends));
        }
        self.empty_until = 0;
        if taken.granted < wanted.most {
            self.empty_until = now + nanos(taken.wait).clamp(EMPTY.0, EMPTY.1);
        }
    }

    /// Nobody answered.
    pub(super) fn failed(&mut self) {
        self.asking = false;
    }

    /// Takes some more for a request that has passed, as far as there are any, or puts some back. What is
    /// left of that comes back.
    pub(super) fn correct(&mut self, by: i64, largest: u32, now: u64) -> i64 {
        self.spoil(now);
        if by > 0 {
            let taken = u32::try_from(by).unwrap_or(u32::MAX).min(self.tokens);
            self.tokens -= taken;
            return by - i64::from(taken);
        }
        if now >= self.until {
            return by;
        }
        // Never more than may be held.
        let room = largest.saturating_sub(self.tokens);
        let back = u32::try_from(by.unsigned_abs()).unwrap_or(u32::MAX).min(room);
        self.tokens += back;
        by + i64::from(back)
    }

    /// What can be given back, and when it had been taken.
    pub(super) fn give_back(&mut self, now: u64) -> Option<(u32, u64)> {
        self.spoil(now);
        let spoiled = std::mem::take(&mut self.spoiled);
        (spoiled.0 > 0).then_some(spoiled)
    }

    /// Whether to forget it is to forget nothing.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        self.is_dispensable(now) && now.saturating_sub(self.said_at) > 10 * LIFE
    }

    /// Whether to forget it is to forget only how busy it was.
    pub(super) fn is_dispensable(&self, now: u64) -> bool {
        self.tokens == 0 && self.spoiled.0 == 0 && !self.asking && now >= self.empty_until
    }

    fn spoil(&mut self, now: u64) {
        if self.tokens == 0 || now < self.until {
            return;
        }
        // Those of an earlier time are lost, if they have not been given back by now: they may be of
        // another day.
        let before = if self.spoiled.1 == self.unix { self.spoiled.0 } else { 0 };
        self.spoiled = (before.saturating_add(self.tokens), self.unix);
        self.tokens = 0;
        self.size /= 2;
    }

    /// How things stand, with what is here.
    pub(super) fn standings(&self, now: u64) -> Standings {
        let past = self.past(now);
        let mut all = self.said.clone();
        for window in &mut all {
            window.refused = false;
            window.left = window.left.saturating_add(self.tokens);
            window.reset = window.reset.saturating_sub(past);
        }
        all
    }

    fn refusal(&self, now: u64) -> Standings {
        let past = self.past(now);
        let mut all = self.said.clone();
        let known = all.iter().any(|window| window.refused);
        for window in &mut all {
            window.refused |= !known && window.left == 0;
            window.left = window.left.saturating_add(self.tokens);
            window.reset = window.reset.saturating_sub(past).max(u32::from(window.refused));
        }
        // Somebody must have.
        if !all.iter().any(|window| window.refused)
            && let Some(window) = all.iter_mut().min_by_key(|window| window.left)
        {
            (window.refused, window.reset) = (true, window.reset.max(1));
        }
        all
    }

    /// Whole seconds since it was said how things stand.
    fn past(&self, now: u64) -> u32 {
        let seconds = now.saturating_sub(self.said_at) / (1000 * MILLI);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
