//! One request without a body over a socket of its own, and the head of its answer: what a health check
//! needs. Answers are read and bounded like those to requests, so that what cannot be forwarded is not
//! called healthy.

use std::pin::Pin;

use bytes::BytesMut;
use http::{Method, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Cause, Io, head};

/// Most interim answers.
const MOST: usize = 16;

/// Sends the text of a `GET` and waits for a final head; what came after it stays unread.
pub(crate) async fn ask(io: &mut Io, request: &[u8]) -> Result<Response<()>, Cause> {
    let mut io = Pin::new(io);
    io.write_all(request).await.map_err(Cause::Io)?;
    io.flush().await.map_err(Cause::Io)?;
    let mut inbox = BytesMut::with_capacity(1024);
    let mut interim = 0;
    loop {
        if io.read_buf(&mut inbox).await.map_err(Cause::Io)? == 0 {
            return Err(Cause::Closed("before the answer's head ended"));
        }
        while let Some(head) = head::take(&mut inbox, &Method::GET)? {
            let status = head.response.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(head.response);
            }
            interim += 1;
            if interim > MOST {
                return Err(Cause::TooLarge);
            }
        }
    }
}
