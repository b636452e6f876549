//! Where several gateways count together (`stores`).

use std::{fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use super::{Endpoint, Located, Name, Place, UpstreamTls};

/// One store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where it was written.
    pub place: Place,
    /// What it is.
    pub kind: StoreKind,
    /// A request waits no longer for it.
    pub timeout: Duration,
    /// How many gateways count in it.
    pub gateways: NonZeroU32,
}

/// What counts.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreKind {
    /// Redis, Valkey, or whoever speaks like them.
    Redis(RedisStore),
    /// A service that speaks Envoy's rate limit protocol.
    Rls(RlsStore),
}

/// A service that is asked over gRPC.
#[derive(Clone, Debug, PartialEq)]
pub struct RlsStore {
    /// The upstream that is asked.
    pub to: Located<Name>,
    /// Where it listens, if that is written in its place.
    pub endpoint: Option<Endpoint>,
    /// Whose limits are asked for.
    pub domain: String,
}

/// Redis, or a cluster of it.
#[derive(Clone, PartialEq)]
pub struct RedisStore {
    /// Where it listens; of a cluster, where some of its nodes do. Never empty.
    pub nodes: Vec<RedisNode>,
    /// It is a cluster.
    pub cluster: bool,
    /// TLS to it, if it has any.
    pub tls: Option<UpstreamTls>,
    /// A user of its access list.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u32,
    /// What its keys begin with.
    pub prefix: String,
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisNode {
    /// A host and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

// === impl Store ===

impl Store {
    /// TLS to it, if it has any.
    pub(crate) fn tls(&self) -> Option<&UpstreamTls> {
        match &self.kind {
            StoreKind::Redis(redis) => redis.tls.as_ref(),
            StoreKind::Rls(_) => None,
        }
    }

    /// The upstream through which it is asked, if it is.
    pub(crate) fn upstream(&self) -> Option<&RlsStore> {
        match &self.kind {
            StoreKind::Redis(_) => None,
            StoreKind::Rls(rls) => Some(rls),
        }
    }
}

/// Wherever it was written.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.timeout == other.timeout && self.gateways == other.gateways
    }
}

// === impl RedisStore ===

impl fmt::Debug for RedisStore {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("nodes", &self.nodes)
            .field("cluster", &self.cluster)
            .field("tls", &self.tls)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

// === how a limit uses one ===

/// How a limit is counted in a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Which one.
    pub store: Located<Name>,
    /// How often it is asked.
    pub sync: StoreSync,
    /// What holds while it is away.
    pub on_error: OnStoreError,
}

/// How often a store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSync {
    /// For each request.
    Exact,
    /// For so many at once, at most.
    Leased(NonZeroU32),
}

/// What holds while a store is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStoreError {
    /// A share of the limit, counted in this process.
    #[default]
    Local,
    /// Every request passes.
    Allow,
    /// None does.
    Deny,
}
