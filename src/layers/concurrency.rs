//! `concurrency`: only so many requests at once, and the important ones first. The last of the guard zone
//! but bandwidth and the body limit: it is known who a request is from, and nothing of its body was read while it waits.
//! A place is held until the answer has ended, or the tunnel.

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, header::RETRY_AFTER};
use serde_json::Value;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{
    Request, Response, custom::LayerService, exchange_of, shared::BoxFuture, shedding::Shedding,
};
use crate::{
    admission::{self, Keyed, Limiter, Permit, Shed},
    config::model::{Class, ClassBy, KeyPart, Mode, Name, PriorityClass},
    error::{Error, Reason},
    limit::Keys,
    telemetry::{
        exchange::Exchange,
        metrics::{Decisions, RouteMetrics, Verdict},
    },
    upstream::trial::status_of,
};

/// Lets only so many pass at once.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer(Arc<Settings>);

/// The service of [`ConcurrencyLayer`].
#[derive(Clone, Debug)]
pub struct ConcurrencyService {
    inner: LayerService,
    settings: Arc<Settings>,
}

/// How many of a route, and how much they matter.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) class: PriorityClass,
    pub(crate) limits: Vec<Limit>,
    /// What to do when the gateway as a whole has too much to do; asked where the class is looked up.
    pub(crate) shedding: Option<Shedding>,
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// One limit on one route.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) policy: Name,
    pub(crate) places: Places,
    pub(crate) patience: Duration,
    pub(crate) mode: Mode,
    pub(crate) decisions: Arc<Decisions>,
}

/// The places of a limit.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    /// All requests share them.
    Shared(Arc<Limiter>),
    /// Those that are alike have some of their own.
    ByKey(Arc<Keyed>, Arc<Keys>),
}

/// IPv6 addresses that begin with as many equal bits count as one client.
const IPV6_PREFIX: u8 = 64;

// === impl Places ===

impl Places {
    /// Of these, for all that are alike in the parts of the key.
    pub(crate) fn new(settings: admission::Settings, key: &[KeyPart]) -> Self {
        if key.is_empty() {
            return Self::Shared(Arc::new(Limiter::new(settings, Instant::now())));
        }
        Self::ByKey(Arc::new(Keyed::new(settings)), Arc::new(Keys::new(key, IPV6_PREFIX)))
    }

    pub(crate) fn settings(&self) -> admission::Settings {
        match self {
            Self::Shared(limiter) => limiter.settings(),
            Self::ByKey(keyed, _) => keyed.settings(),
        }
    }

    fn try_enter(&self, request: &Request, exchange: &Exchange) -> Option<Permit> {
        match self {
            Self::Shared(limiter) => limiter.try_enter(),
            Self::ByKey(keyed, keys) => keyed.try_enter(keys.of(request, exchange)),
        }
    }
}

// === impl Limit ===

impl Limit {
    /// A place, waited for as long as it may take. Nothing of the request is kept meanwhile.
    fn enter(
        &self,
        request: &Request,
        exchange: &Exchange,
    ) -> impl Future<Output = Result<Permit, Shed>> + Send + 'static {
        let (class, patience) = (exchange.class(), self.patience);
        let key = match &self.places {
            Places::Shared(_) => 0,
            Places::ByKey(_, keys) => keys.of(request, exchange),
        };
        let places = self.places.clone();
        async move {
            match places {
                Places::Shared(limiter) => limiter.enter(class, patience).await,
                Places::ByKey(keyed, _) => keyed.enter(key, class, patience).await,
            }
        }
    }
}

// === impl ConcurrencyLayer ===

impl ConcurrencyLayer {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }
}

impl Layer<LayerService> for ConcurrencyLayer {
    type Service = ConcurrencyService;

    fn layer(&self, inner: LayerService) -> ConcurrencyService {
        ConcurrencyService { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl PriorityClass ===

impl PriorityClass {
    /// How much this request matters.
    fn of(&self, request: &Request, exchange: &Exchange) -> Class {
        let Self::By { by, classes, default } = self else { return self.at_first() };
        let class = |value: &str| classes.get(value).copied();
        let found = match by {
            ClassBy::Consumer => {
                exchange.with_outcome(|outcome| class(outcome.consumer.as_deref()?))
            }
            ClassBy::Claim(name) => {
                exchange.with_outcome(|outcome| match outcome.claims.as_ref()?.get(name)? {
                    Value::String(value) => class(value),
                    value => class(&value.to_string()),
                })
            }
            // Anybody can write that they matter.
            ClassBy::Header(name) if exchange.trusted => {
                request.headers().get(name).and_then(|value| class(value.to_str().ok()?))
            }
            ClassBy::Header(_) => None,
        };
        found.unwrap_or(*default)
    }
}

// === impl Settings ===

impl Settings {
    /// A place of each limit.
    async fn enter(
        self: Arc<Self>,
        request: Request,
        exchange: &Exchange,
    ) -> Result<(Request, Vec<Permit>), Error> {
        let class = exchange.class();
        let mut permits = Vec::with_capacity(self.limits.len());
        for limit in &self.limits {
            if limit.mode == Mode::Shadow {
                // It keeps nobody waiting, so it judges as if there were no queue.
                let permit = limit.places.try_enter(&request, exchange);
                let passes = permit.is_some();
                limit.decisions.count(if passes { Verdict::Allowed } else { Verdict::Shadow });
                permits.extend(permit);
                continue;
            }
            let entering = limit.enter(&request, exchange);
            match entering.await {
                Ok(permit) => {
                    limit.decisions.count(Verdict::Allowed);
                    permits.push(permit);
                }
                Err(shed) => return Err(self.refuse(limit, class, shed)),
            }
        }
        Ok((request, permits))
    }

    #[cold]
    fn refuse(&self, limit: &Limit, class: Class, shed: Shed) -> Error {
        limit.decisions.count(Verdict::Denied);
        limit.decisions.refused(shed.word());
        self.metrics.shed(class, shed.word());
        let (policy, word, class) = (&limit.policy, shed.word(), class.word());
        let detail = format!("{word} of `{policy}`, class {class}");
        match limit.places {
            Places::Shared(_) => Error::new(Reason::Overloaded, detail),
            // There may be room for others: it is this client who has too much under way.
            Places::ByKey(..) => Error::new(Reason::RateLimited, detail)
                .header(RETRY_AFTER, HeaderValue::from_static("1")),
        }
    }
}

impl Service<Request> for ConcurrencyService {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> BoxFuture<Error> {
        let (settings, inner) = (Arc::clone(&self.settings), self.inner.clone());
        Box::pin(async move {
            let Some(exchange) = exchange_of(&request).map(Arc::clone) else {
                return Err(Error::new(Reason::Internal, "a request without an exchange"));
            };
            if settings.class.is_looked_up() {
                let class = settings.class.of(&request, &exchange);
                exchange.set_class(class);
                settings.shedding.as_ref().map_or(Ok(()), |it| it.check(class))?;
            }
            let (request, mut permits) = settings.enter(request, &exchange).await?;
            let response = inner.handle(request).await?;
            tell(&mut permits, &response, &exchange);
            exchange.note(|outcome| outcome.held = permits);
            Ok(response)
        })
    }
}

/// Tells the limits that want to know how long the service has taken.
fn tell(permits: &mut [Permit], response: &Response, exchange: &Exchange) {
    for permit in permits.iter_mut().filter(|permit| permit.is_measured()) {
        let status = status_of(response.status(), response.headers(), exchange.grpc);
        permit.answered(exchange.upstream_latency(), status);
    }
}
