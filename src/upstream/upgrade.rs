//! The way of a request for another protocol: a turn, an endpoint, and a new connection for the tunnel,
//! which is watched like any other try. Stands between `forward` and `tunnel`.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Upstream,
    checkout::{connect_limit, note_try},
    choice::{choose, has_other},
    connect::{self, Opened, Want},
    endpoint::InFlight,
    forward::Settings,
    response_body::Held,
    trial::{End, Trial},
    tries::{Tried, stick},
    tunnel,
    wish::Wish,
};
use crate::{
    error::{Error, Reason},
    layers::{Request, Response},
    telemetry::exchange::Exchange,
};

impl Settings {
    /// Opens a tunnel. One that cannot be connected to has not seen the request, so the next endpoint
    /// is asked.
    pub(super) async fn tunnel(
        &self,
        upstream: &Arc<Upstream>,
        request: Request,
        wanted: tunnel::Wanted,
        exchange: Arc<Exchange>,
    ) -> Result<Response, Error> {
        Trial::check(upstream, Instant::now())?;
        let wish = Wish::of(&request, &upstream.care, &exchange);
        let mut permit = self.turn_at(upstream, &exchange).await?;
        // It lasts as long as both sides like.
        permit.is_no_measure();
        let mut tried = Tried::new();
        let (endpoint, at, begun, trial, connection) = loop {
            let admitted = Trial::ask(upstream, Instant::now())?;
            let (endpoint, at) = choose(upstream, &tried, wish)?;
            let trial = Trial::begin((upstream, endpoint), &exchange, admitted, self.patience());
            note_try(&exchange, endpoint);
            let (begun, limit) = (Instant::now(), connect_limit(endpoint, &self.timeouts));
            let error = match connect::open(endpoint, Want::H1, limit).await {
                Ok(Opened::H1(connection)) => break (endpoint, at, begun, trial, connection),
                Ok(Opened::H2(_)) => {
                    Error::new(Reason::UpstreamTls, "the upstream insists on HTTP/2")
                }
                Err(error) => error,
            };
            trial.end(End::Failed(error.reason()));
            tried.push(at);
            if !has_other(upstream, &tried) {
                return Err(error);
            }
        };
        let in_flight = InFlight::new(Arc::clone(endpoint), Arc::clone(upstream));
        let held = Held { in_flight, permit };
        let left = self.timeouts.per_try.map(|limit| limit.saturating_sub(begun.elapsed()));
        let limit = self.timeouts.first_byte.into_iter().chain(left).min();
        let line = tunnel::Line { connection, limit, held };
        let idle = self.timeouts.idle.filter(|_| self.timeouts.idle_written);
        let result = tunnel::open(line, request, wanted, &exchange, idle).await;
        trial.end(End::of(&result, false));
        let mut response = result?;
        stick(upstream, wish, at, &exchange, &mut response);
        self.finish(&mut response, &exchange)?;
        Ok(response)
    }
}
