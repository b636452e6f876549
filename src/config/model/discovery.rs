//! Where endpoints are found that the file does not name (`discover`).

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::{Endpoint, Located, UpstreamTls};

/// A source of endpoints.
#[derive(Clone, Debug, PartialEq)]
pub enum Discover {
    /// Records of a name.
    Dns(DiscoverDns),
    /// A file with a list of endpoints, watched.
    File(Located<PathBuf>),
    /// The values under a prefix in etcd, watched.
    Etcd(DiscoverEtcd),
}

/// Records of a name (`discover.dns`).
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoverDns {
    /// The name asked for.
    pub name: String,
    /// Which records.
    pub records: Records,
    /// How endpoints are spoken to.
    pub scheme: Scheme,
    /// Time between two lookups; the TTL of the records by default.
    pub refresh: Option<Duration>,
    /// The name server asked; those of the system by default.
    pub server: Option<SocketAddr>,
}

/// Which records of a name are endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Addresses, all with this port.
    Addresses {
        /// A records.
        v4: bool,
        /// AAAA records.
        v6: bool,
        /// The port of every endpoint.
        port: u16,
    },
    /// SRV records (RFC 2782): host, port, priority and weight.
    Srv,
}

/// The first part of the URL of endpoints that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// In TLS.
    Https,
    /// HTTP/2 in the clear.
    H2c,
}

/// The values under a prefix (`discover.etcd`).
#[derive(Clone, PartialEq)]
pub struct DiscoverEtcd {
    /// Members of etcd; any of them is asked.
    pub endpoints: Vec<Endpoint>,
    /// What the keys begin with.
    pub prefix: String,
    /// Name and password, if etcd wants them.
    pub user: Option<(String, String)>,
    /// TLS to members with `https`.
    pub tls: UpstreamTls,
}

// === impl Scheme ===

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }
}

// === impl DiscoverEtcd ===

impl fmt::Debug for DiscoverEtcd {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoverEtcd")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("tls", &self.tls)
            .finish()
    }
}
