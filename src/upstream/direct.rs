//! The direct way of a request: its turn, its endpoint and its connection were there at once, so its
//! future is small. `forward` decides who may take it.

use std::{pin::Pin, sync::Arc};

use super::{
    attempt::{explain, within},
    forward::{Settings, judge},
    http1::Connection,
    http2::Lease,
    line::Line,
    outgoing,
};
use crate::{
    error::Error,
    layers::{
        Request,
        expect::{self, Interim},
        shared::BoxFuture,
    },
    server::client::Upgrade,
    telemetry::exchange::Late,
};

/// Sends a request over an idle connection. It is boxed here already, as it is moved a few times.
pub(super) fn direct(
    settings: &Arc<Settings>,
    line: Line,
    connection: Box<Connection>,
    mut request: Box<Request>,
) -> BoxFuture<Error> {
    let Line { exchange, in_flight, .. } = &line;
    outgoing::for_h1(&mut request, &in_flight.0, in_flight.host(), &exchange.hop);
    let interim = expect::prepare(&mut request, exchange);
    // Not taken: a second try will not find them in the head either.
    let own = |text: &mut Vec<u8>| {
        if exchange.owes(Late::Request) {
            settings.own.write(text, exchange);
        }
    };
    let mut sending = connection.send(request, interim, own);
    let settings = Arc::clone(settings);
    Box::pin(async move {
        // Where it is, not in a place of its own beside it.
        let sending = Pin::new(&mut sending);
        let sent = within(&settings.timeouts, &line.exchange, line.clock(), sending).await?;
        let sent = sent.map_err(|failed| explain(failed, &line.in_flight.0, &line.exchange));
        match judge(sent, &line.exchange, line.now) {
            Ok(response) => settings.answer_to(response, line),
            // Boxed: this hardly ever happens, and its future is large.
            Err(failure) => Box::pin(settings.once_more_for(failure, line)).await,
        }
    })
}

/// Sends a request over a shared connection.
pub(super) fn direct_h2(
    settings: &Arc<Settings>,
    line: Line,
    lease: Lease,
    mut request: Request,
) -> BoxFuture<Error> {
    let settings = Arc::clone(settings);
    let Line { exchange, in_flight, .. } = &line;
    // The wire may wait for this word before it reads on.
    exchange.decide_upgrade(Upgrade::Refused);
    settings.own.insert_late(request.headers_mut(), exchange);
    let ready = outgoing::for_h2(&mut request, &in_flight.0, in_flight.host(), &exchange.hop);
    if let Err(error) = ready {
        return Box::pin(std::future::ready(Err(error)));
    }
    match lease.send(request, Interim::new(Arc::clone(exchange))) {
        Ok(mut sending) => Box::pin(async move {
            let sending = Pin::new(&mut sending);
            let sent = within(&settings.timeouts, &line.exchange, line.clock(), sending).await?;
            let sent = sent.map_err(|failed| explain(failed, &line.in_flight.0, &line.exchange));
            match judge(sent, &line.exchange, line.now) {
                Ok(response) => settings.answer_to(response, line),
                Err(failure) => Box::pin(settings.once_more_for(failure, line)).await,
            }
        }),
        Err(failed) => {
            let failure = explain(failed, &in_flight.0, exchange);
            Box::pin(async move { settings.once_more_for(failure, line).await })
        }
    }
}
