//! Accepting connections: one loop per socket and worker. It survives every error (a full
//! descriptor table must neither spin nor kill), and on closing it takes what still waits in the
//! backlog, so that nobody who was let in by the kernel is reset.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::HandshakeKind;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener, UnixStream},
    time::Instant,
};

use super::{
    client::{Connection, Order, TlsSession},
    connection::{self, Version},
    listener::{Listener, Place},
    overload::Overload,
    peer::Peer,
    registry::Registry,
    tls::{Live, TlsTerminator},
};
use crate::{
    config::model::Protocols,
    gateway::Gateway,
    telemetry::metrics::{Cut, Handshake, Protocol},
};

/// What every connection of an accept loop shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) overload: Arc<Overload>,
}

/// Pause after an accept error that will not go away by itself at once (EMFILE, ENFILE, ENOBUFS).
const PAUSE: Duration = Duration::from_millis(50);
/// An accept error that lasts is logged again after this long.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// Bytes not sent yet that the kernel takes of a connection. Left alone it takes megabytes, in memory
/// of its own that all connections of the machine share.
const UNSENT: u32 = 128 * 1024;
/// What a client was cut off for not taking, the kernel goes on offering; it stops after this.
const UNTIL_ABORTED: Duration = Duration::from_secs(2);
/// How long a client that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);
/// The answer of a listener that has all the connections it may have.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
content-length: 97\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
{\"type\":\"urn:tidegate:reason:overloaded\",\"title\":\"Overloaded\",\"status\":503,\
\"reason\":\"overloaded\"}";

/// Accepts on a TCP socket until the listener closes.
pub(crate) async fn tcp(socket: TcpListener, shared: Shared) {
    let mut said = None;
    let mut patience = Duration::ZERO;
    loop {
        let write = shared.listener.settings().timeouts.write;
        if patience != write {
            patience = write;
            hand_down(&socket, write);
        }
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = shared.listener.until_closed() => break,
        };
        match accepted {
            Ok((stream, peer)) => welcome(stream, Some(peer), &shared),
            Err(error) => survive(&error, &mut said, &shared).await,
        }
    }
    while let Some(Ok((stream, peer))) = now(socket.accept()).await {
        welcome(stream, Some(peer), &shared);
    }
}

/// Accepts on a Unix socket until the listener closes.
pub(crate) async fn unix(socket: UnixListener, shared: Shared) {
    let mut said = None;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = shared.listener.until_closed() => break,
        };
        match accepted {
            Ok((stream, _)) => welcome(stream, None, &shared),
            Err(error) => survive(&error, &mut said, &shared).await,
        }
    }
    while let Some(Ok((stream, _))) = now(socket.accept()).await {
        welcome::<UnixStream>(stream, None, &shared);
    }
}

/// The result of `future` if it is there already.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// What the sockets accepted here take over from this one (tcp(7)). Best effort: our own limits hold
/// without the kernel's.
fn hand_down(socket: &TcpListener, write: Duration) {
    let socket = SockRef::from(socket);
    let results = [
        // Small answers must not wait for acknowledgements.
        socket.set_tcp_nodelay(true),
        socket.set_tcp_notsent_lowat(UNSENT),
        // A little later than our own limit, which counts what it cuts.
        socket.set_tcp_user_timeout(Some(write + UNTIL_ABORTED)),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        tracing::debug!(error = %error, "a limit of the kernel cannot be set");
    }
}

/// `said`: when this was last logged.
async fn survive(error: &io::Error, said: &mut Option<Instant>, shared: &Shared) {
    shared.listener.metrics.accept_error();
    // The client went away between the handshake and us: nothing to wait for.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
        *said = Some(Instant::now());
        tracing::warn!(listener = %shared.listener.name, error = %error, "accept failed");
    }
    tokio::time::sleep(PAUSE).await;
}

/// From an accepted socket to a connection that is served, by way of its handshake if it has one.
fn welcome<S>(stream: S, peer: Option<SocketAddr>, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = &shared.listener;
    let placed = if shared.overload.refuses() {
        Err(Cut::Overload)
    } else {
        listener.place(peer.map(|peer| peer.ip()))
    };
    match placed {
        Ok(place) if listener.tls.is_some() => {
            tokio::spawn(handshake(stream, peer, place, shared.clone()));
        }
        Ok(place) => {
            let version = plain_version(listener.settings().protocols);
            serve(stream, version, None, (peer, place), shared);
        }
        Err(why) => {
            listener.metrics.cut(why);
            if listener.tls.is_none() {
                tokio::spawn(turn_away(stream, Arc::clone(listener)));
            }
        }
    }
}

async fn handshake<S>(stream: S, peer: Option<SocketAddr>, place: Place, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = &shared.listener;
    let Some(terminator) = &listener.tls else { return };
    let settings = listener.settings();
    let (timeout, protocols) = (settings.timeouts.handshake, settings.protocols);
    drop(settings);
    let turn = match listener.handshake(peer.map(|peer| peer.ip())) {
        Ok(turn) => turn,
        Err(why) => return listener.metrics.cut(why),
    };
    let live = terminator.live();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&live.config));
    // Boxed, like the stream that comes of it: they are large, and moved.
    let accepting = Box::pin(acceptor.accept(stream));
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(timeout, accepting) => accepted.map(|result| result.map(Box::new)),
        () = listener.until_closed() => return,
    };
    drop(turn);
    match accepted {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = match session.alpn_protocol() {
                Some(b"h2") => Version::H2,
                _ if !protocols.h1 => Version::H2,
                _ => Version::H1,
            };
            let Ok(shown) = certificate(session, &live, terminator) else {
                listener.metrics.handshake("", Handshake::Failed);
                tracing::debug!(listener = %listener.name, ?peer, "a resumed session counts no more");
                return;
            };
            let tls = describe(session, shown);
            listener.metrics.handshake(tls.version, Handshake::Ok);
            let connection = serve(stream, version, Some(tls), (peer, place), &shared);
            if !Arc::ptr_eq(&live, &terminator.live()) {
                // It was judged by rules that are gone, after everybody else was asked.
                connection.state.order(Order::Drain);
            }
        }
        Ok(Err(error)) => {
            listener.metrics.handshake("", Handshake::Failed);
            tracing::debug!(listener = %listener.name, ?peer, error = %error, "TLS handshake failed");
        }
        Err(_) => {
            listener.metrics.handshake("", Handshake::Timeout);
            listener.metrics.cut(Cut::HandshakeTimeout);
        }
    }
}

/// Tells a client that there is no place for it, if it listens: it may be gone, or one of a flood.
async fn turn_away<S>(mut stream: S, listener: Arc<Listener>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(_turn) = listener.farewell() else { return };
    let _ = tokio::time::timeout(FAREWELL, say_full(&mut stream)).await;
}

/// Answers, and reads what the client sends until it has read the answer: a reset would destroy it.
async fn say_full<S>(stream: &mut S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(FULL).await?;
    stream.shutdown().await?;
    let mut space = [0; 1024];
    while stream.read(&mut space).await? > 0 {}
    Ok(())
}

const fn plain_version(protocols: Protocols) -> Version {
    match (protocols.h1, protocols.h2c) {
        (true, true) => Version::Sniff,
        (false, true) => Version::H2,
        _ => Version::H1,
    }
}

/// The certificate the client has shown, if it has. Whoever resumes a session has shown it some time
/// ago, so it is judged anew.
fn certificate(
    session: &rustls::ServerConnection,
    live: &Live,
    terminator: &Arc<TlsTerminator>,
) -> Result<Option<Box<Peer>>, ()> {
    let (Some(trust), Some(chain)) = (&live.trust, session.peer_certificates()) else {
        return Ok(None);
    };
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    if resumed && !trust.vouches(chain, crate::tls::now()) {
        return Err(());
    }
    Peer::new(chain, trust, terminator).map(|peer| Some(Box::new(peer))).ok_or(())
}

fn describe(session: &rustls::ServerConnection, peer: Option<Box<Peer>>) -> TlsSession {
    TlsSession {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        },
        cipher: session.negotiated_cipher_suite().map_or_else(String::new, |suite| {
            suite.suite().as_str().unwrap_or("unknown").replace("TLS13_", "TLS_")
        }),
        sni: session.server_name().map(Into::into),
        peer,
    }
}

fn serve<S>(
    stream: S,
    version: Version,
    tls: Option<TlsSession>,
    (peer, mut place): (Option<SocketAddr>, Place),
    shared: &Shared,
) -> Arc<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Shared { gateway, registry, listener, .. } = shared;
    let connection = Arc::new(Connection::new(
        Arc::clone(&listener.name),
        listener.id,
        peer,
        listener.port,
        tls,
    ));
    place.is_now(if version == Version::H2 { Protocol::H2 } else { Protocol::H1 });
    let registration = registry.add(Arc::clone(&connection), Arc::clone(listener), place);
    if listener.is_closing() {
        // It came out of the backlog, after everybody was asked.
        connection.state.order(Order::Drain);
    }
    let (gateway, listener) = (Arc::clone(gateway), Arc::clone(listener));
    let same = Arc::clone(&connection);
    connection::spawn(stream, version, gateway, listener, connection, registration);
    same
}
