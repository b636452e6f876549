//! How each question is asked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    runtime::Handle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    super::super::count,
    Said,
    questions::{self, Kind, Manner, Peer, Question},
};
use crate::{
    auth::{
        jwt::{Published, Remote},
        oidc::provider::{self, Provider},
    },
    config::{
        diagnostic::{Diagnostic, Place},
        model::{Address, Discover, Target, UpstreamTls},
    },
    fetch::Fetch,
    server::{self, systemd::InheritedFds},
    store,
    telemetry::metrics::Metrics,
    upstream::{
        discovery::{Set, Source, dns::Dns, etcd::Etcd, file::EndpointsFile},
        dns::Resolver,
        tls,
    },
};

/// How long a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long a connection may take, and how long a handshake.
const CONNECT: Duration = Duration::from_secs(3);
/// So many of the endpoints a source knows are connected to.
const MOST_FOUND: usize = 20;

// === impl Kind ===

impl Kind {
    /// What comes of it, and what is to be asked then.
    pub(super) async fn ask(
        self,
        what: &str,
        place: Place,
        resolver: &Resolver,
    ) -> (Said, Vec<Question>) {
        let said = match self {
            Self::Source(discover, manner) => {
                return match found(&discover, resolver).await {
                    Ok(set) => endpoints(what, place, &set, &manner),
                    Err(why) => (Said::Bad(why), Vec::new()),
                };
            }
            Self::Unseen(why) => Said::Unseen(why.to_owned()),
            Self::Connect(peer) => connect(&peer, resolver).await.into(),
            Self::Bind(address) => bind(&address).into(),
            Self::Keys(published) => keys(*published).await.into(),
            Self::Provider(settings, tls) => self::provider(*settings, &tls).await.into(),
            Self::Store(redis) => {
                store::greet(&redis, CONNECT).await.map(|()| "it answers".to_owned()).into()
            }
        };
        (said, Vec::new())
    }
}

fn first(problems: &[Diagnostic]) -> String {
    problems.first().map_or_else(String::new, ToString::to_string)
}

// === endpoints ===

/// What a source of endpoints knows at this moment.
async fn found(discover: &Discover, resolver: &Resolver) -> Result<Set, String> {
    let set = match discover {
        Discover::Dns(dns) => Dns::new(dns, resolver).next().await,
        Discover::File(path) => EndpointsFile::new(path.value.clone()).next().await,
        Discover::Etcd(etcd) => Etcd::new(etcd).map_err(|found| first(&found))?.next().await,
    };
    set.map_err(|failure| failure.0)
}

/// What is said of endpoints that were found, and what is asked of each.
fn endpoints(what: &str, place: Place, set: &Set, manner: &Manner) -> (Said, Vec<Question>) {
    let number = set.endpoints.len();
    let said = match set.refused.first() {
        Some(why) => Said::Bad(format!("{} refused, the first: {why}", set.refused.len())),
        None if number == 0 => Said::Bad("there is no endpoint".to_owned()),
        None if number > MOST_FOUND => {
            Said::Good(format!("{number} endpoints, of which {MOST_FOUND} are connected to"))
        }
        None => Said::Good(count(number, "endpoint")),
    };
    let few = set.endpoints.iter().take(MOST_FOUND);
    // That one is away is no mistake of the file.
    let question = |one| Question { mild: true, ..questions::endpoint(what, one, manner, place) };
    (said, few.map(question).collect())
}

async fn connect(peer: &Peer, resolver: &Resolver) -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot be connected to: {error}");
    let late = |_| "cannot be connected to: no answer in time".to_owned();
    match &peer.target {
        Target::Unix(path) => {
            let stream = timeout(CONNECT, UnixStream::connect(path)).await.map_err(late)?;
            stream.map(|_| "connected".to_owned()).map_err(failed)
        }
        Target::Tcp { host, port } => {
            let addresses = look_up(host, resolver).await?;
            let mut spoken = String::new();
            for ip in &addresses {
                let at = SocketAddr::new(*ip, *port);
                let stream = timeout(CONNECT, TcpStream::connect(at)).await;
                // One that does not answer is one too many: the gateway may choose it.
                let stream = stream.map_err(late).and_then(|stream| stream.map_err(failed));
                let stream = stream.map_err(|error| format!("{at} {error}"))?;
                if let Some((manner, host)) = &peer.tls {
                    let shaken = handshake(stream, manner, host).await;
                    spoken = shaken.map_err(|error| format!("{at} {error}"))?;
                }
            }
            Ok(format!("connected to {}{spoken}", listed(&addresses)))
        }
    }
}

/// A TLS handshake as the gateway makes it, and what was agreed on.
async fn handshake(stream: TcpStream, manner: &Manner, host: &str) -> Result<String, String> {
    let config = tls::client_config(&manner.tls, manner.protocol).map_err(|found| first(&found))?;
    let name = tls::server_name(host, &manner.tls)
        .map_err(|_| format!("`{host}` is no name a certificate can be checked against"))?;
    let stream = timeout(CONNECT, TlsConnector::from(config).connect(name, stream)).await;
    let stream = stream.map_err(|_| "TLS: no answer in time".to_owned())?;
    let stream = stream.map_err(|error| format!("TLS: {error}"))?;
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    };
    let spoken = session.alpn_protocol().map(String::from_utf8_lossy);
    Ok(spoken.map_or_else(|| format!(", {version}"), |alpn| format!(", {version}, {alpn}")))
}

async fn look_up(host: &str, resolver: &Resolver) -> Result<Vec<IpAddr>, String> {
    let entry = resolver.watch(host);
    timeout(LOOK_UP, entry.ready())
        .await
        .map_err(|_| format!("no answer about `{host}` in time"))?;
    let found = entry.addresses().to_vec();
    match entry.failure() {
        Some(failure) if found.is_empty() => Err(failure),
        _ if found.is_empty() => Err(format!("`{host}` has no address")),
        _ => Ok(found),
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

// === listeners ===

fn bind(address: &Address) -> Result<String, String> {
    // To bind a Unix socket would take the place of one that is there.
    if let Address::Unix(path) = address {
        let directory = path.parent().is_some_and(std::path::Path::is_dir);
        return match directory {
            true => Ok("its directory is there".to_owned()),
            false => Err("its directory is not there".to_owned()),
        };
    }
    match server::listener::bind(address, 1, false, &InheritedFds::default()) {
        Ok(_) => Ok("free".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err("in use, perhaps by the gateway that runs".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

// === issuers ===

async fn keys(published: Published) -> Result<String, String> {
    let fetch = published.fetch().map_err(|found| first(&found))?;
    let metrics = Metrics::new(&[]).keys(&published.name().into());
    let number = Remote::new(published, fetch, metrics).once().await?;
    Ok(count(number, "key"))
}

/// Its metadata and its keys.
async fn provider(settings: provider::Settings, tls: &UpstreamTls) -> Result<String, String> {
    let fetch =
        Fetch::new(tls, provider::PATIENCE, provider::LARGEST).map_err(|found| first(&found))?;
    let provider = Arc::new(Provider::new(settings, fetch, Handle::current()));
    let known = provider.known().await.map_err(|away| away.0)?;
    let at = &known.metadata.authorization_endpoint;
    Ok(format!("{}, logins at {at}", count(known.keys.len(), "key")))
}
