//! Tidegate as a library, with one tower layer of your own.
//!
//! ```text
//! cargo run --example own_layer -- run -c examples/own_layer.yaml
//! curl -i localhost:8080/orders                      # 403, by the layer
//! curl -i -H 'X-Team: red' localhost:8080/orders     # 200, and the layer has left its mark
//! ```
//!
//! What is built here is a whole Tidegate: every verb is there, and `layers:` in the file may name
//! `team`. Its settings are checked when a file is loaded, by `check` as well as by a reload. A wrong
//! one refuses the file and is shown in its place; no request ever meets it.

use std::{
    future::ready,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tidegate::{Body, Error, LayerService, Request, Response};
use tower::{Layer, Service};

/// Lets the requests of some teams through, by the header `X-Team`.
struct Team {
    allow: Arc<[String]>,
}

/// [`Team`] around what comes after it. Cloned often, so its settings are shared.
#[derive(Clone)]
struct TeamService {
    allow: Arc<[String]>,
    inner: LayerService,
}

fn main() -> ExitCode {
    tidegate::cli().layer("team", Team::from_settings).run()
}

// === impl Team ===

impl Team {
    /// Reads `config:` of one use of the layer. The error is shown beside it.
    fn from_settings(config: &Value) -> Result<Self, String> {
        let allow = config.get("allow").and_then(Value::as_array).into_iter().flatten();
        let allow: Option<Arc<[String]>> =
            allow.map(|team| team.as_str().map(str::to_owned)).collect();
        match allow {
            Some(allow) if !allow.is_empty() => Ok(Self { allow }),
            _ => Err("`team` needs the names of teams: `config: { allow: [red] }`".to_owned()),
        }
    }
}

impl Layer<LayerService> for Team {
    type Service = TeamService;

    fn layer(&self, inner: LayerService) -> TeamService {
        TeamService { allow: Arc::clone(&self.allow), inner }
    }
}

// === impl TeamService ===

impl TeamService {
    fn allows(&self, request: &Request) -> bool {
        let team = request.headers().get("x-team").and_then(|value| value.to_str().ok());
        team.is_some_and(|team| self.allow.iter().any(|allowed| allowed == team))
    }
}

impl Service<Request> for TeamService {
    type Response = Response;
    /// What the gateway answers for you, with a reason. To refuse a request, answer it.
    type Error = Error;
    type Future = <LayerService as Service<Request>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if !self.allows(&request) {
            let mut response = Response::new(Body::from("which team are you?\n"));
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Box::pin(ready(Ok(response)));
        }
        request.headers_mut().insert("x-team-checked", HeaderValue::from_static("yes"));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            response.headers_mut().insert("x-checked-by", HeaderValue::from_static("team"));
            Ok(response)
        })
    }
}
