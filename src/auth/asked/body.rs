//! The body of a request, read for a service that wants to see it, and put back as it came. It is read
//! before `layers/body` sees it, so it has limits of its own here.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Version, header::CONTENT_LENGTH};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    auth::denied::Denied,
    body::{Body, BoxError},
    error::Reason,
    layers::Request,
    telemetry::exchange::Exchange,
};

/// How long a client may take to send a body that somebody wants to see first.
const TIME: Duration = Duration::from_secs(30);

/// What was read of a body, and how it went on.
#[derive(Default)]
struct Read {
    frames: VecDeque<Frame<Bytes>>,
    bytes: u64,
    error: Option<BoxError>,
    /// There is no more of it.
    ended: bool,
}

/// A body of which some was read before.
struct Again {
    read: Read,
    rest: Body,
}

/// The whole body of a request, which has it still.
///
/// # Errors
/// It is too large, too slow or broken. The request has what was read, and the rest.
pub(crate) async fn read(
    request: &mut Request,
    exchange: &Exchange,
    max: u64,
) -> Result<Bytes, Denied> {
    if request.body().is_empty() {
        return Ok(Bytes::new());
    }
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse().ok()).is_some_and(|length: u64| length > max) {
        return Err(too_large());
    }
    let mut body = std::mem::take(request.body_mut());
    let mut read = Read::default();
    let filled = timeout(TIME, read.fill(&mut body, exchange, max)).await;
    let whole = read.data();
    *request.body_mut() = read.and(body, &whole);
    match filled {
        Ok(Ok(())) => Ok(whole),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(Denied::body(Reason::BodyTimeout, "body_timeout")),
    }
}

const fn too_large() -> Denied {
    Denied::body(Reason::BodyTooLarge, "body_too_large")
}

// === impl Read ===

impl Read {
    async fn fill(&mut self, body: &mut Body, exchange: &Exchange, max: u64) -> Result<(), Denied> {
        loop {
            match body.frame().await {
                // hyper takes every reset of a stream without an error for the end of its body.
                None if exchange.version == Version::HTTP_2
                    && !http_body::Body::is_end_stream(body) =>
                {
                    self.error = Some("the stream was reset in its body".into());
                    return Err(Denied::body(Reason::ClientGone, "body_broken"));
                }
                None => {
                    self.ended = true;
                    return Ok(());
                }
                Some(Ok(frame)) => {
                    self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    self.frames.push_back(frame);
                    if self.bytes > max {
                        return Err(too_large());
                    }
                }
                Some(Err(error)) => {
                    self.error = Some(error);
                    let broken = exchange.connection.state.bad_body.load(Ordering::Relaxed);
                    let reason = if broken { Reason::BadBody } else { Reason::ClientGone };
                    return Err(Denied::body(reason, "body_broken"));
                }
            }
        }
    }

    fn data(&self) -> Bytes {
        let mut pieces = self.frames.iter().filter_map(Frame::data_ref);
        match (pieces.next(), pieces.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let mut all = BytesMut::from(&first[..]);
                all.extend_from_slice(second);
                pieces.for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        }
    }

    /// What was read and what comes, as one body again.
    fn and(self, rest: Body, whole: &Bytes) -> Body {
        if self.ended && self.frames.iter().all(Frame::is_data) {
            return Body::full(whole.clone());
        }
        Body::wrap(Again { read: self, rest })
    }
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.read.frames.pop_front() {
            self.read.bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.read.error.take() {
            self.read.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        if self.read.ended {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let nothing = self.read.frames.is_empty() && self.read.error.is_none();
        nothing && (self.read.ended || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.read.ended || self.read.error.is_some() {
            return SizeHint::with_exact(self.read.bytes);
        }
        let rest = self.rest.size_hint();
        let mut all = SizeHint::new();
        if let Some(upper) = rest.upper() {
            all.set_upper(upper + self.read.bytes);
        }
        all.set_lower(rest.lower() + self.read.bytes);
        all
    }
}
