//! HTTP/2 to an upstream, by the crate `h2` itself. A request is sent and waited for by its own future: no
//! channel and no task stand between it and the connection, which one task drives for all its streams.
//! Only a request body that outlives the head of its answer gets a task, as neither direction may wait
//! for the other.
//!
//! `connect` opens it, `pool` shares it, `forward` sends over it, `response_body` reads the rest. Why not
//! hyper's client: docs/decisions.md.

mod answer;
mod sending;
mod upload;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
};

pub(crate) use self::answer::Answer;
use super::attempt;
use crate::{
    body::BoxError,
    error::{Error, Reason},
};

/// A connection, shared by its streams. It closes when nobody holds it any more.
#[derive(Clone, Debug)]
pub(crate) struct Channel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Sends nothing itself: h2 ties a sender to the stream that waits to be opened, so every request
    /// has its own.
    sender: SendRequest<Bytes>,
    streams: AtomicUsize,
    closed: AtomicBool,
}

/// The right to send one request.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: SendRequest<Bytes>,
    place: Place,
}

/// Counts a stream until it is dropped.
#[derive(Debug)]
struct Place(Arc<Shared>);

/// Why a request, or its answer, ended before its end.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The stream or its connection.
    Stream(h2::Error),
    /// Another interim answer than may be given.
    Refused(Error),
    /// The request body ended with an error.
    Body(BoxError),
}

/// Largest head an upstream may answer with.
const HEAD_LIMIT: u32 = 64 * 1024;
/// What may come, unread, on one stream and on all together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What one stream may have waiting to be written.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that may be opened before the peer has said how many it takes.
const FIRST_STREAMS: usize = 100;

// === impl Channel ===

impl Channel {
    /// Greets the peer; a task drives the connection from here on, and drops `permit` when it has ended.
    pub(crate) async fn open<S>(io: S, permit: OwnedSemaphorePermit) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(FIRST_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_LIMIT)
            .max_send_buffer_size(SEND_BUFFER);
        let (sender, connection) = builder.handshake(io).await?;
        let (streams, closed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { sender, streams, closed });
        // Who drives it must not keep it open.
        let watched = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let result = connection.await;
            if let Some(shared) = watched.upgrade() {
                shared.closed.store(true, Ordering::Relaxed);
            }
            // It counts as open until here.
            drop(permit);
            if let Err(error) = result {
                tracing::debug!(error = %error, "upstream connection ended");
            }
        });
        Ok(Self(shared))
    }

    /// Whether it is known to be over. A connection the upstream is about to close may not know yet.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// Streams on it.
    pub(crate) fn load(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// A place on it; `None` if it takes no more requests.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let mut sender = self.0.sender.clone();
        if check(&mut sender).is_err() {
            self.0.closed.store(true, Ordering::Relaxed);
            return None;
        }
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        Some(Lease { sender, place: Place(Arc::clone(&self.0)) })
    }
}

/// Why no request may be sent, if so. A sender that has sent none never has to wait.
fn check(sender: &mut SendRequest<Bytes>) -> Result<(), h2::Error> {
    match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}

// === impl Place ===

impl Place {
    /// Whether the peer may take no more streams than there are.
    fn is_last(&self, sender: &SendRequest<Bytes>) -> bool {
        self.0.streams.load(Ordering::Relaxed) >= sender.current_max_send_streams()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Cause ===

impl attempt::Cause for Cause {
    fn reason(&self) -> Reason {
        match self {
            // h2 has found something that may not be.
            Self::Stream(error) if error.is_library() => Reason::BadResponse,
            Self::Stream(_) => Reason::UpstreamReset,
            Self::Refused(error) => error.reason(),
            Self::Body(_) => Reason::BadBody,
        }
    }

    fn refusal(self) -> Result<Error, Self> {
        if let Self::Refused(error) = self { Ok(error) } else { Err(self) }
    }
}

impl Cause {
    /// Whether the upstream says that it has not acted on the request (RFC 9113 section 8.7).
    fn is_unprocessed(&self) -> bool {
        let Self::Stream(error) = self else { return false };
        // A stream that GOAWAY counts as processed does not end with this error.
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "{error}"),
            Self::Refused(error) => f.write_str(error.detail()),
            Self::Body(error) => write!(f, "the request body ended: {error}"),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stream(error) => Some(error),
            Self::Refused(_) => None,
            Self::Body(error) => Some(&**error),
        }
    }
}
