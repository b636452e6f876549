//! TLS towards an upstream: whom we trust, who we say we are, what we speak. Made once per
//! upstream at load and used by `upstream/pool` for every connection to an `https` endpoint, so
//! that its sessions resume.

use std::{
    error::Error as StdError,
    io,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime},
    sign::SingleCertAndKey,
};

use crate::{
    config::{
        diagnostic::{About, Diagnostic, Severity},
        model::{Protocol, UpstreamTls},
    },
    tls,
};

/// Server names whose sessions are kept, per upstream.
const REMEMBERED_SESSIONS: usize = 256;

/// Takes any certificate (`verify: false`), but only from who has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// The configuration for the `https` endpoints of one upstream. The diagnostics are at the files
/// named; the one about the system's roots has no place of its own.
pub fn client_config(
    tls: &UpstreamTls,
    protocol: Protocol,
) -> Result<Arc<ClientConfig>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let verifier = verifier(tls).map_err(|e| errors.push(e)).ok();
    let client = match &tls.client {
        Some((cert, key)) => match tls::identity(cert, key, tls::now()) {
            Ok((identity, _)) => Some(identity.key),
            Err(found) => {
                errors.extend(found);
                None
            }
        },
        None => None,
    };
    let Some(verifier) = verifier.filter(|_| errors.is_empty()) else { return Err(errors) };
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has cipher suites and groups for both versions")
        // Only by its name dangerous: the verifier is webpki's own unless `verify: false`.
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(REMEMBERED_SESSIONS);
    let alpn: &[&[u8]] = match protocol {
        Protocol::Auto => &[b"h2", b"http/1.1"],
        Protocol::H1 => &[b"http/1.1"],
        Protocol::H2 => &[b"h2"],
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The name sent as SNI and verified: the one configured, or the endpoint's host.
pub fn server_name(
    host: &str,
    tls: &UpstreamTls,
) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    // The dot of the root belongs to DNS, not to SNI (RFC 6066 section 3).
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
}

/// The `Proxy-Status` error (RFC 9209 sections 2.3.15 to 2.3.17) of a failed handshake or connection;
/// `None` if no TLS error is among its causes.
pub fn proxy_status(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    tls_error(error).map(|error| match error {
        rustls::Error::AlertReceived(_) => "tls_alert_received",
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::InvalidCertRevocationList(_) => "tls_certificate_error",
        _ => "tls_protocol_error",
    })
}

/// The TLS error among the causes. `io::Error` hides what it wraps from `source()`.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn verifier(tls: &UpstreamTls) -> Result<Arc<dyn ServerCertVerifier>, Diagnostic> {
    if !tls.verify {
        return Ok(Arc::new(AnyCertificate(tls::provider())));
    }
    let (roots, file) = match &tls.ca {
        None => (system_roots()?, None),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for cert in tls::read_chain(file)? {
                roots.add(cert).map_err(|e| {
                    Diagnostic::error(file.place, "a certificate here is not usable as a CA")
                        .label(e.to_string())
                })?;
            }
            (Arc::new(roots), Some(file))
        }
    };
    match WebPkiServerVerifier::builder_with_provider(roots, tls::provider()).build() {
        Ok(verifier) => Ok(verifier),
        Err(e) => {
            let place = file.map(|file| file.place).unwrap_or_default();
            Err(Diagnostic::error(place, format!("CA not usable: {e}")))
        }
    }
}

/// Read once per process, and only if an upstream trusts them; read again at the next load if there
/// were none.
fn system_roots() -> Result<Arc<RootCertStore>, Diagnostic> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores of old systems hold the odd certificate that is not valid today; those are left out.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))));
    }
    let why = found.errors.first().map_or_else(|| "none installed".to_owned(), ToString::to_string);
    Err(Diagnostic {
        severity: Severity::Error,
        message: format!("no CA of this system to verify an https upstream with: {why}"),
        labels: Vec::new(),
        help: Some("install ca-certificates, or name a CA file in `tls: { ca: … }`".to_owned()),
        about: About::Value,
    })
}

// === impl AnyCertificate ===

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ServerConfig, server::WebPkiClientVerifier, sign::CertifiedKey};

    use super::*;
    use crate::tls::testing::{Files, TestCa, handshake, place};

    fn key(files: &Files) -> CertifiedKey {
        tls::identity(&files.cert, &files.key, tls::now()).unwrap().0.key
    }

    fn server(files: &Files, clients: Option<&TestCa>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()), tls::provider())
                    .build()
                    .unwrap(),
            ),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key(files))));
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Arc::new(config)
    }

    fn trusting(ca: &TestCa) -> UpstreamTls {
        UpstreamTls { ca: Some(ca.file()), client: None, server_name: None, verify: true }
    }

    #[tokio::test]
    async fn own_ca_alpn_and_resumption() {
        let ca = TestCa::new();
        let server = server(&ca.issue("up", &["up.example", "10.1.2.3"], 90), None);
        for (protocol, agreed) in
            [(Protocol::Auto, "http/1.1"), (Protocol::H1, "http/1.1"), (Protocol::H2, "h2")]
        {
            let config = client_config(&trusting(&ca), protocol).unwrap();
            let outcome = handshake(&config, &server, "up.example").await.unwrap();
            assert_eq!(outcome.alpn.as_deref(), Some(agreed.as_bytes()), "{protocol:?}");
            assert!(!outcome.resumed);
            assert!(handshake(&config, &server, "up.example").await.unwrap().resumed);
        }
        let config = client_config(&trusting(&ca), Protocol::Auto).unwrap();
        assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
        handshake(&config, &server, "10.1.2.3").await.unwrap();
    }

    #[tokio::test]
    async fn wrong_ca_wrong_name_and_verify_false() {
        let (ca, other) = (TestCa::new(), TestCa::new());
        let server = server(&ca.issue("up", &["up.example"], 90), None);
        let mut tls = trusting(&other);
        let config = client_config(&tls, Protocol::H1).unwrap();
        let (error, seen) = handshake(&config, &server, "up.example").await.unwrap_err();
        assert_eq!(proxy_status(&error), Some("tls_certificate_error"), "{error}");
        assert_eq!(proxy_status(&seen), Some("tls_alert_received"), "{seen}");

        let config = client_config(&trusting(&ca), Protocol::H1).unwrap();
        let (error, _) = handshake(&config, &server, "else.example").await.unwrap_err();
        assert_eq!(proxy_status(&error), Some("tls_certificate_error"), "{error}");

        tls.verify = false;
        let config = client_config(&tls, Protocol::H1).unwrap();
        handshake(&config, &server, "else.example").await.unwrap();
    }

    #[tokio::test]
    async fn verify_false_still_wants_the_key_of_the_certificate() {
        let ca = TestCa::new();
        let (one, two) = (ca.issue("one", &["up.example"], 90), ca.issue("two", &["x"], 90));
        let stolen = CertifiedKey::new(key(&one).cert, key(&two).key);
        let server = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
        let tls = UpstreamTls { verify: false, ..trusting(&ca) };
        let config = client_config(&tls, Protocol::Auto).unwrap();
        let (error, _) = handshake(&config, &Arc::new(server), "up.example").await.unwrap_err();
        assert!(proxy_status(&error).is_some(), "{error}");
    }

    #[tokio::test]
    async fn client_certificate() {
        let (ca, clients) = (TestCa::new(), TestCa::new());
        let server = server(&ca.issue("up", &["up.example"], 90), Some(&clients));
        let mut tls = trusting(&ca);
        let config = client_config(&tls, Protocol::H1).unwrap();
        let (error, _) = handshake(&config, &server, "up.example").await.unwrap_err();
        assert_eq!(proxy_status(&error), Some("tls_alert_received"), "{error}");

        let Files { cert, key } = clients.issue("me", &["gateway"], 90);
        tls.client = Some((cert, key));
        let config = client_config(&tls, Protocol::H1).unwrap();
        handshake(&config, &server, "up.example").await.unwrap();
    }

    #[test]
    fn all_files_are_judged_in_one_run() {
        let ca = TestCa::new();
        let mut tls = trusting(&ca);
        tls.ca = Some(ca.write("empty.pem", "", 40));
        let Files { cert, .. } = ca.issue("me", &["gateway"], 90);
        tls.client = Some((cert, ca.issue("you", &["gateway"], 90).key));
        let errors = client_config(&tls, Protocol::Auto).unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.labels[0].0).collect();
        assert_eq!(places, [place(40), place(20)], "{errors:?}");
    }

    #[test]
    fn names() {
        let ca = TestCa::new();
        let mut tls = trusting(&ca);
        let text = |name: ServerName<'_>| name.to_str().into_owned();
        assert_eq!(text(server_name("Up.example.", &tls).unwrap()), "Up.example");
        assert!(matches!(server_name("::1", &tls), Ok(ServerName::IpAddress(_))));
        assert!(server_name("not a name", &tls).is_err());
        tls.server_name = Some("inner.example".to_owned());
        assert_eq!(text(server_name("10.0.0.1", &tls).unwrap()), "inner.example");
    }

    #[test]
    fn only_tls_errors_have_a_word() {
        let wrapped = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert_eq!(proxy_status(&wrapped), Some("tls_protocol_error"));
        assert_eq!(proxy_status(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
    }
}
