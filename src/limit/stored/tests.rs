//! What is taken ahead, with a party that counts under our eyes and a clock that stands still.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    super::{Standing, elapsed, refused},
    lease::{LIFE, Lease, Step},
    *,
};
use crate::{
    config::model::{self, Period},
    telemetry::{metrics::Degraded, testing},
};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLI;

fn standing(left: u32, refused: bool) -> Standings {
    Standings::from_buf([Standing { left, reset: 1, refused }])
}

/// The answer of a party that has so many left after that.
fn answer(granted: u32, left: u32) -> Taken {
    Taken {
        granted,
        standings: standing(left, granted == 0),
        wait: Duration::from_millis(10),
        ends: None,
        unix: 0,
    }
}

#[track_caller]
fn said(step: &Step) -> (u32, bool, Option<Amount>) {
    match step {
        Step::Said(standings, ahead) => (standings[0].left, refused(standings), *ahead),
        other => panic!("{other:?}"),
    }
}

/// Uses one after each pause, and has all granted: what was asked for in turn, and how often none was there.
fn used(lease: &mut Lease, now: &mut u64, pause: u64, count: u32) -> (Vec<u32>, u32) {
    let (mut asked, mut empty) = (Vec::new(), 0);
    for _ in 0..count {
        let ask = match lease.take(1, 8, *now) {
            Step::Said(_, ahead) => ahead,
            Step::Ask(amount) => {
                empty += 1;
                Some(amount)
            }
            Step::Wait => panic!("nobody else is there"),
        };
        if let Some(amount) = ask {
            asked.push(amount.most);
            lease.granted(&answer(amount.most, 50), amount, *now);
        }
        *now += pause;
    }
    (asked, empty)
}

#[test]
fn a_busy_key_takes_more_at_once_and_asks_before_it_has_none() {
    let (mut lease, mut now) = (Lease::default(), SECOND);
    assert!(matches!(lease.take(1, 8, now), Step::Ask(_)));
    assert_eq!(lease.take(1, 8, now), Step::Wait, "somebody asks already");
    lease.failed();
    let (asked, empty) = used(&mut lease, &mut now, MILLI, 400);
    assert_eq!(asked[..3], [1, 2, 4], "{asked:?}");
    assert!(asked[3..].iter().all(|most| (4..=8).contains(most)), "{asked:?}");
    assert!(empty <= 3, "{empty} times it was too late to ask ahead: {asked:?}");
    // What is not used in time is given back, and fewer are taken.
    let (asked, _) = used(&mut lease, &mut now, LIFE + MILLI, 8);
    assert_eq!(asked[asked.len() - 3..], [1, 1, 1], "{asked:?}");
}

#[test]
fn who_has_nothing_is_not_asked_again_before_there_may_be_some() {
    let mut lease = Lease::default();
    let Step::Ask(amount) = lease.take(3, 8, SECOND) else { panic!("there is nothing yet") };
    assert_eq!(amount, Amount { least: 3, most: 3 });
    lease.granted(&answer(0, 2), amount, SECOND);
    assert_eq!(said(&lease.take(3, 8, SECOND)), (2, true, None));
    assert_eq!(said(&lease.take(1, 8, SECOND + 9 * MILLI)), (2, true, None));
    assert!(matches!(lease.take(1, 8, SECOND + 10 * MILLI), Step::Ask(_)));
    // A party that says "in a year" may have forgotten everything by then.
    lease.granted(&Taken { wait: Duration::from_secs(31_000_000), ..answer(0, 0) }, amount, SECOND);
    assert!(said(&lease.take(1, 8, 2 * SECOND - 1)).1);
    assert!(matches!(lease.take(1, 8, 2 * SECOND), Step::Ask(_)));
}

#[test]
fn what_is_not_used_is_given_back_with_the_time_it_was_taken() {
    let mut lease = Lease::default();
    let five = Amount { least: 1, most: 5 };
    lease.granted(&Taken { unix: 77, ..answer(5, 0) }, five, SECOND);
    assert!(!said(&lease.take(2, 8, SECOND)).1);
    assert_eq!(lease.give_back(SECOND + LIFE - 1), None);
    assert_eq!(lease.give_back(SECOND + LIFE), Some((3, 77)));
    assert_eq!(lease.give_back(SECOND + LIFE), None, "once");
    assert!(matches!(lease.take(1, 8, SECOND + LIFE), Step::Ask(_)), "they are gone here");
    // With the day they were taken of.
    let mut lease = Lease::default();
    lease.granted(&Taken { ends: Some(Duration::from_millis(20)), ..answer(5, 0) }, five, SECOND);
    assert_eq!(lease.give_back(SECOND + 19 * MILLI), None);
    assert_eq!(lease.give_back(SECOND + 20 * MILLI), Some((5, 0)));
}

#[test]
fn corrections_use_what_is_here_and_leave_the_rest() {
    let mut lease = Lease::default();
    let five = Amount { least: 1, most: 5 };
    lease.granted(&answer(5, 0), five, SECOND);
    assert_eq!(lease.correct(2, 8, SECOND), 0);
    assert_eq!(lease.correct(7, 8, SECOND), 4);
    assert_eq!(lease.correct(-3, 8, SECOND), 0);
    assert_eq!(lease.correct(-9, 8, SECOND), -4, "it never holds more than it may");
    assert_eq!(lease.correct(-2, 8, SECOND + LIFE), -2);
}

proptest! {
    /// Whatever comes in whatever order: what passes is no more than what was granted, and what is held is no
    /// more than may be.
    #[test]
    fn nothing_passes_that_was_not_granted(
        largest in 1_u32..20,
        steps in prop::collection::vec((1_u32..4, 0_u64..400, 0_u32..25, prop::bool::weighted(0.1)), 1..400),
    ) {
        let (mut lease, mut now) = (Lease::default(), SECOND);
        let (mut granted, mut passed, mut back) = (0_u64, 0_u64, 0_u64);
        let mut asked: Option<Amount> = None;
        for (cost, pause, stock, fails) in steps {
            now += pause * MILLI;
            let ask = match lease.take(cost, largest, now) {
                Step::Said(standings, ahead) => {
                    passed += if refused(&standings) { 0 } else { u64::from(cost) };
                    ahead
                }
                Step::Ask(amount) => Some(amount),
                Step::Wait => {
                    prop_assert!(asked.is_some(), "nobody asks for those who wait");
                    None
                }
            };
            if let Some(amount) = ask {
                prop_assert!(asked.is_none(), "two ask at once");
                prop_assert!(amount.least <= amount.most && amount.most <= largest.max(cost));
                asked = Some(amount);
            } else if let Some(amount) = asked.take() {
                if fails {
                    lease.failed();
                } else {
                    let some = stock.min(amount.most);
                    let some = if some < amount.least { 0 } else { some };
                    granted += u64::from(some);
                    lease.granted(&answer(some, 0), amount, now);
                }
            }
            back += lease.give_back(now).map_or(0, |(tokens, _)| u64::from(tokens));
            prop_assert!(passed + back <= granted, "{passed} + {back} of {granted}");
            prop_assert!(granted - passed - back <= u64::from(largest) + 3);
        }
    }
}

// === a party under our eyes ===

/// It has so many, and counts how often it is asked.
#[derive(Debug, Default)]
struct Party {
    stock: Arc<Mutex<i64>>,
    asked: AtomicU32,
    away: std::sync::atomic::AtomicBool,
}

impl Remote for Party {
    fn take(
        &self,
        _: &Entries,
        amount: Amount,
        _: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        self.asked.fetch_add(1, Relaxed);
        let (stock, away) = (Arc::clone(&self.stock), self.away.load(Relaxed));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            if away {
                return Err(Away);
            }
            let mut stock = stock.lock();
            let some = i64::from(amount.most).min(*stock).max(0);
            let some = if some < i64::from(amount.least) { 0 } else { some };
            *stock -= some;
            Ok(answer(u32::try_from(some).unwrap(), u32::try_from(*stock).unwrap()))
        })
    }

    fn correct(
        &self,
        _: &Entries,
        by: i64,
        _: Option<u64>,
        _: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        let mut stock = self.stock.lock();
        *stock -= by;
        let taken = answer(1, u32::try_from(*stock).unwrap_or(0));
        Box::pin(async { Ok(taken) })
    }
}

fn stored(party: &Arc<Party>, batch: Option<u32>, on_error: OnStoreError) -> Arc<Stored> {
    let share = super::super::tests::two_in_an_hour();
    Arc::new(Stored {
        remote: Arc::clone(party) as Arc<dyn Remote>,
        leases: batch.map(|batch| Arc::new(Leases::new(batch, 1000))),
        on_error,
        share: Arc::new(share),
        degraded: Arc::new(Degraded::default()),
    })
}

async fn ask(stored: &Arc<Stored>, key: u64, cost: u32) -> Verdict {
    let now = stored.share.at(Instant::now(), 0);
    let question = Question { key, entries: Arc::default(), cost, now };
    match stored.take(question, &Exchange::new(testing::head())) {
        Answer::Now(verdict) => verdict,
        Answer::Later(verdict) => verdict.await,
    }
}

fn passes(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Counted(standings, _) => !refused(standings),
        Verdict::Open => true,
        Verdict::Closed => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_asks_once_and_gets_what_there_is() {
    let party = Arc::new(Party { stock: Arc::new(Mutex::new(500)), ..Party::default() });
    let stored = stored(&party, Some(50), OnStoreError::Deny);
    let (mut passed, mut tasks) = (0, Vec::new());
    for round in 0..40 {
        for _ in 0..20 {
            let stored = Arc::clone(&stored);
            tasks.push(tokio::spawn(async move { passes(&ask(&stored, 7, 1).await) }));
        }
        tokio::time::sleep(Duration::from_millis(round % 7)).await;
    }
    for task in tasks {
        passed += i64::from(task.await.expect("it does not panic"));
    }
    assert_eq!(passed, 500, "no more than there were, and none is held back");
    assert!(party.asked.load(Relaxed) < 100, "{:?}", party.asked);
    let before = party.asked.load(Relaxed);
    assert!(matches!(ask(&stored, 8, 1).await, Verdict::Counted(..)));
    assert_eq!(party.asked.load(Relaxed), before + 1, "another key is another question");
}

#[tokio::test(start_paused = true)]
async fn a_party_that_is_away_is_done_without() {
    for batch in [None, Some(5)] {
        let party = Arc::new(Party { away: true.into(), ..Party::default() });
        assert_eq!(ask(&stored(&party, batch, OnStoreError::Allow), 1, 1).await, Verdict::Open);
        assert_eq!(ask(&stored(&party, batch, OnStoreError::Deny), 1, 1).await, Verdict::Closed);
        let local = stored(&party, batch, OnStoreError::Local);
        for passes_here in [true, true, false] {
            let verdict = ask(&local, 1, 1).await;
            assert!(matches!(verdict, Verdict::Counted(_, Counter::Local)), "{verdict:?}");
            assert_eq!(passes(&verdict), passes_here);
        }
        // It is back.
        party.away.store(false, Relaxed);
        *party.stock.lock() = 9;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let verdict = ask(&local, 1, 1).await;
        assert!(matches!(verdict, Verdict::Counted(_, Counter::Remote)), "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_goes_back_and_is_forgotten() {
    let party = Arc::new(Party { stock: Arc::new(Mutex::new(100)), ..Party::default() });
    let stored = stored(&party, Some(20), OnStoreError::Deny);
    let mut passed = 0;
    for _ in 0..30 {
        passed += i64::from(passes(&ask(&stored, 1, 1).await));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(passed, 30);
    assert!(*party.stock.lock() < 70, "some are held");
    let leases = stored.leases.as_ref().expect("it is leased");
    tokio::time::sleep(Duration::from_secs(2)).await;
    leases.tend(&stored.remote);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(*party.stock.lock(), 70, "all that was not used is back");
    assert_eq!(leases.len(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    leases.tend(&stored.remote);
    assert_eq!(leases.len(), 0);
}

/// Who comes with more keys than there is room for is counted all the same, one by one.
#[tokio::test(start_paused = true)]
async fn strangers_take_no_memory() {
    let party = Arc::new(Party { stock: Arc::new(Mutex::new(100_000)), ..Party::default() });
    let stored = stored(&party, Some(4), OnStoreError::Deny);
    for key in 0..5000 {
        assert!(passes(&ask(&stored, key, 1).await));
    }
    let leases = stored.leases.as_ref().expect("it is leased");
    assert!(leases.len() <= 1100, "{}", leases.len());
    assert_eq!(*party.stock.lock(), 95_000);
}

// === what parties say ===

fn window(limit: u32, period: Period, burst: u32) -> model::Window {
    let number = |number| NonZeroU32::new(number).expect("more than nothing");
    model::Window { limit: number(limit), period, burst: number(burst) }
}

/// The same as the buckets of this process say, at any level.
#[test]
fn levels_are_read_as_our_own_buckets_are() {
    let settings = window(10, Period::Every(Duration::from_secs(1)), 5);
    let (here, there) = (super::super::window::Window::new(&settings), Window::new(&settings));
    let epoch = Instant::now();
    let nanos = elapsed(epoch, epoch + Duration::from_secs(9));
    for level in [0, 1, 50 * MILLI, 100 * MILLI, 399 * MILLI, 400 * MILLI, 401 * MILLI, SECOND] {
        for cost in [0, 1, 2, 5] {
            let now = Now { nanos, unix: 0 };
            let (_, expected) = here.take(nanos + level, cost, now);
            let refuses = (cost > 0 && expected.refused).then_some(cost);
            let after =
                if expected.refused { level } else { level + u64::from(cost) * 100 * MILLI };
            assert_eq!(there.standing(after, refuses, 0), expected, "{level} {cost}");
        }
    }
    assert_eq!(there.wait(450 * MILLI, 1, 0), Duration::from_millis(50));
    let day = Window::new(&window(3, Period::Day, 3));
    let at = day.standing(3, Some(1), 86_390);
    assert_eq!(at, Standing { left: 0, reset: 10, refused: true });
    assert_eq!(day.standing(1, None, 86_390), Standing { left: 2, reset: 10, refused: false });
    assert_eq!(day.ends(86_390), Some(Duration::from_secs(10)));
}
