//! One listener: its sockets, and what every connection accepted there shares. It lives as long as
//! its address and TLS mode stay in the file; its other settings change under it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::Notify;

use super::{
    shares::{self, Full, Limit, Share, Shares},
    systemd::InheritedFds,
    tls::TlsTerminator,
};
use crate::{
    config::model::{self, Address, Name},
    telemetry::metrics::{ConnectionGuard, Cut, ListenerMetrics, Metrics, Protocol},
};

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Listener {
    /// Its name in the file.
    pub name: Name,
    /// Position of its metrics.
    pub id: usize,
    /// What it binds.
    pub address: Address,
    /// What it really bound, for people: `127.0.0.1:8080`, `unix:/path`.
    pub bound: String,
    /// The port it bound; 0 on a Unix socket.
    pub port: u16,
    /// TLS, if it ends here.
    pub tls: Option<Arc<TlsTerminator>>,
    /// Handles of its metrics.
    pub metrics: Arc<ListenerMetrics>,
    settings: ArcSwap<model::Listener>,
    /// Port that `https_redirect` sends to.
    pub(crate) redirect_port: AtomicU16,
    places: Arc<Shares>,
    handshakes: Arc<Shares>,
    farewells: Arc<Shares>,
    closing: AtomicBool,
    closed: Notify,
}

/// A socket that is bound and listening, ready to be handed to a worker.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The sockets of one listener, one for each worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) sockets: Vec<Bound>,
    pub(crate) bound: String,
    pub(crate) port: u16,
}

/// Connections waiting to be accepted, per socket.
const BACKLOG: i32 = 4096;
/// So many clients at once are told why they are turned away; the rest is closed without a word.
const FAREWELLS: usize = 256;

// === impl Listener ===

impl Listener {
    pub(crate) fn new(
        name: Name,
        settings: model::Listener,
        sockets: &Sockets,
        tls: Option<Arc<TlsTerminator>>,
        metrics: &Metrics,
    ) -> Self {
        let metrics = metrics.listener(&name);
        Self {
            id: metrics.id(),
            metrics,
            name,
            address: settings.address.value.clone(),
            bound: sockets.bound.clone(),
            port: sockets.port,
            tls,
            settings: ArcSwap::from_pointee(settings),
            redirect_port: AtomicU16::new(443),
            places: Arc::default(),
            handshakes: Arc::default(),
            farewells: Arc::default(),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
        }
    }

    /// The settings that may change while it listens.
    pub(crate) fn settings(&self) -> Guard<Arc<model::Listener>> {
        self.settings.load()
    }

    /// Changes them.
    pub(crate) fn update(&self, settings: model::Listener) {
        self.settings.store(Arc::new(settings));
    }

    /// Takes a place for a connection from the moment it is accepted, unless all are taken.
    pub(crate) fn place(&self, peer: Option<IpAddr>) -> Result<Place, Cut> {
        let settings = self.settings();
        let limit =
            Limit { all: settings.max_connections, each: settings.shares.connections_per_client };
        let share = self.places.take(alone(&settings, peer), limit).map_err(|full| match full {
            Full::All => Cut::MaxConnections,
            Full::Client => Cut::ConnectionsPerClient,
        })?;
        let counted = self.metrics.connection(Protocol::Handshake);
        Ok(Place { _share: share, counted })
    }

    /// How many of its places are taken, as a share.
    #[allow(clippy::cast_precision_loss)] // a share
    pub(crate) fn fullness(&self) -> f64 {
        self.places.taken() as f64 / self.settings().max_connections.max(1) as f64
    }

    /// Takes a turn at the TLS handshake.
    pub(crate) fn handshake(&self, peer: Option<IpAddr>) -> Result<Share, Cut> {
        let settings = self.settings();
        let all = settings.shares.handshakes;
        let limit = Limit { all, each: all.div_ceil(2) };
        self.handshakes.take(alone(&settings, peer), limit).map_err(|_| Cut::Handshakes)
    }

    /// Takes a turn at being told why there is no place.
    pub(crate) fn farewell(&self) -> Option<Share> {
        self.farewells.take(None, Limit { all: FAREWELLS, each: FAREWELLS }).ok()
    }

    /// No more connections are accepted.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.closed.notify_waiters();
    }

    /// Whether [`Self::close`] was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits for [`Self::close`].
    pub(crate) async fn until_closed(&self) {
        let notified = self.closed.notified();
        if !self.closing.load(Ordering::Acquire) {
            notified.await;
        }
    }
}

/// The place of one connection among those a listener may have, and in its metrics.
#[derive(Debug)]
pub(crate) struct Place {
    _share: Share,
    counted: ConnectionGuard,
}

impl Place {
    /// The connection speaks this from now on.
    pub(crate) fn is_now(&mut self, protocol: Protocol) {
        self.counted.set(protocol);
    }

    /// Counts the connection as cut.
    pub(crate) fn cut(&self, why: Cut) {
        self.counted.listener().cut(why);
    }
}

/// Whom a connection counts for, if for one client: a trusted proxy comes for many, and so does who
/// comes through a Unix socket.
fn alone(settings: &model::Listener, peer: Option<IpAddr>) -> Option<IpAddr> {
    let ip = peer?.to_canonical();
    let trusted = settings.trusted_proxies.iter().any(|network| network.contains(&ip));
    (!trusted).then(|| shares::client(ip))
}

// === binding ===

/// Binds `address` once for each of `workers`. `ours`: sockets of this process listen there already.
pub(crate) fn bind(
    address: &Address,
    workers: usize,
    ours: bool,
    inherited: &InheritedFds,
) -> io::Result<Sockets> {
    match address {
        Address::Tcp { host, port } => bind_tcp(*host, *port, workers, ours),
        Address::Unix(path) => {
            let socket = bind_unix(path)?;
            share_unix(&socket, workers, format!("unix:{}", path.display()))
        }
        Address::Fd(name) => {
            let fd = inherited.get(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "no socket of this name was passed")
            })?;
            adopt(&Socket::from(fd), workers, name)
        }
    }
}

fn bind_tcp(host: Option<IpAddr>, port: u16, workers: usize, ours: bool) -> io::Result<Sockets> {
    let address = match host {
        Some(ip) => SocketAddr::new(ip, port),
        None => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
    };
    // SO_REUSEPORT would let a second gateway share the port in silence: the first bind goes
    // without it and fails when somebody else listens there.
    let first = match tcp_socket(address, ours) {
        Err(error) if host.is_none() && no_ipv6(&error) => {
            return bind_tcp(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port, workers, ours);
        }
        result => result?,
    };
    let port = local_port(&first)?;
    drop(first);
    let address = SocketAddr::new(address.ip(), port);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        sockets.push(Bound::Tcp(tcp_socket(address, true)?.into()));
    }
    let bound = if host.is_none() { format!("[::]:{port}") } else { address.to_string() };
    Ok(Sockets { sockets, bound, port })
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(97 | 99))
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn local_port(socket: &Socket) -> io::Result<u16> {
    Ok(socket.local_addr()?.as_socket().map_or(0, |address| address.port()))
}

fn bind_unix(path: &std::path::Path) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A socket file nobody answers on is left over from a process that was killed.
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            if probe.connect(&address).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn share_unix(socket: &Socket, workers: usize, bound: String) -> io::Result<Sockets> {
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        sockets.push(Bound::Unix(OwnedFd::from(socket.try_clone()?).into()));
    }
    Ok(Sockets { sockets, bound, port: 0 })
}

/// Takes a socket that systemd opened.
fn adopt(socket: &Socket, workers: usize, name: &str) -> io::Result<Sockets> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let Some(address) = address.as_socket() else {
        return share_unix(socket, workers, format!("fd:{name}"));
    };
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        sockets.push(Bound::Tcp(socket.try_clone()?.into()));
    }
    Ok(Sockets { sockets, bound: address.to_string(), port: address.port() })
}
