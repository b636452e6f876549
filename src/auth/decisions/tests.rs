//! One asks, the others wait, and nobody waits for ever.

use std::collections::HashMap;

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Life =
    Life { ttl: Duration::from_secs(60), negative_ttl: SECOND, stale_if_error: SECOND, max: 100 };
const GOOD: Note = Note { good: true, at_most: None, weight: 1 };
const BAD: Note = Note { good: false, ..GOOD };

fn key(number: u8) -> Key {
    [number; 32]
}

impl<V> Turn<V> {
    fn asks(self) -> Asking<V> {
        match self {
            Self::Ask(asking) => asking,
            Self::Known(_) | Self::Wait(_) => panic!("nobody asks"),
        }
    }

    fn waits(self) -> Waiting<V> {
        match self {
            Self::Wait(waiting) => waiting,
            Self::Known(_) | Self::Ask(_) => panic!("nobody waits"),
        }
    }

    fn known(self) -> Option<V> {
        match self {
            Self::Known(value) => Some(value),
            Self::Ask(_) | Self::Wait(_) => None,
        }
    }
}

#[test]
fn one_asks_for_all_that_are_alike() {
    let (decisions, now) = (Decisions::new(LIFE), Instant::now());
    let asking = decisions.turn(key(1), now).asks();
    let waiting: Vec<_> = (0..1000).map(|_| decisions.turn(key(1), now).waits()).collect();
    let other = decisions.turn(key(2), now).asks();
    asking.said("yes", GOOD, now);
    for one in waiting {
        assert_eq!(one.said().now_or_never(), Some(Some(Said::Of("yes"))));
    }
    assert_eq!(decisions.turn(key(1), now + LIFE.ttl - SECOND).known(), Some("yes"));
    assert!(decisions.turn(key(1), now + LIFE.ttl).known().is_none());
    drop(other);
}

#[test]
fn what_is_not_kept_is_told_to_those_who_wait_all_the_same() {
    let life = Life { negative_ttl: Duration::ZERO, ..LIFE };
    let (decisions, now) = (Decisions::new(life), Instant::now());
    let asking = decisions.turn(key(1), now).asks();
    let waiting = decisions.turn(key(1), now).waits();
    asking.said("no", BAD, now);
    assert_eq!(waiting.said().now_or_never(), Some(Some(Said::Of("no"))));
    decisions.turn(key(1), now).asks().private();
    let asking = decisions.turn(key(1), now).asks();
    let waiting = decisions.turn(key(1), now).waits();
    asking.private();
    assert_eq!(waiting.said().now_or_never(), Some(Some(Said::Private)));
    assert!(decisions.stale(&key(1), now).is_none());
}

#[test]
fn when_the_one_who_asks_is_gone_the_next_one_asks() {
    let (decisions, now) = (Decisions::<&str>::new(LIFE), Instant::now());
    let asking = decisions.turn(key(1), now).asks();
    let waiting = decisions.turn(key(1), now).waits();
    drop(asking);
    assert_eq!(waiting.said().now_or_never(), Some(None));
    let asking = decisions.turn(key(1), now).asks();
    let waiting = decisions.turn(key(1), now).waits();
    assert_eq!(asking.failed("away", now), None);
    assert_eq!(waiting.said().now_or_never(), Some(Some(Said::Nothing("away"))));
    decisions.turn(key(1), now).asks();
}

#[test]
fn what_was_said_holds_longer_where_nobody_can_be_asked() {
    let (decisions, now) = (Decisions::new(LIFE), Instant::now());
    decisions.turn(key(1), now).asks().said("yes", GOOD, now);
    let over = now + LIFE.ttl;
    let asking = decisions.turn(key(1), over).asks();
    let waiting = decisions.turn(key(1), over).waits();
    assert_eq!(asking.failed("away", over), Some("yes"));
    assert_eq!(waiting.said().now_or_never(), Some(Some(Said::Of("yes"))));
    assert_eq!(decisions.turn(key(1), over + SECOND).asks().failed("away", over + SECOND), None);
    // A token that ended is not believed because its issuer is away.
    let note = Note { at_most: Some(SECOND), ..GOOD };
    decisions.turn(key(2), now).asks().said("yes", note, now);
    assert!(decisions.turn(key(2), now + SECOND / 2).known().is_some());
    assert_eq!(decisions.turn(key(2), now + SECOND).asks().failed("away", now + SECOND), None);
}

#[test]
fn many_who_may_not_push_out_none_who_may() {
    let (decisions, now) = (Decisions::new(Life { max: 4, ..LIFE }), Instant::now());
    decisions.turn(key(0), now).asks().said("yes", GOOD, now);
    for number in 1..=200 {
        decisions.turn(key(number), now).asks().said("no", BAD, now);
    }
    assert_eq!(decisions.turn(key(0), now).known(), Some("yes"));
    // And whoever may not any more is known as such at once.
    decisions.turn(key(0), now + LIFE.ttl).asks().said("no", BAD, now + LIFE.ttl);
    assert_eq!(decisions.turn(key(0), now + LIFE.ttl).known(), Some("no"));
    assert!(decisions.state.lock().flights.is_empty());
}

#[test]
fn no_part_can_be_moved_to_the_next() {
    let decisions = Decisions::<()>::new(LIFE);
    let of = |parts: &[&[&str]]| {
        let mut all = decisions.parts();
        parts.iter().for_each(|values| all.add(values.iter().map(|value| value.as_bytes())));
        all.key()
    };
    let all = [
        of(&[&["ab"], &["c"]]),
        of(&[&["a"], &["bc"]]),
        of(&[&["a", "b"], &["c"]]),
        of(&[&["a"], &["b", "c"]]),
        of(&[&["abc"], &[]]),
        of(&[&[], &["abc"]]),
        of(&[&["abc"], &[""]]),
        of(&[&["abc"]]),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(of(&[&["ab"], &["c"]]), all[0]);
    let other = Decisions::<()>::new(LIFE);
    let mut parts = other.parts();
    parts.add([&b"abc"[..]]);
    assert_ne!(parts.key(), all[7], "each has a secret of its own");
}

proptest! {
    /// Whatever happens in whatever order: never two ask for one key at once, what is known was said and
    /// is not over, and everybody who waits hears of the flight they joined.
    #[test]
    fn one_question_at_a_time(steps in vec((0_u8..6, 0_u8..3, 0_u64..2000), 0..200)) {
        let life = Life { ttl: SECOND * 3, negative_ttl: SECOND, stale_if_error: SECOND * 2, max: 2 };
        let decisions = Decisions::new(life);
        let mut now = Instant::now();
        let mut asking: HashMap<u8, Asking<usize>> = HashMap::new();
        let mut waiting: HashMap<u8, Vec<Waiting<usize>>> = HashMap::new();
        let mut said: HashMap<usize, (u8, bool, Instant)> = HashMap::new();
        for (number, (what, name, millis)) in steps.into_iter().enumerate() {
            now += Duration::from_millis(millis);
            if what < 2 {
                match decisions.turn(key(name), now) {
                    Turn::Known(value) => {
                        let (of, good, at) = said[&value];
                        let life = if good { life.ttl } else { life.negative_ttl };
                        prop_assert!(of == name && now < at + life);
                    }
                    Turn::Ask(it) => {
                        prop_assert!(asking.insert(name, it).is_none(), "two ask at once");
                    }
                    Turn::Wait(it) => {
                        prop_assert!(asking.contains_key(&name), "waits for nobody");
                        waiting.entry(name).or_default().push(it);
                    }
                }
                continue;
            }
            let Some(it) = asking.remove(&name) else { continue };
            let expected = match what {
                2 | 3 => {
                    let good = what == 2;
                    said.insert(number, (name, good, now));
                    it.said(number, Note { good, at_most: None, weight: 1 }, now);
                    Some(Said::Of(number))
                }
                4 => {
                    let stale = it.failed("away", now);
                    if let Some(value) = stale {
                        let (of, good, at) = said[&value];
                        let life_of = if good { life.ttl } else { life.negative_ttl };
                        prop_assert!(of == name && now < at + life_of + life.stale_if_error);
                    }
                    Some(stale.map_or(Said::Nothing("away"), Said::Of))
                }
                _ => {
                    drop(it);
                    None
                }
            };
            for one in waiting.remove(&name).unwrap_or_default() {
                prop_assert_eq!(one.said().now_or_never(), Some(expected.clone()));
            }
        }
    }
}
