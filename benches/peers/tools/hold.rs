//! Thousands of connections that have had one request and then say nothing; and a single gRPC call.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsConnector;

use crate::{
    Failure,
    wire::{self, Socket},
};

/// Connections opened at the same time.
const AT_ONCE: usize = 32;

/// A limit on connections for each client must not be what is measured, so they come from several.
const ADDRESSES: usize = 8;

#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    count: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    Plain,
    Tls,
    H2,
}

enum Held {
    H1(Socket),
    H2(SendRequest<Full<Bytes>>),
}

/// A gRPC message of 32 bytes, as `run` sends it.
const MESSAGE: &[u8] = b"\0\0\0\0\x20hello from benches/peers, 32 B\r\n";

pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let tls = match options.kind {
        Kind::Plain => None,
        Kind::Tls => Some(Arc::new(wire::tls(false, &["http/1.1"])?)),
        Kind::H2 => Some(Arc::new(wire::tls(false, &["h2"])?)),
    };
    let opened: Vec<_> = stream::iter(0..options.count)
        .map(|number| open(options.to, number, options.kind, tls.as_deref()))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut held = Vec::with_capacity(opened.len());
    for one in opened {
        held.push(one?);
    }
    println!("holding {}", held.len());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    let open = held.iter_mut().filter_map(|one| one.is_open().then_some(())).count();
    println!("open {open}");
    Ok(())
}

async fn open(
    to: SocketAddr,
    number: usize,
    kind: Kind,
    tls: Option<&TlsConnector>,
) -> Result<Held, Failure> {
    let from = SocketAddr::from((Ipv4Addr::from(0x7f00_0001 + (number % ADDRESSES) as u32), 0));
    let mut socket = Socket::connect(to, Some(from), tls).await?;
    if kind != Kind::H2 {
        let request = format!("GET /small HTTP/1.1\r\nHost: {to}\r\n\r\n");
        let mut buffer = Vec::new();
        let answer = socket.exchange(request.as_bytes(), &mut buffer).await?;
        return match answer.status {
            200 if answer.kept => Ok(Held::H1(socket)),
            status => Err(format!("answered {status}, kept: {}", answer.kept).into()),
        };
    }
    let mut sender = h2(socket).await?;
    let request = Request::get(format!("https://{to}/small")).body(Full::default())?;
    let answer = sender.send_request(request).await?;
    if answer.status() != 200 {
        return Err(format!("answered {}", answer.status()).into());
    }
    answer.into_body().collect().await?;
    Ok(Held::H2(sender))
}

async fn h2(socket: Socket) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let (sender, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) async fn unary(to: SocketAddr) -> Result<(), Failure> {
    let socket = Socket::connect(to, None, Some(&wire::tls(false, &["h2"])?)).await?;
    let request = Request::post(format!("https://{to}/bench.Echo/Unary"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(MESSAGE))?;
    let answer = h2(socket).await?.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?;
    let code = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    let message = body.to_bytes();
    if status != 200 || message != MESSAGE || code.as_ref().is_none_or(|code| code != "0") {
        return Err(format!("status {status}, grpc-status {code:?}, message {message:?}").into());
    }
    Ok(())
}

impl Held {
    fn is_open(&mut self) -> bool {
        match self {
            Self::H1(socket) => socket.is_open(),
            Self::H2(sender) => !sender.is_closed(),
        }
    }
}
