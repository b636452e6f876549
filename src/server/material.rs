//! What the TLS listeners of one configuration need: the certificates from files and the local
//! development CA. Read while compiling, handed to the listeners when they are bound or updated.

use std::sync::Arc;

use super::{certs::CertStore, dev_ca::DevCa, tls::TlsTerminator};
use crate::config::{
    diagnostic::Diagnostic,
    model::{self, Config, ListenerTls},
};

/// Certificates of one configuration.
#[derive(Clone, Debug)]
pub struct TlsMaterial {
    /// From files.
    pub store: Arc<CertStore>,
    /// Made here, for listeners with `tls: dev` or `auto`.
    pub dev: Option<Arc<DevCa>>,
}

// === impl TlsMaterial ===

impl TlsMaterial {
    /// Reads the certificates; the second value is warnings.
    ///
    /// # Errors
    /// Every certificate that cannot be used, and a development CA that cannot be made.
    pub fn load(
        config: &Config,
        previous: Option<&Self>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (store, warnings) = CertStore::load(&config.tls)?;
        let wants_dev = |listener: &&model::Listener| {
            matches!(listener.tls, ListenerTls::Dev | ListenerTls::Auto)
        };
        let dev = match config.listeners.values().find(wants_dev) {
            None => None,
            Some(listener) => match previous.and_then(|old| old.dev.clone()) {
                Some(dev) => Some(dev),
                None => Some(Arc::new(open(listener)?)),
            },
        };
        Ok((Self { store: Arc::new(store), dev }, warnings))
    }

    pub(super) fn terminator(
        &self,
        settings: &model::Listener,
        tls: &model::Tls,
    ) -> Option<Arc<TlsTerminator>> {
        (settings.tls != ListenerTls::None).then(|| {
            let (store, dev) = (Arc::clone(&self.store), self.dev.clone());
            Arc::new(TlsTerminator::new(&settings.tls, settings.protocols, tls, store, dev))
        })
    }

    pub(super) fn update(&self, terminator: &TlsTerminator) {
        terminator.update(Arc::clone(&self.store), self.dev.clone());
    }
}

fn open(listener: &model::Listener) -> Result<DevCa, Vec<Diagnostic>> {
    DevCa::default_dir().and_then(|dir| DevCa::open(&dir)).map_err(|error| {
        let message = format!("the development CA cannot be opened: {error}");
        let help = "set TIDEGATE_CERTS to a directory this process may write to";
        vec![Diagnostic::error(listener.address.place, message).help(help)]
    })
}
