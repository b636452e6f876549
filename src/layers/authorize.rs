//! What those who are known may do: rules in CEL. Stands in the guard zone, right after `auth`, and before
//! the body costs anything. A rule that cannot be evaluated lets nobody pass.

#[doc(hidden)]
pub mod bench;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{Either, Ready, ready};
use tower::{Layer, Service};

use super::{Request, Response, exchange_of};
use crate::{
    authorize::{Facts, Refused},
    config::model::{Authorize as Policy, Mode},
    error::{Error, Reason},
    telemetry::{
        exchange::Exchange,
        metrics::{Decisions, Verdict},
    },
};

/// Lets only requests pass of which its rules hold.
#[derive(Clone, Debug)]
pub struct AuthorizeLayer(Arc<Settings>);

/// The service of [`AuthorizeLayer`].
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    policies: Vec<(Arc<Policy>, Arc<Decisions>)>,
    ask_who: bool,
}

// === impl AuthorizeLayer ===

impl AuthorizeLayer {
    /// A layer with these policies, all of which must let a request pass, and where each is counted.
    pub(crate) fn new(policies: Vec<(Arc<Policy>, Arc<Decisions>)>) -> Self {
        let ask_who = policies.iter().any(|(policy, _)| policy.rules.ask_who());
        Self(Arc::new(Settings { policies, ask_who }))
    }

    /// What becomes of a request here.
    pub(crate) fn judge(&self, request: &Request) -> Result<(), Error> {
        self.0.judge(request)
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Settings ===

impl Settings {
    fn judge(&self, request: &Request) -> Result<(), Error> {
        let Some(exchange) = exchange_of(request) else {
            return Err(Error::new(Reason::Internal, "a request without an exchange"));
        };
        let facts = Facts::new(request, exchange, self.ask_who);
        for (policy, decisions) in &self.policies {
            match policy.rules.judge(&facts) {
                Ok(()) => decisions.count(Verdict::Allowed),
                Err(refused) => refuse(policy, decisions, &refused, exchange)?,
            }
        }
        Ok(())
    }
}

#[cold]
fn refuse(
    policy: &Policy,
    decisions: &Decisions,
    refused: &Refused,
    exchange: &Exchange,
) -> Result<(), Error> {
    decisions.refused(refused.word());
    if policy.mode == Mode::Shadow {
        decisions.count(Verdict::Shadow);
        let (route, policy) = (&*exchange.route.name, &*policy.policy);
        tracing::debug!(route, policy, why = %refused, "would be refused");
        return Ok(());
    }
    decisions.count(Verdict::Denied);
    let error = Error::new(Reason::Forbidden, format!("{refused} for `{}`", policy.policy));
    Err(match &policy.message {
        Some(message) => error.public(message.clone()),
        None => error,
    })
}

impl<S> Service<Request> for Authorize<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = Either<Ready<Result<Response, Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.settings.judge(&request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(error) => Either::Left(ready(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests;
