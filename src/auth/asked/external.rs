//! `external`: an HTTP service says by the status of its answer who may pass, as nginx' `auth_request`,
//! Traefik's `ForwardAuth` and Envoy's `ext_authz` over HTTP ask one.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, SET_COOKIE},
};
use tokio::time::Instant;

use super::{Answer, Holds, Judge, Opined, Opinion, Silent, Verdict, fields};
use crate::{
    auth::{Denied, Judging, Scheme},
    config::model::Takes,
    layers::Request,
    telemetry::exchange::Exchange,
};

/// `X-Forwarded-Method`.
const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
/// `X-Forwarded-Uri`.
const TARGET: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Bytes of an answer that goes on to the client.
const MOST: usize = 64 << 10;

/// One service, ready to be asked.
#[derive(Debug)]
pub(crate) struct External {
    pub(crate) judge: Judge,
    pub(crate) method: Method,
    pub(crate) request_id: HeaderName,
}

// === impl External ===

impl External {
    fn question(&self, request: &Request, exchange: &Exchange, body: Bytes) -> Request {
        let has_body = !body.is_empty();
        let mut question = self.judge.service.question(body);
        question.method_mut().clone_from(&self.method);
        let (from, to) = (request.headers(), question.headers_mut());
        fields::copy(from, to, self.judge.request_headers.iter().flatten());
        for name in fields::OWN.iter().chain([&self.request_id]) {
            to.remove(name);
        }
        fields::copy(from, to, fields::OWN.iter().chain([&self.request_id]));
        if has_body {
            for name in [CONTENT_TYPE, CONTENT_ENCODING] {
                to.remove(&name);
                fields::copy(from, to, [&name]);
            }
        }
        if let Ok(method) = HeaderValue::from_str(exchange.method.as_str()) {
            to.insert(METHOD, method);
        }
        if let Ok(target) = HeaderValue::from_str(&exchange.uri.to_string()) {
            to.insert(TARGET, target);
        }
        question
    }

    fn ask(
        &self,
        question: Request,
        exchange: &Exchange,
    ) -> impl Future<Output = Opined> + Send + use<> {
        let (service, takes) = (self.judge.service.clone(), self.judge.takes.clone());
        let of = exchange.detached(Instant::now(), false, false);
        async move { opinion(service.ask(question, of, MOST).await?, &takes) }
    }
}

/// What an answer says.
fn opinion(answer: Answer, takes: &Takes) -> Opined {
    let (status, headers) = (answer.head.status, &answer.head.headers);
    if status.is_success() {
        let Some(identity) = fields::identity(takes, headers, headers) else {
            return Err(Silent::new("service_bad_answer", "no name of a consumer"));
        };
        let hands_out = identity.answer.iter().any(|(name, _)| *name == SET_COOKIE);
        return Ok(Opinion { verdict: Verdict::Pass(Arc::new(identity)), holds: holds(hands_out) });
    }
    if !is_refusal(status, headers) {
        return Err(Silent::new("service_bad_answer", format!("it answered {status}")));
    }
    let hands_out = headers.contains_key(SET_COOKIE);
    let words = fields::words(answer);
    Ok(Opinion { verdict: Verdict::Answer(Arc::new(words)), holds: holds(hands_out) })
}

/// A cookie is for the client that is given it.
const fn holds(hands_out: bool) -> Holds {
    if hands_out { Holds::Once } else { Holds::ForAll }
}

/// Whether it means the client, and not that the service is broken or somewhere else.
fn is_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    match status.as_u16() {
        401 | 403 => true,
        301 | 302 | 303 | 307 | 308 => headers.contains_key(LOCATION),
        _ => false,
    }
}

impl Scheme for External {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        let ask =
            |request: &Request, body| self.ask(self.question(request, exchange, body), exchange);
        Box::pin(self.judge.verdict(request, exchange, ask))
    }

    /// The service has read them, and the upstream reads them as it always did.
    fn strip(&self, _: &mut Request) {}

    fn tells(&self) -> &[HeaderName] {
        &self.judge.tells
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        None
    }
}
