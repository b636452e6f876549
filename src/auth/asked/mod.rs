//! Schemes that ask a service for each request: what they have in common. A question goes through the
//! pools of an upstream, on the worker of the request, as a copy of `layers/mirror` does; nothing of it
//! stands in the record of the request.

pub(crate) mod alike;
pub(crate) mod body;
pub(crate) mod ext_authz;
pub(crate) mod external;
mod fields;
pub(crate) mod grpc;
pub(crate) mod introspection;
mod judge;
mod service;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::{
    judge::Judge,
    service::{Answer, Service},
};
use super::{
    Denied, Identity, Judged, Meaning, Refused, Step,
    decisions::{Asking, Decisions, Key, Note, Said, Turn},
};
use crate::{
    body::Body,
    config::model::OnError,
    layers::Response,
    telemetry::metrics::{Asked, Question},
};

/// What a service says of a request.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It may pass.
    Pass(Arc<Identity>),
    /// It may not, and the client is answered so.
    Answer(Arc<Words>),
    /// It may not.
    Denied(Denied),
}

/// An answer to a client.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a service says, and for whom.
pub(crate) struct Opinion {
    pub(crate) verdict: Verdict,
    pub(crate) holds: Holds,
}

/// For whom, and how long, what a service says holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// For all that are alike, as long as the operator says.
    ForAll,
    /// For all that are alike, and no longer than this.
    AtMost(Duration),
    /// For this request only: it hands out something of its own.
    Once,
}

/// Why a service did not say anything: a word for metrics, and the rest for the log.
#[derive(Clone, Debug)]
pub(crate) struct Silent {
    pub(crate) word: &'static str,
    pub(crate) why: String,
}

/// What came of a question.
pub(crate) type Opined = Result<Opinion, Silent>;

/// What is kept of what a service says.
pub(crate) type Kept = Decisions<Verdict>;

/// How a policy decides by a service.
#[derive(Debug)]
pub(crate) struct Deciding {
    /// What was said before.
    pub(crate) kept: Option<Arc<Kept>>,
    /// How long a request waits for those who ask.
    pub(crate) timeout: Duration,
    pub(crate) on_error: OnError,
    pub(crate) metrics: Arc<Asked>,
}

/// The first look at what was said before.
pub(crate) enum Look {
    /// It was said.
    Known(Verdict),
    /// It must be asked.
    Open(Option<(Key, Turn<Verdict>)>),
}

// === impl Silent ===

impl Silent {
    pub(crate) fn new(word: &'static str, why: impl Into<String>) -> Self {
        Self { word, why: why.into() }
    }
}

// === impl Verdict ===

impl Verdict {
    /// What the layer is told. A gRPC client cannot read the answer of a service for browsers.
    pub(crate) fn judged(&self, grpc: bool) -> Judged {
        match self {
            Self::Pass(identity) => Ok(Arc::clone(identity)),
            Self::Denied(why) => Err((*why).into()),
            Self::Answer(words) if grpc && words.status == StatusCode::FORBIDDEN => {
                Err(Denied::forbidden("refused_by_service").into())
            }
            Self::Answer(_) if grpc => Err(Denied::wrong("refused_by_service").into()),
            Self::Answer(words) => {
                Err(Refused::Answer(Box::new(words.response()), meaning(words.status)))
            }
        }
    }

    fn note(&self, holds: Holds) -> Note {
        let weight = match self {
            Self::Pass(identity) => identity.weight(),
            Self::Answer(words) => words.weight(),
            Self::Denied(_) => 0,
        };
        let at_most = match holds {
            Holds::AtMost(time) => Some(time),
            Holds::ForAll | Holds::Once => None,
        };
        Note { good: matches!(self, Self::Pass(_)), at_most, weight: weight + 256 }
    }
}

/// What a service means that answers a client so.
fn meaning(status: StatusCode) -> Meaning {
    match status {
        StatusCode::UNAUTHORIZED => Meaning::No(Denied::wrong("refused_by_service")),
        // It is sent somewhere to show something.
        _ if status.is_redirection() => Meaning::Step(Step::Login),
        _ => Meaning::No(Denied::forbidden("refused_by_service")),
    }
}

// === impl Words ===

impl Words {
    fn response(&self) -> Response {
        let mut response = Response::new(Body::full(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    fn weight(&self) -> usize {
        let fields =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 96);
        fields.sum::<usize>() + self.body.len()
    }
}

// === impl Deciding ===

impl Deciding {
    /// The first look, before anything is put together that may not be needed.
    pub(crate) fn look(&self, key: Option<Key>) -> Look {
        let (Some(kept), Some(key)) = (&self.kept, key) else { return Look::Open(None) };
        match kept.turn(key, Instant::now()) {
            Turn::Known(verdict) => {
                self.metrics.count(Question::Kept);
                Look::Known(verdict)
            }
            turn @ (Turn::Ask(_) | Turn::Wait(_)) => Look::Open(Some((key, turn))),
        }
    }

    /// What the service says, asked by this request or by another one that is alike.
    pub(crate) async fn decide(
        &self,
        turn: Option<(Key, Turn<Verdict>)>,
        ask: impl Future<Output = Opined> + Send + 'static,
    ) -> Result<Verdict, &'static str> {
        match (turn, &self.kept) {
            (Some((key, turn)), Some(kept)) => {
                let deadline = Instant::now() + self.timeout;
                self.together(kept, key, (turn, deadline), ask).await
            }
            _ => self.opinion(ask.await).map(|opinion| opinion.verdict),
        }
    }

    /// The same for what holds for several.
    async fn together(
        &self,
        kept: &Arc<Kept>,
        key: Key,
        (mut turn, deadline): (Turn<Verdict>, Instant),
        ask: impl Future<Output = Opined> + Send + 'static,
    ) -> Result<Verdict, &'static str> {
        const TIMEOUT: &str = "service_timeout";
        loop {
            let said = match turn {
                Turn::Known(verdict) => return Ok(verdict),
                Turn::Ask(asking) => return self.lead(asking, ask).await,
                Turn::Wait(waiting) => timeout_at(deadline, waiting.said()).await,
            };
            match said {
                Ok(Some(Said::Of(verdict))) => {
                    self.metrics.count(Question::Joined);
                    return Ok(verdict);
                }
                Ok(Some(Said::Nothing(why))) => return Err(why),
                // Its own, within what is left of its time.
                Ok(Some(Said::Private)) => {
                    return match timeout_at(deadline, ask).await {
                        Ok(said) => self.opinion(said).map(|opinion| opinion.verdict),
                        Err(_) => Err(TIMEOUT),
                    };
                }
                Err(_) => return kept.stale(&key, Instant::now()).ok_or(TIMEOUT),
                Ok(None) => turn = kept.turn(key, Instant::now()),
            }
        }
    }

    /// Asks for all who wait, in a task of its own: whoever asks first may leave, and the others get an
    /// answer all the same.
    async fn lead(
        &self,
        asking: Asking<Verdict>,
        ask: impl Future<Output = Opined> + Send + 'static,
    ) -> Result<Verdict, &'static str> {
        let metrics = Arc::clone(&self.metrics);
        let task = tokio::spawn(async move {
            let said = count(&metrics, ask.await);
            let now = Instant::now();
            match said {
                Ok(Opinion { verdict, holds: Holds::Once }) => {
                    asking.private();
                    Ok(verdict)
                }
                Ok(Opinion { verdict, holds }) => {
                    asking.said(verdict.clone(), verdict.note(holds), now);
                    Ok(verdict)
                }
                Err(why) => match asking.failed(why, now) {
                    Some(stale) => {
                        metrics.count(Question::Stale);
                        Ok(stale)
                    }
                    None => Err(why),
                },
            }
        });
        task.await.unwrap_or(Err("service_failed"))
    }

    fn opinion(&self, said: Opined) -> Result<Opinion, &'static str> {
        count(&self.metrics, said)
    }

    /// What becomes of a request of which nobody said anything.
    pub(crate) fn unsaid(&self, why: &'static str) -> Judged {
        match self.on_error {
            OnError::Deny => Err(Denied::unavailable(why).into()),
            OnError::Allow => {
                self.metrics.count(Question::LetThrough);
                Ok(Arc::default())
            }
        }
    }
}

/// Counts what came of a question, and says in the log why there is nothing.
fn count(metrics: &Asked, said: Opined) -> Result<Opinion, &'static str> {
    metrics.count(if said.is_ok() { Question::Answered } else { Question::Failed });
    said.map_err(|Silent { word, why }| {
        tracing::debug!(
            policy = metrics.policy(),
            word,
            why,
            "the service did not say who may pass"
        );
        word
    })
}
