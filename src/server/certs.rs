//! The certificates of `tls.certificates`: read and judged at load, found by SNI in every
//! handshake. A store never changes; a reload makes a new one and `server/tls` swaps it in.

use std::{borrow::Cow, collections::HashMap, fmt, net::IpAddr, sync::Arc};

use rustls::sign::CertifiedKey;

use crate::{
    config::{
        diagnostic::Diagnostic,
        model::{Certificate, Tls},
    },
    tls::{self, Names},
};

/// All certificates of one configuration.
#[derive(Default)]
pub struct CertStore {
    /// In the order written; the first is the fallback.
    entries: Vec<Entry>,
    /// Host name to index.
    exact: HashMap<Box<str>, usize>,
    /// `x` for `*.x`, to index.
    wildcard: HashMap<Box<str>, usize>,
}

struct Entry {
    key: Arc<CertifiedKey>,
    /// What it is served for.
    hosts: Vec<String>,
    /// What it is valid for.
    names: Names,
    not_after: i64,
}

// === impl CertStore ===

impl CertStore {
    /// Reads all certificates; the store and what deserves a look, or that with all errors of all files.
    pub fn load(tls: &Tls) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        Self::load_at(tls, tls::now())
    }

    fn load_at(tls: &Tls, now: i64) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut store = Self::default();
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        for certificate in &tls.certificates {
            match tls::identity(&certificate.cert, &certificate.key, now) {
                Ok((identity, found)) => {
                    warnings.extend(found);
                    store.add(certificate, identity, &mut warnings);
                }
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            return Ok((store, warnings));
        }
        warnings.extend(errors);
        Err(warnings)
    }

    fn add(&mut self, written: &Certificate, found: tls::Identity, warnings: &mut Vec<Diagnostic>) {
        let index = self.entries.len();
        let hosts: Vec<String> = if written.hosts.is_empty() {
            found.names.dns.clone()
        } else {
            for host in &written.hosts {
                if !found.names.are_for(host) {
                    let text = format!("`{host}` is not among the names of the certificate");
                    warnings.push(
                        Diagnostic::warning(written.cert.place, text)
                            .help(format!("it is valid for: {}", list(&found.names.dns))),
                    );
                }
            }
            written.hosts.iter().map(|host| normal(host).into_owned()).collect()
        };
        if hosts.is_empty() && index > 0 {
            warnings.push(
                Diagnostic::warning(written.cert.place, "this certificate is never served")
                    .label("names no host")
                    .help("only the first certificate is a fallback; give this one `hosts`"),
            );
        }
        for name in &hosts {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            // The first one written wins, as the first one is the fallback.
            map.entry(name.into()).or_insert(index);
        }
        let (key, not_after) = (Arc::new(found.key), found.not_after);
        self.entries.push(Entry { key, hosts, names: found.names, not_after });
    }

    /// The certificate for a name by exact match, then by a wildcard for its first label.
    pub fn covering(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.index(host).map(|index| Arc::clone(&self.entries[index].key))
    }

    /// Whether a certificate was meant for this host (which may itself be `*.x`), or else the fallback is
    /// valid for it, as it is all that clients of addresses are shown.
    pub fn suits(&self, host: &str) -> bool {
        let by_address = address(host).is_some();
        let fallback = || self.entries.first().is_some_and(|it| it.names.are_for(host));
        (!by_address && self.covers(host)) || fallback()
    }

    /// All hosts that certificates are served for.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|entry| &entry.hosts).map(String::as_str)
    }

    /// Whether a certificate was meant for this host (which may itself be `*.x`).
    pub fn covers(&self, host: &str) -> bool {
        match normal(host).strip_prefix("*.") {
            Some(parent) => self.wildcard.contains_key(parent),
            None => self.index(host).is_some(),
        }
    }

    /// As [`Self::covering`], and the first certificate where that finds nothing or the client
    /// named no host.
    pub fn find(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        host.and_then(|host| self.covering(host))
            .or_else(|| self.entries.first().map(|entry| Arc::clone(&entry.key)))
    }

    /// Host and end of validity in Unix seconds of each certificate, for the metric.
    pub fn expiries(&self) -> Vec<(String, i64)> {
        self.entries.iter().map(|entry| (entry.label().to_owned(), entry.not_after)).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn index(&self, host: &str) -> Option<usize> {
        let host = normal(host);
        self.exact.get(&*host).copied().or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.wildcard.get(parent).copied()
        })
    }
}

impl fmt::Debug for CertStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(Entry::label)).finish()
    }
}

// === impl Entry ===

impl Entry {
    /// What it is called in metrics: its first host.
    fn label(&self) -> &str {
        self.hosts.first().map_or("", String::as_str)
    }
}

// === impl Names ===

impl Names {
    /// Whether they are for this host (which may itself be `*.x`). A `*` is one label (RFC 9525).
    fn are_for(&self, host: &str) -> bool {
        if let Some(ip) = address(host) {
            return self.addresses.contains(&ip);
        }
        let host = normal(host);
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.dns
            .iter()
            .any(|name| *name == *host || (parent.is_some() && name.strip_prefix("*.") == parent))
    }
}

/// A host that is an address, `[::1]` as in a URL or bare. Clients do not say to which one they go.
pub fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Lower case and without the dot of the root. Copies only when there is something to change, which
/// is not the case for the names clients send.
fn normal(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no host".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Files, TestCa, place};

    fn section(files: &[(Files, &[&str])]) -> Tls {
        let certificates = files.iter().map(|(files, hosts)| Certificate {
            cert: files.cert.clone(),
            key: files.key.clone(),
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        });
        Tls { only_tls13: false, session_tickets: true, certificates: certificates.collect() }
    }

    fn same(found: Option<Arc<CertifiedKey>>, store: &CertStore, index: usize) -> bool {
        found.is_some_and(|key| Arc::ptr_eq(&key, &store.entries[index].key))
    }

    #[test]
    fn finds_exact_before_wildcard_before_first() {
        let ca = TestCa::new();
        let store = section(&[
            (ca.issue("first", &["first.example"], 90), &[]),
            (ca.issue("wild", &["*.apps.example"], 90), &[]),
            (ca.issue("exact", &["a.apps.example", "Big.Example"], 90), &[]),
        ]);
        let (store, warnings) = CertStore::load(&store).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(same(store.find(Some("a.apps.example")), &store, 2));
        assert!(same(store.find(Some("A.APPS.example.")), &store, 2));
        assert!(same(store.find(Some("big.example")), &store, 2));
        assert!(same(store.find(Some("b.apps.example")), &store, 1));
        for other in [Some("apps.example"), Some("c.b.apps.example"), Some("else"), None] {
            assert!(same(store.find(other), &store, 0), "{other:?}");
        }
        assert!(store.covering("c.b.apps.example").is_none());
        assert!(store.covers("*.apps.example") && !store.covers("*.example"));
    }

    #[test]
    fn hosts_replace_the_names_of_the_certificate() {
        let ca = TestCa::new();
        let files = ca.issue("one", &["one.example", "*.two.example"], 90);
        let tls = section(&[(files, &["x.two.example", "three.example"])]);
        let (store, warnings) = CertStore::load(&tls).unwrap();
        assert!(store.covers("x.two.example") && store.covers("three.example"));
        assert!(!store.covers("one.example"));
        // It is the first, so it is shown to those as well, and some of them accept it.
        assert!(store.suits("one.example") && !store.suits("four.example"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains("three.example"), "{warnings:?}");
    }

    #[test]
    fn a_foreign_key_is_refused_at_both_places() {
        let ca = TestCa::new();
        let mut files = ca.issue("one", &["one.example"], 90);
        files.key = ca.issue("two", &["two.example"], 90).key;
        let errors = CertStore::load(&section(&[(files, &[])])).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.contains("does not belong"), "{errors:?}");
        let places: Vec<_> = errors[0].labels.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [place(20), place(10)]);
    }

    #[test]
    fn dates_are_judged() {
        let ca = TestCa::new();
        let errors = CertStore::load(&section(&[(ca.issue("old", &["a"], -1), &[])])).unwrap_err();
        assert!(errors[0].message.contains("expired on"), "{errors:?}");
        assert_eq!(errors[0].labels[0].0, place(10));

        let tls = section(&[(ca.issue("soon", &["a"], 13), &[])]);
        let (store, warnings) = CertStore::load(&tls).unwrap();
        assert!(warnings[0].message.contains("expires in 13 days"), "{warnings:?}");
        let (host, end) = store.expiries().remove(0);
        assert_eq!(host, "a");
        assert!((end - tls::now() - 13 * 86_400).abs() < 120);
        // A certificate that was good at load is refused once its time has come.
        assert!(CertStore::load_at(&tls, tls::now() + 14 * 86_400).is_err());
        // The test CA issues from 1975 on.
        let (_, warnings) = CertStore::load_at(&tls, 0).unwrap();
        assert!(warnings[0].message.contains("not valid before"), "{warnings:?}");
    }

    #[test]
    fn all_errors_of_all_files_in_one_run() {
        let ca = TestCa::new();
        let good = ca.issue("good", &["good.example"], 90);
        let swapped = Files { cert: good.key.clone(), key: good.cert.clone() };
        let mut missing = good.clone();
        missing.cert.value.set_extension("gone");
        let mut broken = good.clone();
        broken.cert = ca.write("broken.pem", "-----BEGIN CERTIFICATE-----\n%%\n", 40);
        let mut garbage = good.clone();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        garbage.cert = ca.write("garbage.pem", pem, 50);
        let all = [good, swapped, missing, broken, garbage].map(|files| (files, &[] as &[&str]));
        let errors = CertStore::load(&section(&all)).unwrap_err();
        let text: Vec<_> = errors.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(text.len(), 5, "{text:?}");
        assert!(text[0].contains("holds a key"), "{text:?}");
        assert!(text[1].contains("holds no private key"), "{text:?}");
        assert!(text[2].contains("good.gone"), "{text:?}");
        assert!(text[3].contains("PEM not understood"), "{text:?}");
        assert!(text[4].contains("not valid X.509"), "{text:?}");
    }

    #[test]
    fn pem_from_a_variable_is_used_and_never_printed() {
        let ca = TestCa::new();
        let mut files = ca.issue("one", &["one.example"], 90);
        files.key.value = std::fs::read_to_string(&files.key.value).unwrap().into();
        assert!(CertStore::load(&section(&[(files.clone(), &[])])).is_ok());
        files.cert = ca.issue("two", &["two.example"], 90).cert;
        let errors = CertStore::load(&section(&[(files, &[])])).unwrap_err();
        assert!(!format!("{errors:?}").contains("BEGIN"), "{errors:?}");
    }
}
