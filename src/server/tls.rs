//! TLS of a listener. One `rustls::ServerConfig` lives as long as the listener, so that the keys of
//! its session tickets survive reloads; only what its resolver serves from is swapped.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{certs::CertStore, dev_ca::DevCa};
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
    config: Arc<ServerConfig>,
    resolver: Arc<ListenerResolver>,
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
    /// certificate for the names that would come from it, and such handshakes fail.
    pub fn new(
        mode: &ListenerTls,
        protocols: Protocols,
        tls: &Tls,
        store: Arc<CertStore>,
        dev: Option<Arc<DevCa>>,
    ) -> Self {
        let shape = Shape::new(mode, protocols, tls);
        let served = ArcSwap::from_pointee(Served { store, dev });
        let resolver = Arc::new(ListenerResolver { mode: mode.clone(), served });
        let config = Arc::new(server_config(&shape, Arc::clone(&resolver)));
        Self { shape, config, resolver }
    }

    /// What new connections are accepted with. Stays the same over [`Self::update`].
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
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

fn server_config(shape: &Shape, resolver: Arc<ListenerResolver>) -> ServerConfig {
    let versions = if shape.only_tls13 { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(versions)
        .expect("aws-lc-rs has cipher suites and groups for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
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
mod tests {
    use rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, pem::PemObject},
    };

    use super::*;
    use crate::{
        config::model::Certificate,
        tls::testing::{Files, TestCa, client, handshake},
    };

    const BOTH: Protocols = Protocols { h1: true, h2: true, h2c: false };

    fn section(files: &[Files]) -> Tls {
        let certificates = files.iter().map(|files| Certificate {
            cert: files.cert.clone(),
            key: files.key.clone(),
            hosts: Vec::new(),
        });
        Tls { only_tls13: false, session_tickets: true, certificates: certificates.collect() }
    }

    fn terminator(mode: &ListenerTls, tls: &Tls, dev: Option<Arc<DevCa>>) -> TlsTerminator {
        TlsTerminator::new(mode, BOTH, tls, store(tls), dev)
    }

    fn store(tls: &Tls) -> Arc<CertStore> {
        Arc::new(CertStore::load(tls).unwrap().0)
    }

    fn der(files: &Files) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&files.cert.value).unwrap()
    }

    fn without_12(mut config: ClientConfig, roots: RootCertStore) -> ClientConfig {
        let resumption = config.resumption.clone();
        config = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = resumption;
        config
    }

    #[tokio::test]
    async fn sni_chooses_the_certificate() {
        let ca = TestCa::new();
        let first = ca.issue("first", &["first.example", "other.example"], 90);
        let wild = ca.issue("wild", &["*.apps.example"], 90);
        let exact = ca.issue("exact", &["a.apps.example"], 90);
        let tls = section(&[first.clone(), wild.clone(), exact.clone()]);
        let server = terminator(&ListenerTls::Files, &tls, None).config();
        let config = Arc::new(ca.client(&[]));
        for (name, files) in
            [("a.apps.example", &exact), ("b.apps.example", &wild), ("other.example", &first)]
        {
            let outcome = handshake(&config, &server, name).await.unwrap();
            assert_eq!(outcome.leaf, der(files), "{name}");
            assert!(outcome.tls13);
        }
        // The fallback is offered; the client sees that it is for another name.
        let (error, _) = handshake(&config, &server, "else.example").await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }

    #[tokio::test]
    async fn alpn_follows_the_protocols() {
        let ca = TestCa::new();
        let tls = section(&[ca.issue("one", &["one.example"], 90)]);
        let both = terminator(&ListenerTls::Files, &tls, None).config();
        let h1 = Protocols { h2: false, ..BOTH };
        let h1 = TlsTerminator::new(&ListenerTls::Files, h1, &tls, store(&tls), None).config();
        for (server, offered, agreed) in [
            (&both, &["http/1.1", "h2"][..], Some("h2")),
            (&both, &["http/1.1"], Some("http/1.1")),
            (&both, &[], None),
            (&h1, &["h2", "http/1.1"], Some("http/1.1")),
        ] {
            let config = Arc::new(ca.client(offered));
            let outcome = handshake(&config, server, "one.example").await.unwrap();
            assert_eq!(outcome.alpn.as_deref(), agreed.map(str::as_bytes), "{offered:?}");
        }
        let config = Arc::new(ca.client(&["h2"]));
        assert!(handshake(&config, &h1, "one.example").await.is_err());
    }

    #[tokio::test]
    async fn a_swap_serves_the_new_certificate_and_keeps_sessions() {
        let ca = TestCa::new();
        let (old, new) =
            (ca.issue("old", &["one.example"], 90), ca.issue("new", &["one.example"], 90));
        let before = section(std::slice::from_ref(&old));
        let after = section(std::slice::from_ref(&new));
        let terminator = terminator(&ListenerTls::Files, &before, None);
        let server = terminator.config();
        for config in [ca.client(&[]), without_12(ca.client(&[]), ca.roots())] {
            terminator.update(store(&before), None);
            let config = Arc::new(config);
            let outcome = handshake(&config, &server, "one.example").await.unwrap();
            assert_eq!((&outcome.leaf, outcome.resumed), (&der(&old), false));

            terminator.update(store(&after), None);
            assert!(Arc::ptr_eq(&server, &terminator.config()));
            let resumed = handshake(&config, &server, "one.example").await.unwrap();
            assert!(resumed.resumed, "tls13: {}", resumed.tls13);
            let fresh = Arc::new(ca.client(&[]));
            let outcome = handshake(&fresh, &server, "one.example").await.unwrap();
            assert_eq!((&outcome.leaf, outcome.resumed), (&der(&new), false));
        }
        // What makes sessions resume is the terminator: another one has other keys.
        let config = Arc::new(ca.client(&[]));
        handshake(&config, &server, "one.example").await.unwrap();
        let other = super::tests::terminator(&ListenerTls::Files, &after, None).config();
        assert!(!handshake(&config, &other, "one.example").await.unwrap().resumed);
    }

    #[tokio::test]
    async fn no_tickets_and_only_tls13_when_so_configured() {
        let ca = TestCa::new();
        let mut tls = section(&[ca.issue("one", &["one.example"], 90)]);
        tls.session_tickets = false;
        let server = terminator(&ListenerTls::Files, &tls, None).config();
        let config = Arc::new(ca.client(&[]));
        for _ in 0..2 {
            assert!(!handshake(&config, &server, "one.example").await.unwrap().resumed);
        }
        tls.only_tls13 = true;
        let server = terminator(&ListenerTls::Files, &tls, None).config();
        let old = Arc::new(without_12(ca.client(&[]), ca.roots()));
        assert!(handshake(&old, &server, "one.example").await.is_err());
        assert!(handshake(&config, &server, "one.example").await.unwrap().tls13);
    }

    #[tokio::test]
    async fn auto_and_dev_use_the_development_ca() {
        let ca = TestCa::new();
        let dir = tempfile::tempdir().unwrap();
        let dev = Arc::new(DevCa::open(dir.path()).unwrap());
        let mut roots = ca.roots();
        roots.add(CertificateDer::from_pem_file(dev.cert_path()).unwrap()).unwrap();
        let config = Arc::new(client(roots, &[]));
        let files = ca.issue("one", &["shop.example", "mine.test"], 90);
        let tls = section(std::slice::from_ref(&files));
        let auto = terminator(&ListenerTls::Auto, &tls, Some(Arc::clone(&dev))).config();
        for name in ["shop.example", "mine.test"] {
            assert_eq!(handshake(&config, &auto, name).await.unwrap().leaf, der(&files), "{name}");
        }
        for name in ["localhost", "a.localhost", "other.test", "127.0.0.1", "::1"] {
            assert_ne!(handshake(&config, &auto, name).await.unwrap().leaf, der(&files), "{name}");
        }
        let (_, error) = handshake(&config, &auto, "public.example").await.unwrap_err();
        assert!(error.to_string().contains("no server certificate"), "{error}");

        let server = terminator(&ListenerTls::Dev, &tls, Some(dev)).config();
        for name in ["shop.example", "public.example", "localhost"] {
            let outcome = handshake(&config, &server, name).await.unwrap();
            assert_ne!(outcome.leaf, der(&files), "{name}");
        }
        let without = terminator(&ListenerTls::Dev, &tls, None).config();
        assert!(handshake(&config, &without, "localhost").await.is_err());
    }

    #[test]
    fn shape_is_what_a_config_cannot_change() {
        let tls = section(&[]);
        let terminator = terminator(&ListenerTls::Files, &tls, None);
        let h2c = Protocols { h2c: true, ..BOTH };
        assert!(terminator.same_shape(&ListenerTls::Files, h2c, &tls));
        assert!(!terminator.same_shape(&ListenerTls::Dev, BOTH, &tls));
        assert!(!terminator.same_shape(&ListenerTls::Files, Protocols { h1: false, ..BOTH }, &tls));
        let changed = Tls { session_tickets: false, ..tls.clone() };
        assert!(!terminator.same_shape(&ListenerTls::Files, BOTH, &changed));
        let changed = Tls { only_tls13: true, ..tls };
        assert!(!terminator.same_shape(&ListenerTls::Files, BOTH, &changed));
    }

    #[test]
    fn local_names() {
        for name in ["localhost", "a.LOCALHOST", "b.test.", "orders", "10.0.0.1", "::1", "fd00::1"]
        {
            assert!(is_local_name(name), "{name}");
        }
        for name in ["example.com", "localhost.example", "test.example", "8.8.8.8", "2001:db8::1"] {
            assert!(!is_local_name(name), "{name}");
        }
    }
}
