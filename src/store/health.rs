//! Whether a store answers, of all workers together: one line in the log when it goes away, one when it is
//! back.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{config::model::Name, telemetry::metrics::StoreMetrics};

/// What is known of a store.
#[derive(Debug)]
pub(super) struct Health {
    name: Name,
    metrics: Arc<StoreMetrics>,
    /// How many there are.
    workers: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Workers that can ask it.
    connected: usize,
    /// Since when some cannot that could, or have tried in vain.
    away: Option<Instant>,
}

// === impl Health ===

impl Health {
    pub(super) fn new(name: &Name, workers: usize, metrics: Arc<StoreMetrics>) -> Self {
        Self { name: Arc::clone(name), metrics, workers, state: Mutex::default() }
    }

    /// A worker can ask it.
    pub(super) fn connected(&self) {
        let mut state = self.state.lock();
        state.connected += 1;
        if state.connected < self.workers {
            return;
        }
        self.metrics.set_up(true);
        if let Some(since) = state.away.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(store = &*self.name, away_seconds = seconds, "the store is back");
        }
    }

    /// A worker cannot ask it any more.
    pub(super) fn lost(&self, why: &str) {
        self.state.lock().connected -= 1;
        self.away(why);
    }

    /// A worker has tried in vain.
    pub(super) fn away(&self, why: &str) {
        let mut state = self.state.lock();
        self.metrics.set_up(false);
        if state.away.is_none() {
            state.away = Some(Instant::now());
            let store = &*self.name;
            tracing::warn!(store, why, "the store is away: its limits do without it");
        }
    }
}
