//! The body of an answer on its way from the socket.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::{Cause, Connection, framing::Framing};

/// What follows the head of an answer, and the connection it comes on.
#[derive(Debug)]
pub(crate) struct Answer {
    connection: Option<Box<Connection>>,
    framing: Framing,
    keep: bool,
}

/// Buffers larger than this are not kept by a connection that waits for its next request.
const KEEP: usize = 16 * 1024;

// === impl Answer ===

impl Answer {
    pub(super) const fn new(
        connection: Option<Box<Connection>>,
        framing: Framing,
        keep: bool,
    ) -> Self {
        Self { connection, framing, keep }
    }

    /// Whether all of it was read.
    pub(crate) const fn is_end(&self) -> bool {
        self.framing.is_end()
    }

    /// This is the last answer on its connection.
    pub(crate) const fn close_after(&mut self) {
        self.keep = false;
    }

    /// What is left of it, if that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.framing.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// The connection, if this was read to its end and another request may follow.
    pub(crate) fn finish(&mut self) -> Option<Box<Connection>> {
        let mut connection = self.connection.take()?;
        // Bytes after an answer belong to nobody.
        let clean = connection.inbox.is_empty() && connection.is_sent();
        if !(self.keep && self.is_end() && clean) {
            return None;
        }
        connection.used = true;
        if connection.inbox.capacity() > KEEP {
            connection.inbox = BytesMut::new();
        }
        Some(connection)
    }

    /// The connection as it is, after a switch of protocols.
    pub(crate) fn into_connection(self) -> Option<Box<Connection>> {
        self.connection
    }

    /// The next piece of the body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        // The request may still be on its way.
        if !connection.is_sent()
            && let Poll::Ready(Err(error)) = connection.poll_upload(cx)
        {
            return Poll::Ready(Some(Err(Cause::Body(error))));
        }
        loop {
            if let Some(frame) = self.framing.take(&mut connection.inbox).transpose() {
                return Poll::Ready(Some(frame));
            }
            if self.framing.is_end() {
                return Poll::Ready(None);
            }
            match ready!(connection.poll_read(cx)) {
                Ok(0) if self.framing == Framing::UntilClose => {
                    self.framing = Framing::Ended;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(Cause::Closed("inside an answer")))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Cause::Io(error)))),
            }
        }
    }
}
