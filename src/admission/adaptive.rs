//! How many requests at once a service bears, found by watching how long it takes. The rule is the gradient
//! of Netflix's concurrency-limits and of Envoy's adaptive concurrency: as long as answers take what they
//! take without load, the limit grows; as they take longer, requests wait inside the service, and it
//! shrinks by the same factor.
//!
//! What an answer takes without load, the *baseline*, is measured while there is little: at the start, and
//! under lasting load now and then, with half of what is in flight let through for some answers (a *probe*).
//! Envoy goes down to three requests for that, which costs more goodput than the measurement is worth; half
//! is enough, because the rule never lets more than about twice of what the service works on wait in it.
//!
//! A window ends when enough of the requests that *began* in it are answered. So a limit is judged by what
//! was let in under it, however slow the service is. Answers that say "overloaded" are not fast ones: if
//! there are many, the limit shrinks whatever they took.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use super::histogram::Histogram;
use crate::config::model;

/// What a service bears, as far as is known.
#[derive(Debug)]
pub(super) struct Adaptive {
    settings: model::Adaptive,
    limit: f64,
    /// What most answers take at most while there is little load.
    baseline: Option<Duration>,
    window: Window,
    probe: Option<Probe>,
    next_probe: Instant,
    /// For the jitter of probes; xorshift, never 0.
    seed: u32,
}

/// What was seen since the limit was last judged.
#[derive(Debug)]
struct Window {
    since: Instant,
    latencies: Histogram,
    overloaded: u32,
    /// Most that were in flight.
    peak: usize,
}

/// A look at the service with little load.
#[derive(Clone, Copy, Debug)]
struct Probe {
    limit: usize,
    /// Since when no more than that are in flight.
    calm: Option<Instant>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was answered after so long.
    After(Duration),
    /// It was not, in so long.
    NotIn(Duration),
    /// The service said that it has too much to do.
    Overloaded,
}

/// The limit is judged at most so often.
const WINDOW: Duration = Duration::from_millis(100);
/// And by as many answers at least.
const ENOUGH: u32 = 10;
/// What most of the answers is.
const MOST: f64 = 0.9;
/// A first limit, where the settings allow it.
const FIRST: f64 = 20.0;
/// No window shrinks the limit by more: where all requests take the same time they come in waves, and one too
/// many makes a wave of late ones.
const STEEPEST: f64 = 0.8;
/// By how much the limit shrinks when the service says that it is overloaded.
const BACK_OFF: f64 = 0.9;
/// From this share of the answers on.
const MANY: f64 = 0.1;
/// A probe takes some baselines; this many lie between two.
const BETWEEN: u32 = 100;
/// A probe that finds the baseline off by this share is followed by the next one sooner.
const OFF: f64 = 0.25;

// === impl Adaptive ===

impl Adaptive {
    pub(super) fn new(settings: model::Adaptive, now: Instant, seed: u32) -> Self {
        Self {
            settings,
            limit: FIRST.clamp(settings.min as f64, settings.max as f64),
            baseline: None,
            window: Window::new(now),
            // Nothing can be too much in flight yet.
            probe: Some(Probe { limit: settings.min, calm: Some(now) }),
            next_probe: now + settings.probe,
            seed: seed.max(1),
        }
    }

    /// How many may be in flight now.
    pub(super) fn limit(&self) -> usize {
        self.probe.map_or(self.limit as usize, |probe| probe.limit)
    }

    /// How many it would be if nobody looked how fast the service is.
    pub(super) fn usual_limit(&self) -> usize {
        self.limit as usize
    }

    /// What most answers take at most while there is little load, if that is known.
    pub(super) const fn baseline(&self) -> Option<Duration> {
        self.baseline
    }

    /// A request that began at `began` has ended, with as many in flight, itself included.
    pub(super) fn saw(&mut self, answer: Answer, began: Instant, in_flight: usize, now: Instant) {
        self.window.peak = self.window.peak.max(in_flight);
        if let Some(probe) = &mut self.probe
            && probe.calm.is_none()
        {
            // What ends now was under way before; it goes out, and the next may be of the probe.
            if in_flight <= probe.limit + 1 {
                probe.calm = Some(now);
                self.window.restart(now);
            }
            return;
        }
        if began < self.window.since {
            return;
        }
        match answer {
            Answer::After(took) => self.window.latencies.add(took),
            // It would have taken longer; how much longer is unknown, so it says nothing if that is little.
            Answer::NotIn(time) if self.baseline.is_some_and(|usual| time > usual) => {
                self.window.latencies.add(time);
            }
            Answer::NotIn(_) => {}
            Answer::Overloaded => self.window.overloaded += 1,
        }
        if self.window.seen() < ENOUGH {
            return;
        }
        if self.probe.is_some() {
            self.end_probe(now);
        } else if now.saturating_duration_since(self.window.since) >= WINDOW {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Instant) {
        let overloaded = f64::from(self.window.overloaded) > MANY * f64::from(self.window.seen());
        let (took, usual) = (self.window.latencies.quantile(MOST), self.baseline);
        if overloaded {
            self.set(self.limit * BACK_OFF);
        } else if let (Some(took), Some(usual)) = (took, usual) {
            if took < usual || self.limit as usize <= self.settings.min {
                // Faster than ever, or with as little load as ever.
                self.baseline = Some(took);
            }
            let well = usual.as_secs_f64() * (1.0 + self.settings.tolerance);
            let gradient = (well / took.as_secs_f64().max(1e-6)).min(1.0);
            let next = self.limit * gradient + self.limit.sqrt();
            let next = next.max(self.limit * STEEPEST);
            // A limit that was not reached has not been tried.
            if next < self.limit || self.window.peak * 2 > self.limit as usize {
                self.set(next);
            }
            if now >= self.next_probe && took > usual {
                let half = self.window.peak.min(self.limit as usize) / 2;
                let limit = half.max(self.settings.min);
                self.probe = Some(Probe { limit, calm: None });
            }
        }
        self.window.restart(now);
    }

    fn end_probe(&mut self, now: Instant) {
        self.probe = None;
        let before = self.baseline;
        self.baseline = self.window.latencies.quantile(MOST).or(before);
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        let (before, found) = (seconds(before), seconds(self.baseline));
        let every = self.settings.probe.max(self.baseline.unwrap_or_default() * BETWEEN);
        let off = (found - before).abs() > OFF * found;
        let every = if off { every / 10 } else { every };
        self.next_probe = now + every.mul_f64(1.0 + 0.2 * self.random());
        self.window.restart(now);
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(self.settings.min as f64, self.settings.max as f64);
    }

    /// From 0 to 1. Gateways that were started together must not probe together.
    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        f64::from(self.seed) / f64::from(u32::MAX)
    }
}

// === impl Window ===

impl Window {
    fn new(now: Instant) -> Self {
        Self { since: now, latencies: Histogram::default(), overloaded: 0, peak: 0 }
    }

    /// Answers that say something.
    const fn seen(&self) -> u32 {
        self.latencies.total() + self.overloaded
    }

    fn restart(&mut self, now: Instant) {
        self.latencies.clear();
        (self.since, self.overloaded, self.peak) = (now, 0, 0);
    }
}
