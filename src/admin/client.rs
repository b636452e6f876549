//! The other end of the admin socket: how the verbs of the command line talk to the gateway.

use std::{io, path::Path};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// More than this is no answer of ours.
const MAX_ANSWER: usize = 64 << 20;

/// Sends one request and returns the answer.
///
/// # Errors
/// Nobody answers at `socket`, or it is not a gateway.
pub async fn call(socket: &Path, method: Method, target: &str) -> io::Result<(StatusCode, Value)> {
    send(socket, method, target, Bytes::new()).await
}

/// The same with a body.
///
/// # Errors
/// Nobody answers at `socket`, or it is not a gateway.
pub async fn send(
    socket: &Path,
    method: Method,
    target: &str,
    body: Bytes,
) -> io::Result<(StatusCode, Value)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "tidegate")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&body).map_err(io::Error::other)?))
}
