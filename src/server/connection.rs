//! One client connection: which HTTP version it speaks, hyper's state machine for it, and the orders
//! it may get from outside (drain, park, kill).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use hyper::{body::Incoming, server::conn, service::Service};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    client::{Connection, Order},
    http1::{self, Http1},
    listener::Listener,
    registry::Registration,
    scan::{Limits, Scanner},
    streams::{self, Entry, Tasks, Waiting},
    wire::Wire,
};
use crate::{
    body::Body, config::model::ListenerLimits, gateway::Gateway, layers::shared::BoxFuture,
};

/// The first bytes of HTTP/2 by prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What hyper may buffer of a head beyond the limit the wire holds it to.
const BUFFER_SLACK: usize = 8 * 1024;

/// HTTP version of a connection, as far as it is known when it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.
    H1,
    /// HTTP/2.
    H2,
    /// One of both: the first bytes tell.
    Sniff,
}

/// What serves the requests of one connection.
#[derive(Clone, Debug)]
struct Requests {
    gateway: Arc<Gateway>,
    listener: Arc<Listener>,
    connection: Arc<Connection>,
    /// Over HTTP/2, how many answers may wait for the client before its next requests wait too.
    crowd: u32,
    /// Most fields of a head.
    fields: usize,
}

/// Serves a connection until it ends, in a task of its own. What the task is made of is what an idle
/// connection costs: the large parts are boxed and made when they are needed.
pub(crate) fn spawn<S>(
    io: S,
    version: Version,
    gateway: Arc<Gateway>,
    listener: Arc<Listener>,
    connection: Arc<Connection>,
    registration: Registration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = listener.settings().limits;
    let wire = Box::new(Wire::new(io, Arc::clone(&connection), registration));
    let fields = limits.header_count;
    let requests = Requests { gateway, listener, connection, crowd: u32::MAX, fields };
    tokio::spawn(serve(wire, version, requests, limits));
}

async fn serve<S>(
    mut wire: Box<Wire<S>>,
    mut version: Version,
    requests: Requests,
    limits: ListenerLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::clone(&requests.connection);
    if version == Version::Sniff {
        let Some(found) = sniff(&mut wire, &connection).await else { return };
        version = found;
    }
    let result = if version == Version::H2 {
        Box::pin(serve_h2(wire, requests, limits)).await
    } else {
        serve_h1(wire, requests, limits).await
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, peer = ?connection.peer, "connection ended");
    }
}

fn scan_limits(limits: ListenerLimits) -> Limits {
    Limits {
        header_size: limits.header_size,
        header_count: limits.header_count,
        uri_length: limits.uri_length,
    }
}

/// Reads until the first bytes are, or cannot be, the preface of HTTP/2.
async fn sniff<S>(wire: &mut Wire<S>, connection: &Connection) -> Option<Version>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let seen = wire.pending();
        if seen.starts_with(PREFACE) {
            return Some(Version::H2);
        }
        if !PREFACE.starts_with(seen) {
            return Some(Version::H1);
        }
        let more = poll_fn(|cx| {
            connection.state.waker.register(cx.waker());
            if connection.state.ordered(Order::Kill) {
                return Poll::Ready(Ok(0));
            }
            let more = wire.poll_more(cx);
            let drained = connection.state.ordered(Order::Drain) && !connection.state.is_fresh();
            if more.is_pending() && drained {
                return Poll::Ready(Ok(0));
            }
            more
        });
        if more.await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

// === HTTP/1 ===

/// How a turn with hyper ended.
enum Turn {
    Closed(hyper::Result<()>),
    Parked,
}

type H1<S> = Box<conn::http1::UpgradeableConnection<TokioIo<Box<Wire<S>>>, Requests>>;

async fn serve_h1<S>(
    mut wire: Box<Wire<S>>,
    mut requests: Requests,
    limits: ListenerLimits,
) -> Result<(), BoxedError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let scan = scan_limits(limits);
    loop {
        wire.take_heads(scan);
        let mut own = requests.http1();
        if poll_fn(|cx| own.poll(&mut wire, cx)).await? == http1::Next::Closed {
            return Ok(());
        }
        drop(own);
        wire.scan(Scanner::new(scan));
        while !wire.is_between() || !wire.pending().is_empty() {
            let turn = Box::pin(hyper_turn(wire, requests, limits));
            let Some(again) = turn.await? else { return Ok(()) };
            (wire, requests) = again;
        }
    }
}

/// Lets hyper serve until the connection has ended, or is quiet and comes back.
async fn hyper_turn<S>(
    wire: Box<Wire<S>>,
    requests: Requests,
    limits: ListenerLimits,
) -> Result<Option<(Box<Wire<S>>, Requests)>, BoxedError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::clone(&requests.connection);
    connection.state.parked.store(false, Ordering::Relaxed);
    let http = hyper_builder(limits).serve_connection(TokioIo::new(wire), requests);
    let mut http = Box::new(http.with_upgrades());
    let mut draining = false;
    match poll_fn(|cx| poll_turn(&connection, &mut http, &mut draining, cx)).await {
        Turn::Closed(result) => return result.map(|()| None).map_err(Into::into),
        Turn::Parked => {}
    }
    let Some(parts) = http.into_parts() else { return Ok(None) };
    let mut wire = parts.io.into_inner();
    wire.unread(&parts.read_buf);
    Ok(Some((wire, parts.service)))
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

fn hyper_builder(limits: ListenerLimits) -> conn::http1::Builder {
    let mut builder = conn::http1::Builder::new();
    builder
        .half_close(false)
        // Not `pipeline_flush`: with it hyper buffers answers without a limit.
        .max_buf_size((limits.header_size + BUFFER_SLACK).max(64 * 1024));
    if limits.header_count > 100 {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn poll_turn<S>(
    connection: &Connection,
    http: &mut H1<S>,
    draining: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Turn>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let state = &connection.state;
    state.waker.register(cx.waker());
    if state.has_orders() {
        if state.ordered(Order::Kill) {
            return Poll::Ready(Turn::Closed(Ok(())));
        }
        if state.ordered(Order::Drain) && !*draining {
            *draining = true;
            // hyper would close a connection it has not read from yet, request or not.
            if let Poll::Ready(result) = Pin::new(&mut **http).poll(cx) {
                return Poll::Ready(Turn::Closed(result));
            }
            Pin::new(&mut **http).graceful_shutdown();
        }
        if state.ordered(Order::Park) {
            state.done(Order::Park);
            let closing = state.closing.load(Ordering::Relaxed);
            if state.in_flight() == 0 && !*draining && !closing {
                return Poll::Ready(Turn::Parked);
            }
        }
    }
    Pin::new(&mut **http).poll(cx).map(Turn::Closed)
}

// === HTTP/2 ===

async fn serve_h2<S>(
    mut wire: Box<Wire<S>>,
    mut requests: Requests,
    limits: ListenerLimits,
) -> Result<(), BoxedError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    wire.count_frames();
    requests.crowd = limits.h2_streams.div_ceil(4);
    let connection = Arc::clone(&requests.connection);
    let tasks = Tasks::new(Arc::clone(&connection), requests.listener.settings().timeouts.write);
    let header_list = u32::try_from(limits.header_size).unwrap_or(u32::MAX);
    let mut http = Box::pin(
        conn::http2::Builder::new(tasks)
            .max_concurrent_streams(limits.h2_streams)
            .max_header_list_size(header_list)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_send_buf_size(64 * 1024)
            .enable_connect_protocol()
            .serve_connection(TokioIo::new(wire), requests),
    );
    let mut draining = false;
    poll_fn(|cx| {
        let state = &connection.state;
        state.waker.register(cx.waker());
        if state.has_orders() {
            if state.ordered(Order::Kill) {
                return Poll::Ready(Ok(()));
            }
            state.done(Order::Park);
            state.parked.store(true, Ordering::Relaxed);
            if state.ordered(Order::Drain) && !draining {
                draining = true;
                http.as_mut().graceful_shutdown();
            }
        }
        Poll::Ready(ready!(http.as_mut().poll(cx)))
    })
    .await
    .map_err(Into::into)
}

// === impl Requests ===

impl Requests {
    fn http1(&self) -> Http1 {
        let Self { gateway, listener, connection, .. } = self;
        Http1::new(Arc::clone(gateway), Arc::clone(listener), Arc::clone(connection))
    }

    /// Nothing of the request is looked at before some of the answers have moved.
    fn wait(&self, request: http::Request<Incoming>) -> BoxFuture<Infallible> {
        let bytes = streams::head_bytes(&request);
        let Some(waiting) = Waiting::new(&self.connection, bytes) else {
            return Box::pin(std::future::pending());
        };
        let Self { gateway, listener, connection, crowd, .. } = self.clone();
        Box::pin(async move {
            waiting.admit(crowd).await;
            gateway.handle(&connection, &listener, request.map(Body::incoming)).await
        })
    }
}

impl Service<http::Request<Incoming>> for Requests {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Infallible>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        match self.connection.state.streams.entry(self.crowd) {
            // What the gate refuses for its size must not be kept until then.
            Entry::Wait if request.headers().len() <= self.fields => return self.wait(request),
            Entry::Now | Entry::Wait => {}
            Entry::Never => return Box::pin(std::future::pending()),
        }
        self.gateway.handle(&self.connection, &self.listener, request.map(Body::incoming))
    }
}
