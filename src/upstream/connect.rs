//! Opening a connection to an endpoint: address, TCP or Unix socket, TLS, HTTP handshake, all
//! within one connect limit.

use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use rustix::io::Errno;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::OwnedSemaphorePermit,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    endpoint::{Endpoint, TlsClient},
    http1::{Connection, Io, Socket},
    http2::{Channel, Lease},
};
use crate::{
    config::model::Target,
    error::{Error, Reason},
};

/// A connection that was just opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// HTTP/1.1.
    H1(Box<Connection>),
    /// A place on an HTTP/2 connection, already shared through the pool.
    H2(Lease),
}

/// An open socket and what is spoken over it.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) io: Io,
    /// HTTP/2; HTTP/1.1 otherwise.
    pub(super) h2: bool,
}

/// What is wanted of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// HTTP/1.1 only, for an upgrade.
    H1,
    /// HTTP/2 by prior knowledge.
    H2,
    /// HTTP/1.1, or HTTP/2 if ALPN says so.
    Any,
}

/// Opens a connection within this time. Boxed: the future is large, and a request
/// that finds a pooled connection must not carry it about.
pub(crate) fn open(
    endpoint: &Arc<Endpoint>,
    want: Want,
    limit: Duration,
) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>> {
    Box::pin(open_in_time(endpoint, want, limit))
}

async fn open_in_time(
    endpoint: &Arc<Endpoint>,
    want: Want,
    limit: Duration,
) -> Result<Opened, Error> {
    let permit = endpoint.permit(limit).await?;
    match tokio::time::timeout(limit, greet(endpoint, want, permit, limit)).await {
        Ok(result) => result,
        Err(_) => Err(late(endpoint)),
    }
}

/// There was no connection in time.
pub(super) fn late(endpoint: &Endpoint) -> Error {
    Error::new(Reason::ConnectTimeout, format!("{} did not connect in time", endpoint.name))
}

async fn greet(
    endpoint: &Arc<Endpoint>,
    want: Want,
    permit: OwnedSemaphorePermit,
    limit: Duration,
) -> Result<Opened, Error> {
    match dial(endpoint, want, limit).await? {
        Dialled { io, h2: true } => handshake(endpoint, io, permit).await,
        Dialled { io, h2: false } => Ok(Opened::H1(Connection::new(io, permit))),
    }
}

/// Opens a socket, with TLS if there is to be any. Health checks, which are neither pooled nor counted
/// among the endpoint's connections, come in here. Whoever calls keeps the limit, which several
/// addresses share.
pub(super) async fn dial(
    endpoint: &Endpoint,
    want: Want,
    limit: Duration,
) -> Result<Dialled, Error> {
    match &endpoint.shape.target {
        Target::Unix(path) => {
            let stream =
                UnixStream::connect(path).await.map_err(|error| refused(endpoint, &error))?;
            secure(endpoint, want, stream).await
        }
        Target::Tcp { port, .. } => {
            let stream = connect_tcp(endpoint, *port, limit).await?;
            secure(endpoint, want, stream).await
        }
    }
}

async fn connect_tcp(endpoint: &Endpoint, port: u16, limit: Duration) -> Result<TcpStream, Error> {
    let Some(resolved) = &endpoint.resolved else {
        return Err(Error::new(Reason::Internal, "an endpoint without an address"));
    };
    resolved.ready().await;
    let addresses = resolved.addresses();
    if addresses.is_empty() {
        let reason = resolved.error().unwrap_or(Reason::DnsError);
        return Err(Error::new(reason, format!("no address for {}", endpoint.name)));
    }
    // Each connection begins with another address, so that all of them share the load.
    let start = usize::try_from(super::forward::random() % addresses.len() as u64).unwrap_or(0);
    let mut last = None;
    for step in 0..addresses.len() {
        let address = addresses[(start + step) % addresses.len()];
        // A silent address must leave time for the others.
        let left = u32::try_from(addresses.len() - step).unwrap_or(u32::MAX);
        let share = limit / left;
        let connect = TcpStream::connect(SocketAddr::new(address, port));
        match tokio::time::timeout(share, connect).await {
            Ok(Ok(stream)) => {
                // It fails only on a socket that is gone, which the first write will tell.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotConnected.into());
    Err(refused(endpoint, &error))
}

fn refused(endpoint: &Endpoint, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::ConnectTimeout,
        // We have no descriptor left: not the fault of the upstream.
        _ if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) => {
            Reason::Overloaded
        }
        _ => Reason::ConnectRefused,
    };
    Error::new(reason, format!("{}: {error}", endpoint.name))
}

async fn secure<S: Socket>(endpoint: &Endpoint, want: Want, stream: S) -> Result<Dialled, Error> {
    let Some(tls) = &endpoint.tls else {
        return Ok(Dialled { io: stream.plain(), h2: want == Want::H2 });
    };
    let config = if want == Want::H1 { &tls.h1_config } else { &tls.config };
    let stream = encrypt(endpoint, tls, config, stream).await?;
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if want == Want::H2 && !h2 {
        return Err(Error::new(
            Reason::UpstreamTls,
            format!("{} does not speak HTTP/2", endpoint.name),
        ));
    }
    Ok(Dialled { io: S::secured(stream), h2 })
}

async fn encrypt<S>(
    endpoint: &Endpoint,
    tls: &TlsClient,
    config: &Arc<ClientConfig>,
    stream: S,
) -> Result<TlsStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsConnector::from(Arc::clone(config))
        .connect(tls.server_name.clone(), stream)
        .await
        .map_err(|error| Error::new(Reason::UpstreamTls, format!("{}: {error}", endpoint.name)))
}

async fn handshake(
    endpoint: &Arc<Endpoint>,
    io: Io,
    permit: OwnedSemaphorePermit,
) -> Result<Opened, Error> {
    let failed = |error: &dyn fmt::Display| {
        Error::new(Reason::UpstreamReset, format!("{}: {error}", endpoint.name))
    };
    let channel = Channel::open(io, permit).await.map_err(|error| failed(&error))?;
    let lease = channel.lease().ok_or_else(|| failed(&"closed at once"))?;
    endpoint.pool.put_h2(channel);
    Ok(Opened::H2(lease))
}
