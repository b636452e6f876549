//! Interim answers: a 1xx of the upstream goes on to an HTTP/1.1 client, and a body announced with
//! `Expect: 100-continue` (RFC 9110 section 10.1.1) is sent when the upstream asks for it. They are
//! judged like final ones, and their number is limited. Stands between the forwarding service and
//! the connection.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use crate::{
    body::{Body, BoxError},
    error::{Error, Reason},
    http1::write_field,
    telemetry::exchange::Exchange,
    upstream::incoming,
};

/// How long a body is held back when the upstream says nothing, as curl does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most interim answers to one request.
const MOST: usize = 16;
/// Most bytes of them, which a client that does not read makes us hold.
const MOST_BYTES: usize = 64 * 1024;

/// What is done with the interim answers to one request.
pub(crate) struct Interim {
    exchange: Arc<Exchange>,
    /// Lets the body go that waits for a 100.
    go: Option<oneshot::Sender<()>>,
    seen: usize,
    bytes: usize,
}

/// Prepares a request for its interim answers.
pub(crate) fn prepare(request: &mut http::Request<Body>, exchange: &Arc<Exchange>) -> Interim {
    let waits = exchange.hop.expect && !request.body().is_empty();
    let (go, wait) = if waits { Some(oneshot::channel()).unzip() } else { (None, None) };
    if let Some(wait) = wait {
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::wrap(HeldBack::new(body, wait));
    }
    Interim { go, ..Interim::new(Arc::clone(exchange)) }
}

// === impl Interim ===

impl Interim {
    /// For a request whose body waits for nobody.
    pub(crate) const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, go: None, seen: 0, bytes: 0 }
    }

    /// Judges one and passes it on.
    pub(crate) fn take(&mut self, mut head: http::Response<()>) -> Result<(), Error> {
        self.seen += 1;
        if self.seen > MOST {
            return Err(Error::new(Reason::BadResponse, "too many interim answers"));
        }
        incoming::accept(&mut head, None)?;
        if head.status() == StatusCode::CONTINUE {
            if let Some(go) = self.go.take() {
                // The body may have been dropped meanwhile: then nobody waits.
                let _ = go.send(());
            }
        } else if self.exchange.version == Version::HTTP_11 {
            let text = text(&head);
            self.bytes += text.len();
            if self.bytes > MOST_BYTES {
                return Err(Error::new(Reason::ResponseTooLarge, "interim answers too large"));
            }
            self.exchange.connection.state.inform(&text);
        }
        Ok(())
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interim").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// An interim answer as HTTP/1.1 text.
fn text(head: &http::Response<()>) -> Vec<u8> {
    let status = head.status();
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or(""))
            .into_bytes();
    for (name, value) in head.headers() {
        write_field(&mut text, name, value);
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
