//! TLS of a listener. One `rustls::ServerConfig` lives as long as the listener, so that the keys of
//! its session tickets survive reloads; only what its resolver serves from is swapped. Where clients are
//! judged by other rules it is made anew: no session that was begun under the old ones goes on.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{certs::CertStore, dev_ca::DevCa, trust::Trust};
use crate::{
    config::model::{ListenerTls, Protocols, Tls},
    tls,
};

/// Sessions of TLS 1.2 clients remembered where tickets are switched off.
const REMEMBERED_SESSIONS: usize = 1024;

/// Names that no public CA issues certificates for (RFC 6761, 6762, 8375, and `internal`, which
/// ICANN keeps for private use).
const LOCAL_SUFFIXES: [&str; 5] = [".localhost", ".local", ".test", ".internal", ".home.arpa"];

/// The TLS side of one listener.
#[derive(Debug)]
pub struct TlsTerminator {
    shape: Shape,
    live: ArcSwap<Live>,
    resolver: Arc<ListenerResolver>,
}

/// What handshakes begin with, and whose certificates it accepts.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) trust: Option<Arc<Trust>>,
}

/// What a `ServerConfig` cannot change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    mode: ListenerTls,
    h1: bool,
    h2: bool,
    only_tls13: bool,
    session_tickets: bool,
}

/// Chooses the certificate of a handshake; what it chooses from can be swapped at any time.
#[derive(Debug)]
pub struct ListenerResolver {
    mode: ListenerTls,
    served: ArcSwap<Served>,
}

#[derive(Debug)]
struct Served {
    store: Arc<CertStore>,
    dev: Option<Arc<DevCa>>,
}

// === impl TlsTerminator ===

impl TlsTerminator {
    /// TLS for a listener. `dev` is needed by the modes `auto` and `dev`; without it they have no
    /// certificate for the names that would come from it, and such handshakes fail. Clients are asked for
    /// certificates where there is somebody to trust.
    pub fn new(
        mode: &ListenerTls,
        protocols: Protocols,
        tls: &Tls,
        store: Arc<CertStore>,
        (dev, trust): (Option<Arc<DevCa>>, Option<Arc<Trust>>),
    ) -> Self {
        let shape = Shape::new(mode, protocols, tls);
        let served = ArcSwap::from_pointee(Served { store, dev });
        let resolver = Arc::new(ListenerResolver { mode: mode.clone(), served });
        let live = ArcSwap::from_pointee(Live::new(&shape, &resolver, trust));
        Self { shape, live, resolver }
    }

    /// What new connections are accepted with. Stays the same over [`Self::update`].
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.live.load().config)
    }

    /// The same, with whose certificates it accepts.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Trusts somebody else from the next handshake on, if it is somebody else: then no session of
    /// before is resumed.
    pub(crate) fn trust(&self, trust: Option<Arc<Trust>>) -> bool {
        let same = match (&self.live.load().trust, &trust) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        if !same {
            self.live.store(Arc::new(Live::new(&self.shape, &self.resolver, trust)));
        }
        !same
    }

    /// Serves other certificates from the next handshake on.
    pub fn update(&self, store: Arc<CertStore>, dev: Option<Arc<DevCa>>) {
        self.resolver.served.store(Arc::new(Served { store, dev }));
    }

    /// Whether these settings can be had by [`Self::update`], without a new terminator.
    pub fn same_shape(&self, mode: &ListenerTls, protocols: Protocols, tls: &Tls) -> bool {
        self.shape == Shape::new(mode, protocols, tls)
    }
}

// === impl Live ===

impl Live {
    fn new(shape: &Shape, resolver: &Arc<ListenerResolver>, trust: Option<Arc<Trust>>) -> Self {
        let config = server_config(shape, Arc::clone(resolver), trust.as_deref());
        Self { config: Arc::new(config), trust }
    }
}

// === impl Shape ===

impl Shape {
    fn new(mode: &ListenerTls, protocols: Protocols, tls: &Tls) -> Self {
        Self {
            mode: mode.clone(),
            h1: protocols.h1,
            h2: protocols.h2,
            only_tls13: tls.only_tls13,
            session_tickets: tls.session_tickets,
        }
    }
}

// === impl ListenerResolver ===

impl ListenerResolver {
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let served = self.served.load();
        let dev = || served.dev.as_ref()?.leaf(name);
        match self.mode {
            ListenerTls::None | ListenerTls::Files => served.store.find(name),
            ListenerTls::Dev => dev(),
            ListenerTls::Auto => match name {
                Some(name) => served
                    .store
                    .covering(name)
                    .or_else(|| if is_local_name(name) { dev() } else { None }),
                None => dev(),
            },
        }
    }
}

impl ResolvesServerCert for ListenerResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

/// Whether this name or address means something on this machine or network only, so that nobody
/// but the development CA can vouch for it.
pub fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    if let Ok(ip) = name.parse::<IpAddr>() {
        return match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        };
    }
    // A single label, `localhost` or `orders`, is a search-list or container name.
    !name.contains('.')
        || LOCAL_SUFFIXES.iter().any(|suffix| {
            name.len() > suffix.len()
                && name.as_bytes()[name.len() - suffix.len()..]
                    .eq_ignore_ascii_case(suffix.as_bytes())
        })
}

fn server_config(
    shape: &Shape,
    resolver: Arc<ListenerResolver>,
    trust: Option<&Trust>,
) -> ServerConfig {
    let versions = if shape.only_tls13 { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
    let builder = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(versions)
        .expect("aws-lc-rs has cipher suites and groups for both versions");
    let builder = match trust {
        None => builder.with_no_client_auth(),
        Some(trust) => builder.with_client_cert_verifier(trust.verifier()),
    };
    let mut config = builder.with_cert_resolver(resolver);
    if shape.h2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    if shape.h1 {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    // Replayable data before the handshake is done: never, whatever rustls' default becomes.
    config.max_early_data_size = 0;
    // Tickets need no memory here, and their keys are this listener's own: a session of one listener
    // does not resume on another. Without them (or without randomness for their keys) TLS 1.3 does
    // not resume at all and TLS 1.2 from a bounded cache.
    match Ticketer::new() {
        Ok(ticketer) if shape.session_tickets => {
            config.ticketer = ticketer;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        _ => {
            config.send_tls13_tickets = 0;
            config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        }
    }
    config
}

#[cfg(test)]
mod tests;
