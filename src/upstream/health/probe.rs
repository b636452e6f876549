//! One check of one endpoint, over a connection of its own: what it asks is in `http` and `grpc`.

use std::{fmt, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{grpc, http};
use crate::{
    config::model::{self, Probe},
    error::{Error, Reason},
    upstream::{
        connect::{Dialled, Want, dial},
        endpoint::{Endpoint, Wire},
    },
};

/// Saying goodbye may take as long as this after a check.
pub(super) const FAREWELL: Duration = Duration::from_millis(100);

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    /// It is not well, for this reason.
    Bad(Bad),
    /// We could not even ask. This says nothing of the endpoint.
    Unasked(String),
}

/// Why a check failed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad(String);

/// Who is asked, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'q> {
    pub(super) endpoint: &'q Endpoint,
    pub(super) settings: &'q model::Health,
}

/// `User-Agent` of all checks.
pub(super) const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Asks an endpoint whether it is well.
pub(super) async fn check(endpoint: &Endpoint, settings: &model::Health) -> Outcome {
    let due = Instant::now() + settings.timeout;
    let question = Question { endpoint, settings };
    let dialled =
        match timeout_at(due, dial(endpoint, question.wants(), endpoint.shape.connect_timeout))
            .await
        {
            Ok(Ok(dialled)) => dialled,
            // No descriptor was left: taking the endpoint out would not help.
            Ok(Err(error)) if error.reason() == Reason::Overloaded => {
                return Outcome::Unasked(question.why(&error));
            }
            Ok(Err(error)) => return Outcome::Bad(Bad(question.why(&error))),
            Err(_) => return Outcome::Bad(Bad::new("timeout: no connection in time")),
        };
    match question.ask(dialled, due).await {
        Ok(()) => Outcome::Good,
        Err(bad) => Outcome::Bad(bad),
    }
}

// === impl Question ===

impl Question<'_> {
    /// As requests would be sent; gRPC is HTTP/2 wherever it can be.
    fn wants(&self) -> Want {
        match (&self.settings.probe, self.endpoint.shape.protocol) {
            (Probe::Grpc(_), _) | (Probe::Http(_), Wire::H2) => Want::H2,
            (Probe::Http(_), Wire::H1 | Wire::PlainAuto) => Want::H1,
            (Probe::Http(_), Wire::Alpn) => Want::Any,
        }
    }

    async fn ask(&self, Dialled { io, h2 }: Dialled, due: Instant) -> Result<(), Bad> {
        match &self.settings.probe {
            Probe::Http(path) if h2 => http::over_h2(self, path, io, due).await,
            Probe::Http(path) => http::over_h1(self, path, io, due).await,
            Probe::Grpc(service) => grpc::ask(self, service, io, due).await,
        }
    }

    /// Without the name of the endpoint, which the line has anyway.
    fn why(&self, error: &Error) -> String {
        let prefix = format!("{}: ", self.endpoint.name);
        let detail = error.detail();
        let detail = detail.strip_prefix(&prefix).unwrap_or(detail);
        match error.reason() {
            Reason::UpstreamTls => format!("TLS: {detail}"),
            Reason::DnsError | Reason::DnsTimeout => {
                let failure = self.endpoint.resolved.as_ref().and_then(|it| it.failure());
                failure.map_or_else(|| detail.to_owned(), |failure| format!("{detail}: {failure}"))
            }
            _ => detail.to_owned(),
        }
    }
}

// === impl Bad ===

impl Bad {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// It took the connection and says nothing.
    pub(super) fn silent() -> Self {
        Self::new("timeout: no answer in time")
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
