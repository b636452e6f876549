//! What the gateway does when it runs out of memory, descriptors, connections or time. Somebody on control
//! looks at them now and then (`watch`); what follows is one number that everybody may ask for at no cost:
//! the accept loops, the sweep, and the boundary of every route. Stands beside the way of a request.
//!
//! | level | what is done |
//! |---|---|
//! | `shrink` | connections that idle are closed after five seconds |
//! | `shed_low` | requests of class low are refused |
//! | `shed_normal` | those of class normal, too |
//! | `refuse` | no new connections are accepted |
//!
//! Answers of the gateway's own, its admin listener and its readiness are never touched.

mod ladder;
mod machine;
pub(crate) mod watch;

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::RwLock;

use self::ladder::Level;
use super::client::now_nanos;
use crate::config::model::Class;

/// How much too much there is to do. One for the process.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    level: AtomicU8,
    /// It would help to have fewer connections.
    frees: AtomicBool,
    /// By resource, in thousandths of what there is.
    pressure: [AtomicU32; Resource::ALL.len()],
    /// By worker.
    beats: RwLock<Vec<Beat>>,
}

/// What may run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Memory,
    Descriptors,
    Connections,
    Delay,
}

/// The last sign of life of a worker.
#[derive(Debug, Default)]
struct Beat {
    /// When, in nanoseconds since the epoch; 0 is never.
    at: AtomicU64,
    /// How late it was.
    late: AtomicU64,
}

/// How often a worker gives a sign of life.
pub(crate) const BEAT: Duration = Duration::from_millis(250);
/// How long a connection may idle when there are too many.
pub(crate) const SHRUNK_IDLE: Duration = Duration::from_secs(5);

// === impl Resource ===

impl Resource {
    pub(crate) const ALL: [Self; 4] =
        [Self::Memory, Self::Descriptors, Self::Connections, Self::Delay];

    /// Its word in the log and in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Connections => "connections",
            Self::Delay => "delay",
        }
    }
}

// === impl Overload ===

impl Overload {
    /// Whether requests of this class are refused.
    #[inline]
    pub(crate) fn sheds(&self, class: Class) -> bool {
        let level = self.level.load(Relaxed);
        level >= Level::ShedLow as u8
            && match class {
                Class::High => false,
                Class::Normal => level >= Level::ShedNormal as u8,
                Class::Low => true,
            }
    }

    /// Whether new connections are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.level.load(Relaxed) >= Level::Refuse as u8
    }

    /// Whether it would help to have fewer connections.
    pub(crate) fn frees(&self) -> bool {
        self.frees.load(Relaxed)
    }

    /// A worker is alive, this much later than it should be.
    pub(crate) fn beat(&self, worker: usize, late: Duration) {
        if self.beats.read().get(worker).is_none() {
            self.beats.write().resize_with(worker + 1, Beat::default);
        }
        if let Some(beat) = self.beats.read().get(worker) {
            beat.late.store(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Relaxed);
            beat.at.store(now_nanos(), Relaxed);
        }
    }

    /// How late each worker is now: as late as its last sign of life, or as the one that is due.
    fn lateness(&self) -> Vec<Duration> {
        let now = now_nanos();
        let one = |beat: &Beat| {
            let (at, late) = (beat.at.load(Relaxed), beat.late.load(Relaxed));
            if at == 0 {
                return Duration::ZERO;
            }
            let due = Duration::from_nanos(now.saturating_sub(at)).saturating_sub(BEAT);
            due.max(Duration::from_nanos(late))
        };
        self.beats.read().iter().map(one).collect()
    }

    /// What is done from now on.
    fn set(&self, level: Level, frees: bool) {
        self.level.store(level as u8, Relaxed);
        self.frees.store(frees, Relaxed);
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share, maybe of a hundred
    fn note(&self, resource: Resource, pressure: f64) {
        let thousandths = (pressure.clamp(0.0, 100.0) * 1000.0) as u32;
        self.pressure[resource as usize].store(thousandths, Relaxed);
    }

    /// For metrics: the level.
    pub(crate) fn level(&self) -> u8 {
        self.level.load(Relaxed)
    }

    /// For metrics and answers: how much of it is used up, as a share of what there is.
    pub(crate) fn pressure(&self, resource: Resource) -> f64 {
        f64::from(self.pressure[resource as usize].load(Relaxed)) / 1000.0
    }

    /// What is scarcest.
    pub(crate) fn scarcest(&self) -> (Resource, f64) {
        let all = Resource::ALL.map(|it| (it, self.pressure(it)));
        all.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Resource::Memory, 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ones_go_first_and_high_ones_never() {
        let it = Overload::default();
        let shed = |it: &Overload| Class::ALL.map(|class| it.sheds(class));
        let table = [
            (Level::Calm, [false, false, false], false),
            (Level::Shrink, [false, false, false], false),
            (Level::ShedLow, [false, false, true], false),
            (Level::ShedNormal, [false, true, true], false),
            (Level::Refuse, [false, true, true], true),
        ];
        for (level, classes, refuses) in table {
            it.set(level, false);
            assert_eq!((shed(&it), it.refuses()), (classes, refuses), "{level:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_gives_no_sign_of_life_is_late() {
        let it = Overload::default();
        assert!(it.lateness().is_empty());
        it.beat(1, Duration::from_millis(3));
        assert_eq!(it.lateness(), [Duration::ZERO, Duration::from_millis(3)]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(it.lateness()[1].as_millis().abs_diff(1750) / 10, 0);
    }
}
