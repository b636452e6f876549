//! What is kept of a request that has arrived, and what of ours is put into its head. Stands between the
//! decision for a route and its stack.

use std::sync::Arc;

use http::{HeaderMap, header::HOST, request::Parts};

use super::Decision;
use crate::{
    runtime::Runtime,
    server::{
        client::Connection,
        client_addr::Client,
        forwarding::{HopRequest, Own},
        gate::{Checked, Fields},
    },
    telemetry::{
        clock::unix_micros,
        exchange::{Exchange, Head, Late},
        request_id::RequestId,
    },
};

/// The exchange of a request whose head has passed the gate.
pub(crate) fn exchange(
    runtime: &Runtime,
    connection: &Arc<Connection>,
    head: &Parts,
    checked: Checked,
    client: Client,
    hop: HopRequest,
    decision: &Decision<'_>,
) -> Arc<Exchange> {
    let server = &runtime.config.server;
    let started = connection.state.last_active();
    let started_unix = unix_micros(started);
    Arc::new(Exchange::new(Head {
        id: RequestId::of(&head.headers, server, client.trusted, started_unix / 1000),
        started,
        started_unix,
        connection: Arc::clone(connection),
        client_ip: client.ip,
        trusted: client.trusted,
        method: head.method.clone(),
        authority: checked.authority,
        host: checked.host,
        uri: checked.uri,
        version: head.version,
        user_agent: checked.noted.user_agent,
        grpc: checked.noted.grpc,
        accept: checked.noted.accept,
        route: Arc::clone(&decision.route.info),
        pattern: decision.pattern.clone(),
        hop,
    }))
}

/// Our own fields, after everything a client may not set is gone. `late`: by whoever sends the request.
pub(super) fn write_fields(
    headers: &mut HeaderMap,
    own: &Own,
    exchange: &Exchange,
    (fields, client): (Fields, Client),
    late: bool,
) {
    if exchange.route.name.is_empty() {
        return; // The built-in route sends nothing upstream.
    }
    if fields.hosts == 0
        && let Some(authority) = &exchange.authority
    {
        headers.insert(HOST, authority.clone());
    }
    if late {
        exchange.owe(Late::Request);
    } else {
        own.insert(headers, exchange, client, fields.claims);
    }
}
