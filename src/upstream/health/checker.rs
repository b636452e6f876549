//! The tasks that check: one per endpoint, on the control runtime. After each reload they are brought
//! in line with what runs now; whoever is checked as before is not disturbed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    probe::{self, Outcome},
    schedule,
    state::{Change, Thresholds},
};
use crate::{
    config::model::{self, Name},
    upstream::{Current, Upstream, care::Learned, endpoint::Endpoint, forward::random},
};

/// All checks of the process.
#[derive(Debug)]
pub(crate) struct Checks {
    handle: Handle,
    /// By upstream and endpoint.
    running: Mutex<HashMap<(Name, Name), Running>>,
}

/// A task. It ends when this is dropped.
#[derive(Debug)]
struct Running {
    check: Arc<Check>,
    task: JoinHandle<()>,
}

/// What a task knows.
#[derive(Debug)]
struct Check {
    upstream: Name,
    endpoint: Arc<Endpoint>,
    settings: model::Health,
    learned: Arc<Learned>,
    /// Locked while a result is entered: none comes in after this is true.
    stopped: Mutex<bool>,
}

// === impl Checks ===

impl Checks {
    /// None yet. They will run on `handle`.
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, running: Mutex::default() }
    }

    /// Checks these from now on, and nothing else.
    pub(crate) fn follow(&self, upstreams: &BTreeMap<Name, Current>) {
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        let upstreams: Vec<_> = upstreams.values().map(Current::get).collect();
        for upstream in &upstreams {
            let Some(settings) = &upstream.care.health else { continue };
            // Nothing is sent to those without a weight.
            let serving = upstream.endpoints.iter().zip(&upstream.weights);
            for (endpoint, _) in serving.filter(|(_, weight)| **weight > 0) {
                let key = (Arc::clone(&upstream.name), Arc::clone(&endpoint.name));
                let same = before.remove(&key).filter(|old| old.is_for(endpoint, settings));
                let task = same.unwrap_or_else(|| self.start(upstream, endpoint, settings));
                running.insert(key, task);
            }
        }
        // Before anything is forgotten, so that nobody enters a result afterwards.
        drop(before);
        drop(running);
        for upstream in upstreams.iter().filter(|upstream| upstream.care.health.is_none()) {
            upstream.unchecked();
        }
    }

    /// Stops them all.
    pub(crate) fn end(&self) {
        self.running.lock().clear();
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.running.lock().len()
    }

    fn start(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        settings: &model::Health,
    ) -> Running {
        let check = Arc::new(Check {
            upstream: Arc::clone(&upstream.name),
            endpoint: Arc::clone(endpoint),
            settings: settings.clone(),
            learned: Arc::clone(&upstream.care.learned),
            stopped: Mutex::new(false),
        });
        let task = self.handle.spawn(run(Arc::clone(&check)));
        Running { check, task }
    }
}

// === impl Running ===

impl Running {
    /// Whether it does what is wanted now. An endpoint of another shape is another endpoint.
    fn is_for(&self, endpoint: &Arc<Endpoint>, settings: &model::Health) -> bool {
        let same = Arc::ptr_eq(&self.check.endpoint, endpoint) && self.check.settings == *settings;
        same && !self.task.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.check.stopped.lock() = true;
        self.task.abort();
    }
}

// === impl Check ===

async fn run(check: Arc<Check>) {
    let every = check.settings.every;
    let mut at = Instant::now() + schedule::first(every, random());
    loop {
        sleep_until(at).await;
        // From start to start; no check takes longer than this, as `timeout` is not longer.
        at = Instant::now() + schedule::next(every, random());
        let outcome = probe::check(&check.endpoint, &check.settings).await;
        let stopped = check.stopped.lock();
        if *stopped {
            return;
        }
        check.enter(&outcome, Instant::now());
    }
}

impl Check {
    fn enter(&self, outcome: &Outcome, now: Instant) {
        let (upstream, endpoint, vitals) =
            (&*self.upstream, &*self.endpoint.name, &self.endpoint.vitals);
        let good = match outcome {
            Outcome::Good => true,
            Outcome::Bad(_) => false,
            Outcome::Unasked(why) => {
                tracing::debug!(upstream, endpoint, why, "a health check could not be made");
                return;
            }
        };
        vitals.metrics.checked(good);
        let thresholds = Thresholds {
            healthy_after: self.settings.healthy_after,
            unhealthy_after: self.settings.unhealthy_after,
        };
        let never_well = vitals.health.is_unknown() && !vitals.is_well();
        let change = vitals.checked(good, thresholds, now);
        match (change, outcome) {
            (Some(Change::Healthy), _) => {
                self.learned.somebody_ramps();
                tracing::info!(upstream, endpoint, "an endpoint is healthy");
            }
            (Some(Change::Unhealthy), Outcome::Bad(why)) => {
                tracing::warn!(upstream, endpoint, %why, "an endpoint is unhealthy");
            }
            (_, Outcome::Bad(why)) if never_well => {
                tracing::warn!(upstream, endpoint, %why, "an endpoint is not healthy yet");
            }
            (_, Outcome::Bad(why)) => {
                tracing::debug!(upstream, endpoint, %why, "a health check failed");
            }
            (_, Outcome::Good | Outcome::Unasked(_)) => {}
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// Its endpoints are not checked: what checks have said is forgotten.
    fn unchecked(&self) {
        let now = Instant::now();
        for endpoint in &self.endpoints {
            if endpoint.vitals.unchecked(now) {
                self.care.learned.somebody_ramps();
                let (upstream, endpoint) = (&*self.name, &*endpoint.name);
                tracing::info!(upstream, endpoint, "an unhealthy endpoint is no longer checked");
            }
        }
    }
}
