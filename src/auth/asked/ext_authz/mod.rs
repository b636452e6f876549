//! `ext_authz`: a gRPC service says who may pass, as Envoy asks one
//! (`envoy.service.auth.v3.Authorization/Check`).

mod answer;
mod messages;
mod question;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{Judge, Opined, grpc};
use crate::{
    auth::{Denied, Judging, Scheme},
    layers::Request,
    telemetry::exchange::Exchange,
};
use tokio::time::Instant;

/// Bytes of an answer.
const MOST: usize = 256 << 10;

/// One service, ready to be asked.
#[derive(Debug)]
pub(crate) struct ExtAuthz(pub(crate) Judge);

// === impl ExtAuthz ===

impl ExtAuthz {
    fn ask(
        &self,
        request: &Request,
        exchange: &Exchange,
        body: &Bytes,
    ) -> impl Future<Output = Opined> + Send + use<> {
        let names = self.0.request_headers.as_deref();
        let message = question::message(request, exchange, names, body);
        let question = grpc::question(&self.0.service, &message);
        let (service, takes) = (self.0.service.clone(), self.0.takes.clone());
        let of = exchange.detached(Instant::now(), true, true);
        async move { answer::opinion(service.ask(question, of, MOST).await?, &takes) }
    }
}

impl Scheme for ExtAuthz {
    fn judge<'a>(&'a self, request: &'a mut Request, exchange: &'a Arc<Exchange>) -> Judging<'a> {
        let ask = |request: &Request, body: Bytes| self.ask(request, exchange, &body);
        Box::pin(self.0.verdict(request, exchange, ask))
    }

    /// The service says what is to be taken out.
    fn strip(&self, _: &mut Request) {}

    fn tells(&self) -> &[HeaderName] {
        &self.0.tells
    }

    fn challenge(&self, _: Denied) -> Option<HeaderValue> {
        None
    }
}
