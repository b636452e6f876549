//! The look at what may run short, four times a second, on control.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use super::{
    Overload, Resource,
    ladder::Level,
    machine::{self, Cgroup},
};
use crate::{config::model, gateway::Gateway, server::Fullness};

/// How often.
const EVERY: Duration = Duration::from_millis(250);
/// A worker is late when it was in all of so many looks: a single long turn is no overload.
const LOOKS: usize = 4;

/// What has been found out so far.
#[derive(Debug, Default)]
struct Watch {
    /// Of memory, descriptors and connections.
    held: Level,
    /// Of the workers' time.
    busy: Level,
    /// How late each worker was in the last looks.
    late: Vec<VecDeque<Duration>>,
}

/// Looks until it is aborted.
pub(crate) async fn watch(overload: Arc<Overload>, gateway: Arc<Gateway>, fullness: Fullness) {
    let cgroup = Cgroup::of_self();
    let mut watch = Watch::default();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let config = Arc::clone(&gateway.current().config);
        watch.look(&overload, config.server.overload.as_ref(), |resource, settings| {
            match resource {
                Resource::Memory => {
                    let most = settings.memory.or_else(|| cgroup.limit())?;
                    #[allow(clippy::cast_precision_loss)] // a share
                    machine::resident().map(|used| used as f64 / most as f64)
                }
                Resource::Descriptors => machine::descriptors(),
                Resource::Connections => Some(fullness.share()),
                Resource::Delay => None,
            }
        });
    }
}

// === impl Watch ===

impl Watch {
    /// One look: `used` says how much of something is used up, if that is known.
    fn look(
        &mut self,
        overload: &Overload,
        settings: Option<&model::Overload>,
        used: impl Fn(Resource, &model::Overload) -> Option<f64>,
    ) {
        let Some(settings) = settings else {
            *self = Self::default();
            Resource::ALL.into_iter().for_each(|resource| overload.note(resource, 0.0));
            overload.set(Level::Calm, false);
            return;
        };
        let before = self.held.max(self.busy);
        let mut most = 0.0f64;
        for resource in [Resource::Memory, Resource::Descriptors, Resource::Connections] {
            let pressure = used(resource, settings).unwrap_or(0.0);
            overload.note(resource, pressure);
            most = most.max(pressure);
        }
        let delay = self.delay(&overload.lateness()).as_secs_f64() / settings.delay.as_secs_f64();
        overload.note(Resource::Delay, delay);
        self.held = self.held.next(most, &settings.steps);
        self.busy = self.busy.next(delay, &settings.steps);
        let level = self.held.max(self.busy);
        overload.set(level, self.held >= Level::Shrink);
        if level != before {
            say(before, level, overload);
        }
    }

    /// How late the latest worker was, at least, in the last looks.
    fn delay(&mut self, late: &[Duration]) -> Duration {
        self.late.resize_with(late.len(), VecDeque::new);
        let mut worst = Duration::ZERO;
        for (seen, late) in self.late.iter_mut().zip(late) {
            if seen.len() == LOOKS {
                seen.pop_front();
            }
            seen.push_back(*late);
            if seen.len() == LOOKS {
                worst = worst.max(seen.iter().min().copied().unwrap_or_default());
            }
        }
        worst
    }
}

fn say(before: Level, level: Level, overload: &Overload) {
    let (resource, pressure) = overload.scarcest();
    let (before, now, resource) = (before.word(), level.word(), resource.word());
    let pressure = format!("{:.0}%", pressure * 100.0);
    if now == Level::Calm.word() {
        tracing::info!(level = now, before, "overload: there is room again");
    } else {
        tracing::warn!(level = now, before, resource, pressure, "overload");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_worker_is_late_when_it_has_been_for_a_second() {
        let mut watch = Watch::default();
        for late in [900, 800, 700] {
            assert_eq!(watch.delay(&[MS(late), MS(1)]), Duration::ZERO);
        }
        assert_eq!(watch.delay(&[MS(2000), MS(1)]), MS(700));
        assert_eq!(watch.delay(&[MS(5), MS(1)]), MS(5), "one good turn ends it");
    }

    #[test]
    fn what_is_scarcest_decides_and_nothing_does_when_it_is_switched_off() {
        let (overload, settings) = (Overload::default(), model::Overload::default());
        let mut watch = Watch::default();
        let with = |memory: f64| {
            move |resource: Resource, _: &model::Overload| match resource {
                Resource::Memory => Some(memory),
                Resource::Descriptors => Some(0.3),
                Resource::Connections | Resource::Delay => None,
            }
        };
        watch.look(&overload, Some(&settings), with(0.5));
        assert_eq!((overload.level(), overload.frees()), (0, false));
        assert_eq!(overload.scarcest(), (Resource::Memory, 0.5));
        watch.look(&overload, Some(&settings), with(0.95));
        assert_eq!((overload.level(), overload.frees()), (Level::ShedNormal as u8, true));
        watch.look(&overload, None, with(0.95));
        assert_eq!((overload.level(), overload.frees()), (0, false));
        assert_eq!(overload.pressure(Resource::Memory), 0.0);
    }
}
