//! Where a request meets the configuration: take the current runtime, pass the gate, find the route,
//! call its stack. Start reading here.

mod arrived;

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header::CONNECTION, request::Parts};

pub(crate) use self::arrived::exchange;
use self::arrived::write_fields;
use crate::{
    config::model,
    error::{Error, Reason},
    layers::{Request, panics, shared::BoxFuture},
    routing::{Found, PathPattern, RequestFacts},
    runtime::{RouteEntry, Runtime},
    server::{
        client::{Connection, REFUSED_METHOD},
        client_addr::{self, Client},
        forwarding,
        gate::{self, Checked},
        listener::Listener,
    },
    telemetry::exchange::Late,
};

/// The gateway: the current runtime, and the way of a request into it.
pub struct Gateway {
    current: ArcSwap<Runtime>,
}

/// What the built-in route answers, carried in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The request was refused before any route saw it, or none took it.
    Refused(Error),
    /// Only the encrypted way is open.
    ToHttps(StatusCode, HeaderValue),
}

/// A request that was counted as in flight. Its exchange says when it has ended; until there is one,
/// this does.
struct Begun<'c>(Option<&'c Connection>);

/// What becomes of a request before its stack runs.
pub(crate) struct Decision<'r> {
    pub(crate) route: &'r RouteEntry,
    pattern: Option<Arc<PathPattern>>,
    pub(crate) verdict: Option<Verdict>,
}

/// How a request came in.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) connection: &'a Connection,
    /// Name of the listener.
    pub(crate) listener: &'a str,
    pub(crate) settings: &'a model::Listener,
    /// Port that `https_redirect` sends to.
    pub(crate) redirect_port: &'a AtomicU16,
}

/// More of our own entries in `Via` than any sane chain of gateways has.
const LOOP_LIMIT: usize = 5;

// === impl Gateway ===

impl Gateway {
    /// A gateway that runs on `first`.
    pub fn new(first: Runtime) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(first) })
    }

    /// What requests run on now.
    pub fn current(&self) -> Arc<Runtime> {
        self.current.load_full()
    }

    /// Lets new requests run on `next`; those under way stay on the stack they have.
    pub fn store(&self, next: Runtime) {
        self.current.store(Arc::new(next));
    }

    /// The same for a server that asks the body of an answer for our own fields when it writes the head.
    pub(crate) fn handle_late(
        &self,
        connection: &Arc<Connection>,
        listener: &Listener,
        request: Request,
    ) -> BoxFuture<Infallible> {
        self.guarded(connection, listener, request, true)
    }

    /// Answers one request. The snapshot is taken here, per request, and let go of before anything
    /// is awaited: a request keeps only its own stack alive.
    pub(crate) fn handle(
        &self,
        connection: &Arc<Connection>,
        listener: &Listener,
        request: Request,
    ) -> BoxFuture<Infallible> {
        self.guarded(connection, listener, request, false)
    }

    fn guarded(
        &self,
        connection: &Arc<Connection>,
        listener: &Listener,
        request: Request,
        late: bool,
    ) -> BoxFuture<Infallible> {
        let http1 = request.version() != Version::HTTP_2;
        panics::catch(|| self.begin(connection, listener, request, late))
            .unwrap_or_else(|_| Box::pin(std::future::ready(Ok(panics::bare_answer(http1)))))
    }

    fn begin(
        &self,
        connection: &Arc<Connection>,
        listener: &Listener,
        request: Request,
        late_answer: bool,
    ) -> BoxFuture<Infallible> {
        let begun = Begun::new(connection);
        let runtime = self.current.load();
        let settings = listener.settings();
        let (mut head, mut body) = request.into_parts();
        let arrival = Arrival {
            connection,
            listener: &listener.name,
            settings: &settings,
            redirect_port: &listener.redirect_port,
        };
        let mut checked = Checked::nothing();
        let (decision, client) = judge(&runtime, arrival, &mut head, &mut checked);
        let hop = forwarding::strip(&mut head.headers, checked.fields);
        let fields = checked.fields;
        head.uri = checked.uri.clone();
        let exchange = exchange(&runtime, connection, &head, checked, client, hop, &decision);
        begun.goes_on();
        if late_answer && decision.route.late_answer {
            exchange.owe(Late::Answer);
        }
        let late = decision.route.late && !client.trusted && !fields.id;
        write_fields(&mut head.headers, &runtime.own, &exchange, (fields, client), late);
        // Layers of the operator's own find it in the extensions.
        if let Some(exchange) = if late { body.keep(exchange) } else { Some(exchange) } {
            head.extensions.insert(exchange);
        }
        if let Some(verdict) = decision.verdict {
            head.extensions.insert(verdict);
        }
        decision.route.service.handle(Request::from_parts(head, body))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

// === before the stack ===

/// After a head that was refused nothing on an HTTP/1 connection can be trusted to be a request.
/// HTTP/2 keeps requests apart; there only many of them end the connection.
fn closing(error: Error, connection: &Connection, version: Version) -> Error {
    if version == Version::HTTP_2 {
        connection.state.streams.refuse(connection);
        return error;
    }
    error.header(CONNECTION, HeaderValue::from_static("close"))
}

/// The gate and the route table. What is left of the head is what routes and policies may see. Also
/// for those who ask what would become of a request: there is no second way to find that out.
#[inline]
pub(crate) fn judge<'r>(
    runtime: &'r Runtime,
    arrival: Arrival<'_>,
    head: &mut Parts,
    checked: &mut Checked,
) -> (Decision<'r>, Client) {
    let Arrival { connection, settings, .. } = arrival;
    let client = client_addr::resolve(connection.peer, settings, &head.headers);
    let judged = gate_of(connection, head, settings, runtime, checked);
    let refusal = judged.err().map(|error| closing(error, connection, head.version));
    if refusal.is_some() {
        *checked = Checked::nothing();
        // They may be many, and nothing wants them any more.
        head.headers = HeaderMap::new();
    }
    // Routes and policies must not see what the upstream will not.
    forwarding::remove_unwanted(
        &mut head.headers,
        checked.fields,
        &runtime.gate,
        client.trusted,
        &settings.client_ip_from,
    );
    let decision = match refusal {
        Some(error) => Decision::refused(runtime, error),
        None => decide(runtime, arrival, head, checked, client),
    };
    (decision, client)
}

/// The gate, and what the wire refused before it.
fn gate_of(
    connection: &Connection,
    head: &mut Parts,
    settings: &model::Listener,
    runtime: &Runtime,
    checked: &mut Checked,
) -> Result<(), Error> {
    if head.method.as_str() == REFUSED_METHOD
        && let Some(refusal) = connection.state.refusal()
    {
        return Err(Error::new(refusal.reason, refusal.detail).public(refusal.detail));
    }
    gate::check(head, settings.limits, &runtime.gate, checked)?;
    if checked.fields.via
        && forwarding::times_seen(&head.headers, &runtime.config.server.name) >= LOOP_LIMIT
    {
        return Err(Error::new(Reason::Loop, "the request came through here before"));
    }
    Ok(())
}

fn decide<'r>(
    runtime: &'r Runtime,
    arrival: Arrival<'_>,
    head: &Parts,
    checked: &Checked,
    client: Client,
) -> Decision<'r> {
    if let Some(status) = arrival.settings.https_redirect {
        let port = arrival.redirect_port.load(Ordering::Relaxed);
        return match https_location(checked, port) {
            Some(location) => Decision::builtin(runtime, Verdict::ToHttps(status, location)),
            None => {
                Decision::refused(runtime, Error::new(Reason::BadHost, "no Host to redirect to"))
            }
        };
    }
    let facts = facts(arrival.listener, head, checked, client);
    match runtime.table.find(&facts) {
        Found::Match { target, .. } => {
            Decision { route: &target.route, pattern: target.pattern.clone(), verdict: None }
        }
        Found::MethodNotAllowed { allow } => Decision::refused(runtime, method_not_allowed(&allow)),
        Found::Nothing if is_misdirected(runtime, arrival.connection, &checked.host) => {
            let detail = "this connection was opened for another name";
            Decision::refused(runtime, Error::new(Reason::Misdirected, detail).public(detail))
        }
        Found::Nothing => Decision::refused(runtime, no_route(runtime, &facts, checked)),
    }
}

/// What the table looks at.
#[inline]
pub(crate) fn facts<'a>(
    listener: &'a str,
    head: &'a Parts,
    checked: &'a Checked,
    client: Client,
) -> RequestFacts<'a> {
    RequestFacts {
        host: &checked.host,
        path: checked.uri.path(),
        query: checked.uri.query(),
        method: &head.method,
        headers: &head.headers,
        client_ip: client.ip,
        listener,
    }
}

/// The client took this connection for a name it was not opened for (RFC 9110 section 15.5.20).
fn is_misdirected(runtime: &Runtime, connection: &Connection, host: &str) -> bool {
    let sni = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
    sni.is_some_and(|sni| sni != host) && !runtime.table.known_host(host)
}

fn method_not_allowed(allow: &str) -> Error {
    let error = Error::new(Reason::MethodNotAllowed, format!("allowed: {allow}"))
        .public(format!("this path answers {allow}"));
    match HeaderValue::from_str(allow) {
        Ok(allow) => error.header(http::header::ALLOW, allow),
        Err(_) => error,
    }
}

/// A 404 that helps: people on this machine are told which routes come nearest. A request that was
/// forwarded to us is not from this machine, whatever its address.
fn no_route(runtime: &Runtime, facts: &RequestFacts<'_>, checked: &Checked) -> Error {
    let local = facts.client_ip.is_some_and(|ip| ip.is_loopback());
    let error = Error::new(Reason::NoRoute, "no route takes this request");
    if !local || checked.fields.claims || checked.fields.via {
        return error;
    }
    let near: Vec<_> = runtime
        .table
        .nearest(facts, 3)
        .iter()
        .map(|near| format!("{} ({})", near.target.route.info.name, near.difference))
        .collect();
    if near.is_empty() {
        return error;
    }
    error.public(format!("no route takes this request; nearest: {}", near.join(", ")))
}

fn https_location(checked: &Checked, port: u16) -> Option<HeaderValue> {
    if checked.host.is_empty() {
        return None;
    }
    let target = checked.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let text = if port == 443 {
        format!("https://{}{target}", checked.host)
    } else {
        format!("https://{}:{port}{target}", checked.host)
    };
    HeaderValue::from_str(&text).ok()
}

// === impl Begun ===

impl<'c> Begun<'c> {
    fn new(connection: &'c Connection) -> Self {
        connection.state.begin_request();
        Self(Some(connection))
    }

    /// There is an exchange.
    fn goes_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.state.end_request();
        }
    }
}

// === impl Decision ===

impl<'r> Decision<'r> {
    fn refused(runtime: &'r Runtime, error: Error) -> Self {
        Self::builtin(runtime, Verdict::Refused(error))
    }

    fn builtin(runtime: &'r Runtime, verdict: Verdict) -> Self {
        Self { route: &runtime.builtin, pattern: None, verdict: Some(verdict) }
    }
}
