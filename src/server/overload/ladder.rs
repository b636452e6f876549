//! Up and down the levels: up at once, as far as it takes; down one step for each look, and only when there
//! is some more room than it took to get there. So a level does not flap, and all is well again a second
//! after the load has ended.

use crate::config::model::OverloadSteps;

/// How much too much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing is short.
    #[default]
    Calm,
    /// Idle connections are closed sooner.
    Shrink,
    /// Requests of class low are refused.
    ShedLow,
    /// Those of class normal, too.
    ShedNormal,
    /// No new connections are accepted.
    Refuse,
}

/// So much more room is needed to go down.
const ROOM: f64 = 0.05;

// === impl Level ===

impl Level {
    const ALL: [Self; 5] =
        [Self::Calm, Self::Shrink, Self::ShedLow, Self::ShedNormal, Self::Refuse];

    /// Its word in the log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Shrink => "shrink",
            Self::ShedLow => "shed_low",
            Self::ShedNormal => "shed_normal",
            Self::Refuse => "refuse",
        }
    }

    /// From which pressure on.
    const fn from(self, steps: &OverloadSteps) -> f64 {
        match self {
            Self::Calm => 0.0,
            Self::Shrink => steps.shrink,
            Self::ShedLow => steps.shed_low,
            Self::ShedNormal => steps.shed_normal,
            Self::Refuse => steps.refuse,
        }
    }

    /// The next level, with so much of something used up.
    pub(super) fn next(self, pressure: f64, steps: &OverloadSteps) -> Self {
        let wanted = Self::ALL.into_iter().rfind(|level| pressure >= level.from(steps));
        let wanted = wanted.unwrap_or_default();
        if wanted < self && pressure < self.from(steps) - ROOM {
            return Self::ALL[self as usize - 1];
        }
        wanted.max(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::model::Overload;

    #[test]
    fn it_goes_up_at_once_and_down_in_steps_with_room() {
        let steps = Overload::default().steps;
        let mut level = Level::Calm;
        let table = [
            (0.79, Level::Calm),
            (0.80, Level::Shrink),
            (0.76, Level::Shrink),
            (0.99, Level::Refuse),
            (0.94, Level::Refuse),
            (0.10, Level::ShedNormal),
            (0.10, Level::ShedLow),
            (0.90, Level::ShedLow),
            (0.10, Level::Shrink),
            (0.10, Level::Calm),
            (f64::NAN, Level::Calm),
        ];
        for (pressure, expected) in table {
            level = level.next(pressure, &steps);
            assert_eq!(level, expected, "at {pressure}");
        }
    }

    proptest! {
        /// Never lower than the pressure asks for, never up without a reason, and all the way down in
        /// four looks once it is quiet.
        #[test]
        fn no_level_is_without_reason(pressures in prop::collection::vec(0.0f64..1.2, 1..60)) {
            let steps = Overload::default().steps;
            let (mut level, mut worst) = (Level::Calm, 0.0f64);
            for pressure in pressures {
                let before = level;
                level = level.next(pressure, &steps);
                worst = worst.max(pressure);
                prop_assert!(level >= Level::Calm.next(pressure, &steps));
                prop_assert!(level <= before.max(Level::Calm.next(pressure, &steps)));
                prop_assert!(level <= Level::Calm.next(worst, &steps));
            }
            for _ in 0..4 {
                level = level.next(0.0, &steps);
            }
            prop_assert_eq!(level, Level::Calm);
        }
    }
}
