//! One request over an HTTP/2 connection of its own. No task: the same future drives the connection,
//! so that nothing is left of a check that is given up.

use std::{future::poll_fn, pin::pin};

use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::{HeaderMap, Request, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout, timeout_at},
};

use super::probe::{Bad, FAREWELL};

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: BytesMut,
    pub(super) trailers: HeaderMap,
}

/// How much of an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Its head.
    Head,
    /// All of it, up to this size.
    Whole(usize),
}

/// Largest head taken, as of requests.
const HEAD_LIMIT: u32 = 64 * 1024;

/// Sends a request and reads the answer before `due`. Then says goodbye, which may take a moment more.
pub(super) async fn ask<S>(
    io: S,
    (request, body): (Request<()>, Option<Bytes>),
    read: Read,
    due: Instant,
) -> Result<Answer, Bad>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(HEAD_LIMIT);
    let (sender, connection) = builder.handshake(io).await.map_err(|error| broken(&error))?;
    let mut connection = pin!(connection);
    let mut over = false;
    let answer = {
        let mut exchange = pin!(timeout_at(due, exchange(sender, request, body, read)));
        poll_fn(|cx| {
            // Its end, good or bad, ends the exchange as well.
            over = over || connection.as_mut().poll(cx).is_ready();
            exchange.as_mut().poll(cx)
        })
        .await
    };
    let Ok(answer) = answer else { return Err(Bad::silent()) };
    if !over {
        // Nobody holds a stream or a sender any more: this sends GOAWAY and closes.
        let _ = timeout(FAREWELL, connection).await;
    }
    answer
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
    read: Read,
) -> Result<Answer, Bad> {
    let failed = |error: h2::Error| broken(&error);
    let mut sender = sender.ready().await.map_err(failed)?;
    let (response, mut stream) = sender.send_request(request, body.is_none()).map_err(failed)?;
    if let Some(body) = body {
        stream.send_data(body, true).map_err(failed)?;
    }
    let (head, mut incoming) = response.await.map_err(failed)?.into_parts();
    let mut answer = Answer {
        status: head.status,
        headers: head.headers,
        body: BytesMut::new(),
        trailers: HeaderMap::new(),
    };
    if let Read::Whole(most) = read {
        rest(&mut incoming, &mut answer, most).await?;
    }
    Ok(answer)
}

async fn rest(incoming: &mut RecvStream, answer: &mut Answer, most: usize) -> Result<(), Bad> {
    let failed = |error: h2::Error| broken(&error);
    // Far less than the first window of a stream: it need not be opened again.
    while let Some(piece) = incoming.data().await {
        answer.body.extend_from_slice(&piece.map_err(failed)?);
        if answer.body.len() > most {
            return Err(Bad::new("the answer is too long"));
        }
    }
    answer.trailers = incoming.trailers().await.map_err(failed)?.unwrap_or_default();
    Ok(())
}

fn broken(error: &h2::Error) -> Bad {
    Bad::new(format!("HTTP/2: {error}"))
}
