//! `jwt` as it is compiled, and the keys that issuers publish: policies with equal settings share them,
//! they outlive a reload, and they go with the last configuration that names them.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{File, Following, Schemes, loaded};
use crate::{
    auth::jwt::{self, KeySet, Keys, Published, Remote, Rules, SetFile, Settings, bearer::Reading},
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{self, JwtKeys},
    },
    fetch::Fetch,
};

/// The keys of all issuers of the process.
#[derive(Debug, Default)]
pub(crate) struct Issuers(Mutex<Vec<Weak<Remote>>>);

/// Keys that a configuration wants fetched, and whom it trusts to have them.
#[derive(Debug)]
pub(super) struct Trusted {
    remote: Arc<Remote>,
    fetch: Fetch,
}

// === impl Schemes ===

impl Schemes {
    pub(super) fn jwt(&self, settings: &model::Jwt, found: &mut Diagnostics) -> Option<jwt::Jwt> {
        let keys = match &settings.keys {
            // Judged where it was read.
            JwtKeys::Inline(text) => Keys::Fixed(Arc::new(KeySet::parse(text.as_bytes()).ok()?)),
            JwtKeys::File(path) => {
                let parse = |name: &str, text: &str| {
                    KeySet::parse(text.as_bytes()).map_err(|why| format!("{name}: {why}"))
                };
                let file = loaded(SetFile::load(path.value.clone(), parse), path, found)?;
                for left_out in file.now().left_out() {
                    found.push(Diagnostic::warning(path.place, left_out.clone()));
                }
                self.files.lock().push(File::Sets(Arc::clone(&file)));
                Keys::File(file)
            }
            JwtKeys::Published(published) => Keys::Remote(self.remote(published, found)?),
        };
        Some(jwt::Jwt::new(Settings {
            from: settings.from.clone(),
            rules: Rules {
                issuer: settings.issuer.clone(),
                audience: settings.audience.clone(),
                nonce: None,
                algorithms: settings.algorithms.clone(),
                leeway: settings.leeway,
            },
            keys,
            reading: Reading {
                require: settings.require.clone(),
                consumer: settings.consumer.clone(),
                pass_claims: settings.pass_claims.clone(),
            },
            pass_token: settings.pass_token,
        }))
    }

    fn remote(&self, published: &Published, found: &mut Diagnostics) -> Option<Arc<Remote>> {
        let fetch = published.fetch().map_err(|problems| found.items.extend(problems)).ok()?;
        let issuers = &self.context.issuers;
        let remote = issuers.of(published, || {
            let metrics = self.context.metrics.keys(&published.name().into());
            Remote::new(published.clone(), fetch.clone(), metrics)
        });
        self.remotes.lock().push(Trusted { remote: Arc::clone(&remote), fetch });
        Some(remote)
    }
}

// === impl Issuers ===

impl Issuers {
    /// The keys published so; those of who is asked less or more often are a good beginning.
    fn of(&self, published: &Published, new: impl FnOnce() -> Remote) -> Arc<Remote> {
        let mut all = self.0.lock();
        all.retain(|known| known.strong_count() > 0);
        let mut live = all.iter().filter_map(Weak::upgrade);
        if let Some(known) = live.find(|known| known.published() == published) {
            return known;
        }
        let remote = new();
        let like = |known: &Arc<Remote>| {
            let refresh = published.refresh;
            Published { refresh, ..known.published().clone() } == *published
        };
        if let Some(like) = all.iter().filter_map(Weak::upgrade).find(like) {
            remote.inherit(&like);
        }
        let remote = Arc::new(remote);
        all.push(Arc::downgrade(&remote));
        remote
    }
}

// === impl Following ===

impl Following {
    /// Fetches these keys, and no others. What was fetched before goes on as it is.
    pub(super) fn fetch(&self, wanted: &[Trusted]) {
        let mut fetching = self.fetching.lock();
        fetching.retain(|(known, task)| {
            let stays = wanted.iter().any(|it| Arc::ptr_eq(&it.remote, known));
            if !stays {
                task.abort();
            }
            stays
        });
        for Trusted { remote, fetch } in wanted {
            remote.trust(fetch.clone());
            if !fetching.iter().any(|(known, _)| Arc::ptr_eq(known, remote)) {
                let task = self.handle.spawn(Arc::clone(remote).follow());
                fetching.push((Arc::clone(remote), task));
            }
        }
    }
}
