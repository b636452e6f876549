//! What both ends of TLS share: the one crypto provider, and a certificate with its key read from
//! PEM files and judged. Used by `server/certs` at load and by `upstream/tls` for client
//! certificates; nothing here runs per request.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use crate::config::{diagnostic::Diagnostic, model::Located};

#[cfg(test)]
pub(crate) mod testing;

/// Certificates that end sooner than this are worth a warning.
const SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// A chain or a key is a few KiB; a bundle of roots a few hundred.
const LARGEST_FILE: u64 = 4 << 20;

/// A certificate with its key, ready for a handshake, and what its first certificate says.
pub(crate) struct Identity {
    pub(crate) key: CertifiedKey,
    pub(crate) names: Names,
    /// Unix seconds.
    pub(crate) not_after: i64,
}

/// What a certificate is valid for: its subject alternative names.
#[derive(Default)]
pub(crate) struct Names {
    /// DNS names, lower case.
    pub(crate) dns: Vec<String>,
    /// Addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What we read from an end-entity certificate.
struct Facts {
    names: Names,
    not_before: i64,
    not_after: i64,
}

/// The provider of all TLS here. Named everywhere instead of installed as the process default, so
/// that no other crate can change what we run on.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Unix seconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads certificate and key, and judges them at `now`: they parse, belong together, have not
/// expired. Warnings come with the result, and with errors.
pub(crate) fn identity(
    cert: &Located<PathBuf>,
    key: &Located<PathBuf>,
    now: i64,
) -> Result<(Identity, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (chain, der) = match (read_chain(cert), read_key(key)) {
        (Ok(chain), Ok(der)) => (chain, der),
        (chain, der) => return Err(chain.err().into_iter().chain(der.err()).collect()),
    };
    let facts = facts(cert, &chain).map_err(|e| vec![e])?;
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    judge_dates(cert, &facts, now, &mut errors, &mut warnings);
    let certified = match provider().key_provider.load_private_key(der) {
        Ok(signer) => CertifiedKey::new(chain, signer),
        Err(e) => {
            let text = format!("{}: key not usable: {e}", shown(&key.value));
            errors.push(Diagnostic::error(key.place, text).help("RSA, ECDSA and Ed25519 keys are"));
            warnings.extend(errors);
            return Err(warnings);
        }
    };
    if certified.keys_match().is_err() {
        let text = format!("{}: the key does not belong to the certificate", shown(&key.value));
        errors.push(
            Diagnostic::error(key.place, text)
                .label("this key")
                .and(cert.place, "is not the key of this certificate")
                .help("the certificate of the service itself must be the first in its file"),
        );
    }
    if !errors.is_empty() {
        warnings.extend(errors);
        return Err(warnings);
    }
    Ok((Identity { key: certified, names: facts.names, not_after: facts.not_after }, warnings))
}

/// All certificates of a PEM file; at least one.
pub(crate) fn read_chain(
    file: &Located<PathBuf>,
) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let pem = read(file, LARGEST_FILE)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) if contains(&pem, b"PRIVATE KEY-----") => {
            Err(problem(file, "holds a key, not a certificate").help("were both swapped?"))
        }
        Ok(_) => Err(problem(file, "holds no certificate").help("a PEM file is needed")),
        Err(e) => Err(problem(file, &format!("PEM not understood: {e}"))),
    }
}

/// The first key of a PEM file.
fn read_key(file: &Located<PathBuf>) -> Result<PrivateKeyDer<'static>, Diagnostic> {
    let pem = read(file, LARGEST_FILE)?;
    if contains(&pem, b"ENCRYPTED PRIVATE KEY") || contains(&pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(problem(file, "the key is encrypted")
            .help("decrypt it first: openssl pkey -in encrypted.pem -out key.pem"));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        // The error of the parser is not shown: it may quote the line, and the line may be secret.
        let found = problem(file, "holds no private key in PEM form");
        if contains(&pem, b"CERTIFICATE-----") { found.help("were both swapped?") } else { found }
    })
}

/// The bytes of a file, or of the setting itself where a variable put the PEM there.
pub(crate) fn read(file: &Located<PathBuf>, largest: u64) -> Result<Vec<u8>, Diagnostic> {
    if inline(&file.value) {
        return Ok(file.value.as_os_str().as_encoded_bytes().to_vec());
    }
    // Asked before opening: a FIFO would block the load, a device never end.
    let meta = std::fs::metadata(&file.value).map_err(|e| problem(file, &e.to_string()))?;
    if !meta.is_file() {
        return Err(problem(file, "not a file"));
    }
    if meta.len() > largest {
        return Err(problem(file, "too large for a PEM file"));
    }
    std::fs::read(&file.value).map_err(|e| problem(file, &e.to_string()))
}

fn judge_dates(
    cert: &Located<PathBuf>,
    facts: &Facts,
    now: i64,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) {
    let path = shown(&cert.value);
    let end = date(facts.not_after);
    if facts.not_after <= now {
        let text = format!("{path}: the certificate expired on {end}");
        errors.push(Diagnostic::error(cert.place, text));
    } else if facts.not_after - now < SOON {
        let left = match (facts.not_after - now) / DAY {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let text = format!("{path}: the certificate expires in {left}, on {end}");
        warnings.push(Diagnostic::warning(cert.place, text));
    }
    if facts.not_before > now {
        let start = date(facts.not_before);
        let text = format!("{path}: the certificate is not valid before {start}");
        warnings.push(Diagnostic::warning(cert.place, text));
    }
}

fn facts(file: &Located<PathBuf>, chain: &[CertificateDer<'_>]) -> Result<Facts, Diagnostic> {
    let parsed = chain.first().map(|der| x509_parser::parse_x509_certificate(der));
    let Some(Ok((_, cert))) = parsed else {
        return Err(problem(file, "the certificate is not valid X.509"));
    };
    Ok(Facts {
        names: names(&cert),
        not_before: cert.validity().not_before.timestamp(),
        not_after: cert.validity().not_after.timestamp(),
    })
}

fn names(cert: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let Ok(Some(sans)) = cert.subject_alternative_name() else { return names };
    for name in &sans.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

pub(crate) fn date(unix: i64) -> String {
    let since = Duration::from_secs(u64::try_from(unix).unwrap_or(0));
    // 9999-12-31, the "no end" of X.509 and the last day httpdate can write.
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(Duration::from_secs(253_402_300_799)))
}

fn problem(file: &Located<PathBuf>, what: &str) -> Diagnostic {
    Diagnostic::error(file.place, format!("{}: {what}", shown(&file.value)))
}

/// A path as it may be printed; PEM text in its place is not.
pub(crate) fn shown(path: &Path) -> String {
    if inline(path) { "«redacted»".to_owned() } else { path.display().to_string() }
}

fn inline(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().trim_ascii_start().starts_with(b"-----BEGIN ")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
