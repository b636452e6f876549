//! Who may pass. Stands in the guard zone, after the addresses and before the body costs anything: a
//! request that shows no true credentials goes no further. What it showed is taken out before the
//! upstream sees it, and the name of the consumer is put in where the operator wants that.

mod untold;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderName, HeaderValue,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::{Request, Response, custom::LayerService, exchange_of, shared::BoxFuture};
use crate::{
    auth::{Denied, Fields, Identity, Meaning, Refused, Scheme, Step, denied::Kind},
    config::model::{Mode, Name, Require},
    error::{Error, Reason},
    telemetry::{
        exchange::Exchange,
        metrics::{Decisions, Verdict},
    },
};

/// Lets only known clients pass.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    settings: Arc<Settings>,
    /// Fields in which the upstream is told who it is.
    tells: Arc<[HeaderName]>,
}

/// The service of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth {
    inner: LayerService,
    settings: Arc<Settings>,
    tells: Arc<[HeaderName]>,
}

/// What a route wants of its clients.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) require: Require,
    pub(crate) policies: Vec<Policy>,
}

/// One policy on one route.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: Name,
    pub(crate) scheme: Arc<dyn Scheme>,
    pub(crate) pass_consumer: Option<HeaderName>,
    pub(crate) mode: Mode,
    pub(crate) decisions: Arc<Decisions>,
}

// === impl AuthLayer ===

impl AuthLayer {
    pub(crate) fn new(settings: Settings) -> Self {
        let policies = settings.policies.iter();
        let tells = policies.flat_map(|it| it.scheme.tells().iter().chain(&it.pass_consumer));
        Self { tells: tells.cloned().collect(), settings: Arc::new(settings) }
    }

    /// What becomes of a request here, for whoever wants to know without sending it on.
    pub(crate) async fn judge(&self, request: &mut Request) -> Result<Passed, Refusal> {
        self.settings.judge(request, &self.tells).await
    }
}

impl Layer<LayerService> for AuthLayer {
    type Service = Auth;

    fn layer(&self, inner: LayerService) -> Auth {
        Auth { inner, settings: Arc::clone(&self.settings), tells: Arc::clone(&self.tells) }
    }
}

// === impl Settings ===

impl Settings {
    /// Makes of the head what the upstream may see, if the request may pass.
    async fn judge(&self, request: &mut Request, tells: &[HeaderName]) -> Result<Passed, Refusal> {
        let Some(exchange) = exchange_of(request).map(Arc::clone) else {
            return Err(Error::new(Reason::Internal, "a request without an exchange").into());
        };
        let path = exchange.uri.path();
        if self.policies.iter().any(|policy| policy.scheme.is_in_query(path)) {
            exchange.note(|outcome| outcome.private_query = true);
        }
        let known = self.ask(request, &exchange).await?;
        for policy in &self.policies {
            if policy.mode == Mode::Enforce {
                policy.scheme.strip(request);
            }
        }
        // Whoever it is from, the client does not say so.
        for name in tells {
            request.headers_mut().remove(name);
        }
        // A policy that only watches changes nothing.
        let enforced = known.iter().filter(|(policy, _)| policy.mode == Mode::Enforce);
        let removes: Vec<_> = enforced.flat_map(|(_, it)| it.removes.iter().cloned()).collect();
        untold::remove(request.headers_mut(), &removes);
        let mut answer = Vec::new();
        for (policy, identity) in &known {
            let headers = request.headers_mut();
            for (name, value) in &identity.tells {
                headers.append(name.clone(), value.clone());
            }
            if let (Some(name), Some(consumer)) = (&policy.pass_consumer, &identity.consumer)
                && let Ok(value) = HeaderValue::from_bytes(consumer.as_bytes())
            {
                headers.insert(name, value);
            }
            answer.extend_from_slice(&identity.answer);
        }
        exchange.note(|outcome| {
            outcome.consumer = known.iter().find_map(|(_, it)| it.consumer.clone());
            outcome.claims = known.iter().find_map(|(_, it)| it.claims.clone());
        });
        Ok(Passed { answer, removes })
    }

    /// Who says who the request is from, the first first.
    async fn ask(
        &self,
        request: &mut Request,
        exchange: &Arc<Exchange>,
    ) -> Result<Known<'_>, Refusal> {
        let (mut known, mut denied, mut granted) = (Known::new(), Vec::new(), false);
        let mut instead = None;
        for policy in &self.policies {
            let enforced = policy.mode == Mode::Enforce;
            // One is enough, and nothing is asked in vain; those that only watch are always asked.
            if enforced && granted && self.require == Require::Any {
                continue;
            }
            let (why, verdict) = match policy.scheme.judge(request, exchange).await {
                Ok(identity) => {
                    policy.decisions.count(Verdict::Allowed);
                    granted |= enforced;
                    known.push((policy, identity));
                    continue;
                }
                Err(Refused::Denied(why)) => (why, Verdict::Denied),
                Err(Refused::Answer(answer, meaning)) => {
                    let (why, verdict) = match meaning {
                        Meaning::Step(step) => (Denied::NOTHING, verdict(step)),
                        Meaning::No(why) => (why, Verdict::Denied),
                    };
                    // The first of several, where each would send the client somewhere else.
                    if enforced && instead.is_none() {
                        let what =
                            if verdict == Verdict::Denied { why.word } else { verdict.word() };
                        instead = Some((answer, format!("{what} for `{}`", policy.name)));
                    }
                    (why, verdict)
                }
            };
            if enforced {
                policy.decisions.count(verdict);
                if verdict == Verdict::Denied {
                    policy.decisions.refused(why.word);
                }
                denied.push((policy, why));
            } else {
                policy.decisions.count(Verdict::Shadow);
                policy.decisions.refused(why.word);
                let (route, policy) = (&*exchange.route.name, &*policy.name);
                tracing::debug!(route, policy, why = why.word, "would be refused");
            }
        }
        // Where nobody refused there may be nobody who could.
        if denied.is_empty() || (granted && self.require == Require::Any) {
            return Ok(known);
        }
        let Some((answer, what)) = instead else { return Err(refusal(&denied).into()) };
        exchange.note(|outcome| outcome.detail = Some(what.into()));
        Err(Refusal::Answer(answer))
    }
}

/// What is counted of a step of a login.
const fn verdict(step: Step) -> Verdict {
    match step {
        Step::Login => Verdict::Login,
        Step::LoggedIn => Verdict::LoggedIn,
        Step::Logout => Verdict::Logout,
    }
}

/// What is left to do for a request that may pass.
#[derive(Debug)]
pub(crate) struct Passed {
    /// What the client is told with the answer.
    answer: Fields,
    /// Fields that a service has taken out: what follows the body must not have them either.
    removes: Vec<HeaderName>,
}

/// Who says who a request is from. Mostly it is one.
type Known<'p> = SmallVec<[(&'p Policy, Arc<Identity>); 1]>;

/// How a request ends here.
pub(crate) enum Refusal {
    Error(Box<Error>),
    Answer(Box<Response>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

/// Says what each policy wants. The log hears of the one that came closest.
#[cold]
fn refusal(denied: &[(&Policy, Denied)]) -> Error {
    let Some((policy, closest)) = denied.iter().max_by_key(|(_, why)| *why) else {
        return Error::from(Reason::Unauthenticated);
    };
    let detail = format!("{} for `{}`", closest.word, policy.name);
    let again = |reason| {
        Error::new(reason, detail.clone()).header(RETRY_AFTER, HeaderValue::from_static("1"))
    };
    let mut error = match closest.kind {
        Kind::Busy => return again(Reason::Overloaded),
        Kind::Unavailable => return again(Reason::AuthUnavailable),
        Kind::Body(reason) => Error::new(reason, detail),
        Kind::Forbidden => Error::new(Reason::Forbidden, detail),
        Kind::Nothing | Kind::Wrong => Error::new(Reason::Unauthenticated, detail),
    };
    let mut said: Vec<HeaderValue> = Vec::new();
    for (policy, why) in denied {
        let Some(challenge) = policy.scheme.challenge(*why) else { continue };
        if !said.contains(&challenge) {
            said.push(challenge.clone());
            error = error.header(WWW_AUTHENTICATE, challenge);
        }
    }
    error
}

impl Service<Request> for Auth {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (settings, inner) = (Arc::clone(&self.settings), self.inner.clone());
        let tells = Arc::clone(&self.tells);
        Box::pin(async move {
            let Passed { answer, removes } = match settings.judge(&mut request, &tells).await {
                Ok(passed) => passed,
                Err(Refusal::Error(error)) => return Err(*error),
                Err(Refusal::Answer(answer)) => return Ok(*answer),
            };
            let untold = match removes.as_slice() {
                [] => tells,
                more => tells.iter().chain(more).cloned().collect(),
            };
            let request = untold::untold(request, &untold);
            if answer.is_empty() {
                return inner.handle(request).await;
            }
            let mut response = inner.handle(request).await?;
            for (name, value) in answer {
                response.headers_mut().append(name, value);
            }
            Ok(response)
        })
    }
}
