//! A configuration that has been read and not yet judged: the files, what they say together, and a
//! fingerprint of all they depend on.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc};

use crate::{
    config::{
        self, Input, Loaded, Snapshot,
        diagnostic::{Diagnostic, Diagnostics},
        model::{AuthScheme, Config, KeyMaterial, ListenerTls, Signature, SignatureKeys, Store},
        quarantine,
    },
    watch::{content, digest},
};

/// Where variables in the files come from.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A configuration that has been read.
pub struct Candidate {
    /// What the loader says, sources and findings included.
    pub loaded: Loaded,
    /// Fingerprint of every file it depends on.
    pub hash: String,
    /// Every file it depends on: configuration, certificates, keys, directories of includes.
    pub files: BTreeSet<PathBuf>,
}

// === impl Candidate ===

impl Candidate {
    /// Reads every file.
    pub fn read(inputs: &[Input], env: &Env) -> Self {
        Self::of(config::load(inputs, &**env))
    }

    /// The same, and broken included files may be kept apart.
    pub fn read_quarantining(inputs: &[Input], env: &Env, may: bool) -> Self {
        match may {
            true => Self::of(config::load_quarantining(inputs, &**env)),
            false => Self::read(inputs, env),
        }
    }

    /// Reads what was read before, whatever has become of the files.
    pub fn again(snapshot: &Snapshot) -> Self {
        Self::of(config::load_again(snapshot))
    }

    fn of(loaded: Loaded) -> Self {
        let mut files: BTreeSet<PathBuf> = loaded.files.iter().cloned().collect();
        let material = loaded.config.as_ref().map(material).unwrap_or_default();
        let mut parts = vec![loaded.hash.clone().into_bytes()];
        parts.extend(material.iter().map(|path| content(path)));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let hash = format!("{:016x}", digest(&parts));
        files.extend(material);
        Self { loaded, hash, files }
    }

    /// The configuration and what `apply` makes of it. Where broken files may be kept apart, those are that
    /// `apply` finds something wrong in, and it is asked again.
    ///
    /// # Errors
    /// Everything `apply` finds wrong; nothing if the loader has found something.
    pub fn settle<T>(
        &mut self,
        mut apply: impl FnMut(&Arc<Config>) -> Result<T, Diagnostics>,
    ) -> Result<(Arc<Config>, T), Diagnostics> {
        let mut config = self.take().ok_or_else(Diagnostics::default)?;
        loop {
            match apply(&config) {
                Ok(done) => return Ok((config, done)),
                Err(problems) => match self.keep_apart(&problems) {
                    Some(rest) => config = rest,
                    None => return Err(problems),
                },
            }
        }
    }

    /// What is left without the files that are to blame, if that is all that is wrong.
    fn keep_apart(&mut self, problems: &Diagnostics) -> Option<Arc<Config>> {
        let snapshot = &self.loaded.snapshot;
        let files =
            quarantine::to_blame(&self.loaded, problems).filter(|_| snapshot.may_quarantine())?;
        let mut rest = Self::again(&snapshot.with_apart(files));
        let config = rest.take()?;
        let mut known = std::mem::take(&mut self.loaded.diagnostics.items);
        known.extend(problems.items.iter().cloned().map(quarantine::softened));
        let place = |it: &Diagnostic| it.labels.first().map(|(place, _)| *place);
        known.retain(|it| {
            let same =
                |other: &Diagnostic| (place(other), &other.message) == (place(it), &it.message);
            !rest.loaded.diagnostics.items.iter().any(same)
        });
        rest.loaded.diagnostics.items.extend(known);
        // It is what the same files say, and all of them are watched: the cure may be in any.
        rest.hash.clone_from(&self.hash);
        rest.files.append(&mut self.files);
        *self = rest;
        Some(config)
    }

    /// Findings in addition to the loader's, rendered with them.
    pub fn render(&mut self, more: Diagnostics, color: bool) -> String {
        self.loaded.diagnostics.items.extend(more.items);
        self.loaded.render(color)
    }

    /// The configuration, if the loader found no error.
    pub fn take(&mut self) -> Option<Arc<Config>> {
        let refused = self.loaded.diagnostics.has_errors();
        self.loaded.config.take().filter(|_| !refused).map(Arc::new)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Files that are not configuration and shape what runs: certificates and keys.
fn material(config: &Config) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let served =
        config.listeners.values().any(|l| matches!(l.tls, ListenerTls::Files | ListenerTls::Auto));
    if served || !config.tls.certificates.is_empty() {
        for certificate in &config.tls.certificates {
            files.insert(certificate.cert.value.clone());
            files.insert(certificate.key.value.clone());
        }
    }
    for asked in config.listeners.values().filter_map(|listener| listener.client_auth.as_ref()) {
        files.insert(asked.ca.value.clone());
        files.extend(asked.crl.iter().map(|path| path.value.clone()));
    }
    let policies = config.routes.values().filter_map(|route| route.auth.as_ref());
    for policy in policies.flat_map(|auth| &auth.policies) {
        if let AuthScheme::Signature(Signature { keys: SignatureKeys::Inline(keys), .. }) =
            &policy.scheme
        {
            files.extend(keys.iter().filter_map(|key| match &key.material {
                KeyMaterial::Public(path) => Some(path.value.clone()),
                KeyMaterial::Secret(_) => None,
            }));
        }
    }
    let issuers = config.routes.values().flat_map(|route| &route.auth);
    let issuers = issuers.flat_map(|auth| &auth.policies).filter_map(|policy| policy.fetch_tls());
    let stores = config.stores.values().filter_map(Store::tls);
    let upstreams = config.upstreams.values().map(|upstream| &upstream.tls);
    for tls in upstreams.chain(issuers).chain(stores) {
        files.extend(tls.ca.iter().map(|path| path.value.clone()));
        if let Some((cert, key)) = &tls.client {
            files.insert(cert.value.clone());
            files.insert(key.value.clone());
        }
    }
    files
}
