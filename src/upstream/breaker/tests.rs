//! The breaker against a plain model of it, and under threads.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, AtomicUsize},
    thread,
};

use proptest::{prelude::*, sample::Index};

use super::*;

const MS: Duration = Duration::from_millis(1);
/// A tenth of it is a bucket.
const WINDOW: Duration = Duration::from_millis(1_000);

fn settings(errors: f64, min_requests: u32, probes: u32) -> Settings {
    Settings { errors, min_requests, window: WINDOW, open_for: 500 * MS, probes }
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    Done(Index, bool),
    Cancel(Index),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Admit),
        5 => (any::<Index>(), any::<bool>()).prop_map(|(at, bad)| Step::Done(at, bad)),
        1 => any::<Index>().prop_map(Step::Cancel),
        2 => (0u64..300).prop_map(Step::Pass),
        1 => (400u64..1_500).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..250)
}

/// What the breaker ought to know, in the plainest form.
struct Model {
    settings: Settings,
    state: State,
    /// Which phase this is.
    phase: usize,
    until: u64,
    /// Results of this closed phase: bucket, bad.
    results: Vec<(u64, bool)>,
    in_flight: u32,
    good: u32,
}

impl Model {
    fn enter(&mut self, state: State, at: u64) -> Option<State> {
        (self.state, self.phase) = (state, self.phase + 1);
        (self.in_flight, self.good) = (0, 0);
        self.results.clear();
        self.until = at + 500;
        Some(state)
    }

    /// `None` is refused; else whether it is a probe.
    fn admit(&mut self, at: u64) -> (Option<bool>, Option<State>) {
        let mut change = None;
        if self.state == State::Open && at >= self.until {
            change = self.enter(State::HalfOpen, at);
        }
        match self.state {
            State::Closed => (Some(false), change),
            State::HalfOpen if self.in_flight + self.good < self.settings.probes => {
                self.in_flight += 1;
                (Some(true), change)
            }
            State::HalfOpen | State::Open => (None, change),
        }
    }

    fn done(&mut self, phase: usize, bad: bool, at: u64) -> Option<State> {
        if phase != self.phase {
            return None;
        }
        if self.state == State::HalfOpen {
            if bad {
                return self.enter(State::Open, at);
            }
            (self.in_flight, self.good) = (self.in_flight - 1, self.good + 1);
            let enough = self.good == self.settings.probes;
            return enough.then(|| self.enter(State::Closed, at)).flatten();
        }
        self.results.push((at / 100, bad));
        self.results.retain(|(bucket, _)| bucket + 10 > at / 100);
        let bad = self.results.iter().filter(|(_, bad)| *bad).count() as f64;
        let share = bad / self.results.len() as f64;
        let opens = self.results.len() >= self.settings.min_requests as usize
            && bad > 0.0
            && share >= self.settings.errors;
        opens.then(|| self.enter(State::Open, at)).flatten()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn does_what_the_plain_model_does(
        steps in steps(), errors in 1u32..=100, min_requests in 1u32..12, probes in 1u32..4,
    ) {
        let settings = settings(f64::from(errors) / 100.0, min_requests, probes);
        let start = Instant::now();
        let breaker = Arc::new(Breaker::new(settings, start));
        let mut model = Model {
            settings, state: State::Closed, phase: 0, until: 0, results: vec![],
            in_flight: 0, good: 0,
        };
        let (mut at, mut live) = (0u64, Vec::new());
        for step in steps {
            let now = start + at as u32 * MS;
            match step {
                Step::Pass(millis) => at += millis,
                Step::Admit => {
                    let (expected, change) = model.admit(at);
                    match breaker.admit(now) {
                        Admission::Pass(admitted) => {
                            prop_assert_eq!(expected, Some(false));
                            live.push((admitted, model.phase));
                        }
                        Admission::Probe(admitted, changed) => {
                            prop_assert_eq!((expected, change), (Some(true), changed));
                            live.push((admitted, model.phase));
                        }
                        Admission::Refused { retry_after } => {
                            prop_assert_eq!(expected, None);
                            prop_assert!(retry_after > Duration::ZERO);
                            if model.state == State::Open {
                                prop_assert_eq!(retry_after, (model.until - at) as u32 * MS);
                            }
                        }
                    }
                }
                Step::Done(_, _) | Step::Cancel(_) if live.is_empty() => {}
                Step::Done(index, bad) => {
                    let (admitted, phase) = live.swap_remove(index.index(live.len()));
                    let verdict = if bad { Verdict::Bad } else { Verdict::Good };
                    let changed = breaker.done(admitted, verdict, now);
                    prop_assert_eq!(changed, model.done(phase, bad, at));
                }
                Step::Cancel(index) => {
                    let (admitted, phase) = live.swap_remove(index.index(live.len()));
                    drop(admitted);
                    if model.state == State::HalfOpen && phase == model.phase {
                        model.in_flight -= 1;
                    }
                }
            }
            prop_assert_eq!(breaker.state(), model.state);
        }
    }

    #[test]
    fn the_window_forgets(bad in 1u32..50, bucket in 0u32..20, after in 1_000u32..5_000) {
        let start = Instant::now();
        let breaker = Arc::new(Breaker::new(settings(0.5, bad + 1, 1), start));
        let first = start + bucket * 50 * MS;
        for _ in 0..bad {
            prop_assert_eq!(result(&breaker, Verdict::Bad, first), None);
        }
        // One more would open it; a window later it is the only one.
        prop_assert_eq!(result(&breaker, Verdict::Bad, first + after * MS), None);
        // Nor does a thread whose clock is behind bring them back.
        if bad > 1 {
            prop_assert_eq!(result(&breaker, Verdict::Bad, first + 899 * MS), None);
        }
        let other = Arc::new(Breaker::new(settings(0.5, bad + 1, 1), start));
        for _ in 0..bad {
            prop_assert_eq!(result(&other, Verdict::Bad, first), None);
        }
        prop_assert_eq!(result(&other, Verdict::Bad, first + 899 * MS), Some(State::Open));
    }
}

fn result(breaker: &Arc<Breaker>, verdict: Verdict, now: Instant) -> Option<State> {
    match breaker.admit(now) {
        Admission::Pass(admitted) | Admission::Probe(admitted, _) => {
            breaker.done(admitted, verdict, now)
        }
        Admission::Refused { .. } => panic!("refused"),
    }
}

#[test]
fn a_good_result_may_complete_the_least_number() {
    let now = Instant::now();
    let breaker = Arc::new(Breaker::new(settings(0.5, 3, 1), now));
    assert_eq!(result(&breaker, Verdict::Bad, now), None);
    assert_eq!(result(&breaker, Verdict::Bad, now), None);
    assert_eq!(result(&breaker, Verdict::Good, now), Some(State::Open));
}

#[test]
fn late_results_of_a_closed_breaker_do_not_decide_probes() {
    let now = Instant::now();
    let breaker = Arc::new(Breaker::new(settings(0.5, 1, 1), now));
    let Admission::Pass(late_good) = breaker.admit(now) else { panic!("closed") };
    let Admission::Pass(late_bad) = breaker.admit(now) else { panic!("closed") };
    assert_eq!(result(&breaker, Verdict::Bad, now), Some(State::Open));
    let later = now + 500 * MS;
    let Admission::Probe(probe, Some(State::HalfOpen)) = breaker.admit(later) else {
        panic!("time for a probe")
    };
    assert_eq!(breaker.done(late_good, Verdict::Good, later), None);
    assert_eq!(breaker.done(late_bad, Verdict::Bad, later), None);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(matches!(breaker.admit(later), Admission::Refused { retry_after } if
        retry_after == 500 * MS));
    assert_eq!(breaker.done(probe, Verdict::Good, later), Some(State::Closed));
}

/// Threads that all see the share reached at once.
#[test]
fn only_one_thread_opens_it() {
    let now = Instant::now();
    for _ in 0..300 {
        let breaker = Arc::new(Breaker::new(settings(0.5, 1, 1), now));
        let ready = AtomicUsize::new(0);
        let opened: usize = thread::scope(|scope| {
            let report = || {
                let Admission::Pass(admitted) = breaker.admit(now) else { panic!("closed") };
                ready.fetch_add(1, Ordering::Relaxed);
                while ready.load(Ordering::Relaxed) < 4 {
                    thread::yield_now();
                }
                usize::from(breaker.done(admitted, Verdict::Bad, now).is_some())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(report)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(opened, 1);
    }
}

/// Threads that admit, finish and cancel while a common clock runs.
#[test]
fn threads_never_get_too_many_probes() {
    const PROBES: u32 = 3;
    let start = Instant::now();
    let settings = Settings { open_for: 20 * MS, ..settings(0.2, 5, PROBES) };
    let breaker = Arc::new(Breaker::new(settings, start));
    let clock = AtomicU32::new(0);
    let changes: [AtomicUsize; 3] = Default::default();
    // Probes of each half-open phase that are in flight or were good. Counted after they are
    // admitted and uncounted before they are given back, so never above the truth.
    let counts = std::sync::Mutex::new(HashMap::<u64, u32>::new());
    let count = |state: Option<State>| {
        if let Some(state) = state {
            changes[state as usize].fetch_add(1, Ordering::Relaxed);
        }
    };
    let work = |seed: u64| {
        let mut random = seed;
        for _ in 0..60_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let now = start + clock.fetch_add(1, Ordering::Relaxed) * MS / 4;
            let admitted = match breaker.admit(now) {
                Admission::Refused { .. } => continue,
                Admission::Pass(admitted) => admitted,
                Admission::Probe(admitted, change) => {
                    count(change);
                    let mut counts = counts.lock().expect("no panic");
                    let known = counts.entry(admitted.phase).or_default();
                    *known += 1;
                    assert!(*known <= PROBES, "{known} probes");
                    admitted
                }
            };
            if random.is_multiple_of(3) {
                thread::yield_now();
            }
            match random >> 8 & 3 {
                0 if admitted.slot.is_some() => {
                    *counts.lock().expect("no panic").entry(admitted.phase).or_default() -= 1;
                    drop(admitted);
                }
                1 => count(breaker.done(admitted, Verdict::Bad, now)),
                _ => count(breaker.done(admitted, Verdict::Good, now)),
            }
        }
    };
    thread::scope(|scope| {
        let work = &work;
        for seed in 1..=4u64 {
            scope.spawn(move || work(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        }
    });
    let [closed, half_open, open] = changes.map(AtomicUsize::into_inner);
    // How often depends on when the threads take turns; not at all would prove nothing.
    assert!(closed > 2 && half_open > 5, "{closed} {half_open} {open}");
    // Each change was told to exactly one caller.
    assert_eq!(open - half_open, usize::from(breaker.state() == State::Open));
    let last = breaker.phase.load(Ordering::Relaxed) >> 2;
    assert_eq!(last, (closed + half_open + open) as u64);
}
