//! How often requests may come. Stands in the guard zone twice: limits that do not need to know who a
//! request is from before `auth`, so that nobody is asked too often, those that do right behind it. What
//! one limit has taken is put back when another one of the same place refuses. Limits that are counted
//! outside of this process have a layer of their own, `stored`, which can wait.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{Either, ready};
use http::{HeaderValue, header::RETRY_AFTER};
use smallvec::SmallVec;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{Request, Response, exchange_of, shared::BoxFuture};
use crate::{
    config::model::{Cost, Mode, RateLimit},
    error::{Error, Problem, Reason},
    limit::{
        self, Now, Standings, Told,
        fields::{QUOTA_EXCEEDED, Shown, VIOLATED},
        stored::Stored,
    },
    telemetry::{
        clock::unix_micros,
        exchange::Exchange,
        metrics::{Decisions, Verdict},
    },
};

/// Lets requests pass only so often.
#[derive(Clone, Debug)]
pub struct RateLimitLayer(Arc<Settings>);

/// The service of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimited<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// The limits at one place of a route.
#[derive(Debug)]
struct Settings {
    limits: Box<[Limit]>,
    /// Some cost what the answer says.
    by_answer: bool,
    /// Time may have passed since the head of the request was there.
    late: bool,
}

/// One limit on one route.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) rule: Arc<RateLimit>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) decisions: Arc<Decisions>,
    /// It is counted outside of this process.
    pub(crate) stored: Option<Arc<Stored>>,
}

/// What a request has taken, and of which limit.
#[derive(Clone, Copy, Debug)]
struct Taken {
    limit: usize,
    key: u64,
    cost: u32,
}

type AllTaken = SmallVec<[Taken; 1]>;

/// Limits that have refused, and how their windows stand.
type AllDenied<'l> = Vec<(&'l Limit, Standings)>;

/// What came of asking one limit.
struct Asked {
    key: u64,
    cost: u32,
    standings: Standings,
    refused: bool,
}

// === impl RateLimitLayer ===

impl RateLimitLayer {
    /// A layer with these limits; `late` if others are asked before that may take their time.
    pub(crate) fn new(limits: Vec<Limit>, late: bool) -> Self {
        Self(Arc::new(Settings::new(limits, late)))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Limit ===

/// Whether a rule does not hold for this client.
#[inline]
pub(crate) fn is_exempt(rule: &RateLimit, exchange: &Exchange) -> bool {
    let exempt = &rule.exempt;
    if exempt.is_empty() {
        return false;
    }
    let client = exchange.client_ip.map(|address| address.to_canonical());
    client.is_some_and(|client| exempt.iter().any(|network| network.contains(&client)))
}

/// What is taken before anything is known of the answer.
#[inline]
pub(crate) fn cost(rule: &RateLimit, exchange: &Exchange) -> u32 {
    match &rule.cost {
        Cost::Fixed(cost) => *cost,
        Cost::Methods(costs) => {
            let of = costs.iter().find(|(method, _)| *method == exchange.method);
            of.map_or(1, |(_, cost)| *cost)
        }
        Cost::Answer(_) => 1,
    }
}

impl Limit {
    fn now(&self, exchange: &Exchange, late: bool) -> Now {
        let limiter = &self.shown.limiter;
        if late {
            let now = Instant::now();
            return limiter.at(now, unix_micros(now));
        }
        // Nothing has come in since the head was complete.
        limiter.at_nanos(exchange.connection.state.last_active_nanos(), exchange.started_unix)
    }

    /// Takes what the request costs: out of which bucket, how much, and how things stand then. `None`: the
    /// rule does not hold for it.
    #[inline(always)]
    fn take(&self, request: &Request, exchange: &Exchange, late: bool) -> Option<Asked> {
        let cost = cost(&self.rule, exchange);
        if cost == 0 || is_exempt(&self.rule, exchange) {
            return None;
        }
        let limiter = &self.shown.limiter;
        let key = limiter.key(request, exchange);
        let standings = limiter.take(key, cost, self.now(exchange, late));
        let refused = limit::refused(&standings);
        self.count(refused);
        Some(Asked { key, cost, standings, refused })
    }

    #[inline]
    fn count(&self, refused: bool) {
        self.decisions.count(match (refused, self.rule.mode) {
            (false, _) => Verdict::Allowed,
            (true, Mode::Enforce) => Verdict::Denied,
            (true, Mode::Shadow) => Verdict::Shadow,
        });
    }

    /// Whether it only watches; then nobody is told of it.
    fn watches(&self, refused: bool, exchange: &Exchange) -> bool {
        if self.rule.mode == Mode::Enforce {
            return false;
        }
        if refused {
            let (route, policy) = (&*exchange.route.name, &*self.shown.name);
            tracing::debug!(route, policy, "the request would be refused");
        }
        true
    }

    fn told(&self, standings: Standings) -> Told {
        Told { shown: Arc::clone(&self.shown), standings }
    }

    /// Counts what was decided, and tells the client where it binds.
    #[inline]
    fn hear<'l>(
        &'l self,
        standings: Standings,
        exchange: &Exchange,
        denied: &mut Option<AllDenied<'l>>,
    ) {
        let refused = limit::refused(&standings);
        self.count(refused);
        if self.watches(refused, exchange) {
            return;
        }
        if refused {
            denied.get_or_insert_with(Vec::new).push((self, standings.clone()));
        }
        exchange.tell(self.told(standings));
    }

    /// Tells the client how things stand now.
    fn tell_again(&self, standings: Standings, exchange: &Exchange) {
        self.with_told(exchange, |told| told.standings = standings);
    }

    /// Tells the client that so many are put back.
    fn tell_back(&self, cost: u32, exchange: &Exchange) {
        self.with_told(exchange, |told| {
            told.standings.iter_mut().for_each(|window| window.left += cost);
        });
    }

    /// What the client is to be told of it, if it is.
    fn with_told(&self, exchange: &Exchange, change: impl FnOnce(&mut Told)) {
        exchange.note(|outcome| {
            let of = |told: &&mut Told| Arc::ptr_eq(&told.shown, &self.shown);
            if let Some(told) = outcome.limits.iter_mut().find(of) {
                change(told);
            }
        });
    }

    /// What the answer says the request has cost.
    fn said(&self, response: &Response) -> Option<u32> {
        let Cost::Answer(name) = &self.rule.cost else { return None };
        let said = response.headers().get(name).and_then(|value| value.to_str().ok());
        said.and_then(|text| text.trim().parse().ok())
    }
}

// === impl Settings ===

impl Settings {
    fn new(limits: Vec<Limit>, late: bool) -> Self {
        let by_answer = limits.iter().any(|limit| matches!(limit.rule.cost, Cost::Answer(_)));
        Self { limits: limits.into(), by_answer, late }
    }

    /// Takes what the request costs out of all limits, or out of none.
    fn judge(&self, request: &Request, exchange: &Exchange) -> Result<AllTaken, Error> {
        let (mut taken, mut denied) = (AllTaken::new(), Vec::new());
        for (number, limit) in self.limits.iter().enumerate() {
            let Some(asked) = limit.take(request, exchange, self.late) else { continue };
            let Asked { key, cost, standings, refused } = asked;
            if !refused {
                taken.push(Taken { limit: number, key, cost });
            }
            if limit.watches(refused, exchange) {
                continue;
            }
            if refused {
                denied.push((limit, standings.clone()));
            }
            exchange.tell(limit.told(standings));
        }
        if denied.is_empty() {
            return Ok(taken);
        }
        self.put_back(&taken, exchange);
        Err(refusal(&denied))
    }

    /// The same where there is one limit, and nothing has to be put back: nearly always.
    #[inline]
    fn judge_by(&self, limit: &Limit, request: &Request, exchange: &Exchange) -> Result<(), Error> {
        let Some(asked) = limit.take(request, exchange, self.late) else { return Ok(()) };
        let Asked { standings, refused, .. } = asked;
        if limit.watches(refused, exchange) {
            return Ok(());
        }
        let denied = refused.then(|| refusal(&[(limit, standings.clone())]));
        exchange.tell(limit.told(standings));
        denied.map_or(Ok(()), Err)
    }

    /// Puts back what was taken, as another limit has refused.
    #[cold]
    fn put_back(&self, taken: &[Taken], exchange: &Exchange) {
        for taken in taken {
            self.correct(taken, -i64::from(taken.cost), exchange);
        }
    }

    /// Takes more, or puts something back, and tells the client of that.
    fn correct(&self, taken: &Taken, by: i64, exchange: &Exchange) {
        let Taken { limit, key, .. } = *taken;
        let limit = &self.limits[limit];
        let (limiter, now) = (&limit.shown.limiter, limit.now(exchange, true));
        limiter.correct(key, by, now);
        limit.tell_again(limiter.take(key, 0, now), exchange);
    }

    /// Takes what the answer says the request has cost; one each was taken before.
    fn settle(&self, taken: &[Taken], exchange: &Exchange, response: &mut Response) {
        for taken in taken {
            if let Some(cost) = self.limits[taken.limit].said(response) {
                self.correct(taken, i64::from(cost) - 1, exchange);
            }
        }
        self.hide_costs(response);
    }

    /// They were for us.
    fn hide_costs(&self, response: &mut Response) {
        for limit in &self.limits {
            if let Cost::Answer(name) = &limit.rule.cost {
                response.headers_mut().remove(name);
            }
        }
    }
}

#[cold]
fn refusal(denied: &[(&Limit, Standings)]) -> Error {
    let mut names = Vec::new();
    let mut wait = 1;
    for (limit, standings) in denied {
        names.extend(limit.shown.violated(standings));
        let refused = standings.iter().filter(|window| window.refused);
        wait = refused.map(|window| window.reset).fold(wait, u32::max);
    }
    let detail = format!("more than `{}` allows", names.join("`, `"));
    Error::new(Reason::RateLimited, detail)
        .header(RETRY_AFTER, HeaderValue::from(wait))
        .problem(Problem { kind: QUOTA_EXCEEDED, member: (VIOLATED, names.into()) })
}

impl<S> Service<Request> for RateLimited<S>
where
    S: Service<Request, Response = Response, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Error;
    // What is rare is boxed: the future of what passes is moved, and stays as small as it was.
    type Future = Either<S::Future, BoxFuture<Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(exchange) = exchange_of(&request) else {
            let error = Error::new(Reason::Internal, "a request without an exchange");
            return Either::Right(Box::pin(ready(Err(error))));
        };
        let settings = &*self.settings;
        let judged = match (&*settings.limits, settings.by_answer) {
            ([limit], false) => settings.judge_by(limit, &request, exchange).map(|()| None),
            (_, false) => settings.judge(&request, exchange).map(|_| None),
            (_, true) => settings.judge(&request, exchange).map(Some),
        };
        let taken = match judged {
            Ok(None) => return Either::Left(self.inner.call(request)),
            Ok(Some(taken)) => taken,
            Err(error) => return Either::Right(Box::pin(ready(Err(error)))),
        };
        let (settings, exchange) = (Arc::clone(&self.settings), Arc::clone(exchange));
        let answer = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let mut response = answer.await?;
            settings.settle(&taken, &exchange, &mut response);
            Ok(response)
        }))
    }
}

pub(crate) mod stored;

#[cfg(test)]
mod tests;
