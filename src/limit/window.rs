//! One window: what a word of state says, and what it is after a request. Where time flows it is GCRA
//! (the generic cell rate algorithm, as ITU-T I.371 calls it): the word is the moment at which nothing
//! would be used any more. For a day or month of the calendar it is a count and of which one.

use std::{
    cell::Cell,
    fmt,
    hash::{Hash, Hasher},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{RateLimitingMiddleware, StateSnapshot},
    nanos::Nanos,
    state::StateStore,
};

use super::{Now, Standing, calendar};
use crate::config::model::{Period, Window as Settings};

/// What a bucket says of one window; 0 is a bucket nothing has come to.
pub(super) type Word = u64;

/// One window of a limit.
#[derive(Debug)]
pub(super) enum Window {
    /// It gives back bit by bit.
    Flowing(Flowing),
    /// It gives all back at once.
    Calendar { period: Period, limit: u32 },
}

/// GCRA. Decisions are governor's; it is lent the state of one bucket at a time, and told the time.
pub(super) struct Flowing {
    gcra: RateLimiter<Lent, Lender, Told, YesOrNo>,
    flow: Flow,
}

/// How fast it gives back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Nanoseconds after which one more may come.
    pub(super) interval: u64,
    /// Nanoseconds after which everything is given back.
    pub(super) whole: u64,
}

/// A bucket's word while it is judged.
#[derive(Clone, PartialEq, Eq)]
struct Lent(Cell<Word>);

/// A state store that stores nothing: what it is asked for is in the key.
#[derive(Debug)]
struct Lender;

/// A decision and nothing else: how things stand is read off the word.
#[derive(Debug)]
struct YesOrNo;

/// A clock that shows what it was set to.
#[derive(Debug, Default)]
struct Told(Cell<u64>);

const SECOND: u64 = 1_000_000_000;
/// No bucket owes more than this, whatever upstreams say that requests have cost.
const MOST_OWED: u64 = 365 * 24 * 3600 * SECOND;

// === impl Window ===

impl Window {
    pub(super) fn new(settings: &Settings) -> Self {
        match settings.period {
            Period::Every(time) => {
                Self::Flowing(Flowing::new(settings.limit, time, settings.burst))
            }
            period => Self::Calendar { period, limit: settings.limit.get() },
        }
    }

    /// The word after a request of this cost, and how things stand then. One that is refused has changed
    /// nothing.
    #[inline(always)]
    pub(super) fn take(&self, word: Word, cost: u32, now: Now) -> (Word, Standing) {
        match self {
            Self::Flowing(flowing) => flowing.take(word, cost, now.nanos),
            Self::Calendar { period, limit } => take_of_calendar(*period, *limit, word, cost, now),
        }
    }

    /// The word after something more was taken out, or something was put back.
    pub(super) fn correct(&self, word: Word, by: i64, now: Now) -> Word {
        match self {
            Self::Flowing(flowing) => flowing.correct(word, by, now.nanos),
            Self::Calendar { period, .. } => {
                let (number, _) = calendar::at(*period, now.unix);
                let used = i64::from(used(word, number)).saturating_add(by);
                pack(number, u32::try_from(used.max(0)).unwrap_or(u32::MAX))
            }
        }
    }

    /// The share of the window that is used up: 0 is as if nothing had ever come, 1 is all of it.
    #[allow(clippy::cast_precision_loss)] // it is compared, no more
    pub(super) fn share(&self, word: Word, now: Now) -> f64 {
        match self {
            Self::Flowing(flowing) => {
                word.saturating_sub(now.nanos) as f64 / flowing.flow.whole as f64
            }
            Self::Calendar { period, limit } => {
                let (number, _) = calendar::at(*period, now.unix);
                f64::from(used(word, number)) / f64::from(*limit)
            }
        }
    }
}

#[inline(never)]
fn take_of_calendar(
    period: Period,
    limit: u32,
    word: Word,
    cost: u32,
    now: Now,
) -> (Word, Standing) {
    let (number, reset) = calendar::at(period, now.unix);
    let used = used(word, number);
    let after = used.checked_add(cost).filter(|after| *after <= limit);
    let left = limit.saturating_sub(after.unwrap_or(used));
    (pack(number, after.unwrap_or(used)), Standing { left, reset, refused: after.is_none() })
}

/// What has been used of a period of the calendar.
fn used(word: Word, number: u32) -> u32 {
    let (of, used) = ((word >> 32) as u32, word as u32);
    // A clock that is set back begins anew, as one that goes on does.
    if of == number { used } else { 0 }
}

fn pack(number: u32, used: u32) -> Word {
    u64::from(number) << 32 | u64::from(used)
}

// === impl Flowing ===

impl Flowing {
    fn new(limit: NonZeroU32, time: Duration, burst: NonZeroU32) -> Self {
        let interval = interval(limit, time);
        // `with_period` fails for no time at all, which it is not.
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(limit));
        let gcra = RateLimiter::new(quota.allow_burst(burst), Lender, Told::default());
        Self { gcra, flow: Flow::new(interval, burst) }
    }

    #[inline(always)]
    fn take(&self, word: Word, cost: u32, now: u64) -> (Word, Standing) {
        let Some(cells) = NonZeroU32::new(cost) else {
            return (word, self.flow.standing(word.saturating_sub(now)));
        };
        self.gcra.clock().0.set(now);
        let lent = Lent(Cell::new(word));
        let passes = match cells.get() {
            1 => self.gcra.check_key(&lent).is_ok(),
            _ => matches!(self.gcra.check_key_n(&lent, cells), Ok(Ok(()))),
        };
        let word = lent.0.get();
        let mut standing = self.flow.standing(word.saturating_sub(now));
        if !passes {
            standing.refused = true;
            standing.reset = seconds(self.flow.wait(word.saturating_sub(now), cost));
        }
        (word, standing)
    }

    fn correct(&self, word: Word, by: i64, now: u64) -> Word {
        let time = self.flow.interval.saturating_mul(by.unsigned_abs());
        if by < 0 {
            return word.saturating_sub(time);
        }
        word.max(now).saturating_add(time).min(now.saturating_add(MOST_OWED.max(self.flow.whole)))
    }
}

impl fmt::Debug for Flowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flowing").field("flow", &self.flow).finish_non_exhaustive()
    }
}

/// The time after which one more may come.
fn interval(limit: NonZeroU32, time: Duration) -> Duration {
    (time / limit.get()).max(Duration::from_nanos(1))
}

// === impl Flow ===

impl Flow {
    fn new(interval: Duration, burst: NonZeroU32) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { interval, whole: interval.saturating_mul(burst.get().into()) }
    }

    /// The same of a window.
    pub(super) fn of(limit: NonZeroU32, time: Duration, burst: NonZeroU32) -> Self {
        Self::new(interval(limit, time), burst)
    }

    /// How things stand where so many nanoseconds are owed.
    #[inline(always)]
    pub(super) fn standing(self, owed: u64) -> Standing {
        let free = self.whole.saturating_sub(owed);
        let left = free / self.interval;
        // Nothing owed is nothing to wait for.
        let next = ((left + 1) * self.interval).min(self.whole);
        let reset = seconds((next + owed).saturating_sub(self.whole));
        Standing { left: u32::try_from(left).unwrap_or(u32::MAX), reset, refused: false }
    }

    /// Nanoseconds until so many may come.
    pub(super) fn wait(self, owed: u64, cost: u32) -> u64 {
        let room = self.whole.saturating_sub(self.interval.saturating_mul(cost.into()));
        owed.saturating_sub(room)
    }
}

/// Whole seconds, never fewer than there are.
pub(super) fn seconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(SECOND)).unwrap_or(u32::MAX)
}

// === what governor wants ===

/// No bucket is looked for by this.
impl Hash for Lent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get().hash(state);
    }
}

impl StateStore for Lender {
    type Key = Lent;

    #[inline(always)]
    fn measure_and_replace<T, F, E>(&self, key: &Lent, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, after) = judge(Some(key.0.get().into()))?;
        key.0.set(after.into());
        Ok(outcome)
    }
}

impl Clock for Told {
    type Instant = Nanos;

    #[inline(always)]
    fn now(&self) -> Nanos {
        self.0.get().into()
    }
}

impl RateLimitingMiddleware<Nanos> for YesOrNo {
    type PositiveOutcome = ();
    type NegativeOutcome = ();

    #[inline(always)]
    fn allow<K>(_: &K, _: impl Into<StateSnapshot>) {}

    #[inline(always)]
    fn disallow<K>(_: &K, _: impl Into<StateSnapshot>, _: Nanos) {}
}
