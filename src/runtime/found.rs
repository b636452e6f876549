//! Upstreams whose endpoints are found elsewhere, as they are compiled: with what is known at that
//! moment. What is known outlives a reload, and a change of the source until the new one has answered.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Context, Runtime, upstreams::Compiler};
use crate::{
    config::{
        self,
        diagnostic::{Diagnostic, Diagnostics, Place},
        model::{Discover, Endpoint, Name, Protocol, Upstream},
    },
    upstream::{
        Current,
        current::{Awaited, Found},
        tls,
    },
};

/// The endpoints known when the configuration is compiled. Asks nobody, but a file is read: one that
/// is wrong refuses the configuration, unless its endpoints are known from before.
pub(super) fn known(
    source: &Discover,
    name: &Name,
    before: Option<(&Runtime, &Current)>,
    found: &mut Diagnostics,
) -> Option<Vec<Endpoint>> {
    let before = before.and_then(|(runtime, current)| match current {
        Current::Found(found) => found.known.lock().clone(),
        Current::Fixed(_) => Some(runtime.config.upstreams.get(name)?.endpoints.clone()),
    });
    match source {
        Discover::Dns(_) => before,
        Discover::Etcd(etcd) => {
            if let Err(problems) = tls::client_config(&etcd.tls, Protocol::H2) {
                found.items.extend(problems);
            }
            before
        }
        Discover::File(path) => match config::endpoints(&path.value) {
            Ok(endpoints) => Some(normal(endpoints)),
            Err(why) if before.is_some() => {
                let message = format!("upstream `{name}` keeps the endpoints it has: {why}");
                found.push(Diagnostic::warning(path.place, message));
                before
            }
            Err(why) => {
                found.push(Diagnostic::error(path.place, why));
                None
            }
        },
    }
}

impl Compiler<'_> {
    /// The upstream with the endpoints that are known.
    pub(super) fn found(
        &self,
        known: Option<Vec<Endpoint>>,
        before: Option<&Current>,
        found: &mut Diagnostics,
    ) -> Found {
        let first = match before {
            Some(Current::Found(before)) => Arc::clone(&before.first),
            Some(Current::Fixed(_)) | None => Arc::new(watch::channel(false).0),
        };
        let awaited = known.is_none().then(|| Awaited(first.subscribe()));
        let settings = with(self.settings, known.as_deref().unwrap_or_default());
        let upstream = self.of(&settings).upstream(awaited, found);
        Found {
            name: Arc::clone(self.name),
            settings: self.settings.clone(),
            upstream: ArcSwap::from_pointee(upstream),
            known: Mutex::new(known),
            first,
        }
    }
}

/// Makes the upstream anew with these endpoints, if they are others than before. Returns whether they
/// are; those that cannot be made are left out, and said.
pub(super) fn renew(it: &Found, endpoints: Vec<Endpoint>, context: &Context) -> bool {
    let endpoints = normal(endpoints);
    let mut known = it.known.lock();
    if known.as_ref() == Some(&endpoints) {
        return false;
    }
    let settings = with(&it.settings, &endpoints);
    let old = it.upstream.load_full();
    let mut problems = Diagnostics::default();
    let compiler = Compiler::new(&it.name, &settings, Some(&old), context);
    let upstream = compiler.upstream(None, &mut problems);
    for problem in problems.items {
        tracing::error!(upstream = &*it.name, error = problem.message, "an endpoint is left out");
    }
    it.upstream.store(Arc::new(upstream));
    it.first.send_replace(true);
    *known = Some(endpoints);
    true
}

/// In the order of their names, wherever they were written: a source may tell them in any order.
fn normal(mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    endpoints.iter_mut().for_each(|endpoint| endpoint.url.place = Place::default());
    endpoints.sort_by(|a, b| a.url.value.cmp(&b.url.value));
    endpoints
}

fn with(settings: &Upstream, endpoints: &[Endpoint]) -> Upstream {
    Upstream { endpoints: endpoints.to_vec(), ..settings.clone() }
}
