//! Connecting to Redis: sockets and TLS to one server are ours, as to upstreams; those of a cluster are
//! opened by the client, which knows its nodes.

use std::{fmt, fs, io, path::Path, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, ClientTlsConfig, Cmd, ConnectionAddr, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates, TlsMode, Value, aio::MultiplexedConnection,
    cluster::ClusterClient, cluster_async::ClusterConnection,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Notify,
    task::AbortHandle,
};
use tokio_rustls::TlsConnector;

use super::link::told;
use crate::{
    config::{
        diagnostic::{Diagnostic, Place},
        model::{Protocol, RedisNode, RedisStore},
    },
    upstream::tls,
};

/// How to connect.
pub(super) enum Dial {
    /// One server.
    Single(Box<Single>),
    /// A cluster.
    Cluster(Box<ClusterClient>),
}

/// One server, and who we say we are.
pub(super) struct Single {
    node: RedisNode,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    login: RedisConnectionInfo,
}

/// A connection, shared by all who ask.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection, Arc<Driver>),
    Cluster(ClusterConnection),
}

/// The task that reads and writes for one server.
pub(super) struct Driver {
    task: AbortHandle,
    /// It has ended.
    ended: Arc<Notify>,
}

// === impl Dial ===

impl Dial {
    pub(super) fn new(redis: &RedisStore, place: Place) -> Result<Self, Vec<Diagnostic>> {
        if redis.cluster {
            return cluster(redis, place).map(|client| Self::Cluster(Box::new(client)));
        }
        let Some(node) = redis.nodes.first() else {
            return Err(vec![Diagnostic::error(place, "the store has no address")]);
        };
        let tls = match (&redis.tls, node) {
            (Some(settings), RedisNode::Tcp(host, _)) => {
                let config = tls::client_config(settings, Protocol::H1)?;
                // Redis knows no ALPN.
                let mut config = ClientConfig::clone(&config);
                config.alpn_protocols.clear();
                let name = tls::server_name(host, settings).map_err(|_| {
                    let message = "this is no name a certificate can be checked against";
                    vec![Diagnostic::error(place, message).help("write `tls.server_name`")]
                })?;
                Some((Arc::new(config), name))
            }
            _ => None,
        };
        Ok(Self::Single(Box::new(Single { node: node.clone(), tls, login: login(redis) })))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Opens a connection; who calls bounds the time.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Connection, String> {
        match self {
            Self::Single(single) => single.connect().await,
            Self::Cluster(client) => {
                let config = redis::cluster::ClusterConfig::new().set_connection_timeout(limit);
                let opened = client.get_async_connection_with_config(config).await;
                opened.map(Connection::Cluster).map_err(|error| told(&error))
            }
        }
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("cluster", &self.is_cluster()).finish_non_exhaustive()
    }
}

fn login(redis: &RedisStore) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(redis.database.into());
    if let Some(user) = &redis.user {
        login = login.set_username(user);
    }
    if let Some(password) = &redis.password {
        login = login.set_password(password);
    }
    login
}

// === impl Single ===

impl Single {
    async fn connect(&self) -> Result<Connection, String> {
        let refused = |error: io::Error| format!("{}: {error}", self.node);
        let opened = match &self.node {
            RedisNode::Unix(path) => {
                let socket = UnixStream::connect(path).await.map_err(refused)?;
                self.login(socket).await
            }
            RedisNode::Tcp(host, port) => {
                let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(refused)?;
                socket.set_nodelay(true).map_err(refused)?;
                match &self.tls {
                    None => self.login(socket).await,
                    Some((tls, name)) => {
                        let connector = TlsConnector::from(Arc::clone(tls));
                        let socket = connector.connect(name.clone(), socket).await;
                        self.login(socket.map_err(refused)?).await
                    }
                }
            }
        };
        opened.map_err(|error| format!("{}: {}", self.node, told(&error)))
    }

    /// Says who we are, and starts the task that reads and writes.
    async fn login<S>(&self, socket: S) -> Result<Connection, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.login, socket, config).await;
        let (connection, driver) = made?;
        let ended = Arc::new(Notify::new());
        let end = Arc::clone(&ended);
        let task = tokio::spawn(async move {
            driver.await;
            end.notify_one();
        });
        let driver = Driver { task: task.abort_handle(), ended };
        Ok(Connection::Single(connection, Arc::new(driver)))
    }
}

fn cluster(redis: &RedisStore, place: Place) -> Result<ClusterClient, Vec<Diagnostic>> {
    let refused = |why: String| vec![Diagnostic::error(place, why)];
    let nodes = redis.nodes.iter().map(|node| match node {
        RedisNode::Unix(path) => ConnectionAddr::Unix(path.clone()),
        RedisNode::Tcp(host, port) if redis.tls.is_some() => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
        RedisNode::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
    });
    let nodes: Result<Vec<_>, _> = nodes.map(IntoConnectionInfo::into_connection_info).collect();
    let nodes = nodes.map_err(|error| refused(told(&error)))?;
    // A call that goes to the wrong node, or to one that has left, is sent once more.
    let mut client = ClusterClient::builder(nodes).retries(2).max_retry_wait(50).min_retry_wait(5);
    if let Some(user) = &redis.user {
        client = client.username(user);
    }
    if let Some(password) = &redis.password {
        client = client.password(password);
    }
    if let Some(settings) = &redis.tls {
        // Reads and judges the same files, with places for what is wrong with them.
        tls::client_config(settings, Protocol::H1)?;
        let read = |path: &Path| fs::read(path).map_err(|error| refused(error.to_string()));
        let root_cert = settings.ca.as_ref().map(|ca| read(&ca.value)).transpose()?;
        let client_tls = match &settings.client {
            Some((cert, key)) => Some(ClientTlsConfig {
                client_cert: read(&cert.value)?,
                client_key: read(&key.value)?,
            }),
            None => None,
        };
        client = client.tls(TlsMode::Secure).certs(TlsCertificates { client_tls, root_cert });
    }
    client.build().map_err(|error| refused(told(&error)))
}

// === impl Connection ===

impl Connection {
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Ends when the server has closed it. Those of a cluster come back by themselves.
    pub(super) async fn closed(self) {
        match self {
            Self::Single(_, driver) => driver.ended.notified().await,
            Self::Cluster(_) => std::future::pending().await,
        }
    }

    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Single(connection, _) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("cluster", &self.is_cluster()).finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
