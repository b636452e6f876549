//! A certificate authority made for one test.

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;

/// An authority with its certificate in a file.
pub(crate) struct Authority {
    home: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// PEM chain.
    pub(crate) cert: PathBuf,
    /// PEM key.
    pub(crate) key: PathBuf,
}

// === impl Authority ===

impl Authority {
    /// A new authority.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("the default algorithm is built in");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are valid");
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(home.path().join("ca.pem"), issuer.pem()).expect("our own directory");
        Self { home, issuer }
    }

    /// The authority's certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// Issues a certificate for these names (or IP addresses) into files called after `stem`.
    pub(crate) fn issue(&self, stem: &str, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the test's names are valid");
        params.distinguished_name.push(DnType::CommonName, stem);
        let key = KeyPair::generate().expect("the default algorithm is built in");
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        let issued = Issued {
            cert: self.home.path().join(format!("{stem}.crt")),
            key: self.home.path().join(format!("{stem}.key")),
        };
        // The key first: a watcher that sees the certificate change must find its key there.
        std::fs::write(&issued.key, key.serialize_pem()).expect("our own directory");
        std::fs::write(&issued.cert, cert.pem()).expect("our own directory");
        issued
    }

    /// A client configuration that trusts only this authority.
    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.issuer.der().to_vec())).expect("our own certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

// === impl Issued ===

impl Issued {
    /// The two files as an entry of `tls.certificates`.
    pub(crate) fn yaml(&self) -> String {
        format!("{{ cert: \"{}\", key: \"{}\" }}", self.cert.display(), self.key.display())
    }
}
