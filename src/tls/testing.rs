//! Certificates made at run time, and handshakes in memory, for the tests of both ends of TLS.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{diagnostic::Place, model::Located};

/// A CA of a test and a directory for what it issues.
pub(crate) struct TestCa {
    pub(crate) dir: TempDir,
    pub(crate) root: CertificateDer<'static>,
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A file pair in the directory of a [`TestCa`].
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) cert: Located<PathBuf>,
    pub(crate) key: Located<PathBuf>,
}

/// How a handshake ended at the client.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) resumed: bool,
    pub(crate) tls13: bool,
}

/// A place that tests can recognise.
pub(crate) fn place(start: u32) -> Place {
    Place { file: 7, start, end: start + 1 }
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            root_pem: root.pem(),
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these names, valid from now for so many days (or until so many ago).
    pub(crate) fn issue(&self, file: &str, names: &[&str], days: i64) -> Files {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let end = super::now() + days * super::DAY + 60;
        params.not_after = epoch + Duration::from_secs(end.try_into().unwrap());
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Files {
            cert: self.write(&format!("{file}.pem"), &cert.pem(), 10),
            key: self.write(&format!("{file}-key.pem"), &key.serialize_pem(), 20),
        }
    }

    pub(crate) fn write(&self, file: &str, text: &str, start: u32) -> Located<PathBuf> {
        let path = self.dir.path().join(file);
        std::fs::write(&path, text).unwrap();
        Located { value: path, place: place(start) }
    }

    /// The CA as a PEM file.
    pub(crate) fn file(&self) -> Located<PathBuf> {
        self.write("root.pem", &self.root_pem, 30)
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    /// A client that trusts this CA.
    pub(crate) fn client(&self, alpn: &[&str]) -> ClientConfig {
        client(self.roots(), alpn)
    }
}

pub(crate) fn client(roots: RootCertStore, alpn: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

/// A handshake and one byte each way over a pipe; the errors of client and server when it fails.
pub(crate) async fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Outcome, (std::io::Error, std::io::Error)> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (connector, acceptor) =
        (TlsConnector::from(Arc::clone(client)), TlsAcceptor::from(Arc::clone(server)));
    let near = async {
        let mut tls = connector.connect(name, near).await?;
        tls.write_all(b"?").await?;
        // Reading makes the client take the tickets that came after the handshake.
        tls.read_u8().await?;
        let conn = tls.get_ref().1;
        Ok(Outcome {
            leaf: conn.peer_certificates().unwrap()[0].clone().into_owned(),
            alpn: conn.alpn_protocol().map(<[u8]>::to_vec),
            resumed: conn.handshake_kind() == Some(HandshakeKind::Resumed),
            tls13: conn.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3),
        })
    };
    let far = async {
        let mut tls = acceptor.accept(far).await?;
        tls.read_u8().await?;
        tls.write_all(b"!").await?;
        tls.flush().await?;
        Ok(())
    };
    let (near, far): (std::io::Result<_>, std::io::Result<()>) = tokio::join!(near, far);
    match (near, far) {
        (Ok(outcome), _) => Ok(outcome),
        (Err(near), far) => Err((near, far.err().unwrap_or_else(|| std::io::Error::other("none")))),
    }
}
