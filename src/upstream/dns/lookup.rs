//! One lookup: `/etc/hosts`, then the name servers. Follows changes of the system's two files, so
//! that a gateway that was started before the network is not deaf until its restart.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{
        ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
        ResolverOpts,
    },
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RData, RecordType},
    },
    system_conf::parse_resolv_conf,
};
use parking_lot::Mutex;

use super::records::{Found, Servers};
use crate::error::Reason;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How soon a change of `/etc/hosts` is seen.
const HOSTS_TTL: Duration = Duration::from_secs(10);
/// One lookup, all search domains, servers and repetitions included.
pub(super) const LIMIT: Duration = Duration::from_secs(15);
/// `resolv.conf` says 5 s and two attempts unless told otherwise, too long with a request waiting.
const LONGEST_TRY: Duration = Duration::from_secs(2);

/// How names are looked up.
pub(super) enum Lookup {
    System(Mutex<System>),
    Server(Asks),
}

/// Asks name servers: through hickory's resolver for addresses to connect to, without it where all
/// records count.
#[derive(Clone)]
pub(super) struct Asks {
    resolver: TokioResolver,
    servers: Servers,
}

/// What was read from the system's files, and when they were changed last.
pub(super) struct System {
    hosts_path: PathBuf,
    resolv_conf: PathBuf,
    hosts: (Option<SystemTime>, Hosts),
    asks: Option<(Option<SystemTime>, Result<Asks, Failure>)>,
}

/// Addresses and for how long they are good.
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

// === impl Lookup ===

impl Lookup {
    pub(super) fn system() -> Self {
        Self::files(HOSTS.into(), RESOLV_CONF.into())
    }

    pub(super) fn files(hosts_path: PathBuf, resolv_conf: PathBuf) -> Self {
        let hosts = (None, Hosts::default());
        Self::System(Mutex::new(System { hosts_path, resolv_conf, hosts, asks: None }))
    }

    pub(super) fn server(server: SocketAddr, limit: Duration, attempts: usize) -> io::Result<Self> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut c| {
            c.port = server.port();
            c
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut options = ResolverOpts::default();
        options.timeout = limit;
        options.attempts = attempts;
        Ok(Self::Server(ours(config, options)?))
    }

    /// Must run on a tokio runtime; it is where hickory puts its own tasks.
    pub(super) async fn addresses(&self, host: &str) -> Result<Answer, Failure> {
        if let Some(answer) = self.hosts(host) {
            return Ok(answer);
        }
        let resolver = self.asks()?.resolver;
        let found = match tokio::time::timeout(LIMIT, resolver.lookup_ip(host)).await {
            Ok(found) => found.map_err(|e| Failure::from(&e))?,
            Err(_) => return Err(Failure::timeout()),
        };
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(Failure::new(Reason::DnsError, "the name has no address"));
        }
        // Of all records, so that a short-lived CNAME counts too.
        let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min();
        Ok(Answer { addresses, ttl: Duration::from_secs(ttl.unwrap_or(0).into()) })
    }

    /// What `/etc/hosts` says, where it is asked at all.
    pub(super) fn hosts(&self, host: &str) -> Option<Answer> {
        match self {
            Self::System(system) => system.lock().hosts(host),
            Self::Server(_) => None,
        }
    }

    /// Records of a name, from the name servers alone; or why there is no answer. On a tokio
    /// runtime as well.
    pub(super) async fn records(
        &self,
        name: &str,
        kinds: &[RecordType],
    ) -> Result<Found<RData>, String> {
        let servers = self.asks().map_err(|failure| failure.detail)?.servers;
        servers.records(name, kinds).await
    }

    fn asks(&self) -> Result<Asks, Failure> {
        match self {
            Self::System(system) => system.lock().asks(),
            Self::Server(asks) => Ok(asks.clone()),
        }
    }
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System(_) => "System",
            Self::Server(_) => "Server",
        })
    }
}

// === impl System ===

impl System {
    fn hosts(&mut self, host: &str) -> Option<Answer> {
        let changed = changed(&self.hosts_path);
        if self.hosts.0 != changed {
            let mut hosts = Hosts::default();
            if let Err(e) = File::open(&self.hosts_path).and_then(|f| hosts.read_hosts_conf(f)) {
                tracing::warn!(file = %self.hosts_path.display(), error = %e, "not read");
            }
            self.hosts = (changed, hosts);
        }
        in_hosts(&self.hosts.1, host)
    }

    fn asks(&mut self) -> Result<Asks, Failure> {
        let changed = changed(&self.resolv_conf);
        match &self.asks {
            Some((read, asks)) if *read == changed => asks.clone(),
            _ => {
                let asks = from_system(&self.resolv_conf);
                self.asks = Some((changed, asks.clone()));
                asks
            }
        }
    }
}

// === impl Failure ===

impl Failure {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    fn timeout() -> Self {
        Self::new(Reason::DnsTimeout, "no answer from the name servers")
    }
}

impl From<&NetError> for Failure {
    fn from(error: &NetError) -> Self {
        match error {
            NetError::Timeout => Self::timeout(),
            e if e.is_nx_domain() => Self::new(Reason::DnsError, "no such name"),
            e if e.is_no_records_found() => Self::new(Reason::DnsError, "the name has no address"),
            e => Self::new(Reason::DnsError, e.to_string()),
        }
    }
}

fn from_system(path: &Path) -> Result<Asks, Failure> {
    let unusable = |why: String| {
        Failure::new(Reason::DnsError, format!("no name servers: {}: {why}", path.display()))
    };
    let text = fs::read(path).map_err(|e| unusable(e.to_string()))?;
    let (config, mut options) = parse_resolv_conf(text).map_err(|e| unusable(e.to_string()))?;
    options.timeout = options.timeout.min(LONGEST_TRY);
    options.attempts = options.attempts.clamp(1, 3);
    ours(config, options).map_err(|e| unusable(e.to_string()))
}

fn ours(config: ResolverConfig, mut options: ResolverOpts) -> io::Result<Asks> {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    // The entries are the cache: with a second one behind it a retry would only meet the failure
    // it remembers.
    options.cache_size = 0;
    let servers = Servers::new(&config, &options).map_err(io::Error::other)?;
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let resolver = builder.with_options(options).build().map_err(io::Error::other)?;
    Ok(Asks { resolver, servers })
}

/// As the C library does, a name found here is not asked for elsewhere.
fn in_hosts(hosts: &Hosts, host: &str) -> Option<Answer> {
    let name = Name::from_utf8(host).ok()?;
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let found = [of(RecordType::A), of(RecordType::AAAA)];
    let records = found.iter().flatten().flat_map(|lookup| lookup.answers());
    let addresses: Vec<IpAddr> = records.filter_map(|record| record.data.ip_addr()).collect();
    (!addresses.is_empty()).then_some(Answer { addresses, ttl: HOSTS_TTL })
}

/// When a file was changed; `None` if it is not there.
fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file_answers_for_its_names_only() {
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"10.0.0.7 orders Orders.Example\nfd00::7 orders\n"[..]).unwrap();
        let addresses = |host| in_hosts(&hosts, host).map(|answer| answer.addresses);
        let both: [IpAddr; 2] = [[10, 0, 0, 7].into(), "fd00::7".parse().unwrap()];
        assert_eq!(addresses("orders").unwrap(), both);
        assert_eq!(addresses("orders.example").unwrap(), both[..1]);
        assert!(addresses("other").is_none());
    }

    #[tokio::test]
    async fn changes_of_the_systems_files_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (hosts, conf) = (dir.path().join("hosts"), dir.path().join("resolv.conf"));
        let lookup = Lookup::files(hosts.clone(), conf.clone());
        let failure = lookup.addresses("orders").await.err().unwrap();
        assert_eq!(failure.reason, Reason::DnsError);
        assert!(failure.detail.contains("resolv.conf: No such file"), "{failure:?}");

        // Nothing listens there: refused or, where nobody says so, silence.
        fs::write(&conf, "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n").unwrap();
        let failure = lookup.addresses("orders").await.err().unwrap();
        assert!(!failure.detail.contains("resolv.conf"), "{failure:?}");

        fs::write(&hosts, "10.0.0.7 orders\n").unwrap();
        let found = lookup.addresses("orders").await.ok().unwrap().addresses;
        assert_eq!(found, [IpAddr::from([10, 0, 0, 7])]);
        let later = SystemTime::now() + Duration::from_secs(2);
        fs::write(&hosts, "10.0.0.8 orders\n").unwrap();
        File::options().append(true).open(&hosts).unwrap().set_modified(later).unwrap();
        let found = lookup.addresses("orders").await.ok().unwrap().addresses;
        assert_eq!(found, [IpAddr::from([10, 0, 0, 8])]);
    }

    #[test]
    fn errors_have_a_reason() {
        assert_eq!(Failure::from(&NetError::Timeout).reason, Reason::DnsTimeout);
        assert_eq!(Failure::from(&NetError::NoConnections).reason, Reason::DnsError);
    }
}
