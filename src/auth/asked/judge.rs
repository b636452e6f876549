//! What `external` and `ext_authz` have in common: a service is shown a request and says whether it may pass,
//! this time or one time before.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::HeaderName;

use super::{Deciding, Look, Opined, Service, alike, body};
use crate::{
    auth::Judged,
    config::model::{AlikePart, Takes},
    layers::Request,
    telemetry::exchange::Exchange,
};

/// One service, ready to be asked.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) service: Service,
    /// What it sees; `None` is all.
    pub(crate) request_headers: Option<Vec<HeaderName>>,
    pub(crate) takes: Takes,
    /// What the client says in these never reaches the upstream.
    pub(crate) tells: Vec<HeaderName>,
    pub(crate) body: Option<u64>,
    pub(crate) key: Vec<AlikePart>,
    pub(crate) deciding: Deciding,
}

// === impl Judge ===

impl Judge {
    /// What the service says of a request. `ask` asks it, if it must be.
    pub(super) async fn verdict<F>(
        &self,
        request: &mut Request,
        exchange: &Arc<Exchange>,
        ask: impl FnOnce(&Request, Bytes) -> F,
    ) -> Judged
    where
        F: Future<Output = Opined> + Send + 'static,
    {
        let body = match self.body {
            Some(max) => body::read(request, exchange, max).await?,
            None => Bytes::new(),
        };
        let kept = self.deciding.kept.as_deref();
        let key = kept.map(|kept| alike::key(kept, &self.key, request, exchange));
        let turn = match self.deciding.look(key) {
            Look::Known(verdict) => return verdict.judged(exchange.grpc),
            Look::Open(turn) => turn,
        };
        match self.deciding.decide(turn, ask(request, body)).await {
            Ok(verdict) => verdict.judged(exchange.grpc),
            Err(why) => self.deciding.unsaid(why),
        }
    }
}
