//! What an upstream does about failures, and what it has learned: settings from the file beside the
//! state that outlives a reload. Every try of a careful route begins and ends here.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;

use super::{
    Upstream,
    breaker::{Admission, Admitted, Breaker, State, Verdict},
    endpoint::Endpoint,
    latency::Latency,
    outlier::{self, Census, Ejections},
    retry::budget::Budget,
    wish::StickyCookie,
};
use crate::{
    config::model::{self, Causes, HashOn, NoneHealthy},
    error::{Error, Reason},
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
    pub(crate) learned: Arc<Learned>,
}

/// What outlives a reload, by the name of the upstream.
#[derive(Debug)]
pub(crate) struct Learned {
    /// Over the same endpoints as long as they live.
    ejections: Ejections,
    pub(crate) budget: Budget,
    /// Only where somebody hedges.
    latency: OnceLock<Latency>,
    /// Some endpoint may be in its slow start.
    ramping: AtomicBool,
    pub(crate) metrics: Arc<UpstreamMetrics>,
}

/// One try at one endpoint. Dropped without a verdict, it was given up.
#[derive(Debug)]
pub(crate) struct Trial {
    upstream: Arc<Upstream>,
    endpoint: Arc<Endpoint>,
    admitted: Option<Admitted>,
    started: Instant,
    /// After so long, giving it up says something of the endpoint.
    late: Option<Duration>,
    over: bool,
}

/// How a try ended, as far as its upstream is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer with this status, or with what its gRPC status amounts to.
    Answered(StatusCode),
    /// None, for this reason.
    Failed(Reason),
    /// It was given up for another that was faster.
    Overtaken,
}

// === impl Care ===

impl Care {
    /// Whether tries have to be watched. If not, requests take the direct way.
    pub(crate) fn watches(&self) -> bool {
        self.breaker.is_some()
            || self.outlier.is_some()
            || self.hash_on.is_some()
            || self.sticky.is_some()
            || self.by_latency
    }

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

    /// How long answers took.
    pub(crate) fn latency(&self, now: Instant) -> &Latency {
        self.latency.get_or_init(|| Latency::new(now))
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

// === impl Trial ===

impl Trial {
    /// Asks the breaker for a try, before an endpoint is chosen for it.
    pub(crate) fn ask(upstream: &Upstream, now: Instant) -> Result<Option<Admitted>, Error> {
        let Some((breaker, _)) = &upstream.care.breaker else { return Ok(None) };
        match breaker.admit(now) {
            Admission::Pass(admitted) => Ok(Some(admitted)),
            Admission::Probe(admitted, change) => {
                upstream.breaker_changed(change);
                Ok(Some(admitted))
            }
            Admission::Refused { retry_after } => Err(Error::new(
                Reason::BreakerOpen,
                format!("the breaker of {} is open", upstream.name),
            )
            .header(RETRY_AFTER, seconds(retry_after))),
        }
    }

    /// A try at an endpoint.
    pub(crate) fn begin(
        upstream: &Arc<Upstream>,
        endpoint: &Arc<Endpoint>,
        admitted: Option<Admitted>,
        late: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            endpoint: Arc::clone(endpoint),
            admitted,
            started: now,
            late,
            over: false,
        }
    }

    /// It has ended.
    pub(crate) fn end(mut self, end: End, now: Instant) {
        self.settle(end, now);
    }

    fn settle(&mut self, end: End, now: Instant) {
        self.over = true;
        let took = now.saturating_duration_since(self.started);
        let care = &self.upstream.care;
        if let (Some(admitted), Some((breaker, settings))) = (self.admitted.take(), &care.breaker) {
            // Given up, it says nothing of the upstream as a whole.
            if end != End::Overtaken {
                let bad = end.is_among(&settings.count);
                let verdict = if bad { Verdict::Bad } else { Verdict::Good };
                self.upstream.breaker_changed(breaker.done(admitted, verdict, now));
            }
        }
        let vitals = &self.endpoint.vitals;
        if let Some(settings) = &care.outlier {
            if end.is_failure() {
                self.upstream.endpoint_failed(&self.endpoint, settings, now);
            } else {
                vitals.outlier.succeeded();
            }
        }
        match end {
            End::Answered(_) => {
                if care.by_latency {
                    vitals.answered(took, now);
                }
                if let Some(latency) = care.learned.latency.get() {
                    latency.record(took.as_micros() as u64, now);
                }
            }
            End::Failed(_) | End::Overtaken if care.by_latency => vitals.abandoned(took, now),
            End::Failed(_) | End::Overtaken => {}
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let now = Instant::now();
        let after = now.saturating_duration_since(self.started);
        if self.late.is_some_and(|late| after >= late) {
            self.settle(End::Overtaken, now);
        } else if self.upstream.care.by_latency {
            self.endpoint.vitals.abandoned(after, now);
        }
    }
}

// === impl End ===

impl End {
    /// Whether the endpoint is to blame, as `outlier` sees it.
    fn is_failure(self) -> bool {
        match self {
            Self::Answered(status) => status.is_server_error(),
            Self::Failed(reason) => !is_ours(reason),
            Self::Overtaken => true,
        }
    }

    /// Whether it is one of these.
    pub(crate) fn is_among(self, causes: &Causes) -> bool {
        match self {
            Self::Answered(status) => causes.statuses.contains(status),
            Self::Failed(reason) => match Cause::of(reason) {
                Some(Cause::Connect) => causes.connect,
                Some(Cause::Reset) => causes.reset,
                Some(Cause::Timeout) => causes.timeout,
                None => false,
            },
            Self::Overtaken => false,
        }
    }

    /// The word for it in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Answered(_) => "status",
            Self::Failed(reason) => reason.word(),
            Self::Overtaken => "hedge",
        }
    }
}

/// How no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Connect,
    Reset,
    Timeout,
}

impl Cause {
    /// `None`: the upstream is not to blame.
    fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ConnectRefused
            | Reason::ConnectTimeout
            | Reason::DnsError
            | Reason::DnsTimeout
            | Reason::UpstreamTls => Some(Self::Connect),
            Reason::UpstreamReset | Reason::BadResponse | Reason::ResponseTooLarge => {
                Some(Self::Reset)
            }
            Reason::UpstreamTimeout => Some(Self::Timeout),
            _ => None,
        }
    }
}

/// Whether a try failed for something that says nothing of its endpoint.
fn is_ours(reason: Reason) -> bool {
    Cause::of(reason).is_none()
}

/// What an answer amounts to: over gRPC the status of a call that failed at once is in its head
/// (gRPC's own table for gateways, read backwards).
pub(crate) fn status_of(status: StatusCode, headers: &HeaderMap, grpc: bool) -> StatusCode {
    const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
    if !grpc || status != StatusCode::OK {
        return status;
    }
    match headers.get(GRPC_STATUS).map(HeaderValue::as_bytes) {
        Some(b"14") => StatusCode::SERVICE_UNAVAILABLE,
        Some(b"4") => StatusCode::GATEWAY_TIMEOUT,
        Some(b"8") => StatusCode::TOO_MANY_REQUESTS,
        Some(b"2" | b"13" | b"15") => StatusCode::INTERNAL_SERVER_ERROR,
        _ => status,
    }
}

/// Whole seconds, at least one.
pub(crate) fn seconds(time: Duration) -> HeaderValue {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    HeaderValue::from(whole.max(1))
}

// === impl Upstream ===

impl Upstream {
    fn breaker_changed(&self, change: Option<State>) {
        let Some(state) = change else { return };
        self.care.learned.metrics.breaker_became(state as u8);
        let upstream = &*self.name;
        match state {
            State::Closed => tracing::info!(upstream, "the breaker closes"),
            State::HalfOpen => tracing::info!(upstream, "the breaker lets probes through"),
            State::Open => tracing::warn!(upstream, "the breaker opens"),
        }
    }

    fn endpoint_failed(&self, endpoint: &Endpoint, settings: &outlier::Settings, now: Instant) {
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
}
