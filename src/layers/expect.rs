//! Interim answers: a 1xx of the upstream goes on to an HTTP/1.1 client, and a body announced with
//! `Expect: 100-continue` (RFC 9110 section 10.1.1) is sent when the upstream asks for it.
//! Stands between the forwarding service and the connection.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use crate::{
    body::{Body, BoxError},
    telemetry::exchange::Exchange,
};

/// How long a body is held back when the upstream says nothing, as curl does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prepares a request for its interim answers.
pub(crate) fn prepare(request: &mut http::Request<Body>, exchange: &Arc<Exchange>) {
    let waits = exchange.hop.expect && !request.body().is_empty();
    let pass = exchange.version == Version::HTTP_11;
    if !waits && !pass {
        return;
    }
    let (go, wait) = if waits { Some(oneshot::channel()).unzip() } else { (None, None) };
    let go = parking_lot::Mutex::new(go);
    let connection = Arc::clone(&exchange.connection);
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            if let Some(go) = go.lock().take() {
                // The body may have been dropped meanwhile: then nobody waits.
                let _ = go.send(());
            }
        } else if pass {
            connection.state.inform(&interim(response.status(), response.headers()));
        }
    });
    if let Some(wait) = wait {
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::wrap(HeldBack::new(body, wait));
    }
}

/// An interim answer as HTTP/1.1 text, without what belongs to the upstream's hop.
fn interim(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or(""))
            .into_bytes();
    for (name, value) in headers {
        if matches!(name.as_str(), "connection" | "keep-alive" | "transfer-encoding" | "upgrade") {
            continue;
        }
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// A body that is not read before the upstream asks for it, or patience ends. Not reading it is
/// also what keeps hyper from telling the client to go on.
struct HeldBack {
    body: Body,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl HeldBack {
    fn new(body: Body, wait: oneshot::Receiver<()>) -> Self {
        let wait = async move {
            tokio::select! {
                // Without the callback the final answer is here: reading on now would tell the client
                // to continue before it gets that.
                Ok(()) = wait => {}
                () = tokio::time::sleep(PATIENCE) => {}
            }
        };
        Self { body, wait: Some(Box::pin(wait)) }
    }
}

impl http_body::Body for HeldBack {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(wait) = &mut self.wait {
            std::task::ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
