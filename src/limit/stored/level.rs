//! Windows that somebody else counts: what is said to them, and what their answers mean. They say, of a window
//! that flows, how many nanoseconds are owed; of one of the calendar, how much of it is used.

use std::time::Duration;

use super::super::{
    Standing, calendar,
    window::{Flow, seconds},
};
use crate::config::model::{self, Period};

/// One window, without its state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    /// It gives back bit by bit.
    Flowing(Flow),
    /// It gives all back at once.
    Calendar { period: Period, limit: u32 },
}

// === impl Window ===

impl Window {
    pub(crate) fn new(window: &model::Window) -> Self {
        match window.period {
            Period::Every(time) => Self::Flowing(Flow::of(window.limit, time, window.burst)),
            period => Self::Calendar { period, limit: window.limit.get() },
        }
    }

    /// How it stands at a level; it has refused a cost that is more than there is.
    pub(crate) fn standing(&self, level: u64, refused: Option<u32>, unix: u64) -> Standing {
        let standing = match self {
            Self::Flowing(flow) => flow.standing(level),
            Self::Calendar { period, limit } => {
                let (_, reset) = calendar::at(*period, unix);
                let used = u32::try_from(level).unwrap_or(u32::MAX);
                Standing { left: limit.saturating_sub(used), reset, refused: false }
            }
        };
        match refused.filter(|cost| standing.left < *cost) {
            None => standing,
            Some(cost) => {
                let wait = u64::try_from(self.wait(level, cost, unix).as_nanos());
                Standing { refused: true, reset: seconds(wait.unwrap_or(u64::MAX)), ..standing }
            }
        }
    }

    /// Until so many may come.
    pub(crate) fn wait(&self, level: u64, cost: u32, unix: u64) -> Duration {
        match self {
            Self::Flowing(flow) => Duration::from_nanos(flow.wait(level, cost)),
            Self::Calendar { period, limit } => {
                let fits = level.saturating_add(cost.into()) <= u64::from(*limit);
                let (_, reset) = calendar::at(*period, unix);
                if fits { Duration::ZERO } else { Duration::from_secs(reset.into()) }
            }
        }
    }

    /// Until a period of the calendar ends.
    pub(crate) fn ends(&self, unix: u64) -> Option<Duration> {
        match self {
            Self::Flowing(_) => None,
            Self::Calendar { period, .. } => {
                Some(Duration::from_secs(calendar::at(*period, unix).1.into()))
            }
        }
    }

    /// What it is, and two numbers: of one that flows the nanoseconds after which one more may come, and after
    /// which all are back; of the others how many.
    pub(crate) fn described(&self) -> (char, u64, u64) {
        match *self {
            Self::Flowing(flow) => ('f', flow.interval, flow.whole),
            Self::Calendar { period: Period::Month, limit } => ('m', limit.into(), 0),
            Self::Calendar { limit, .. } => ('d', limit.into(), 0),
        }
    }
}
