//! Routes that answer by themselves: `respond`, `redirect`, and the built-in route of everything no
//! route takes. The innermost service of such a route.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Ready, ready};
use http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION};
use tower::Service;

use super::{Request, Response, template::Template};
use crate::{
    body::Body,
    error::{Error, Reason},
    gateway::Verdict,
    telemetry::exchange::Exchange,
};

/// What a route answers by itself.
#[derive(Clone, Debug)]
pub struct Answer {
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    Respond { status: StatusCode, headers: HeaderMap, body: Bytes },
    Redirect { to: Template, status: StatusCode, keep_query: bool },
    Verdict,
    Quarantined,
}

// === impl Answer ===

impl Answer {
    /// Always this.
    pub fn respond(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { kind: Arc::new(Kind::Respond { status, headers, body: body.into() }) }
    }

    /// A redirect to a template of `{path}`, `{host}`, `{query}` and captured names.
    pub fn redirect(to: Template, status: StatusCode, keep_query: bool) -> Self {
        Self { kind: Arc::new(Kind::Redirect { to, status, keep_query }) }
    }

    /// That the file of the route is broken.
    pub fn quarantined() -> Self {
        Self { kind: Arc::new(Kind::Quarantined) }
    }

    /// What the gateway decided before any route.
    pub fn verdict() -> Self {
        Self { kind: Arc::new(Kind::Verdict) }
    }

    /// The answer to a request.
    pub(crate) fn answer(&self, mut request: Request) -> Result<Response, Error> {
        match &*self.kind {
            Kind::Respond { status, headers, body } => {
                let mut response = Response::new(Body::full(body.clone()));
                *response.status_mut() = *status;
                *response.headers_mut() = headers.clone();
                Ok(response)
            }
            Kind::Redirect { to, status, keep_query } => {
                redirect(&location(&request, to, *keep_query)?, *status)
            }
            Kind::Quarantined => Err(quarantined()),
            Kind::Verdict => match request.extensions_mut().remove::<Verdict>() {
                Some(Verdict::Refused(error)) => Err(error),
                Some(Verdict::ToHttps(status, location)) => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = status;
                    response.headers_mut().insert(LOCATION, location);
                    Ok(response)
                }
                None => Err(Error::new(Reason::Internal, "no verdict")),
            },
        }
    }
}

/// What a client is told whose route is written in a broken file.
pub(crate) fn quarantined() -> Error {
    Error::new(Reason::Quarantined, "the file of this route is broken")
}

fn location(request: &Request, to: &Template, keep_query: bool) -> Result<String, Error> {
    let exchange = request
        .extensions()
        .get::<Arc<Exchange>>()
        .ok_or_else(|| Error::new(Reason::Internal, "a request without an exchange"))?;
    let (path, query) = (exchange.uri.path(), exchange.uri.query());
    let captures = exchange.pattern.as_ref().and_then(|pattern| pattern.capture(path));
    let mut target = to.render(|name| match name {
        "path" => Some(path),
        "host" => Some(&*exchange.host),
        "query" => query,
        other => captures.as_ref().and_then(|found| found.get(other)),
    });
    if target.starts_with("//") && !to.begins_with("//") {
        // What was captured begins with a slash: another host would be named by it.
        let path = target.trim_start_matches('/').len();
        target.replace_range(..target.len() - path, "/");
    }
    if let Some(query) = query
        && keep_query
        && !to.names().any(|name| name == "query")
    {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    Ok(target)
}

fn redirect(location: &str, status: StatusCode) -> Result<Response, Error> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| Error::new(Reason::BadPath, "a target that cannot be sent"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

impl Service<Request> for Answer {
    type Response = Response;
    type Error = Error;
    type Future = Ready<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(self.answer(request))
    }
}
