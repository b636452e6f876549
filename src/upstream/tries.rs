//! The careful way to an answer: tries that are watched, repeated after a pause, or doubled when they
//! take too long. Stands between `forward` and the connections, for routes with `retry` and for
//! upstreams whose breaker, ejection or way of balancing need to know what became of each try.
//!
//! Only what is safe is sent twice (RFC 9110 section 9.2.2): the methods the route lists, bodies that
//! were small enough to keep or to copy as they passed, nothing of an answer sent to the client yet, and only as far as the
//! budget of the upstream goes.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::header::{RETRY_AFTER, SET_COOKIE};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    Upstream,
    attempt::Clock,
    breaker::Admitted,
    checkout::checkout,
    choice::{choose, has_other},
    endpoint::{Endpoint, InFlight},
    forward::{Settings, Try, random},
    response_body::{Held, Source, unwanted},
    retry::{backoff, budget::Share},
    sendable::Sendable,
    trial::{End, Hedge, Patience, Trial},
    wish::Wish,
};
use crate::{
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
pub(super) type Tried = SmallVec<[usize; 4]>;

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

/// Slower than this share of the tries is too slow for one that is given up.
const SLOW: f64 = 0.95;

// === impl Again ===

impl Again {
    /// As the file says it.
    pub(crate) fn new(retry: Retry) -> Self {
        let share = Share::new(retry.budget);
        Self { retry, share }
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
        // Before a body is read or a turn is waited for that would be in vain.
        Trial::check(upstream, Instant::now())?;
        let wish = Wish::of(&request, &upstream.care, &exchange);
        let again = self.again.as_ref().filter(|it| it.retry.methods.contain(request.method()));
        let limit = again.map(|again| again.retry.body_limit);
        // A client that sends slowly has no turn while it does.
        let sendable = Sendable::new(request, limit, &exchange).await?;
        // Kept through all tries and the pauses between them: what waits for its next try is in
        // flight. It bounds what is held for a sick upstream, and no second try stands in the queue.
        let permit = self.turn_at(upstream, &exchange).await?;
        let common = Common { settings: self, upstream, exchange: &exchange, again, wish };
        let mut journey = Journey { common, tried: Tried::new(), sendable };
        let attempt = journey.run().await?;
        exchange.note(|outcome| outcome.endpoint = Some(Arc::clone(&attempt.in_flight.0.name)));
        let mut response = attempt.result?;
        stick(upstream, wish, attempt.at, &exchange, &mut response);
        let held = Held { in_flight: attempt.in_flight, permit };
        self.answer(response, exchange, held)
    }

    /// What giving up a try means on this route.
    pub(super) fn patience(&self) -> Patience {
        Patience { hedge: None, total: self.timeouts.request }
    }
}

/// Pins a client to the endpoint that answered it, unless it is already.
pub(super) fn stick<B>(
    upstream: &Upstream,
    wish: Wish,
    at: usize,
    exchange: &Exchange,
    response: &mut http::Response<B>,
) {
    let Some(sticky) = upstream.care.sticky.as_ref().filter(|_| wish.sticky != Some(at)) else {
        return;
    };
    if let Some(cookie) = sticky.set(at, exchange.connection.tls.is_some()) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

// === impl Journey ===

impl<'j> Journey<'j> {
    /// Tries until something came of it that is not tried again.
    async fn run(&mut self) -> Result<Attempt, Error> {
        let common = self.common;
        let (mut tries, mut retries, mut refused) = (0, 0, 0);
        loop {
            let turn = common.turn(&mut self.tried)?;
            if tries == 0 {
                common.deposit();
            }
            tries += 1;
            let request = self.request()?;
            let hedge = common.hedge(retries).filter(|_| self.sendable.may_double());
            let mut attempt = match hedge {
                Some(hedge) => self.doubled(turn, request, hedge).await?,
                None => common.once(turn, request, None).await,
            };
            if let Some(request) = attempt.unsent.take() {
                // Nobody has seen it: the next endpoint is asked at once, whatever the route says.
                self.sendable.give_back(request);
                refused += 1;
                if refused < common.upstream.endpoints.len()
                    && has_other(common.upstream, &self.tried)
                {
                    continue;
                }
            }
            let Some(pause) = self.pause(&attempt, retries) else { return Ok(attempt) };
            common.settings.metrics.retried(&common.upstream.name, attempt.end.word());
            attempt.leave();
            retries += 1;
            refused = 0;
            tokio::time::sleep(pause).await;
        }
    }

    fn request(&mut self) -> Result<Request, Error> {
        if let Some((_, false)) = self.common.exchange.upload_age() {
            // During a pause the client was not read from: it has not been silent.
            self.common.exchange.upload_progress(false);
        }
        let gone = || Error::new(Reason::Internal, "a request was to be sent twice");
        self.sendable.take().ok_or_else(gone)
    }

    /// How long to wait before the next try, or `None` if there is none.
    fn pause(&self, attempt: &Attempt, retries: u32) -> Option<Duration> {
        let Common { again, upstream, settings, exchange, .. } = self.common;
        let retry = &again?.retry;
        if retries >= retry.times || !attempt.end.is_among(&retry.when) || !self.sendable.is_there()
        {
            return None;
        }
        let mut pause = backoff::pause(retries + 1, retry.backoff, retry.max_backoff, random());
        if let Ok(response) = &attempt.result
            && let Some(value) = response.headers().get(RETRY_AFTER)
            && let Some(asked) =
                value.to_str().ok().and_then(|it| backoff::retry_after(it, SystemTime::now()))
        {
            pause = backoff::obey(asked, pause, retry.max_backoff)?;
        }
        let now = Instant::now();
        // An answer in the hand is better than a time that ran out during a pause.
        if settings.timeouts.request.is_some_and(|total| now + pause >= exchange.started + total) {
            return None;
        }
        if !upstream.care.learned.budget.take(now) {
            settings.metrics.budget_exhausted();
            return None;
        }
        self.sendable.hold().then_some(pause)
    }

    /// A try, and another one beside it when it takes too long. The first good answer counts.
    async fn doubled(
        &mut self,
        turn: Turn<'j>,
        request: Request,
        hedge: Hedge,
    ) -> Result<Attempt, Error> {
        let common = self.common;
        let mut first = pin!(common.once(turn, request, Some(hedge)));
        let mut wait = hedge.after;
        loop {
            if let Ok(attempt) = tokio::time::timeout(wait, first.as_mut()).await {
                return Ok(attempt);
            }
            // While the client still sends, it is not the endpoint that is slow.
            match common.exchange.upload_age() {
                Some((_, false)) => wait = hedge.after,
                Some((age, true)) if age < hedge.after => wait = hedge.after - age,
                _ => break,
            }
        }
        if !self.sendable.is_often() {
            return Ok(first.await);
        }
        let Some(turn) = common.second(&mut self.tried) else { return Ok(first.await) };
        let request = self.request()?;
        let mut second = pin!(common.once(turn, request, None));
        let (early, late) = tokio::select! {
            attempt = first.as_mut() => match common.is_good(&attempt) {
                true => return Ok(attempt),
                false => (attempt, second.await),
            },
            attempt = second.as_mut() => match common.is_good(&attempt) {
                true => return Ok(attempt),
                false => (attempt, first.await),
            },
        };
        let (best, other) = if common.is_good(&late) { (late, early) } else { (early, late) };
        other.leave();
        Ok(best)
    }
}

// === impl Attempt ===

impl Attempt {
    /// Its answer is not wanted.
    fn leave(self) {
        if let Ok(response) = self.result
            && let Some(connection) = unwanted(response)
        {
            self.in_flight.0.keep(connection);
        }
    }
}

// === impl Common ===

impl<'j> Common<'j> {
    /// A first try that reached an endpoint allows for a part of a further one.
    fn deposit(&self) {
        if let Some(again) = self.again {
            self.upstream.care.learned.budget.deposit(again.share, Instant::now());
        }
    }

    /// The next endpoint, if the breaker lets us. When all were tried, all may be tried again.
    fn turn(&self, tried: &mut Tried) -> Result<Turn<'j>, Error> {
        let admitted = Trial::ask(self.upstream, Instant::now())?;
        if !tried.is_empty() && !has_other(self.upstream, tried) {
            tried.clear();
        }
        let (endpoint, at) = choose(self.upstream, tried, self.wish)?;
        tried.push(at);
        Ok(Turn { endpoint, at, admitted })
    }

    /// One try at one endpoint.
    async fn once(self, turn: Turn<'j>, request: Request, hedge: Option<Hedge>) -> Attempt {
        let Turn { endpoint, at, admitted } = turn;
        let patience = Patience { hedge, ..self.settings.patience() };
        let trial = Trial::begin((self.upstream, endpoint), self.exchange, admitted, patience);
        let in_flight = InFlight::new(Arc::clone(endpoint), Arc::clone(self.upstream));
        let (begun, limits) = (Instant::now(), &self.settings.timeouts);
        let (result, unsent) = match checkout(endpoint, self.exchange, limits).await {
            Ok(checkout) => {
                let clock = Clock { begun, sent: Instant::now(), alone: !self.may_double() };
                let line = Try { exchange: self.exchange, in_flight: &in_flight, clock };
                (self.settings.repeatedly(line, checkout, request).await, None)
            }
            Err(error) => (Err(error), Some(request)),
        };
        let end = End::of(&result, self.exchange.grpc);
        trial.end(end);
        Attempt { at, end, in_flight, result, unsent }
    }

    // === a second try beside the first ===

    fn may_double(&self) -> bool {
        self.again.is_some_and(|again| again.retry.hedge.is_some())
    }

    /// How long the first try may take before there is a second beside it.
    fn hedge(&self, retries: u32) -> Option<Hedge> {
        let of = self.again?.retry.hedge?;
        let now = Instant::now();
        let learned = &self.upstream.care.learned;
        let after = learned.usual(of, now)?;
        let slow = if of < SLOW { learned.usual(SLOW, now)?.max(after) } else { after };
        let safe = self.exchange.method.is_safe();
        (safe && retries == 0 && self.upstream.endpoints.len() > 1).then_some(Hedge { after, slow })
    }

    /// The endpoint of a second try, if the breaker and the budget allow one and there is another.
    fn second(&self, tried: &mut Tried) -> Option<Turn<'j>> {
        let now = Instant::now();
        if !has_other(self.upstream, tried) {
            return None;
        }
        let admitted = Trial::ask(self.upstream, now).ok()?;
        if !self.upstream.care.learned.budget.take(now) {
            self.settings.metrics.budget_exhausted();
            return None;
        }
        let (endpoint, at) = choose(self.upstream, tried, self.wish).ok()?;
        self.settings.metrics.retried(&self.upstream.name, End::Overtaken.word());
        tried.push(at);
        Some(Turn { endpoint, at, admitted })
    }

    fn is_good(&self, attempt: &Attempt) -> bool {
        attempt.result.is_ok()
            && self.again.is_none_or(|again| !attempt.end.is_among(&again.retry.when))
    }
}
