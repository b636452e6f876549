//! What an upstream does about failures, and what it has learned: settings from the file beside the
//! state that outlives a reload. `trial` tells it how each try went.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use tokio::time::Instant;

use super::{
    Upstream,
    breaker::{Breaker, State},
    endpoint::Endpoint,
    latency::Usual,
    outlier::{self, Census, Ejections},
    retry::budget::Budget,
    wish::StickyCookie,
};
use crate::{
    config::model::{self, HashOn, NoneHealthy},
    telemetry::metrics::UpstreamMetrics,
};

/// What an upstream does about failures.
#[derive(Debug)]
pub(crate) struct Care {
    /// The breaker, what is bad for it, and what shaped it.
    pub(crate) breaker: Option<(Arc<Breaker>, model::Breaker)>,
    pub(crate) outlier: Option<outlier::Settings>,
    pub(crate) health: Option<model::Health>,
    pub(crate) slow_start: Option<Duration>,
    pub(crate) hash_on: Option<HashOn>,
    pub(crate) sticky: Option<StickyCookie>,
    /// Choices go by the latency of answers.
    pub(crate) by_latency: bool,
    /// Whether tries have to be watched. If not, requests take the direct way.
    pub(crate) watches: bool,
    pub(crate) learned: Arc<Learned>,
}

/// What outlives a reload, by the name of the upstream.
#[derive(Debug)]
pub(crate) struct Learned {
    /// Over the same endpoints as long as they live.
    ejections: Ejections,
    pub(crate) budget: Budget,
    /// Only where somebody hedges.
    latency: OnceLock<Usual>,
    /// Some endpoint may be in its slow start.
    ramping: AtomicBool,
    pub(crate) metrics: Arc<UpstreamMetrics>,
}

// === impl Care ===

impl Care {
    /// What happens when no endpoint is healthy.
    pub(crate) fn on_none_healthy(&self) -> NoneHealthy {
        self.health.as_ref().map_or(NoneHealthy::Fail, |health| health.on_none_healthy)
    }

    /// Whether any endpoint may be in its slow start.
    pub(crate) fn is_ramping(&self) -> bool {
        self.slow_start.is_some() && self.learned.ramping.load(Ordering::Relaxed)
    }
}

// === impl Learned ===

impl Learned {
    /// An upstream nothing is known of.
    pub(crate) fn new(metrics: Arc<UpstreamMetrics>, now: Instant) -> Self {
        Self {
            ejections: Ejections::default(),
            budget: Budget::new(now),
            latency: OnceLock::new(),
            ramping: AtomicBool::new(false),
            metrics,
        }
    }

    /// The time that this share of the tries did not exceed, once enough is known. Asking for it
    /// begins to measure it.
    pub(crate) fn usual(&self, share: f64, now: Instant) -> Option<Duration> {
        self.latency.get_or_init(|| Usual::new(now)).quantile(share, now)
    }

    /// The same as far as it is measured anyway.
    pub(crate) fn known(&self, share: f64, now: Instant) -> Option<Duration> {
        self.latency.get()?.quantile(share, now)
    }

    /// A good try took so long.
    pub(crate) fn took(&self, time: Duration, now: Instant) {
        if let Some(latency) = self.latency.get() {
            latency.record(time, now);
        }
    }

    /// An endpoint has come back.
    pub(crate) fn somebody_ramps(&self) {
        self.ramping.store(true, Ordering::Relaxed);
    }

    /// All endpoints are warm again.
    pub(crate) fn nobody_ramps(&self) {
        self.ramping.store(false, Ordering::Relaxed);
    }
}

/// Whole seconds, at least one.
pub(crate) fn seconds(time: Duration) -> HeaderValue {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    HeaderValue::from(whole.max(1))
}

// === impl Upstream ===

impl Upstream {
    /// The breaker has changed, or not.
    pub(crate) fn breaker_changed(&self, change: Option<State>) {
        let Some(state) = change else { return };
        self.care.learned.metrics.breaker_became(state as u8);
        self.show_breaker();
        let upstream = &*self.name;
        match state {
            State::Closed => tracing::info!(upstream, "the breaker closes"),
            State::HalfOpen => tracing::info!(upstream, "the breaker lets probes through"),
            State::Open => tracing::warn!(upstream, "the breaker opens"),
        }
    }

    /// A try at an endpoint has failed.
    pub(crate) fn endpoint_failed(
        &self,
        endpoint: &Endpoint,
        settings: &outlier::Settings,
        now: Instant,
    ) {
        let census = || self.census();
        let vitals = &endpoint.vitals;
        let Some(ejected) =
            vitals.outlier.failed(now, settings, &self.care.learned.ejections, census)
        else {
            return;
        };
        vitals.ejected();
        self.care.learned.somebody_ramps();
        let (upstream, endpoint) = (&*self.name, &*endpoint.name);
        let seconds = ejected.until.saturating_duration_since(now).as_secs_f64();
        tracing::warn!(upstream, endpoint, seconds, "an endpoint is ejected");
    }

    fn census(&self) -> Census {
        let now = Instant::now();
        let mut census = Census { total: 0, ejected: 0, usable: 0 };
        let serving = self.endpoints.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0);
        for (endpoint, _) in serving {
            let ejected = endpoint.vitals.outlier.is_ejected(now);
            census.total += 1;
            census.ejected += usize::from(ejected);
            census.usable += usize::from(!ejected && endpoint.vitals.is_well());
        }
        census
    }

    /// Looks after what time alone changes: ejections and slow starts that are over, the state of a
    /// breaker as its metric shows it. To be called now and then.
    pub(crate) fn tend(&self) {
        let now = Instant::now();
        let window = self.care.slow_start.unwrap_or_default();
        let mut warm = true;
        for endpoint in &self.endpoints {
            // Asking is what ends an ejection.
            warm &= endpoint.vitals.is_in() && endpoint.vitals.is_warm(window, now);
        }
        if warm && self.care.is_ramping() {
            self.care.learned.nobody_ramps();
        }
        self.show_breaker();
    }

    /// Shows the breaker there is now, which a reload may have changed.
    pub(crate) fn show_breaker(&self) {
        let breaker = self.care.breaker.as_ref();
        let now = || breaker.map_or(State::Closed, |(breaker, _)| breaker.state());
        let mut state = now();
        loop {
            self.care.learned.metrics.set_breaker(breaker.is_some(), state as u8);
            // Another thread may have changed it, and shown that, before us.
            match now() {
                same if same == state => return,
                other => state = other,
            }
        }
    }
}
