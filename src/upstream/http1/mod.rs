//! HTTP/1.1 to an upstream. A connection is a plain value, driven by the request that has it: no task, no
//! channel and no second buffer stand between the socket and the answer. It belongs to one request
//! at a time and goes back to the pool when the answer has ended.
//!
//! `connect` opens it, `forward` and `tunnel` send over it, `response_body` reads the rest. Why not hyper's
//! client: docs/decisions.md.

mod answer;
mod ask;
mod framing;
mod head;
mod io;
mod request;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    sync::OwnedSemaphorePermit,
};

pub(crate) use self::{
    answer::Answer,
    ask::ask,
    io::{Io, Socket},
};
use self::{head::Head, request::Upload};
use super::{
    attempt::{self, Cause as _},
    tls,
};
use crate::{
    body::BoxError,
    error::{Error, Reason},
    http1::Outbox,
    layers::{Request, expect::Interim},
};

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) struct Connection {
    io: Io,
    /// What was read and is not used yet.
    inbox: BytesMut,
    outbox: Outbox,
    /// The rest of the request body.
    upload: Option<Upload>,
    /// Bytes asked for at once.
    read_size: usize,
    /// It has answered a request before.
    used: bool,
    /// A write has failed. What was answered before may still be read.
    broken: bool,
    _permit: OwnedSemaphorePermit,
}

/// A request on its way, until its answer's head is there.
#[derive(Debug)]
pub(crate) struct Sending {
    /// `None` once it is over.
    connection: Option<Box<Connection>>,
    /// Without its body, for another try.
    request: Option<Box<Request>>,
    method: Method,
    interim: Interim,
    has_body: bool,
    /// Something came back.
    heard: bool,
}

/// What came of a request.
pub(crate) type Sent = Result<http::Response<Answer>, Failed>;

/// A request that failed.
type Failed = attempt::Failed<Cause>;

/// Why a connection cannot be used any more.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The socket, or TLS.
    Io(std::io::Error),
    /// It was closed where something was missing.
    Closed(&'static str),
    /// A head that is no head.
    Malformed(httparse::Error),
    /// Chunks that are none.
    Chunk(&'static str),
    /// Too large a head.
    TooLarge,
    /// Another answer than may be given.
    Refused(Error),
    /// The request body ended with an error.
    Body(BoxError),
}

/// What is read at once, at first and at most.
const READ_FIRST: usize = 8 * 1024;
const READ_MOST: usize = 128 * 1024;

// === impl Connection ===

impl Connection {
    /// A connection that was just opened.
    pub(crate) fn new(io: Io, permit: OwnedSemaphorePermit) -> Box<Self> {
        Box::new(Self {
            io,
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            upload: None,
            read_size: READ_FIRST,
            used: false,
            broken: false,
            _permit: permit,
        })
    }

    /// Whether an idle connection may get another request: the upstream has neither closed it nor
    /// said anything unasked.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.io.is_quiet()
    }

    /// Sends a request, with what is done with its interim answers. `own` adds fields to its head.
    pub(crate) fn send(
        mut self: Box<Self>,
        mut request: Box<Request>,
        interim: Interim,
        own: impl FnOnce(&mut Vec<u8>),
    ) -> Sending {
        self.upload = request::begin(&mut request, &mut self.outbox, own);
        Sending {
            has_body: self.upload.is_some(),
            method: request.method().clone(),
            connection: Some(self),
            request: Some(request),
            interim,
            heard: false,
        }
    }

    /// Takes the socket and what was read from it, after a switch of protocols.
    pub(crate) fn into_parts(self: Box<Self>) -> (Io, BytesMut) {
        let Self { io, inbox, .. } = *self;
        (io, inbox)
    }

    /// Writes what there is of the request. Ready when that was all of it.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            while self.outbox.has_room()
                && let Some(upload) = &mut self.upload
                && let Poll::Ready(more) = upload.poll_piece(&mut self.outbox, cx)
            {
                if !more? {
                    self.upload = None;
                }
            }
            if self.broken {
                return Poll::Ready(Ok(()));
            }
            if self.outbox.is_empty() {
                break;
            }
            if ready!(self.outbox.poll_write(&mut self.io, cx)).is_err() {
                // The upstream may have said why before it closed.
                self.broken = true;
                self.upload = None;
                return Poll::Ready(Ok(()));
            }
        }
        // TLS has a buffer of its own; an error of it comes back when we read.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        let more = self.upload.is_some() || flushed.is_pending();
        if more { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Whether all of the request is written.
    fn is_sent(&self) -> bool {
        self.upload.is_none() && self.outbox.is_empty() && !self.broken
    }

    /// Reads more into the inbox; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        self.inbox.reserve(self.read_size);
        let space = self.inbox.capacity() - self.inbox.len();
        let count = ready!(pin!(self.io.read_buf(&mut self.inbox)).poll(cx))?;
        if count == space {
            self.read_size = (self.read_size * 2).min(READ_MOST);
        } else if count < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(READ_FIRST);
        }
        Poll::Ready(Ok(count))
    }
}

// === impl Sending ===

impl Future for Sending {
    type Output = Sent;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
        let this = self.get_mut();
        let head = match ready!(this.poll_head(cx)) {
            Ok(head) => head,
            Err(cause) => return Poll::Ready(Err(this.fail(cause))),
        };
        let answer = Answer::new(this.connection.take(), head.framing, head.keep);
        Poll::Ready(Ok(head.response.map(|()| answer)))
    }
}

impl Sending {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Cause>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(Cause::Closed("asked after its end")));
        };
        // An answer may come before all of the request is sent.
        if let Poll::Ready(Err(error)) = connection.poll_upload(cx) {
            return Poll::Ready(Err(Cause::Body(error)));
        }
        loop {
            match ready!(connection.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(Cause::Closed("before the answer's head ended"))),
                Ok(_) => self.heard = true,
                Err(error) => return Poll::Ready(Err(Cause::Io(error))),
            }
            while let Some(head) = head::take(&mut connection.inbox, &self.method)? {
                let status = head.response.status();
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                self.interim.take(head.response).map_err(Cause::Refused)?;
            }
        }
    }

    /// Closes the connection, and says whether the request may be sent over another one.
    fn fail(&mut self, cause: Cause) -> Failed {
        let connection = self.connection.take();
        let unsent = connection.as_ref().is_some_and(|own| own.outbox.is_untouched());
        let used = connection.is_some_and(|own| own.used);
        // A pooled connection may close at the moment it is used (RFC 9112 section 9.3.1).
        let closed = cause.reason() == Reason::UpstreamReset && !self.heard;
        let may = closed && !self.has_body && (unsent || used && is_idempotent(&self.method));
        let again = self.request.take().filter(|_| may);
        Failed { cause, again, unsent }
    }
}

/// RFC 9110 section 9.2.2.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

// === impl Cause ===

impl attempt::Cause for Cause {
    fn reason(&self) -> Reason {
        match self {
            Self::Io(error) if tls::proxy_status(error).is_some() => Reason::UpstreamTls,
            Self::Io(_) | Self::Closed(_) => Reason::UpstreamReset,
            Self::Malformed(_) | Self::Chunk(_) => Reason::BadResponse,
            Self::TooLarge => Reason::ResponseTooLarge,
            Self::Refused(error) => error.reason(),
            Self::Body(_) => Reason::BadBody,
        }
    }

    fn refusal(self) -> Result<Error, Self> {
        if let Self::Refused(error) = self { Ok(error) } else { Err(self) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed(when) => write!(f, "the connection was closed {when}"),
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            Self::Chunk(what) => write!(f, "malformed chunks: {what}"),
            Self::TooLarge => f.write_str("the head is too large"),
            Self::Refused(error) => f.write_str(error.detail()),
            Self::Body(error) => write!(f, "the request body ended: {error}"),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Body(error) => Some(&**error),
            _ => None,
        }
    }
}
