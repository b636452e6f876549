//! The verbs of the admin socket: `POST /reload`, `POST /rollback`, `POST /drain`, `POST /diff`,
//! `GET /status`, `GET /history`, `GET /explain`. Their answers are JSON.

use std::{error::Error, sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};

use super::{Control, probes::response};
use crate::{
    config::{Snapshot, model::Quarantined},
    explain::{Asked, Running},
    runtime::{
        history::Entry,
        reload::{NOTE, Outcome, Trigger, WentBack},
    },
};

/// More is no configuration: its files have at most so much.
const MOST: usize = 128 << 20;

/// Answers a request on the admin socket.
pub(super) async fn answer<B>(control: &Arc<Control>, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (request, body) = request.into_parts();
    let uri = &request.uri;
    let wait = uri.query() == Some("wait");
    match (&request.method, uri.path()) {
        (&Method::POST, "/reload") => reload(control, wait).await,
        (&Method::POST, "/drain") => {
            // A drain that is already asked for leaves the channel full, which is as good.
            let _ = control.drain.try_send(());
            answer_json(StatusCode::ACCEPTED, &json!({ "result": "draining" }))
        }
        (&Method::GET, "/explain") => explain(control, uri.query().unwrap_or_default()).await,
        (&Method::POST, "/diff") => diff(control, body).await,
        (&Method::GET, "/history") => answer_json(StatusCode::OK, &history(control)),
        (&Method::POST, "/rollback") => roll_back(control, uri.query()).await,
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
            let body = json!({ "result": "applied", "diff": diff.lines(), "warnings": warnings });
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

/// What a configuration would change that somebody else has read.
async fn diff<B>(control: &Arc<Control>, body: B) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let refused = |status, errors: String| {
        answer_json(status, &json!({ "result": "refused", "errors": errors }))
    };
    let body = match Limited::new(body, MOST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refused(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    let control = Arc::clone(control);
    let compared = tokio::task::spawn_blocking(move || {
        let snapshot = serde_json::from_slice::<Snapshot>(&body);
        // Not what is wrong with it, which might repeat a secret.
        let snapshot = snapshot.map_err(|_| "this is no configuration".to_owned())?;
        control.reloader.compare(&snapshot)
    });
    match compared.await {
        Ok(Ok(diff)) => answer_json(StatusCode::OK, &json!({ "diff": diff })),
        Ok(Err(errors)) => refused(StatusCode::UNPROCESSABLE_ENTITY, errors),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The last reloads, the newest first.
fn history(control: &Control) -> Value {
    let reloads = control.reloader.history();
    // The newest accepted one is what runs.
    let live = reloads.iter().find(|it| it.result.is_ok()).map(|it| it.number);
    let one = |it: &Entry| {
        json!({
            "number": it.number,
            "at": it.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            "trigger": it.by.word(),
            "result": if it.result.is_ok() { "applied" } else { "refused" },
            "hash": it.hash,
            "live": live == Some(it.number),
            "kept": it.snapshot.is_some(),
            "diff": it.result.as_ref().map(|diff| diff.lines()).unwrap_or_default(),
            "changes": it.result.as_ref().map(|diff| diff.changes.clone()).unwrap_or_default(),
            "errors": it.result.as_ref().err().map(|errors| &**errors),
        })
    };
    json!({ "reloads": reloads.iter().map(one).collect::<Vec<_>>() })
}

async fn roll_back(control: &Arc<Control>, query: Option<&str>) -> Response<Full<Bytes>> {
    let which = query.and_then(|query| query.strip_prefix("to=")).map(str::to_owned);
    let refused = |errors: String| {
        let body = json!({ "result": "refused", "errors": errors });
        answer_json(StatusCode::UNPROCESSABLE_ENTITY, &body)
    };
    match control.reloader.roll_back(which).await {
        Ok(WentBack { to, outcome: Outcome::Applied { diff, warnings }, apart }) => {
            let body = json!({
                "result": "applied",
                "to": to,
                "hash": control.reloader.status().hash,
                "diff": diff.lines(),
                "warnings": warnings,
                "note": apart.then_some(NOTE),
            });
            answer_json(StatusCode::OK, &body)
        }
        Ok(WentBack { outcome: Outcome::Refused { errors }, .. }) | Err(errors) => refused(errors),
        Ok(WentBack { outcome: Outcome::Unchanged, .. }) => refused("it is what runs".to_owned()),
    }
}

/// On a thread that may block: a password is verified as for any other request.
async fn explain(control: &Arc<Control>, query: &str) -> Response<Full<Bytes>> {
    let asked = Asked::from_query(query);
    let control = Arc::clone(control);
    let explained = tokio::task::spawn_blocking(move || {
        let now = control.reloader.status();
        let running = Running {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hash: now.hash,
            live_since: now.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            reloads_refused: now.refused,
            last_reload_error: now.error,
        };
        (control.explain)(&asked?, running)
    });
    let refused = |status, errors: String| {
        answer_json(status, &json!({ "result": "refused", "errors": errors }))
    };
    match explained.await {
        Ok(Ok(explanation)) => answer_json(StatusCode::OK, &json!(explanation)),
        Ok(Err(problem)) => refused(StatusCode::BAD_REQUEST, problem),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
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
            "inputs": control.reloader.inputs(),
            "quarantine": control.reloader.may_quarantine(),
            "live_since": since,
            "reloads_applied": now.applied,
            "reloads_refused": now.refused,
            "last_reload_error": now.error,
            "quarantined": now.quarantined.iter().map(quarantined).collect::<Vec<_>>(),
            "rolled_back_to": now.rolled_back.map(|back| back.to),
        },
    })
}

fn quarantined(it: &Quarantined) -> Value {
    json!({ "file": it.file.display().to_string(), "routes": it.routes.iter().map(|it| &**it).collect::<Vec<_>>() })
}

fn answer_json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json", body.to_string())
}
