//! The two ends behind a proxy that nginx cannot be: the floor, and a backend for uploads and gRPC.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, combinators::WithTrailers};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
};

use crate::Failure;

/// What one read of the floor may take.
const PIECE: usize = 64 * 1024;

/// Requests answered, those to `/count` apart.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

type Answer = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

pub(crate) async fn splice(listen: SocketAddr, to: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut server = TcpStream::connect(to).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            copy_bidirectional_with_sizes(&mut client, &mut server, PIECE, PIECE).await
        });
    }
}

pub(crate) async fn backend(listen: SocketAddr, h2: bool) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let client = TokioIo::new(client);
        tokio::spawn(async move {
            if h2 {
                let mut builder = conn::http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(1024);
                builder.serve_connection(client, service_fn(answer)).await
            } else {
                conn::http1::Builder::new().serve_connection(client, service_fn(answer)).await
            }
        });
    }
}

/// A gRPC message comes back as it was, any other body as its length.
async fn answer(request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    if request.uri().path() == "/count" {
        return Ok(text(ANSWERED.load(Ordering::Relaxed).to_string()));
    }
    let (head, mut body) = request.into_parts();
    if head.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/grpc") {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        ANSWERED.fetch_add(1, Ordering::Relaxed);
        return Ok(text(length.to_string()));
    }
    let message = body.collect().await?.to_bytes();
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Full::new(message).with_trailers(ready(Some(Ok(trailers)))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn text(text: String) -> Response<Answer> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Full::from(text).with_trailers(ready(None)));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    response
}
