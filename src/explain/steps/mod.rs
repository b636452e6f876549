//! The policies of a route, each in a file of its own, in the order in which `runtime/stack` puts their
//! layers. Each says what it is, where that was written, and what this request gets from it; what it
//! changes of the request, the next ones see.

mod auth;
mod authorize;
mod body;
mod concurrency;
mod headers;
mod ip;
mod layers;
mod mirror;
mod path;
mod rate_limit;
mod retry;
mod timeouts;
mod upgrade;

pub(crate) use self::{
    concurrency::class,
    rate_limit::{parts, windows},
    retry::causes,
};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{
    Answer, Answers, Caller, Step, Verdict, Written, arrive::Arrived, targets::End, written_of,
};
use crate::{
    body::Body,
    config::model::{Name, Route},
    layers::Request,
    runtime::Runtime,
    server::client_addr::Client,
    telemetry::exchange::Exchange,
};

/// What a kind of policy says of a request. None where nobody wants to hear that there is nothing.
type Kind = for<'w, 'r> fn(&'w mut Walk<'r>) -> Vec<Step>;

/// The order of the pipeline.
const ORDER: [Kind; 18] = [
    layers::start,
    ip::explain,
    rate_limit::before_auth,
    auth::explain,
    authorize::explain,
    rate_limit::after_auth,
    concurrency::explain,
    concurrency::bandwidth,
    body::explain,
    layers::after_auth,
    headers::request,
    path::explain,
    mirror::explain,
    timeouts::explain,
    layers::before_upstream,
    upgrade::explain,
    retry::explain,
    headers::response,
];

/// A request on its way through the policies.
pub(super) struct Walk<'r> {
    runtime: &'r Runtime,
    name: Name,
    pub(super) route: &'r Route,
    client: Client,
    handle: &'r Handle,
    /// It is a running gateway that is asked.
    live: bool,
    /// Who it is to be taken for, whatever it shows.
    caller: Option<Caller>,
    /// `auth` has let it pass.
    known: bool,
    /// As it is by now.
    pub(super) request: Request,
    pub(super) exchange: Arc<Exchange>,
    /// What it would get without credentials, if the route asks for some.
    without: Option<Answer>,
    /// What could not be judged, and why.
    not_judged: Vec<String>,
}

// === impl Walk ===

impl<'r> Walk<'r> {
    pub(super) fn new(
        runtime: &'r Runtime,
        route: &'r Route,
        arrived: Arrived,
        (handle, live): (&'r Handle, bool),
    ) -> Self {
        let (request, exchange) = arrived.passed;
        Self {
            runtime,
            name: arrived.route,
            route,
            client: arrived.client,
            handle,
            live,
            caller: arrived.caller,
            known: false,
            request,
            exchange,
            without: None,
            not_judged: Vec::new(),
        }
    }

    /// All of them.
    pub(super) fn all(&mut self) -> Vec<Step> {
        ORDER.iter().flat_map(|kind| kind(self)).collect()
    }

    /// The path and query, as they are by now.
    pub(super) fn target(&self) -> String {
        let uri = self.request.uri();
        match uri.query() {
            Some(_) if self.hides_query() => format!("{}?…", uri.path()),
            Some(query) => format!("{}?{query}", uri.path()),
            None => uri.path().to_owned(),
        }
    }

    /// Whether the query may hold a secret.
    pub(super) fn hides_query(&self) -> bool {
        let mut hides = false;
        self.exchange.note(|outcome| hides = outcome.private_query);
        hides
    }

    /// What the client gets, by what the policies said and what comes behind them.
    pub(super) fn answers(self, steps: &[Step], end: &End) -> Answers {
        let refuses = |step: &&Step| step.verdict == Verdict::Refuses;
        let open = |step: &Step| step.kind == "ip" && step.verdict == Verdict::Unknown;
        let first = |auth: Option<&Answer>| -> Answer {
            let said = steps.iter().filter(|step| step.kind == "auth" || refuses(step));
            let said = said.filter_map(|step| match step.kind.as_str() {
                "auth" => auth,
                _ => step.answer.as_ref(),
            });
            let mut answer = said.into_iter().next().unwrap_or(&end.answer).clone();
            if answer.reason.is_none() && steps.iter().any(open) {
                answer.text.push_str(", if `ip` lets the address in");
            }
            answer
        };
        let auth = steps.iter().find(|step| step.kind == "auth" && refuses(step));
        Answers {
            this_request: first(auth.and_then(|step| step.answer.as_ref())),
            without_credentials: self.without.as_ref().map(|without| first(Some(without))),
            with_credentials: auth.map(|_| first(None)),
            not_judged: self.not_judged,
        }
    }

    /// Where a key of the route and those below it were written.
    fn written(&self, key: &str) -> Vec<Written> {
        written_of(&self.runtime.config, &self.route.origins, key)
    }

    /// The same request without anything that could be a credential.
    fn bare(&self) -> Request {
        let mut bare = Request::new(Body::empty());
        *bare.method_mut() = self.request.method().clone();
        if let Ok(uri) = self.request.uri().path().parse() {
            *bare.uri_mut() = uri;
        }
        bare.extensions_mut().insert(Arc::clone(&self.exchange));
        bare
    }
}
