//! The admin listener. Its address may change live: the new one is bound before anything is swapped.

use std::{
    convert::Infallible,
    io,
    net::{Ipv6Addr, SocketAddr},
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
    time,
};

use super::{Control, probes};
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{self, Address, Located},
    },
    server::systemd::InheritedFds,
};

/// A request head must arrive within this; scrapers and probes are not slow.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// After an accept error (descriptors used up): wait instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The admin listener, wherever it listens now.
#[derive(Debug, Default)]
pub struct Admin {
    now: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    address: Address,
    bound: String,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a new configuration asks of the admin listener; bound, not yet accepting.
#[derive(Debug)]
pub enum PreparedAdmin {
    /// It listens where it should.
    Same,
    /// It is switched off.
    Off,
    /// A new address.
    New(Address, String, Socket),
}

/// A bound socket of either family.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

// === impl Admin ===

impl Admin {
    /// Binds what `settings` asks for. Must be called inside the control runtime.
    ///
    /// # Errors
    /// An address that cannot be bound, with its place.
    pub fn prepare(
        &self,
        settings: &model::Admin,
        inherited: &InheritedFds,
    ) -> Result<PreparedAdmin, Diagnostics> {
        let Some(wanted) = &settings.address else { return Ok(PreparedAdmin::Off) };
        if self.now.lock().as_ref().is_some_and(|running| running.address == wanted.value) {
            return Ok(PreparedAdmin::Same);
        }
        match bind(&wanted.value, inherited) {
            Ok((socket, bound)) => Ok(PreparedAdmin::New(wanted.value.clone(), bound, socket)),
            Err(error) => Err(cannot_bind(wanted, &error)),
        }
    }

    /// Starts to answer where [`Self::prepare`] has bound, and stops elsewhere. Returns the address
    /// if it is a new one.
    pub fn commit(&self, prepared: PreparedAdmin, control: &Arc<Control>) -> Option<String> {
        let mut now = self.now.lock();
        match prepared {
            PreparedAdmin::Same => None,
            PreparedAdmin::Off => {
                *now = None;
                None
            }
            PreparedAdmin::New(address, bound, socket) => {
                let task = tokio::spawn(accept(socket, Arc::clone(control)));
                *now = Some(Running { address, bound: bound.clone(), task });
                Some(bound)
            }
        }
    }

    /// Where it listens.
    pub fn bound(&self) -> Option<String> {
        self.now.lock().as_ref().map(|running| running.bound.clone())
    }
}

async fn accept(socket: Socket, control: Arc<Control>) {
    loop {
        let error = match &socket {
            Socket::Tcp(tcp) => match tcp.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, Arc::clone(&control)));
                    continue;
                }
                Err(error) => error,
            },
            Socket::Unix(unix) => match unix.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, Arc::clone(&control)));
                    continue;
                }
                Err(error) => error,
            },
        };
        tracing::warn!(%error, "the admin listener cannot accept");
        time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn serve<S>(stream: S, control: Arc<Control>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let response = probes::answer(&control, &request);
        async move { Ok::<Response<Full<Bytes>>, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

// === binding ===

fn bind(address: &Address, inherited: &InheritedFds) -> io::Result<(Socket, String)> {
    match address {
        Address::Tcp { host, port } => {
            let host = host.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
            tcp(std::net::TcpListener::bind(SocketAddr::new(host, *port))?)
        }
        Address::Unix(path) => {
            remove_stale(path)?;
            unix(std::os::unix::net::UnixListener::bind(path)?, format!("unix:{}", path.display()))
        }
        Address::Fd(name) => {
            let fd: OwnedFd = inherited.get(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "no socket of this name was passed")
            })?;
            if socket2::SockRef::from(&fd).local_addr()?.as_socket().is_some() {
                tcp(fd.into())
            } else {
                unix(fd.into(), format!("fd:{name}"))
            }
        }
    }
}

fn tcp(socket: std::net::TcpListener) -> io::Result<(Socket, String)> {
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?.to_string();
    Ok((Socket::Tcp(TcpListener::from_std(socket)?), bound))
}

fn unix(socket: std::os::unix::net::UnixListener, bound: String) -> io::Result<(Socket, String)> {
    socket.set_nonblocking(true)?;
    Ok((Socket::Unix(UnixListener::from_std(socket)?), bound))
}

/// Takes away the socket file of a process that is gone.
///
/// # Errors
/// `AddrInUse` if somebody answers there, or if it is no socket at all.
pub(super) fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "this is not a socket"));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers here")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

fn cannot_bind(wanted: &Located<Address>, error: &io::Error) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let message = format!("the admin listener cannot listen here: {error}");
    problems.push(
        Diagnostic::error(wanted.place, message)
            .help("choose another `admin.address`, or `none` to do without metrics and probes"),
    );
    problems
}
