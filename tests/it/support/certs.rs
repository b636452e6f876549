//! A certificate authority made for one test.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// No two certificates have the same number.
static SERIAL: AtomicU64 = AtomicU64::new(1);

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
    /// Its number.
    serial: u64,
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
        let params = CertificateParams::new(names).expect("the test's names are valid");
        self.issued(stem, params)
    }

    /// Issues a certificate of a client with these URIs, valid for so many more seconds.
    pub(crate) fn issue_client(&self, stem: &str, uris: &[&str], seconds: i64) -> Issued {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        let uris = uris.iter().map(|&uri| SanType::URI(uri.try_into().expect("ASCII")));
        params.subject_alt_names = uris.collect();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + moment(seconds);
        self.issued(stem, params)
    }

    fn issued(&self, stem: &str, mut params: CertificateParams) -> Issued {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name.push(DnType::CommonName, stem);
        let key = KeyPair::generate().expect("the default algorithm is built in");
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        let issued = Issued {
            cert: self.home.path().join(format!("{stem}.crt")),
            key: self.home.path().join(format!("{stem}.key")),
            serial,
        };
        // The key first: a watcher that sees the certificate change must find its key there.
        std::fs::write(&issued.key, key.serialize_pem()).expect("our own directory");
        std::fs::write(&issued.cert, cert.pem()).expect("our own directory");
        issued
    }

    /// The list of what it has revoked, valid for so many more seconds, as PEM.
    pub(crate) fn revoke(&self, issued: &[&Issued], seconds: i64) -> String {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let revoked = issued.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: epoch + moment(-100),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: epoch + moment(-100),
            next_update: epoch + moment(seconds),
            crl_number: SerialNumber::from(SERIAL.fetch_add(1, Ordering::Relaxed)),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("the parameters are valid");
        list.pem().expect("a list can be written")
    }

    /// A client configuration that trusts only this authority.
    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        self.client_as(alpn, None)
    }

    /// The same for a client that has a certificate.
    pub(crate) fn client_as(
        &self,
        alpn: &[&str],
        issued: Option<&Issued>,
    ) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.issuer.der().to_vec())).expect("our own certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots);
        let mut config = match issued {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let cert = CertificateDer::from_pem_file(&issued.cert).expect("our own file");
                let key = PrivateKeyDer::from_pem_file(&issued.key).expect("our own file");
                builder.with_client_auth_cert(vec![cert], key).expect("they belong together")
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The time from 1970 to so many seconds from now.
fn moment(seconds: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let then = now.as_secs().checked_add_signed(seconds).expect("a moment after 1970");
    Duration::from_secs(then)
}

// === impl Issued ===

impl Issued {
    /// The two files as an entry of `tls.certificates`.
    pub(crate) fn yaml(&self) -> String {
        format!("{{ cert: \"{}\", key: \"{}\" }}", self.cert.display(), self.key.display())
    }
}
