//! One try at one endpoint: the breaker is asked before it, and what became of it is told to the
//! breaker, to the ejection and to the balancer. Stands around each try of the careful way and of a
//! tunnel.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;

use super::{
    Upstream,
    breaker::{Admission, Admitted, Verdict},
    care::seconds,
    endpoint::Endpoint,
};
use crate::{
    config::model::Causes,
    error::{Error, Reason},
    telemetry::exchange::Exchange,
};

/// One try at one endpoint. Dropped without a verdict, it was given up.
#[derive(Debug)]
pub(crate) struct Trial<'t> {
    upstream: &'t Upstream,
    endpoint: &'t Endpoint,
    exchange: &'t Exchange,
    admitted: Option<Admitted>,
    started: Instant,
    patience: Patience,
    over: bool,
}

/// When giving up a try says something of its endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// It may be given up for another that is faster.
    pub(crate) hedge: Option<Hedge>,
    /// The total time of the route: whoever took most of it is to blame for its end.
    pub(crate) total: Option<Duration>,
}

/// When a try gets another one beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hedge {
    pub(crate) after: Duration,
    /// Slower than that is too slow. `after` may be the time of every other try.
    pub(crate) slow: Duration,
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

/// How no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Connect,
    Reset,
    Timeout,
}

// === impl Trial ===

impl<'t> Trial<'t> {
    /// Whether asking is in vain, before anything is done for a request. Takes nothing.
    pub(crate) fn check(upstream: &Upstream, now: Instant) -> Result<(), Error> {
        let Some((breaker, _)) = &upstream.care.breaker else { return Ok(()) };
        breaker.refuses(now).map_or(Ok(()), |left| Err(refused(upstream, left)))
    }

    /// Asks the breaker for a try, before an endpoint is chosen for it.
    pub(crate) fn ask(upstream: &Upstream, now: Instant) -> Result<Option<Admitted>, Error> {
        let Some((breaker, _)) = &upstream.care.breaker else { return Ok(None) };
        match breaker.admit(now) {
            Admission::Pass(admitted) => Ok(Some(admitted)),
            Admission::Probe(admitted, change) => {
                upstream.breaker_changed(change);
                Ok(Some(admitted))
            }
            Admission::Refused { retry_after } => Err(refused(upstream, retry_after)),
        }
    }

    /// A try at an endpoint.
    pub(crate) fn begin(
        (upstream, endpoint): (&'t Upstream, &'t Endpoint),
        exchange: &'t Exchange,
        admitted: Option<Admitted>,
        patience: Patience,
    ) -> Self {
        let started = Instant::now();
        Self { upstream, endpoint, exchange, admitted, started, patience, over: false }
    }

    /// It has ended.
    pub(crate) fn end(mut self, end: End) {
        self.settle(end, Instant::now());
    }

    /// How long the endpoint has kept us waiting. While the client still sends, it is the client.
    fn waited(&self, now: Instant) -> Option<Duration> {
        let after = now.saturating_duration_since(self.started);
        match self.exchange.upload_age() {
            None => Some(after),
            Some((age, true)) => Some(age.min(after)),
            Some((_, false)) => None,
        }
    }

    fn settle(&mut self, end: End, now: Instant) {
        self.over = true;
        let waited = self.waited(now);
        let care = &self.upstream.care;
        if let (Some(admitted), Some((breaker, settings))) = (self.admitted.take(), &care.breaker)
            && let Some(bad) = end.is_bad(&settings.count)
        {
            let verdict = if bad { Verdict::Bad } else { Verdict::Good };
            self.upstream.breaker_changed(breaker.done(admitted, verdict, now));
        }
        let failed = match (end, self.patience.hedge) {
            (End::Overtaken, Some(hedge)) if waited < Some(hedge.slow) => None,
            (end, _) => end.has_failed(),
        };
        let vitals = &self.endpoint.vitals;
        if let (Some(settings), Some(failed)) = (&care.outlier, failed) {
            if failed {
                self.upstream.endpoint_failed(self.endpoint, settings, now);
            } else {
                vitals.outlier.succeeded();
            }
        }
        let Some(waited) = waited else { return };
        let good = failed == Some(false);
        if care.by_latency && good {
            vitals.answered(waited, now);
        } else if care.by_latency {
            vitals.abandoned(waited, now);
        }
        match (end, self.patience.hedge) {
            (End::Answered(_), _) if good => care.learned.took(waited, now),
            // It would have taken at least that. Left out, only the fast ones would be known, and
            // more and more tries would count as slow.
            (End::Overtaken, Some(hedge)) => care.learned.took(hedge.after, now),
            _ => {}
        }
    }

    /// What giving it up now means, if anything.
    fn given_up(&self, now: Instant) -> Option<End> {
        let waited = self.waited(now)?;
        let Patience { hedge, total } = self.patience;
        if total.is_some_and(|total| now >= self.exchange.started + total && waited * 2 >= total) {
            return Some(End::Failed(Reason::UpstreamTimeout));
        }
        hedge.is_some_and(|hedge| waited >= hedge.after).then_some(End::Overtaken)
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let now = Instant::now();
        if let Some(end) = self.given_up(now) {
            self.settle(end, now);
        } else if self.upstream.care.by_latency
            && let Some(waited) = self.waited(now)
        {
            self.endpoint.vitals.abandoned(waited, now);
        }
    }
}

fn refused(upstream: &Upstream, retry_after: Duration) -> Error {
    let detail = format!("the breaker of {} is open", upstream.name);
    Error::new(Reason::BreakerOpen, detail).header(RETRY_AFTER, seconds(retry_after))
}

// === impl End ===

impl End {
    /// How a try with this answer ended.
    pub(crate) fn of<B>(result: &Result<http::Response<B>, Error>, grpc: bool) -> Self {
        match result {
            Ok(answer) => Self::Answered(status_of(answer.status(), answer.headers(), grpc)),
            Err(error) => Self::Failed(error.reason()),
        }
    }

    /// Whether the endpoint has failed, as `outlier` sees it. `None`: it did not come to that.
    fn has_failed(self) -> Option<bool> {
        match self {
            Self::Answered(status) => Some(status.is_server_error()),
            Self::Failed(reason) => Cause::of(reason).map(|_| true),
            Self::Overtaken => Some(true),
        }
    }

    /// Whether it is bad for a breaker that counts these. `None`: it says nothing of the upstream.
    fn is_bad(self, count: &Causes) -> Option<bool> {
        match self {
            Self::Answered(_) => Some(self.is_among(count)),
            Self::Failed(reason) => Cause::of(reason).map(|_| self.is_among(count)),
            // Given up for another endpoint, it says nothing of the upstream as a whole.
            Self::Overtaken => None,
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

// === impl Cause ===

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
