//! The verbs of the admin socket: `POST /reload`, `POST /drain`, `GET /status`. JSON both ways.

use std::{sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Control, probes::response};
use crate::runtime::reload::{Outcome, Trigger};

/// Answers a request on the admin socket.
pub(super) async fn answer<B>(
    control: &Arc<Control>,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    let wait = request.uri().query() == Some("wait");
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/reload") => reload(control, wait).await,
        (&Method::POST, "/drain") => {
            // A drain that is already asked for leaves the channel full, which is as good.
            let _ = control.drain.try_send(());
            answer_json(StatusCode::ACCEPTED, &json!({ "result": "draining" }))
        }
        (&Method::GET, "/status") => answer_json(StatusCode::OK, &status(control)),
        _ => answer_json(StatusCode::NOT_FOUND, &json!({ "result": "unknown" })),
    }
}

async fn reload(control: &Arc<Control>, wait: bool) -> Response<Full<Bytes>> {
    let reloader = Arc::clone(&control.reloader);
    // A task of its own: a client that goes away does not stop a reload half way.
    let reload = tokio::spawn(async move { reloader.reload(Trigger::Admin).await });
    if !wait {
        return answer_json(StatusCode::ACCEPTED, &json!({ "result": "accepted" }));
    }
    match reload.await {
        Ok(Outcome::Unchanged) => answer_json(StatusCode::OK, &json!({ "result": "unchanged" })),
        Ok(Outcome::Applied { diff, warnings }) => {
            let body = json!({ "result": "applied", "diff": diff.lines, "warnings": warnings });
            answer_json(StatusCode::OK, &body)
        }
        Ok(Outcome::Refused { errors }) => {
            let body = json!({ "result": "refused", "errors": errors });
            answer_json(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
        Err(error) => {
            let body = json!({ "result": "refused", "errors": error.to_string() });
            answer_json(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}

fn status(control: &Control) -> Value {
    let now = control.reloader.status();
    let since = now.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "ready": control.health.is_started() && !control.health.is_draining(),
        "draining": control.health.is_draining(),
        "connections": (control.connections)(),
        "config": {
            "hash": now.hash,
            "routes": now.routes,
            "live_since": since,
            "reloads_applied": now.applied,
            "reloads_refused": now.refused,
            "last_reload_error": now.error,
        },
    })
}

fn answer_json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json", body.to_string())
}
