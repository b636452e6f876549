//! The careful way to an answer: tries that are watched, repeated after a pause, or doubled when they
//! take too long. Stands between `forward` and the connections, for routes with `retry` and for
//! upstreams whose breaker, ejection or way of balancing need to know what became of each try.
//!
//! Only what is safe is sent twice (RFC 9110 section 9.2.2): the methods the route lists, bodies that
//! were small enough to keep, nothing of an answer sent to the client yet, and only as far as the
//! budget of the upstream goes.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{RETRY_AFTER, SET_COOKIE},
};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    Upstream,
    breaker::Admitted,
    care::{End, Trial, status_of},
    choice::choose,
    endpoint::{Endpoint, InFlight},
    forward::{Settings, Try, checkout, random},
    response_body::{Held, Source},
    retry::{backoff, budget::Share},
    wish::Wish,
};
use crate::{
    body::Body,
    config::model::Retry,
    error::{Error, Reason},
    layers::{Request, Response},
    telemetry::exchange::Exchange,
};

/// What a route says about further tries.
#[derive(Debug)]
pub(crate) struct Again {
    retry: Retry,
    share: Share,
}

/// Positions of the endpoints this request has been to.
type Tried = SmallVec<[usize; 4]>;

/// A request that may be sent more than once, or not.
enum Sendable {
    Once(Option<Request>),
    Often { head: Box<Request>, body: Bytes, trailers: Option<HeaderMap> },
}

/// What all tries of a request have in common.
#[derive(Clone, Copy)]
struct Common<'j> {
    settings: &'j Settings,
    upstream: &'j Arc<Upstream>,
    exchange: &'j Arc<Exchange>,
    /// What allows further tries of this request.
    again: Option<&'j Again>,
    wish: Wish,
}

/// One request on its way through its tries.
struct Journey<'j> {
    common: Common<'j>,
    tried: Tried,
    sendable: Sendable,
}

/// A try that has ended.
struct Attempt {
    at: usize,
    end: End,
    in_flight: InFlight,
    result: Result<http::Response<Source>, Error>,
    /// The request, if nothing of it was sent.
    unsent: Option<Request>,
}

/// An endpoint chosen for a try, with the right to it.
struct Turn<'j> {
    endpoint: &'j Arc<Endpoint>,
    at: usize,
    admitted: Option<Admitted>,
}

// === impl Again ===

impl Again {
    /// As the file says it.
    pub(crate) fn new(retry: Retry) -> Self {
        let share = Share::new(retry.budget);
        Self { retry, share }
    }
}

// === impl Sendable ===

impl Sendable {
    /// Keeps what is needed to send a request again, if it may be.
    async fn new(
        request: Request,
        again: Option<&Again>,
        exchange: &Exchange,
    ) -> Result<Self, Error> {
        let Some(again) = again else { return Ok(Self::Once(Some(request))) };
        let limit = again.retry.body_limit;
        let small = request.body().size_hint().exact().is_some_and(|size| size <= limit);
        if !small && !request.body().is_empty() {
            return Ok(Self::Once(Some(request)));
        }
        let (head, body) = request.into_parts();
        let collected = body.collect().await.map_err(|error| match exchange.failure() {
            Some((reason, detail)) => Error::new(reason, detail.unwrap_or_default()),
            None => Error::new(Reason::BadBody, error.to_string()),
        })?;
        let trailers = collected.trailers().cloned();
        let head = Box::new(Request::from_parts(head, Body::empty()));
        Ok(Self::Often { head, body: collected.to_bytes(), trailers })
    }

    /// The request, once more if it may be sent often.
    fn take(&mut self) -> Option<Request> {
        match self {
            Self::Once(request) => request.take(),
            Self::Often { head, body, trailers } => {
                let mut copy = Request::new(match trailers.clone() {
                    None => Body::full(body.clone()),
                    Some(trailers) => {
                        let trailers = std::future::ready(Some(Ok(trailers)));
                        Body::wrap(Full::new(body.clone()).with_trailers(trailers))
                    }
                });
                *copy.method_mut() = head.method().clone();
                *copy.uri_mut() = head.uri().clone();
                *copy.headers_mut() = head.headers().clone();
                Some(copy)
            }
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The careful way.
    pub(super) async fn careful(
        &self,
        upstream: &Arc<Upstream>,
        request: Request,
        exchange: Arc<Exchange>,
    ) -> Result<Response, Error> {
        let wish = Wish::of(&request, &upstream.care, &exchange);
        let again = self.again.as_ref().filter(|it| it.retry.methods.contain(request.method()));
        let permit = upstream.admission.enter(upstream.connect_timeout).await?;
        let sendable = Sendable::new(request, again, &exchange).await?;
        let common = Common { settings: self, upstream, exchange: &exchange, again, wish };
        let mut journey = Journey { common, tried: Tried::new(), sendable };
        let attempt = journey.run().await?;
        exchange.note(|outcome| outcome.endpoint = Some(Arc::clone(&attempt.in_flight.0.name)));
        let mut response = attempt.result?;
        if let Some(sticky) = &upstream.care.sticky
            && wish.sticky != Some(attempt.at)
        {
            let secure = exchange.connection.tls.is_some();
            response
                .headers_mut()
                .extend(sticky.set(attempt.at, secure).map(|it| (SET_COOKIE, it)));
        }
        let held = Held { in_flight: attempt.in_flight, _permit: permit };
        self.answer(response, exchange, held)
    }
}

// === impl Journey ===

impl<'j> Journey<'j> {
    /// Tries until something came of it that is not tried again.
    async fn run(&mut self) -> Result<Attempt, Error> {
        let common = self.common;
        if let Some(again) = common.again {
            common.upstream.care.learned.budget.deposit(again.share, Instant::now());
        }
        let (mut retries, mut refused) = (0, 0);
        loop {
            let mut attempt = match common.hedge_after(retries).filter(|_| self.is_often()) {
                Some(after) => self.doubled(after).await?,
                None => {
                    let turn = common.turn(&mut self.tried)?;
                    let request = self.request()?;
                    common.once(turn, request, None).await
                }
            };
            if let Some(request) = attempt.unsent.take() {
                // Nobody has seen it: the next endpoint is asked at once, whatever the route says.
                if let Sendable::Once(place) = &mut self.sendable {
                    *place = Some(request);
                }
                refused += 1;
                if refused < common.upstream.endpoints.len() && common.others_left(&self.tried) {
                    continue;
                }
            }
            let Some(pause) = self.pause(&attempt, retries) else { return Ok(attempt) };
            let word = attempt.end.word();
            // Its connection is closed: what is left of the answer is not worth reading.
            drop(attempt);
            common.settings.metrics.retried(&common.upstream.name, word);
            retries += 1;
            refused = 0;
            tokio::time::sleep(pause).await;
        }
    }

    fn request(&mut self) -> Result<Request, Error> {
        let gone = || Error::new(Reason::Internal, "a request was to be sent twice");
        self.sendable.take().ok_or_else(gone)
    }

    const fn is_often(&self) -> bool {
        matches!(self.sendable, Sendable::Often { .. })
    }

    /// How long to wait before the next try, or `None` if there is none.
    fn pause(&self, attempt: &Attempt, retries: u32) -> Option<Duration> {
        let Common { again, upstream, settings, .. } = self.common;
        let retry = &again?.retry;
        let gone = matches!(self.sendable, Sendable::Once(None));
        if gone || retries >= retry.times || !attempt.end.is_among(&retry.when) {
            return None;
        }
        let mut pause = backoff::pause(retries, retry.backoff, retry.max_backoff, random());
        if let Ok(response) = &attempt.result
            && let Some(value) = response.headers().get(RETRY_AFTER)
            && let Some(asked) =
                value.to_str().ok().and_then(|it| backoff::retry_after(it, SystemTime::now()))
        {
            pause = backoff::obey(asked, pause, retry.max_backoff)?;
        }
        if !upstream.care.learned.budget.take(Instant::now()) {
            settings.metrics.budget_exhausted();
            return None;
        }
        Some(pause)
    }

    /// A try, and another one beside it when it takes too long. The first good answer counts.
    async fn doubled(&mut self, after: Duration) -> Result<Attempt, Error> {
        let common = self.common;
        let turn = common.turn(&mut self.tried)?;
        let (request, spare) = (self.request()?, self.request()?);
        let mut first = pin!(common.once(turn, request, Some(after)));
        if let Ok(attempt) = tokio::time::timeout(after, first.as_mut()).await {
            return Ok(attempt);
        }
        let Some(turn) = common.second(&mut self.tried) else { return Ok(first.await) };
        let mut second = pin!(common.once(turn, spare, None));
        Ok(tokio::select! {
            attempt = first.as_mut() => match common.is_good(&attempt) {
                true => attempt,
                false => common.better(attempt, second.await),
            },
            attempt = second.as_mut() => match common.is_good(&attempt) {
                true => attempt,
                false => common.better(attempt, first.await),
            },
        })
    }
}

// === impl Common ===

impl<'j> Common<'j> {
    fn others_left(&self, tried: &Tried) -> bool {
        choose(self.upstream, tried, Wish::default()).is_ok()
    }

    /// The next endpoint, if the breaker lets us. When all were tried, all may be tried again.
    fn turn(&self, tried: &mut Tried) -> Result<Turn<'j>, Error> {
        let admitted = Trial::ask(self.upstream, Instant::now())?;
        let chosen = match choose(self.upstream, tried, self.wish) {
            Err(_) if !tried.is_empty() => {
                tried.clear();
                choose(self.upstream, &[], self.wish)
            }
            chosen => chosen,
        };
        let (endpoint, at) = chosen?;
        tried.push(at);
        Ok(Turn { endpoint, at, admitted })
    }

    /// One try at one endpoint.
    async fn once(self, turn: Turn<'j>, request: Request, late: Option<Duration>) -> Attempt {
        let Turn { endpoint, at, admitted } = turn;
        let trial = Trial::begin(self.upstream, endpoint, admitted, late, Instant::now());
        let in_flight = InFlight::new(Arc::clone(endpoint), Arc::clone(self.upstream));
        let (result, unsent) = match checkout(endpoint, self.exchange).await {
            Ok(checkout) => {
                let line = Try {
                    exchange: self.exchange,
                    in_flight: &in_flight,
                    now: Instant::now(),
                    alone: !self.may_double(),
                };
                (self.settings.repeatedly(line, checkout, request).await, None)
            }
            Err(error) => (Err(error), Some(request)),
        };
        let end = match &result {
            Ok(answer) => {
                let status = status_of(answer.status(), answer.headers(), self.exchange.grpc);
                End::Answered(status)
            }
            Err(error) => End::Failed(error.reason()),
        };
        trial.end(end, Instant::now());
        Attempt { at, end, in_flight, result, unsent }
    }

    // === a second try beside the first ===

    fn may_double(&self) -> bool {
        self.again.is_some_and(|again| again.retry.hedge.is_some())
    }

    /// How long the first try may take before there is a second beside it.
    fn hedge_after(&self, retries: u32) -> Option<Duration> {
        let of = self.again?.retry.hedge?;
        let now = Instant::now();
        // Asking for it begins to measure it.
        let after = self.upstream.care.learned.latency(now).quantile(of, now)?;
        let safe = self.exchange.method.is_safe();
        (safe && retries == 0 && self.upstream.endpoints.len() > 1).then_some(after)
    }

    /// The endpoint of a second try, if the budget and the breaker allow one and there is another.
    fn second(&self, tried: &mut Tried) -> Option<Turn<'j>> {
        let now = Instant::now();
        let wish = Wish { sticky: None, ..self.wish };
        let (endpoint, at) = choose(self.upstream, tried, wish).ok()?;
        if !self.upstream.care.learned.budget.take(now) {
            self.settings.metrics.budget_exhausted();
            return None;
        }
        let admitted = Trial::ask(self.upstream, now).ok()?;
        self.settings.metrics.retried(&self.upstream.name, End::Overtaken.word());
        tried.push(at);
        Some(Turn { endpoint, at, admitted })
    }

    fn is_good(&self, attempt: &Attempt) -> bool {
        attempt.result.is_ok()
            && self.again.is_none_or(|again| !attempt.end.is_among(&again.retry.when))
    }

    /// The second answer if it is good, else the first.
    fn better(&self, first: Attempt, second: Attempt) -> Attempt {
        if self.is_good(&second) { second } else { first }
    }
}
