//! An adaptive limit against services of known capacity, with time of its own.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

const SETTINGS: model::Adaptive =
    model::Adaptive { min: 4, max: 1000, tolerance: 0.25, probe: Duration::from_secs(30) };

/// A service that works on some requests at once, and clients that always have more of them, up to a number.
struct Simulation {
    adaptive: Adaptive,
    now: Instant,
    /// When each of those that work is free again.
    workers: BinaryHeap<Reverse<Instant>>,
    takes: Duration,
    offered: usize,
    /// End and beginning of those in flight.
    in_flight: BinaryHeap<Reverse<(Instant, Instant)>>,
    done: u64,
}

impl Simulation {
    fn new(workers: usize, takes: u64, offered: usize) -> Self {
        let now = Instant::now();
        let mut it = Self {
            adaptive: Adaptive::new(SETTINGS, now, 1),
            now,
            workers: BinaryHeap::new(),
            takes: Duration::from_millis(takes),
            offered,
            in_flight: BinaryHeap::new(),
            done: 0,
        };
        it.resize(workers);
        it
    }

    fn resize(&mut self, workers: usize) {
        let now = self.now;
        self.workers = (0..workers).map(|_| Reverse(now)).collect();
    }

    /// Requests answered in so many seconds.
    fn run(&mut self, seconds: f64) -> u64 {
        let (until, before) = (self.now + Duration::from_secs_f64(seconds), self.done);
        while self.now < until {
            while self.in_flight.len() < self.adaptive.limit().min(self.offered) {
                let Reverse(free) = self.workers.pop().expect("some work");
                let end = free.max(self.now) + self.takes;
                self.workers.push(Reverse(end));
                self.in_flight.push(Reverse((end, self.now)));
            }
            let count = self.in_flight.len();
            let Reverse((end, began)) = self.in_flight.pop().expect("never nothing");
            self.now = end;
            self.done += 1;
            let answer = Answer::After(end.saturating_duration_since(began));
            self.adaptive.saw(answer, began, count, end);
        }
        self.done - before
    }

    fn limit(&self) -> usize {
        self.adaptive.usual_limit()
    }
}

/// The service is kept busy, and little waits inside it.
#[test]
fn the_limit_is_what_the_service_works_on_and_some() {
    for (workers, takes) in [(1, 20), (2, 50), (4, 20), (10, 20), (32, 5), (100, 100), (300, 10)] {
        let mut it = Simulation::new(workers, takes, 10_000);
        it.run(10.0);
        let capacity = workers as f64 * 1000.0 / takes as f64;
        let goodput = it.run(60.0) as f64 / 60.0 / capacity;
        assert!(goodput > 0.97, "{workers} workers of {takes} ms: {goodput} of the capacity");
        let most = workers * 2 + 8;
        assert!((workers..most).contains(&it.limit()), "{workers} of {takes} ms: {}", it.limit());
    }
}

#[test]
fn it_stays_there_for_hours() {
    let mut it = Simulation::new(10, 20, 10_000);
    it.run(10.0);
    let first = it.limit();
    for _ in 0..60 {
        it.run(120.0);
        assert!(it.limit().abs_diff(first) < 8, "{} was {first}", it.limit());
    }
}

#[test]
fn a_service_that_has_become_smaller_or_slower_is_noticed() {
    let mut it = Simulation::new(100, 20, 10_000);
    it.run(20.0);
    assert!(it.limit() > 95, "{}", it.limit());
    it.resize(10);
    it.run(60.0);
    assert!((9..30).contains(&it.limit()), "{} for 10", it.limit());
    it.resize(100);
    it.run(20.0);
    assert!((95..210).contains(&it.limit()), "{} for 100", it.limit());
    // Slower, but without waiting: that is what it takes from now on.
    it.takes = Duration::from_millis(80);
    it.run(90.0);
    assert!((95..210).contains(&it.limit()), "{} of slower ones", it.limit());
}

#[test]
fn without_load_the_limit_neither_grows_nor_hurts() {
    let mut it = Simulation::new(50, 20, 3);
    it.run(100.0);
    assert_eq!((it.limit(), it.adaptive.limit()), (20, 20));
    // A burst then finds some room, and makes more.
    it.offered = 10_000;
    it.run(3.0);
    assert!(it.limit() > 45, "{}", it.limit());
}

#[test]
fn what_says_that_it_is_overloaded_gets_less() {
    let mut now = Instant::now();
    let mut it = Adaptive::new(SETTINGS, now, 1);
    let mut feed = |it: &mut Adaptive, answer, times| {
        for _ in 0..times {
            now += Duration::from_millis(10);
            it.saw(answer, now - Duration::from_millis(5), 20, now);
        }
    };
    feed(&mut it, Answer::After(Duration::from_millis(5)), 20);
    let before = it.usual_limit();
    feed(&mut it, Answer::Overloaded, 200);
    assert!(it.usual_limit() < before / 2, "{} was {before}", it.usual_limit());
    assert_eq!(it.baseline(), Some(Duration::from_micros(5119)), "refusing fast is not fast");
    // Time-outs are slow answers, and what a client did not wait for says nothing.
    let before = it.usual_limit();
    feed(&mut it, Answer::NotIn(Duration::from_millis(1)), 200);
    assert_eq!(it.usual_limit(), before);
    feed(&mut it, Answer::NotIn(Duration::from_secs(1)), 20);
    assert!(it.usual_limit() < before || before == SETTINGS.min, "{}", it.usual_limit());
}

proptest! {
    /// Whatever a service does, the limit stays within its bounds, in probes too.
    #[test]
    fn the_limit_stays_in_bounds(
        min in 1usize..20,
        more in 0usize..100,
        answers in prop::collection::vec((0u8..4, 0u64..100_000, 0u64..50_000, 0usize..300), 0..400),
    ) {
        let settings = model::Adaptive {
            min,
            max: min + more,
            tolerance: 0.25,
            probe: Duration::from_secs(1),
        };
        let mut now = Instant::now();
        let mut it = Adaptive::new(settings, now, 7);
        for (kind, took, step, in_flight) in answers {
            now += Duration::from_micros(step);
            let took = Duration::from_micros(took);
            let answer = match kind {
                0 => Answer::Overloaded,
                1 => Answer::NotIn(took),
                _ => Answer::After(took),
            };
            let began = now.checked_sub(took).unwrap_or(now);
            it.saw(answer, began, in_flight, now);
            prop_assert!((min..=min + more).contains(&it.limit()), "{}", it.limit());
            prop_assert!((min..=min + more).contains(&it.usual_limit()));
        }
    }
}
