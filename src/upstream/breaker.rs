//! The circuit breaker of one upstream: it refuses requests while most of them fail, so that a sick
//! service is left alone and clients get their error at once. It stands before the choice of an
//! endpoint; every try passes it and tells it the verdict.
//!
//! The machine is Nygard's (*Release It!*) in the form of resilience4j: closed, a sliding window
//! counts; open, everything is refused for `open_for`; half-open, a few probes decide. As there,
//! the share is judged at every result, the good ones too: one of them may complete
//! `min_requests`. A closed breaker costs a request a few loads and one addition.

mod window;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use self::window::Window;
use super::fixed::{MILLION, millionths, nanos, span};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Share of bad results that opens it, of one.
    pub(crate) errors: f64,
    /// With fewer results in the window the share is ignored.
    pub(crate) min_requests: u32,
    /// Over which results are counted.
    pub(crate) window: Duration,
    /// Time before the first probe.
    pub(crate) open_for: Duration,
    /// Good probes before it closes, and the most that are sent.
    pub(crate) probes: u32,
}

/// One circuit breaker, shared by all threads.
#[derive(Debug)]
pub(crate) struct Breaker {
    start: Instant,
    errors: u64,
    min_requests: u64,
    open_for: u64,
    probes: u32,
    /// [`State`] in the low two bits, above them how often it has changed: a result counts only in
    /// the phase its request was admitted in. Written under the lock of `probing`.
    phase: AtomicU64,
    /// When the first probe may go; written before the phase that needs it.
    until: AtomicU64,
    /// No probe is left. A hint that spares refused requests the lock.
    full: AtomicBool,
    probing: Mutex<Probing>,
    window: Window,
}

/// What a half-open breaker knows. In flight and good never exceed `probes` together.
#[derive(Debug, Default)]
struct Probing {
    in_flight: u32,
    good: u32,
}

/// Whether requests pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// All do.
    Closed = 0,
    /// A few do.
    HalfOpen = 1,
    /// None does; also after `open_for`, until somebody asks.
    Open = 2,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The breaker is closed.
    Pass(Admitted),
    /// This request is a probe; the first one has made the breaker half-open.
    Probe(Admitted, Option<State>),
    /// The upstream is left alone.
    Refused {
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// The right to one try. Given to [`Breaker::done`] with its verdict; dropped, the try was neither
/// good nor bad, and a probe may be sent in its place.
#[derive(Debug)]
#[must_use]
pub(crate) struct Admitted {
    phase: u64,
    /// Only of a probe: the healthy path does not count references.
    slot: Option<Arc<Breaker>>,
}

/// What a try says about its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It works.
    Good,
    /// It does not.
    Bad,
}

/// Nobody knows when a probe will answer; until then, ask again this soon.
const PROBE_ANSWERS: Duration = Duration::from_secs(1);

// === impl Breaker ===

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            start: now,
            errors: millionths(settings.errors),
            min_requests: u64::from(settings.min_requests),
            open_for: span(settings.open_for),
            probes: settings.probes.max(1),
            phase: AtomicU64::new(State::Closed as u64),
            until: AtomicU64::new(0),
            full: AtomicBool::new(false),
            probing: Mutex::default(),
            window: Window::new(settings.window, now),
        }
    }

    /// Asks for a try.
    #[inline]
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Admission {
        let phase = self.phase.load(Ordering::Acquire);
        match State::of(phase) {
            State::Closed => Admission::Pass(Admitted { phase, slot: None }),
            State::Open | State::HalfOpen => self.admit_sick(phase, now),
        }
    }

    /// How long it will refuse everything, if it does. Takes nothing, unlike [`Self::admit`].
    pub(crate) fn refuses(&self, now: Instant) -> Option<Duration> {
        if self.state() != State::Open {
            return None;
        }
        let left = self.until.load(Ordering::Relaxed).checked_sub(nanos(self.start, now));
        left.filter(|left| *left > 0).map(Duration::from_nanos)
    }

    #[cold]
    fn admit_sick(self: &Arc<Self>, phase: u64, now: Instant) -> Admission {
        let passed = nanos(self.start, now);
        let refused = |nanos| Admission::Refused { retry_after: Duration::from_nanos(nanos) };
        let busy = || refused(self.open_for.min(span(PROBE_ANSWERS)));
        let left = || self.until.load(Ordering::Relaxed).saturating_sub(passed);
        match State::of(phase) {
            State::Open if left() > 0 => return refused(left()),
            State::HalfOpen if self.full.load(Ordering::Relaxed) => return busy(),
            State::Open | State::HalfOpen | State::Closed => {}
        }
        let mut probing = self.probing.lock();
        let mut phase = self.phase.load(Ordering::Relaxed);
        let mut change = None;
        match State::of(phase) {
            State::Closed => return Admission::Pass(Admitted { phase, slot: None }),
            State::Open if left() > 0 => return refused(left()),
            State::Open => {
                *probing = Probing::default();
                phase = self.enter(State::HalfOpen);
                change = Some(State::HalfOpen);
            }
            State::HalfOpen if probing.taken() >= self.probes => return busy(),
            State::HalfOpen => {}
        }
        probing.in_flight += 1;
        self.full.store(probing.taken() >= self.probes, Ordering::Relaxed);
        Admission::Probe(Admitted { phase, slot: Some(Arc::clone(self)) }, change)
    }

    /// Reports how a try went, as soon as it is known: a probe that streams for an hour would else
    /// keep the breaker half-open for an hour. Returns the new state if this changed it.
    #[inline]
    pub(crate) fn done(&self, admitted: Admitted, verdict: Verdict, now: Instant) -> Option<State> {
        let phase = admitted.phase;
        if admitted.settle() {
            return self.probed(phase, verdict, now);
        }
        // A thread that stops right here may add its result to a later closed window. One result.
        if self.phase.load(Ordering::Acquire) != phase {
            return None;
        }
        let (results, bad) = self.window.add(verdict == Verdict::Bad, now)?;
        if results < self.min_requests || bad * MILLION < self.errors * results {
            return None;
        }
        let _lock = self.probing.lock();
        (self.phase.load(Ordering::Relaxed) == phase).then(|| self.open(now))
    }

    #[cold]
    fn probed(&self, phase: u64, verdict: Verdict, now: Instant) -> Option<State> {
        let mut probing = self.probing.lock();
        if self.phase.load(Ordering::Relaxed) != phase {
            return None;
        }
        if verdict == Verdict::Bad {
            return Some(self.open(now));
        }
        probing.in_flight -= 1;
        probing.good += 1;
        if probing.good < self.probes {
            return None;
        }
        self.window.clear();
        self.enter(State::Closed);
        Some(State::Closed)
    }

    #[cold]
    fn give_back(&self, phase: u64) {
        let mut probing = self.probing.lock();
        if self.phase.load(Ordering::Relaxed) == phase {
            probing.in_flight -= 1;
            self.full.store(false, Ordering::Relaxed);
        }
    }

    /// The present state, as the number of its metric too.
    pub(crate) fn state(&self) -> State {
        State::of(self.phase.load(Ordering::Relaxed))
    }

    /// Only under the lock.
    fn open(&self, now: Instant) -> State {
        let until = nanos(self.start, now).saturating_add(self.open_for);
        self.until.store(until, Ordering::Relaxed);
        self.enter(State::Open);
        State::Open
    }

    /// Only under the lock.
    fn enter(&self, state: State) -> u64 {
        let phase = (((self.phase.load(Ordering::Relaxed) >> 2) + 1) << 2) | state as u64;
        self.phase.store(phase, Ordering::Release);
        phase
    }
}

// === impl State ===

impl State {
    const fn of(phase: u64) -> Self {
        match phase & 3 {
            0 => Self::Closed,
            1 => Self::HalfOpen,
            _ => Self::Open,
        }
    }
}

// === impl Probing ===

impl Probing {
    const fn taken(&self) -> u32 {
        self.in_flight + self.good
    }
}

// === impl Admitted ===

impl Admitted {
    /// It was a probe; dropping it means nothing any more.
    fn settle(mut self) -> bool {
        self.slot.take().is_some()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(breaker) = self.slot.take() {
            breaker.give_back(self.phase);
        }
    }
}

#[cfg(test)]
mod tests;
