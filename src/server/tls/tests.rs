//! Handshakes in memory: which certificate, which protocol, which session.

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
    TlsTerminator::new(mode, BOTH, tls, store(tls), (dev, None))
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
    let h1 = TlsTerminator::new(&ListenerTls::Files, h1, &tls, store(&tls), (None, None)).config();
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
    let (old, new) = (ca.issue("old", &["one.example"], 90), ca.issue("new", &["one.example"], 90));
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
    let other = self::terminator(&ListenerTls::Files, &after, None).config();
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
    for name in ["localhost", "a.LOCALHOST", "b.test.", "orders", "10.0.0.1", "::1", "fd00::1"] {
        assert!(is_local_name(name), "{name}");
    }
    for name in ["example.com", "localhost.example", "test.example", "8.8.8.8", "2001:db8::1"] {
        assert!(!is_local_name(name), "{name}");
    }
}
