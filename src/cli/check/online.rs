//! `check --online`: whether what the files name is there. Names are looked up as the gateway does, endpoints
//! are connected to, addresses bound, keys fetched. Nothing is sent to a service.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    runtime::Runtime,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    auth::jwt::{Published, Remote},
    config::{
        diagnostic::{Diagnostic, Place},
        model::{Address, AuthScheme, Config, Discover, Endpoint, JwtKeys, Records, Target},
    },
    server::{self, systemd::InheritedFds},
    telemetry::metrics::Metrics,
    upstream::dns::Resolver,
};

/// How long a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// So many questions at once.
const AT_ONCE: usize = 64;

/// What came of one question.
pub(super) struct Line {
    /// `upstream orders`.
    pub(super) what: String,
    /// What was asked: `http://orders-1:8080`.
    pub(super) asked: String,
    /// What came of it.
    pub(super) said: Result<String, String>,
    pub(super) took: Duration,
    place: Place,
    /// It need not be a mistake.
    mild: bool,
}

/// One question.
struct Question {
    what: String,
    asked: String,
    place: Place,
    mild: bool,
    kind: Kind,
}

enum Kind {
    Connect(Target),
    /// That a name has addresses.
    Name(String),
    Readable(PathBuf),
    Bind(Address),
    Keys(Box<Published>),
}

/// Asks all there is to ask, many at once; in the order of the questions.
pub(super) fn ask(config: &Config, runtime: &Runtime) -> io::Result<Vec<Line>> {
    let questions = questions(config);
    let resolver = Resolver::new(runtime.handle().clone())?;
    runtime.block_on(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (at, question) in questions.into_iter().enumerate() {
            let (room, resolver) = (Arc::clone(&room), resolver.clone());
            tasks.spawn(async move {
                let _one = room.acquire().await;
                (at, question.ask(&resolver).await)
            });
        }
        let mut lines = tasks.join_all().await;
        lines.sort_by_key(|(at, _)| *at);
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    })
}

// === the questions ===

fn questions(config: &Config) -> Vec<Question> {
    let mut all = Vec::new();
    for (name, listener) in &config.listeners {
        let address = &listener.address;
        // Sockets of systemd are not for us to open.
        if !matches!(address.value, Address::Fd(_)) {
            all.push(Question {
                what: format!("listener {name}"),
                asked: shown(&address.value),
                place: address.place,
                mild: true,
                kind: Kind::Bind(address.value.clone()),
            });
        }
    }
    for (name, upstream) in &config.upstreams {
        // One that is written as a URL is called so.
        let inline = upstream.endpoints.iter().any(|it| it.url.value == *name);
        let what = if inline { "upstream".to_owned() } else { format!("upstream {name}") };
        all.extend(upstream.endpoints.iter().map(|it| endpoint(&what, it)));
        let (asked, kind) = match &upstream.discover {
            None => continue,
            // Of other servers than those of the system nothing is asked here.
            Some(Discover::Dns(dns)) if dns.server.is_some() || dns.records == Records::Srv => {
                continue;
            }
            Some(Discover::Dns(dns)) => (dns.name.clone(), Kind::Name(dns.name.clone())),
            Some(Discover::File(path)) => {
                (path.value.display().to_string(), Kind::Readable(path.value.clone()))
            }
            Some(Discover::Etcd(etcd)) => {
                all.extend(etcd.endpoints.iter().map(|it| endpoint(&what, it)));
                continue;
            }
        };
        all.push(Question { what, asked, place: upstream.place, mild: false, kind });
    }
    all.extend(issuers(config));
    all
}

fn endpoint(what: &str, it: &Endpoint) -> Question {
    Question {
        what: what.to_owned(),
        asked: it.url.value.to_string(),
        place: it.url.place,
        mild: false,
        kind: Kind::Connect(it.target.clone()),
    }
}

/// Those whose keys are fetched, each once.
fn issuers(config: &Config) -> Vec<Question> {
    let mut all: Vec<Question> = Vec::new();
    for (name, route) in &config.routes {
        for policy in route.auth.iter().flat_map(|auth| &auth.policies) {
            let AuthScheme::Jwt(jwt) = &policy.scheme else { continue };
            let JwtKeys::Published(published) = &jwt.keys else { continue };
            let asked = published.name();
            if all.iter().any(|it| it.asked == asked) {
                continue;
            }
            all.push(Question {
                what: format!("keys of `{}`, route {name}", policy.policy),
                asked,
                place: route.place,
                mild: false,
                kind: Kind::Keys(published.clone()),
            });
        }
    }
    all
}

fn shown(address: &Address) -> String {
    match address {
        Address::Tcp { host: Some(ip), port } => SocketAddr::new(*ip, *port).to_string(),
        Address::Tcp { host: None, port } => format!(":{port}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Fd(name) => format!("fd:{name}"),
    }
}

// === impl Question ===

impl Question {
    async fn ask(self, resolver: &Resolver) -> Line {
        let start = Instant::now();
        let said = match self.kind {
            Kind::Connect(target) => connect(&target, resolver).await,
            Kind::Name(name) => look_up(&name, resolver).await.map(|all| listed(&all)),
            Kind::Readable(path) => match std::fs::read(&path) {
                Ok(_) => Ok("it can be read".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Kind::Bind(address) => bind(&address),
            Kind::Keys(published) => keys(*published).await,
        };
        let Self { what, asked, place, mild, .. } = self;
        Line { what, asked, said, took: start.elapsed(), place, mild }
    }
}

async fn connect(target: &Target, resolver: &Resolver) -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot be connected to: {error}");
    let late = |_| "cannot be connected to: no answer in time".to_owned();
    match target {
        Target::Unix(path) => {
            let stream = timeout(CONNECT, UnixStream::connect(path)).await.map_err(late)?;
            stream.map(|_| "connected".to_owned()).map_err(failed)
        }
        Target::Tcp { host, port } => {
            let addresses = look_up(host, resolver).await?;
            for ip in &addresses {
                let stream = timeout(CONNECT, TcpStream::connect((*ip, *port))).await;
                // One that does not answer is one too many: the gateway may choose it.
                let stream = stream.map_err(late).and_then(|stream| stream.map_err(failed));
                stream.map_err(|error| format!("{} {error}", SocketAddr::new(*ip, *port)))?;
            }
            Ok(format!("connected to {}", listed(&addresses)))
        }
    }
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

async fn keys(published: Published) -> Result<String, String> {
    let problem =
        |problems: Vec<Diagnostic>| problems.first().map_or_else(String::new, ToString::to_string);
    let fetch = published.fetch().map_err(problem)?;
    let metrics = Metrics::new(&[]).keys(&published.name().into());
    let number = Remote::new(published, fetch, metrics).once().await?;
    Ok(super::count(number, "key"))
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

// === impl Line ===

impl Line {
    /// What is wrong, with the place of what was asked.
    pub(super) fn finding(&self) -> Option<Diagnostic> {
        let why = self.said.as_ref().err()?;
        let message = format!("{} `{}`: {why}", self.what, self.asked);
        Some(match self.mild {
            true => Diagnostic::warning(self.place, message),
            false => Diagnostic::error(self.place, message),
        })
    }
}
