//! What the TLS listeners of one configuration need: the certificates from files, the local
//! development CA, and whose certificates clients may show. Read while compiling, handed to the listeners when they are bound or updated.

use std::{collections::BTreeMap, sync::Arc};

use super::{certs::CertStore, dev_ca::DevCa, tls::TlsTerminator, trust::Trust};
use crate::config::{
    diagnostic::Diagnostic,
    model::{self, Config, ListenerTls, Name},
};

/// By listener.
type Trusts = BTreeMap<Name, Arc<Trust>>;

/// Certificates of one configuration.
#[derive(Clone, Debug)]
pub struct TlsMaterial {
    /// From files.
    pub store: Arc<CertStore>,
    /// Made here, for listeners with `tls: dev` or `auto`.
    pub dev: Option<Arc<DevCa>>,
    /// Whose certificates clients may show, by listener.
    trusts: Trusts,
}

// === impl TlsMaterial ===

impl TlsMaterial {
    /// Reads the certificates; the second value is warnings. `dry`: nobody will be shown any, so the
    /// development CA is left alone.
    ///
    /// # Errors
    /// Every certificate that cannot be used, and a development CA that cannot be made; with the warnings.
    pub fn load(
        config: &Config,
        previous: Option<&Self>,
        dry: bool,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (store, trusts) = (CertStore::load(&config.tls), trusts(config, previous));
        let ((store, mut warnings), (trusts, more)) = match (store, trusts) {
            (Ok(store), Ok(trusts)) => (store, trusts),
            (store, trusts) => {
                let mut found: Vec<Diagnostic> = store.map_or_else(|it| it, |(_, it)| it);
                found.extend(trusts.map_or_else(|it| it, |(_, it)| it));
                return Err(found);
            }
        };
        warnings.extend(more);
        let wants_dev = |listener: &&model::Listener| {
            !dry && matches!(listener.tls, ListenerTls::Dev | ListenerTls::Auto)
        };
        let dev = match config.listeners.values().find(wants_dev) {
            None => None,
            Some(listener) => match previous.and_then(|old| old.dev.clone()) {
                Some(dev) => Some(dev),
                None => Some(Arc::new(open(listener)?)),
            },
        };
        Ok((Self { store: Arc::new(store), dev, trusts }, warnings))
    }

    pub(super) fn terminator(
        &self,
        name: &str,
        settings: &model::Listener,
        tls: &model::Tls,
    ) -> Option<Arc<TlsTerminator>> {
        (settings.tls != ListenerTls::None).then(|| {
            let (store, dev) = (Arc::clone(&self.store), self.dev.clone());
            let trust = self.trusts.get(name).cloned();
            Arc::new(TlsTerminator::new(
                &settings.tls,
                settings.protocols,
                tls,
                store,
                (dev, trust),
            ))
        })
    }

    /// Whether clients are judged by other rules from now on.
    pub(super) fn update(&self, name: &str, terminator: &TlsTerminator) -> bool {
        terminator.update(Arc::clone(&self.store), self.dev.clone());
        terminator.trust(self.trusts.get(name).cloned())
    }
}

/// What each listener that asks for certificates accepts. Where its files say what they said before,
/// nothing is new: sessions go on.
fn trusts(
    config: &Config,
    previous: Option<&TlsMaterial>,
) -> Result<(Trusts, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut trusts = Trusts::new();
    let (mut warnings, mut errors) = (Vec::new(), Vec::new());
    for (name, listener) in &config.listeners {
        let Some(settings) = &listener.client_auth else { continue };
        match Trust::load(settings) {
            Ok((trust, found)) => {
                warnings.extend(found);
                let old = previous.and_then(|old| old.trusts.get(name));
                let old = old.filter(|old| old.is_same(&trust)).cloned();
                trusts.insert(Arc::clone(name), old.unwrap_or_else(|| Arc::new(trust)));
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() {
        return Ok((trusts, warnings));
    }
    warnings.extend(errors);
    Err(warnings)
}

fn open(listener: &model::Listener) -> Result<DevCa, Vec<Diagnostic>> {
    DevCa::default_dir().and_then(|dir| DevCa::open(&dir)).map_err(|error| {
        let message = format!("the development CA cannot be opened: {error}");
        let help = "set TIDEGATE_CERTS to a directory this process may write to";
        vec![Diagnostic::error(listener.address.place, message).help(help)]
    })
}
