//! Makes of `stores` what can be asked, and of limits that are counted there what asks. Connections and what
//! was taken ahead outlive a reload that changes nothing of them.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;

use super::{Context, asked::Askers, limits::Id};
use crate::{
    config::{
        diagnostic::Diagnostics,
        model::{
            self, AskedService, Config, Name, OnError, OnStoreError, Period, RateLimit, StoreKind,
            StoreSync,
        },
    },
    limit::{
        Limiter,
        stored::{Leases, Remote, Stored},
    },
    store::{
        Counted, Redis,
        rls::{self, Rls},
    },
    telemetry::metrics::Metrics,
};

/// The stores of one configuration, and the limits that are counted there.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    all: BTreeMap<Name, (Store, NonZeroU32)>,
    made: Mutex<Vec<Made>>,
    /// Those of the configuration before.
    before: Vec<Made>,
}

/// A store, as it runs.
#[derive(Clone, Debug)]
enum Store {
    Redis(Arc<Redis>),
    /// Asked through an upstream, so it is another one after each reload.
    Rls(Arc<Rls>),
}

/// Why a store says nothing to somebody who only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Requests do without it.
    Away,
    /// It did not answer just now.
    NoAnswer,
    /// It would count whoever asks.
    NotAsked,
}

/// A limit, and what asks for it.
#[derive(Clone, Debug)]
struct Made {
    id: Id,
    rule: Arc<RateLimit>,
    store: Store,
    remote: Arc<dyn Remote>,
    leases: Option<Arc<Leases>>,
}

// === impl Stores ===

impl Stores {
    /// Those of the file. Those of `before` are taken over where they are still the same.
    pub(super) fn new(
        config: &Config,
        before: Option<&Self>,
        (context, askers): (&Context, &Askers),
        found: &mut Diagnostics,
    ) -> Self {
        let mut all = BTreeMap::new();
        for (name, settings) in &config.stores {
            let metrics = context.metrics.store(name);
            let made = match &settings.kind {
                StoreKind::Redis(redis) => {
                    let known = before.and_then(|before| before.redis(name));
                    match known.filter(|known| known.is_like(settings, redis)) {
                        Some(known) => Ok(Arc::clone(known)),
                        None => Redis::new(name, settings, redis, metrics),
                    }
                    .map(Store::Redis)
                }
                StoreKind::Rls(rls) => {
                    let asked = AskedService {
                        to: rls.to.clone(),
                        endpoint: rls.endpoint.clone(),
                        path: rls::PATH.to_owned(),
                        timeout: settings.timeout,
                        on_error: OnError::Deny,
                    };
                    // An upstream that is not there was refused before.
                    let Some(service) = askers.service(&asked) else { continue };
                    Ok(Store::Rls(Rls::new(name, service, &rls.domain, metrics)))
                }
            };
            match made {
                Ok(store) => {
                    all.insert(Arc::clone(name), (store, settings.gateways));
                }
                Err(errors) => found.items.extend(errors),
            }
        }
        let before = before.map(|before| before.made.lock().clone()).unwrap_or_default();
        Self { all, made: Mutex::default(), before }
    }

    fn redis(&self, name: &Name) -> Option<&Arc<Redis>> {
        match self.all.get(name) {
            Some((Store::Redis(redis), _)) => Some(redis),
            _ => None,
        }
    }

    /// Forgets those nobody has taken over.
    pub(super) fn made(self) -> Self {
        Self { before: Vec::new(), ..self }
    }

    /// What asks for a limit that is counted in a store. One that is not there was refused before.
    pub(super) fn of(
        &self,
        (id, called): (&Id, &Name),
        rule: &Arc<RateLimit>,
        share: &Arc<Limiter>,
        metrics: &Metrics,
    ) -> Option<Arc<Stored>> {
        let settings = rule.stored.as_ref()?;
        let (store, _) = self.all.get(&settings.store.value)?;
        let made = self.made_of(id, rule, settings, store);
        Some(Arc::new(Stored {
            remote: made.remote,
            leases: made.leases,
            on_error: settings.on_error,
            share: Arc::clone(share),
            degraded: metrics.store(&settings.store.value).degraded(called),
        }))
    }

    /// One for all routes that share it.
    fn made_of(
        &self,
        id: &Id,
        rule: &Arc<RateLimit>,
        settings: &model::Stored,
        store: &Store,
    ) -> Made {
        let mut made = self.made.lock();
        let same = |known: &&Made| {
            let sync = known.rule.stored.as_ref().map(|stored| stored.sync);
            known.id == *id
                && known.rule.counts_like(rule)
                && sync == Some(settings.sync)
                && known.store.is(store)
        };
        if let Some(known) = made.iter().find(same) {
            return known.clone();
        }
        let new = self.before.iter().find(same).cloned().unwrap_or_else(|| Made {
            id: id.clone(),
            rule: Arc::clone(rule),
            store: store.clone(),
            remote: store.remote(&id.to_string(), rule),
            leases: match settings.sync {
                StoreSync::Exact => None,
                StoreSync::Leased(batch) => Some(Arc::new(Leases::new(batch.get(), rule.keys))),
            },
        });
        made.push(new.clone());
        new
    }

    /// Who counts the limit with this number that a route has.
    pub(crate) fn remote(
        &self,
        route: &Name,
        number: usize,
        rule: &RateLimit,
    ) -> Option<Arc<dyn Remote>> {
        let id = Id::of(rule, route, number);
        let made = self.made.lock();
        made.iter().find(|made| made.id == id).map(|made| Arc::clone(&made.remote))
    }

    /// Why the store of a limit has not said how things stand.
    pub(crate) fn silence(&self, rule: &RateLimit) -> Silence {
        match rule.store().and_then(|name| self.all.get(name)) {
            Some((Store::Redis(redis), _)) if !redis.is_up() => Silence::Away,
            Some((Store::Rls(rls), _)) if !rls.is_up() => Silence::Away,
            Some((Store::Rls(_), _)) => Silence::NotAsked,
            Some((Store::Redis(_), _)) | None => Silence::NoAnswer,
        }
    }

    /// How many gateways count in the store of a limit.
    pub(crate) fn gateways(&self, rule: &RateLimit) -> NonZeroU32 {
        let store = rule.store().and_then(|name| self.all.get(name));
        store.map_or(NonZeroU32::MIN, |(_, gateways)| *gateways)
    }

    /// Connects a worker, and gives back what was taken ahead and not used. Now and then, on each worker.
    pub(super) fn tend(&self, worker: usize) {
        for (store, _) in self.all.values() {
            if let Store::Redis(redis) = store {
                redis.begin();
            }
        }
        if worker != 0 {
            return;
        }
        for made in &*self.made.lock() {
            if let Some(leases) = &made.leases {
                leases.tend(&made.remote);
            }
        }
    }
}

// === impl Store ===

impl Store {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Redis(one), Self::Redis(other)) => Arc::ptr_eq(one, other),
            (Self::Rls(one), Self::Rls(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn remote(&self, name: &str, rule: &RateLimit) -> Arc<dyn Remote> {
        match self {
            Self::Redis(redis) => Arc::new(Counted::new(redis, name, rule)),
            Self::Rls(rls) => Arc::new(rls::Asked::new(rls, name, rule)),
        }
    }
}

/// What one of so many gateways counts by itself while the store is away.
pub(super) fn share(rule: &RateLimit, gateways: NonZeroU32) -> RateLimit {
    let Some(stored) = &rule.stored else { return rule.clone() };
    // Where nobody counts here, nothing is remembered.
    let keys = if stored.on_error == OnStoreError::Local { rule.keys } else { 1 };
    let part =
        |number: NonZeroU32| NonZeroU32::new(number.get() / gateways).unwrap_or(NonZeroU32::MIN);
    let windows = rule.windows.iter().map(|window| {
        let limit = part(window.limit);
        let burst = match window.period {
            Period::Every(_) => part(window.burst),
            Period::Day | Period::Month => limit,
        };
        model::Window { limit, burst, ..*window }
    });
    RateLimit { windows: windows.collect(), keys, ..rule.clone() }
}
