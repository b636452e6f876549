//! `introspection`: an issuer is asked of each token whether it is true (RFC 7662). What it says of one is
//! read as `jwt` reads claims.

mod answer;
mod credentials;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT, VIA},
};
use tokio::time::Instant;

pub(crate) use self::{
    answer::Reads,
    credentials::{Credentials, SecretFile, basic, secret},
};
use super::{Deciding, Look, Opined, Service, fields};
use crate::{
    auth::{Denied, Identity, Judged, Judging, Scheme, api_key::carrier::Carrier, jwt::bearer},
    layers::Request,
    telemetry::{clock::unix_micros, exchange::Exchange},
};

/// Nobody has a longer token; of more nobody is asked.
const LONGEST: usize = 16 << 10;

/// Bytes of an answer.
const MOST: usize = 64 << 10;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// One issuer, ready to be asked.
#[derive(Debug)]
pub(crate) struct Introspection {
    pub(crate) service: Service,
    pub(crate) credentials: Credentials,
    pub(crate) request_id: HeaderName,
    pub(crate) from: Carrier,
    pub(crate) reads: Reads,
    /// What the client says in these never reaches the upstream.
    pub(crate) tells: Vec<HeaderName>,
    /// The upstream sees the token.
    pub(crate) pass_token: bool,
    pub(crate) deciding: Deciding,
}

// === impl Introspection ===

impl Introspection {
    async fn verdict(&self, request: &mut Request, exchange: &Arc<Exchange>) -> Judged {
        let token = bearer::shown(&self.from, request)?;
        if token.is_empty() || token.len() > LONGEST {
            return Err(Denied::wrong("malformed").into());
        }
        let key = self.deciding.kept.as_ref().map(|kept| {
            let mut parts = kept.parts();
            parts.add([&*token]);
            parts.key()
        });
        let turn = match self.deciding.look(key) {
            Look::Known(verdict) => return verdict.judged(exchange.grpc),
            Look::Open(turn) => turn,
        };
        let question = self.question(request, &token);
        drop(token);
        match self.deciding.decide(turn, self.ask(question, exchange)).await {
            Ok(verdict) => verdict.judged(exchange.grpc),
            Err(why) => self.deciding.unsaid(why),
        }
    }

    fn question(&self, request: &Request, token: &[u8]) -> Request {
        let form = format!("token={}&token_type_hint=access_token", credentials::encoded(token));
        let mut question = self.service.question(Bytes::from(form));
        *question.method_mut() = Method::POST;
        let headers = question.headers_mut();
        // The way it came, so that it does not go round for ever.
        fields::copy(request.headers(), headers, [&VIA, &self.request_id]);
        headers.insert(CONTENT_TYPE, FORM);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        if let Some(value) = self.credentials.now() {
            headers.insert(AUTHORIZATION, value);
        }
        question
    }

    fn ask(
        &self,
        question: Request,
        exchange: &Exchange,
    ) -> impl Future<Output = Opined> + Send + use<> {
        let (service, reads) = (self.service.clone(), self.reads.clone());
        let of = exchange.detached(Instant::now(), false, false);
        async move {
            let answer = service.ask(question, of, MOST).await?;
            reads.opinion(answer, unix_micros(Instant::now()) as f64 / 1e6)
        }
    }
}

impl Scheme for Introspection {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        Box::pin(self.verdict(request, exchange))
    }

    fn strip(&self, request: &mut Request) {
        if !self.pass_token {
            bearer::strip(&self.from, request);
        }
    }

    fn could_admit(&self, who: &Identity) -> Result<(), Denied> {
        let said = who.claims.as_ref();
        Ok(said.map_or(Ok(()), |claims| self.reads.reading.allows(claims))?)
    }

    fn tells(&self) -> &[HeaderName] {
        &self.tells
    }

    fn is_in_query(&self, _: &str) -> bool {
        matches!(self.from, Carrier::Query(_))
    }

    fn challenge(&self, denied: Denied) -> Option<HeaderValue> {
        bearer::challenge(denied)
    }
}
