//! Switching protocols: WebSocket and other upgrades, over HTTP/1.1 (RFC 9110 section 7.8) and as an
//! extended CONNECT over HTTP/2 (RFC 8441). Towards the upstream it is always HTTP/1.1. Nothing is
//! tunnelled before the upstream has answered 101 to a request that asked.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use base64::Engine;
use bytes::{Buf, BytesMut};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE, UPGRADE},
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    attempt::explain,
    endpoint::InFlight,
    http1::{Answer, Connection, Io},
    incoming, outgoing,
    response_body::{Held, Source, UpstreamBody},
    switch::Offer,
};
use crate::{
    body::Body,
    error::{Error, Reason},
    layers::{Request, Response, expect, observe::Tunnel},
    server::client::{Upgrade, now_nanos},
    telemetry::exchange::Exchange,
};

/// An upgrade the client asked for and the route allows.
#[derive(Debug)]
pub(crate) struct Wanted {
    protocol: HeaderValue,
    client: OnUpgrade,
    /// It came as an extended CONNECT over HTTP/2.
    h2: bool,
}

/// The connection a tunnel is opened on.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) connection: Box<Connection>,
    /// Limit on the response head.
    pub(crate) limit: Option<Duration>,
    pub(crate) held: Held,
}

/// Whether this request asks for another protocol, and may.
pub(crate) fn wanted(
    request: &mut Request,
    exchange: &Exchange,
    allowed: &[String],
) -> Result<Option<Wanted>, Error> {
    let extended = request.extensions_mut().remove::<Protocol>();
    let protocol = match (&extended, &exchange.hop.upgrade) {
        (Some(protocol), _) => HeaderValue::from_str(protocol.as_str()).ok(),
        (None, Some(protocol)) => Some(protocol.clone()),
        (None, None) => return Ok(None),
    };
    let Some(client) = request.extensions_mut().remove::<OnUpgrade>() else { return Ok(None) };
    if extended.is_none() && !request.body().is_empty() {
        // The upstream would take the beginning of the tunnel for the body. An offer may be ignored.
        return Ok(None);
    }
    let name = protocol.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let permitted = permits(name, extended.is_some(), allowed)?;
    let protocol = protocol.filter(|_| permitted);
    Ok(protocol.map(|protocol| Wanted { protocol, client, h2: extended.is_some() }))
}

/// Whether a route with these protocols goes over to this one. `false`: the offer is ignored, as a
/// server may do with one such as h2c, and answer in HTTP/1.1 (RFC 9110 section 7.8).
pub(crate) fn permits(name: &str, insists: bool, allowed: &[String]) -> Result<bool, Error> {
    if allowed.iter().any(|allowed| name.eq_ignore_ascii_case(allowed)) {
        return Ok(true);
    }
    if insists || name.eq_ignore_ascii_case("websocket") {
        let text = format!("this route does not allow an upgrade to {name}");
        return Err(Error::new(Reason::UpgradeRefused, text.clone()).public(text));
    }
    Ok(false)
}

/// Asks the upstream, and joins both sides when it agrees.
pub(crate) async fn open(
    line: Line,
    request: Request,
    wanted: Wanted,
    exchange: &Arc<Exchange>,
    idle: Option<Duration>,
) -> Result<Response, Error> {
    let Line { connection, limit, held } = line;
    let endpoint = Arc::clone(&held.in_flight.0);
    let (mut request, offer) = asking(request, &wanted, &held.in_flight, exchange);
    let interim = expect::prepare(&mut request, exchange);
    let answer = connection.send(Box::new(request), interim, |_| ());
    let sent = match limit {
        None => answer.await,
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| Error::new(Reason::UpstreamTimeout, "no answer to the upgrade"))?,
    };
    let mut response = sent.map_err(|failed| explain(failed, &endpoint, exchange).error)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return declined(response, &wanted, held, exchange);
    }
    offer.check(response.headers())?;
    // Nothing is left of this hop, but for what says that it switches.
    incoming::accept(&mut response, wanted.h2.then_some(&SEC_WEBSOCKET_ACCEPT))?;
    let (head, answer) = response.into_parts();
    let connection = answer.into_connection();
    let (io, unread) = connection
        .ok_or_else(|| Error::new(Reason::Internal, "a switch without a connection"))?
        .into_parts();
    let upstream = Upstream { io, unread };
    exchange.connection.state.tunnel.store(!wanted.h2, Ordering::Relaxed);
    exchange.decide_upgrade(Upgrade::Accepted);
    let h2 = wanted.h2;
    // The record of the request stays open as long as the tunnel.
    let record = Arc::new(Tunnel::default());
    let joined = Joined { held, exchange: Arc::clone(exchange), record: Arc::clone(&record), idle };
    tokio::spawn(joined.run(wanted.client, upstream));
    let mut response = accepted(head, h2, &offer);
    response.extensions_mut().insert(record);
    Ok(response)
}

/// The request as it asks the upstream to switch, and what it offers.
fn asking(
    mut request: Request,
    wanted: &Wanted,
    line: &InFlight,
    exchange: &Exchange,
) -> (Request, Offer) {
    outgoing::for_h1(&mut request, &line.0, line.host(), &exchange.hop);
    if wanted.h2 {
        *request.method_mut() = Method::GET;
    }
    *request.body_mut() = Body::empty();
    let headers = request.headers_mut();
    headers.remove(CONTENT_LENGTH);
    // `Connection` names one thing only here.
    headers.remove(TE);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, wanted.protocol.clone());
    if wanted.h2 {
        let key: [u8; 16] = rand::random();
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        if let Ok(key) = HeaderValue::from_str(&key) {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }
    let offer = Offer::new(wanted.protocol.clone(), headers);
    (request, offer)
}

/// The upstream answered something else: an ordinary answer.
fn declined(
    mut response: http::Response<Answer>,
    wanted: &Wanted,
    held: Held,
    exchange: &Arc<Exchange>,
) -> Result<Response, Error> {
    if wanted.h2 && response.status().is_success() {
        // A 2xx to an extended CONNECT would open the tunnel.
        return Err(Error::new(Reason::BadResponse, "the upstream did not switch protocols"));
    }
    // Two that do not agree on the protocol should not go on talking.
    response.body_mut().close_after();
    let body = |answer| UpstreamBody::new(Source::H1(answer), held, Arc::clone(exchange), None);
    Ok(response.map(|answer| Body::upstream(body(answer))))
}

fn accepted(mut head: http::response::Parts, h2: bool, offer: &Offer) -> Response {
    if h2 {
        head.status = StatusCode::OK;
        head.version = http::Version::HTTP_2;
    } else {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, offer.protocol().clone());
    }
    http::Response::from_parts(head, Body::empty())
}

/// What lives as long as a tunnel.
struct Joined {
    held: Held,
    exchange: Arc<Exchange>,
    record: Arc<Tunnel>,
    idle: Option<Duration>,
}

impl Joined {
    /// Copies both ways until both sides have ended.
    async fn run(self, client: OnUpgrade, upstream: Upstream) {
        let Self { held, exchange, record, idle } = self;
        let client = match client.await {
            Ok(client) => client,
            Err(error) => {
                tracing::debug!(request_id = exchange.id.as_str(), error = %error, "upgrade failed");
                return;
            }
        };
        let active = Arc::new(AtomicU64::new(now_nanos()));
        let client = TokioIo::new(client);
        let mut client = Watched { io: client, active: Arc::clone(&active), into: Some(record) };
        let mut upstream = Watched { io: upstream, active: Arc::clone(&active), into: None };
        let copy = tokio::io::copy_bidirectional(&mut client, &mut upstream);
        let result = tokio::select! {
            result = copy => result,
            () = until_idle(&active, idle) => Err(io::ErrorKind::TimedOut.into()),
        };
        drop(held);
        match result {
            Ok((up, down)) => {
                tracing::debug!(request_id = exchange.id.as_str(), up, down, "tunnel ended")
            }
            Err(error) => {
                tracing::debug!(request_id = exchange.id.as_str(), error = %error, "tunnel broke");
            }
        }
    }
}

/// Waits until nothing has passed for `limit`; for ever without one.
async fn until_idle(active: &AtomicU64, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let quiet = now_nanos().saturating_sub(active.load(Ordering::Relaxed));
        match limit.checked_sub(Duration::from_nanos(quiet)) {
            None | Some(Duration::ZERO) => return,
            Some(left) => tokio::time::sleep(left).await,
        }
    }
}

/// The upstream's side: its socket, after what was read from it already.
struct Upstream {
    io: Io,
    unread: BytesMut,
}

impl AsyncRead for Upstream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let count = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// One side of a tunnel, remembering when bytes last came.
struct Watched<S> {
    io: S,
    active: Arc<AtomicU64>,
    /// The client's side: bytes written to it are counted here.
    into: Option<Arc<Tunnel>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.active.store(now_nanos(), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        if let Some(record) = &self.into {
            record.sent(written as u64);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
