//! The same for limits of which some are counted outside of this process. Those that are counted here are
//! asked first, so that nobody outside is asked for a request they refuse. Where everything is known at
//! once, as with leases, the request goes on without a word to anybody.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::join_all;
use http::{HeaderValue, header::RETRY_AFTER};
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::{
    super::{Request, Response, custom::LayerService, exchange_of, shared::BoxFuture},
    AllDenied, Limit, Settings, cost, is_exempt, refusal,
};
use crate::{
    config::model::{Mode, RateLimit},
    error::{Error, Reason},
    limit::{
        self,
        stored::{Answer, Asking, Counter, Question, Verdict},
    },
    telemetry::{exchange::Exchange, metrics},
};

/// Lets requests pass only so often, as several gateways count.
#[derive(Clone, Debug)]
pub(crate) struct StoredRateLimitLayer(Arc<Settings>);

/// The service of [`StoredRateLimitLayer`].
#[derive(Clone, Debug)]
pub(crate) struct StoredRateLimited {
    inner: LayerService,
    settings: Arc<Settings>,
}

/// What one request gets from its limits.
#[derive(Default)]
struct Round<'l> {
    taken: SmallVec<[Taken; 1]>,
    denied: Option<AllDenied<'l>>,
    /// The limit of which nobody can say anything, so that nobody passes.
    closed: Option<&'l Limit>,
}

/// What a request has taken, of which limit, and where.
struct Taken {
    limit: usize,
    question: Question,
    counter: Counter,
}

/// A limit that is asked.
struct Asked {
    limit: usize,
    question: Question,
    answer: Asking<Verdict>,
}

// === impl StoredRateLimitLayer ===

impl StoredRateLimitLayer {
    /// A layer with these limits; `late` if others are asked before that may take their time.
    pub(crate) fn new(limits: Vec<Limit>, late: bool) -> Self {
        Self(Arc::new(Settings::new(limits, late)))
    }
}

impl Layer<LayerService> for StoredRateLimitLayer {
    type Service = StoredRateLimited;

    fn layer(&self, inner: LayerService) -> StoredRateLimited {
        StoredRateLimited { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Settings ===

impl Settings {
    /// Asks those who are counted here, then those outside, unless there is no need to.
    fn ask<'l>(
        &'l self,
        request: &Request,
        exchange: &Exchange,
        round: &mut Round<'l>,
    ) -> Vec<Asked> {
        let numbered = || self.limits.iter().enumerate();
        let question = |limit: &Limit| {
            let cost = cost(&limit.rule, exchange);
            if cost == 0 || is_exempt(&limit.rule, exchange) {
                return None;
            }
            let limiter = &limit.shown.limiter;
            let entries = match &limit.stored {
                Some(_) => Arc::new(limiter.entries(request, exchange)),
                None => Arc::default(),
            };
            let (key, now) = (limiter.key(request, exchange), limit.now(exchange, self.late));
            Some(Question { key, entries, cost, now })
        };
        for (number, limit) in numbered().filter(|(_, limit)| limit.stored.is_none()) {
            let Some(question) = question(limit) else { continue };
            let standings = limit.shown.limiter.take(question.key, question.cost, question.now);
            let verdict = Verdict::Counted(standings, Counter::Local);
            round.hear((number, limit), question, verdict, exchange);
        }
        if round.denied.is_some() {
            return Vec::new();
        }
        let mut asked = Vec::new();
        for (number, limit) in numbered() {
            let Some(stored) = &limit.stored else { continue };
            let Some(question) = question(limit) else { continue };
            match stored.take(question.clone(), exchange) {
                Answer::Now(verdict) => round.hear((number, limit), question, verdict, exchange),
                Answer::Later(answer) => asked.push(Asked { limit: number, question, answer }),
            }
        }
        // Nobody has been asked yet who answers later.
        if round.denied.is_some() {
            asked.clear();
        }
        asked
    }

    /// Hears those who were asked, all at once.
    async fn wait<'l>(&'l self, asked: Vec<Asked>, exchange: &Exchange, round: &mut Round<'l>) {
        let answers = asked
            .into_iter()
            .map(|asked| async move { (asked.limit, asked.question, asked.answer.await) });
        for (number, question, verdict) in join_all(answers).await {
            round.hear((number, &self.limits[number]), question, verdict, exchange);
        }
    }

    /// What becomes of the request.
    fn finish(
        &self,
        round: Round<'_>,
        exchange: &Arc<Exchange>,
    ) -> Result<SmallVec<[Taken; 1]>, Error> {
        let Round { taken, denied, closed } = round;
        let error = match (denied, closed) {
            (None, None) => return Ok(taken),
            (Some(denied), _) => refusal(&denied),
            (None, Some(limit)) => unavailable(&limit.rule, &limit.shown.name),
        };
        // Nothing is taken from the others, where one refuses.
        for taken in taken {
            let limit = &self.limits[taken.limit];
            let (by, key) = (-i64::from(taken.question.cost), taken.question.key);
            limit.tell_back(taken.question.cost, exchange);
            match &limit.stored {
                None => limit.shown.limiter.correct(key, by, taken.question.now),
                Some(stored) => {
                    let (stored, exchange) = (Arc::clone(stored), Arc::clone(exchange));
                    tokio::spawn(async move {
                        stored.correct(&taken.question, by, (taken.counter, &exchange)).await;
                    });
                }
            }
        }
        Err(error)
    }

    /// Takes what the answer says the request has cost; one each was taken before.
    async fn settle_all(&self, taken: &[Taken], exchange: &Exchange, response: &mut Response) {
        for taken in taken {
            let limit = &self.limits[taken.limit];
            let Some(cost) = limit.said(response) else { continue };
            let by = i64::from(cost) - 1;
            let question = Question { now: limit.now(exchange, true), ..taken.question.clone() };
            let (limiter, key) = (&limit.shown.limiter, question.key);
            let standings = match &limit.stored {
                Some(stored) => stored.correct(&question, by, (taken.counter, exchange)).await,
                None => {
                    limiter.correct(key, by, question.now);
                    Some(limiter.take(key, 0, question.now))
                }
            };
            if let Some(standings) = standings {
                limit.tell_again(standings, exchange);
            }
        }
        self.hide_costs(response);
    }
}

/// Nobody can say anything of a limit that is called so.
#[cold]
pub(crate) fn unavailable(rule: &RateLimit, called: &str) -> Error {
    let store = rule.store().map_or("", |name| name);
    let detail = format!("`{called}` cannot be counted: store `{store}` is away");
    Error::new(Reason::LimitUnavailable, detail).header(RETRY_AFTER, HeaderValue::from_static("1"))
}

// === impl Round ===

impl<'l> Round<'l> {
    fn hear(
        &mut self,
        (number, limit): (usize, &'l Limit),
        question: Question,
        verdict: Verdict,
        exchange: &Exchange,
    ) {
        match verdict {
            Verdict::Counted(standings, counter) => {
                if !limit::refused(&standings) {
                    self.taken.push(Taken { limit: number, question, counter });
                }
                limit.hear(standings, exchange, &mut self.denied);
            }
            Verdict::Open => limit.decisions.count(metrics::Verdict::Allowed),
            Verdict::Closed if limit.rule.mode == Mode::Shadow => {
                limit.decisions.count(metrics::Verdict::Shadow);
            }
            Verdict::Closed => {
                limit.decisions.count(metrics::Verdict::Denied);
                limit.decisions.refused(Reason::LimitUnavailable.word());
                self.closed.get_or_insert(limit);
            }
        }
    }
}

// === impl StoredRateLimited ===

impl StoredRateLimited {
    async fn pass(
        inner: LayerService,
        settings: Arc<Settings>,
        request: Request,
        exchange: Arc<Exchange>,
        taken: SmallVec<[Taken; 1]>,
    ) -> Result<Response, Error> {
        let mut response = inner.handle(request).await?;
        settings.settle_all(&taken, &exchange, &mut response).await;
        Ok(response)
    }
}

impl Service<Request> for StoredRateLimited {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> BoxFuture<Error> {
        let Some(exchange) = exchange_of(&request).map(Arc::clone) else {
            let error = Error::new(Reason::Internal, "a request without an exchange");
            return Box::pin(std::future::ready(Err(error)));
        };
        let settings = Arc::clone(&self.settings);
        let mut round = Round::default();
        let asked = self.settings.ask(&request, &exchange, &mut round);
        if asked.is_empty() {
            let taken = match settings.finish(round, &exchange) {
                Ok(taken) => taken,
                Err(error) => return Box::pin(std::future::ready(Err(error))),
            };
            if !settings.by_answer {
                return self.inner.handle(request);
            }
            return Box::pin(Self::pass(self.inner.clone(), settings, request, exchange, taken));
        }
        let Round { taken, denied, closed } = round;
        debug_assert!(denied.is_none() && closed.is_none(), "then nobody else would be asked");
        let inner = self.inner.clone();
        Box::pin(async move {
            let taken = {
                let mut round = Round { taken, denied: None, closed: None };
                settings.wait(asked, &exchange, &mut round).await;
                settings.finish(round, &exchange)?
            };
            Self::pass(inner, settings, request, exchange, taken).await
        })
    }
}
