//! A request on its way, until the head of its answer is there.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Method, header::CONTENT_LENGTH};
use http_body::Body as _;

use super::{Answer, Cause, Lease, Place, check, upload::Upload};
use crate::{
    body::Body,
    layers::{self, Request, expect::Interim},
    upstream::{attempt, http1::is_idempotent},
};

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    response: ResponseFuture,
    /// `None` once it is over.
    place: Option<Place>,
    /// The rest of the request body.
    upload: Option<Upload>,
    /// What tells that the stream was opened, while it waits for that.
    opening: Option<SendRequest<Bytes>>,
    /// The same once more, if it may be repeated. Boxed, so that this is small.
    spare: Option<Box<Request>>,
    interim: Interim,
}

/// What came of a request.
pub(crate) type Sent = Result<http::Response<Answer>, Failed>;

/// A request that failed.
type Failed = attempt::Failed<Cause>;

// === impl Lease ===

impl Lease {
    /// Sends the head of a request, with what is done with its interim answers.
    pub(crate) fn send(
        mut self,
        mut request: Request,
        interim: Interim,
    ) -> Result<Sending, Failed> {
        if let Err(error) = check(&mut self.sender) {
            let again = Some(Box::new(request));
            return Err(Failed { cause: Cause::Stream(error), again, unsent: true });
        }
        add_length(&mut request);
        let waits = self.place.is_last(&self.sender);
        let may_repeat = request.body().is_empty() && is_idempotent(request.method());
        let spare = may_repeat.then(|| Box::new(layers::copy(&request, Body::empty())));
        let (head, body) = request.into_parts();
        let empty = body.is_empty();
        let sent = self.sender.send_request(http::Request::from_parts(head, ()), empty);
        let (response, stream) = sent.map_err(|error| Failed {
            cause: Cause::Stream(error),
            again: None,
            unsent: false,
        })?;
        Ok(Sending {
            response,
            place: Some(self.place),
            upload: (!empty).then(|| Upload::new(body, stream)),
            opening: waits.then_some(self.sender),
            spare,
            interim,
        })
    }
}

/// Without a length, the upstream could not tell a body of this length from one that was cut.
fn add_length(request: &mut Request) {
    let Some(length) = request.body().size_hint().exact() else { return };
    // Methods that mean to send something say that it is nothing (RFC 9110 section 8.6).
    let expected = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if (length > 0 || expected) && !request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
}

// === impl Sending ===

impl Future for Sending {
    type Output = Sent;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
        let this = self.get_mut();
        let response = match ready!(this.poll_head(cx)) {
            Ok(response) => response,
            Err(cause) => return Poll::Ready(Err(this.fail(cause))),
        };
        let (place, upload) = (this.place.take(), this.upload.take());
        Poll::Ready(Ok(Answer::of(response, place, upload)))
    }
}

impl Sending {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::Response<h2::RecvStream>, Cause>> {
        if let Some(sender) = &mut self.opening {
            // The peer takes so many streams at a time.
            let closed = ready!(sender.poll_ready(cx)).is_err();
            if closed && let Poll::Ready(result) = Pin::new(&mut self.response).poll(cx) {
                return Poll::Ready(result.map_err(Cause::Stream));
            }
            // After a farewell it may be opened as well.
            self.opening = None;
        }
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(result) = upload.poll_send(cx)
        {
            result.map_err(Cause::Body)?;
            self.upload = None;
        }
        while let Some(interim) = ready!(self.response.poll_informational(cx)) {
            self.interim.take(interim.map_err(Cause::Stream)?).map_err(Cause::Refused)?;
        }
        Pin::new(&mut self.response).poll(cx).map_err(Cause::Stream)
    }

    /// Says whether the request may be sent over another connection.
    fn fail(&mut self, cause: Cause) -> Failed {
        // What h2 has taken may be on its way a moment before it is lost: that is no more than likely to be
        // unsent, which will do for what may be repeated.
        let unsent = self.opening.take().is_some();
        // A stream may end for any reason: only the upstream's word makes it safe.
        let may = unsent || cause.is_unprocessed();
        Failed { cause, again: self.spare.take().filter(|_| may), unsent }
    }
}
