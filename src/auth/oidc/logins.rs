//! What logins share for the life of the process, whatever configuration runs: a reload neither asks the
//! provider again what it has said, nor takes a refresh token twice.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    provider::{self, Provider},
    renewals::Renewals,
};
use crate::{
    config::{diagnostic::Diagnostic, model::UpstreamTls},
    fetch::Fetch,
};

/// What all policies share.
pub(crate) struct Logins {
    /// Where the provider is asked from.
    handle: Handle,
    pub(crate) renewals: Arc<Renewals>,
    providers: Mutex<Vec<(UpstreamTls, Weak<Provider>)>>,
}

// === impl Logins ===

impl Logins {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, renewals: Arc::default(), providers: Mutex::default() }
    }

    /// The provider with these settings: one that is in use, or a new one.
    ///
    /// # Errors
    /// What is wrong with the files named.
    pub(crate) fn provider(
        &self,
        settings: provider::Settings,
        tls: &UpstreamTls,
    ) -> Result<Arc<Provider>, Vec<Diagnostic>> {
        // Read even where it is not used, so that a file that is wrong is said to be.
        let fetch = Fetch::new(tls, provider::PATIENCE, provider::LARGEST)?;
        let mut providers = self.providers.lock();
        providers.retain(|(_, provider)| provider.strong_count() > 0);
        // A bundle of authorities may have changed under its name.
        let same = |(known, provider): &(UpstreamTls, Weak<Provider>)| {
            let provider = provider.upgrade()?;
            let plain = tls.ca.is_none() && tls.client.is_none();
            (plain && known == tls && *provider.settings() == settings).then_some(provider)
        };
        if let Some(provider) = providers.iter().find_map(same) {
            return Ok(provider);
        }
        let provider = Arc::new(Provider::new(settings, fetch, self.handle.clone()));
        providers.push((tls.clone(), Arc::downgrade(&provider)));
        Ok(provider)
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}
