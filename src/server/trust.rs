//! Whose certificates a listener accepts from clients (`client_auth`): the authorities and what they have
//! revoked, read at load. It never changes; a reload makes another one where the files have changed.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{parse_x509_crl, revocation_list::CertificateRevocationList};

use crate::{
    config::{
        diagnostic::Diagnostic,
        model::{ClientAuth, Located},
    },
    tls,
};

/// A list of everything an authority has revoked can be long.
const LARGEST_LIST: u64 = 64 << 20;

/// Authorities, and what they have revoked.
pub struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    print: Vec<u8>,
}

// === impl Trust ===

impl Trust {
    /// Reads the files. The second value is warnings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load(settings: &ClientAuth) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let lists = settings.crl.as_ref().map(|file| Ok((file, revoked(file)?))).transpose();
        let (roots, lists) = match (tls::read_chain(&settings.ca), lists) {
            (Ok(roots), Ok(lists)) => (roots, lists),
            (roots, lists) => return Err(roots.err().into_iter().chain(lists.err()).collect()),
        };
        let mut print = Context::new(&SHA256);
        print.update(&[u8::from(settings.required)]);
        let mut store = RootCertStore::empty();
        for root in &roots {
            print.update(&root.len().to_be_bytes());
            print.update(root);
            store.add(root.clone()).map_err(|error| {
                let text = format!("{}: not an authority: {error}", tls::shown(&settings.ca.value));
                vec![Diagnostic::error(settings.ca.place, text)]
            })?;
        }
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), tls::provider());
        let mut warnings = Vec::new();
        if let Some((file, lists)) = lists {
            warnings.extend(ends(file, &lists, tls::now()));
            print.update(b"revoked");
            lists.iter().for_each(|list| print.update(list));
            // Whoever cannot be looked up is refused, and so is everybody once a list is out of date.
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        if !settings.required {
            builder = builder.allow_unauthenticated();
        }
        let place = settings.crl.as_ref().unwrap_or(&settings.ca);
        let verifier = builder.build().map_err(|error| {
            let text = format!("{}: {error}", tls::shown(&place.value));
            vec![Diagnostic::error(place.place, text)]
        })?;
        Ok((Self { verifier, print: print.finish().as_ref().to_vec() }, warnings))
    }

    /// What handshakes are judged by.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether the files say the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.print == other.print
    }

    /// Whether a client that has proved to have the key of this certificate would be accepted at `now`,
    /// in Unix seconds. It takes as long as a handshake does.
    pub(crate) fn vouches(&self, chain: &[CertificateDer<'_>], now: i64) -> bool {
        let now = Duration::from_secs(u64::try_from(now).unwrap_or(0));
        chain.split_first().is_some_and(|(leaf, rest)| {
            let now = UnixTime::since_unix_epoch(now);
            self.verifier.verify_client_cert(leaf, rest, now).is_ok()
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

fn revoked(
    file: &Located<PathBuf>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Diagnostic> {
    let pem = tls::read(file, LARGEST_LIST)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let problem = |what: &str| {
        let text = format!("{}: {what}", tls::shown(&file.value));
        Diagnostic::error(file.place, text)
    };
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(problem("holds no list of revoked certificates")
            .help("a PEM file is needed: openssl crl -inform DER -in list.crl -out list.pem")),
        Err(error) => Err(problem(&format!("PEM not understood: {error}"))),
    }
}

/// Lists whose time is over: nobody gets in.
fn ends(
    file: &Located<PathBuf>,
    lists: &[CertificateRevocationListDer<'_>],
    now: i64,
) -> Option<Diagnostic> {
    let end = |list: &CertificateRevocationList<'_>| Some(list.next_update()?.timestamp());
    let parsed = lists.iter().filter_map(|list| parse_x509_crl(list).ok());
    let first = parsed.filter_map(|(_, list)| end(&list)).min().filter(|end| *end <= now)?;
    let text = format!(
        "{}: a list of revoked certificates ended on {}: nobody it speaks of is let in",
        tls::shown(&file.value),
        tls::date(first)
    );
    Some(Diagnostic::warning(file.place, text).help("the authority makes a new one before that"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::model::{ListenerTls, Protocols, Tls},
        server::{certs::CertStore, peer::Peer, tls::TlsTerminator},
        tls::testing::TestCa,
    };

    fn settings(ca: &TestCa, required: bool) -> ClientAuth {
        ClientAuth { required, ca: ca.file(), crl: None }
    }

    fn trust(ca: &TestCa) -> Arc<Trust> {
        Arc::new(Trust::load(&settings(ca, true)).unwrap().0)
    }

    #[test]
    fn it_is_the_same_while_the_files_and_the_rule_are() {
        let (one, other) = (TestCa::new(), TestCa::new());
        assert!(trust(&one).is_same(&trust(&one)));
        assert!(!trust(&one).is_same(&trust(&other)));
        let (optional, _) = Trust::load(&settings(&one, false)).unwrap();
        assert!(!trust(&one).is_same(&optional), "who came without one must not stay");
    }

    #[test]
    fn who_is_trusted_now_decides_about_those_who_are_connected() {
        let (one, other) = (TestCa::new(), TestCa::new());
        let chain = tls::read_chain(&one.issue("client", &["a"], 1).cert).unwrap();
        let (ours, theirs) = (trust(&one), trust(&other));
        let section = Tls { only_tls13: false, session_tickets: true, certificates: Vec::new() };
        let protocols = Protocols { h1: true, h2: true, h2c: false };
        let terminator = Arc::new(TlsTerminator::new(
            &ListenerTls::Files,
            protocols,
            &section,
            Arc::new(CertStore::default()),
            (None, Some(Arc::clone(&ours))),
        ));
        let peer = Peer::new(&chain, &ours, &terminator).unwrap();
        let now = tls::now();
        assert!(peer.is_vouched(now));
        let before = terminator.config();
        assert!(!terminator.trust(Some(Arc::clone(&ours))), "nothing has changed");
        assert!(Arc::ptr_eq(&before, &terminator.config()), "so sessions go on");
        assert!(terminator.trust(Some(Arc::clone(&theirs))));
        assert!(!Arc::ptr_eq(&before, &terminator.config()), "no session of before goes on");
        assert!(!peer.is_vouched(now));
        assert!(terminator.trust(Some(trust(&one))));
        assert!(peer.is_vouched(now), "made anew, and it says the same");
        assert!(terminator.trust(None));
        assert!(!peer.is_vouched(now), "nobody is asked any more");
        assert!(!ours.vouches(&chain, now + 3 * 86_400), "its time is over");
        assert!(!ours.vouches(&[], now));
    }
}
