//! The certificate a client has shown in its handshake: what it says, read once per connection and only
//! where the listener asks for certificates, and whether it still counts.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{tls::TlsTerminator, trust::Trust};
use crate::{auth::Claims, config::model::Name};

/// Names of one certificate. Nobody has more, and every request may look at all of them.
const MOST_NAMES: usize = 64;

/// A client that has proved to have the key of a certificate.
#[derive(Debug)]
pub struct Peer {
    facts: Facts,
    chain: Vec<CertificateDer<'static>>,
    terminator: Arc<TlsTerminator>,
    /// Who was asked last, and what that said.
    vouched: Mutex<(Arc<Trust>, bool)>,
    field: OnceLock<HeaderValue>,
}

/// What a certificate says.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its alternative names, as far as they are of a kind we know and of characters one can print.
    pub(crate) names: Vec<San>,
    /// How many URIs there are, whatever they look like.
    pub(crate) uris: usize,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) fingerprint: String,
    /// The last second it is valid, in Unix seconds.
    pub(crate) not_after: i64,
    /// All of it, for rules.
    pub(crate) claims: Arc<Claims>,
}

/// An alternative name (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// A URI, SPIFFE ids among them.
    Uri(Name),
    /// A DNS name, in lower case.
    Dns(Name),
    /// A mailbox, its domain in lower case.
    Email(Name),
}

// === impl Peer ===

impl Peer {
    /// Of a handshake that `trust` has judged. `None`: the certificate cannot be read.
    pub(crate) fn new(
        chain: &[CertificateDer<'_>],
        trust: &Arc<Trust>,
        terminator: &Arc<TlsTerminator>,
    ) -> Option<Self> {
        let facts = Facts::read(chain.first()?)?;
        Some(Self {
            facts,
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            terminator: Arc::clone(terminator),
            vouched: Mutex::new((Arc::clone(trust), true)),
            field: OnceLock::new(),
        })
    }

    /// What its certificate says.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the listener would still accept it, after the files of `client_auth` have changed. It is
    /// verified once for each change.
    pub(crate) fn is_vouched(&self, now: i64) -> bool {
        let live = self.terminator.live();
        let Some(trust) = &live.trust else { return false };
        let mut vouched = self.vouched.lock();
        if !Arc::ptr_eq(&vouched.0, trust) {
            *vouched = (Arc::clone(trust), trust.vouches(&self.chain, now));
        }
        vouched.1
    }

    /// The certificate as RFC 9440 writes it.
    pub(crate) fn field(&self) -> &HeaderValue {
        self.field.get_or_init(|| {
            let text = format!(":{}:", STANDARD.encode(&self.chain[0]));
            HeaderValue::try_from(text).expect("base64 is fit for a field")
        })
    }
}

// === impl Facts ===

impl Facts {
    /// What is in a certificate; `None` if it is none.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let (names, uris) = names(&certificate);
        let fingerprint = hex(digest(&SHA256, der).as_ref());
        let not_after = certificate.validity().not_after.timestamp();
        let claims = Arc::new(claims(&certificate, &names, &fingerprint, not_after));
        Some(Self { names, uris, fingerprint, not_after, claims })
    }
}

/// Its names, and the number of URIs among them.
fn names(certificate: &X509Certificate<'_>) -> (Vec<San>, usize) {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return (Vec::new(), 0);
    };
    let all = &extension.value.general_names;
    let uris = all.iter().filter(|name| matches!(name, GeneralName::URI(_))).count();
    let names = all.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => printable(uri).map(|uri| San::Uri(uri.into())),
        GeneralName::DNSName(name) => San::dns(name),
        GeneralName::RFC822Name(mailbox) => San::email(mailbox),
        _ => None,
    });
    (names.take(MOST_NAMES).collect(), uris)
}

fn claims(
    certificate: &X509Certificate<'_>,
    names: &[San],
    fingerprint: &str,
    not_after: i64,
) -> Claims {
    let of = |pick: fn(&San) -> Option<&Name>| {
        names.iter().filter_map(pick).map(|name| Value::from(&**name)).collect::<Vec<_>>()
    };
    let mut claims = Claims::new();
    claims.insert("uri".into(), of(San::as_uri).into());
    claims.insert("dns".into(), of(San::as_dns).into());
    claims.insert("email".into(), of(San::as_email).into());
    let cn = certificate.subject().iter_common_name().next();
    if let Some(cn) = cn.and_then(|cn| cn.as_str().ok()) {
        claims.insert("cn".into(), cn.into());
    }
    claims.insert("serial".into(), hex(certificate.raw_serial()).into());
    claims.insert("fingerprint".into(), fingerprint.into());
    claims.insert("not_after".into(), not_after.into());
    claims
}

// === impl San ===

impl San {
    /// A DNS name, if it can be one.
    pub(crate) fn dns(name: &str) -> Option<Self> {
        printable(name).map(|name| Self::Dns(name.to_ascii_lowercase().into()))
    }

    /// A mailbox, if it can be one. What stands before the `@` is the business of its domain alone.
    pub(crate) fn email(mailbox: &str) -> Option<Self> {
        let (local, domain) = printable(mailbox)?.rsplit_once('@')?;
        Some(Self::Email(format!("{local}@{}", domain.to_ascii_lowercase()).into()))
    }

    /// The name, without what kind it is of.
    pub(crate) fn name(&self) -> &Name {
        let (Self::Uri(name) | Self::Dns(name) | Self::Email(name)) = self;
        name
    }

    fn as_uri(&self) -> Option<&Name> {
        if let Self::Uri(name) = self { Some(name) } else { None }
    }

    fn as_dns(&self) -> Option<&Name> {
        if let Self::Dns(name) = self { Some(name) } else { None }
    }

    fn as_email(&self) -> Option<&Name> {
        if let Self::Email(name) = self { Some(name) } else { None }
    }
}

/// What can stand in a field and in a log as it is.
fn printable(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
