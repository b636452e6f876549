//! Makes of `concurrency` what can be asked, and keeps the places that are taken, and what was learned,
//! over reloads: by the name of the policy, or where it was written in its place by route and number.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    admission::{Buckets, Settings},
    config::model::{Bandwidth, Concurrency, KeyPart, Name},
    layers::concurrency::Places as Kind,
    telemetry::metrics::Limited,
};

/// The limits of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Places {
    made: Mutex<Made>,
    /// Bandwidth shared by all.
    totals: Mutex<Totals>,
    /// Those of the configuration before.
    before: (Made, Totals),
}

type Made = BTreeMap<Id, (Vec<KeyPart>, Kind)>;
type Totals = BTreeMap<Id, Arc<Buckets>>;

/// Whose places they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    /// Those of a policy.
    Policy(Name),
    /// Those of the limit with this number that is written in a route.
    Route(Name, usize),
}

// === impl Id ===

impl Id {
    fn of((named, policy): (bool, &Name), route: &Name, number: usize) -> Self {
        match named {
            true => Self::Policy(Arc::clone(policy)),
            false => Self::Route(Arc::clone(route), number),
        }
    }
}

// === impl Places ===

impl Places {
    /// None yet. Those of `before` are taken over where they still mean the same.
    pub(super) fn new(before: Option<&Self>) -> Self {
        let made = |it: &Self| (it.made.lock().clone(), it.totals.lock().clone());
        let before = before.map(made).unwrap_or_default();
        Self { made: Mutex::default(), totals: Mutex::default(), before }
    }

    /// Forgets those nobody has taken over.
    pub(super) fn made(self) -> Self {
        Self { before: Default::default(), ..self }
    }

    /// The places of the limit with this number on a route.
    pub(crate) fn of(&self, limit: &Concurrency, route: &Name, number: usize) -> Kind {
        let id = Id::of((limit.named, &limit.policy), route, number);
        let settings = Settings { bound: limit.bound, queue: limit.queue };
        let mut made = self.made.lock();
        let (_, kind) = made.entry(id).or_insert_with_key(|id| {
            let same = |(key, kind): &&(_, Kind)| *key == limit.key && kind.settings() == settings;
            match self.before.0.get(id).filter(same) {
                Some(known) => known.clone(),
                None => (limit.key.clone(), Kind::new(settings, &limit.key)),
            }
        });
        kind.clone()
    }

    /// The bandwidth that all requests of a policy, or of the route it is written in, share.
    pub(super) fn total(&self, bandwidth: &Bandwidth, route: &Name) -> Arc<Buckets> {
        let id = Id::of((bandwidth.named, &bandwidth.policy), route, 0);
        let mut totals = self.totals.lock();
        let total = totals.entry(id).or_insert_with_key(|id| {
            let same = self.before.1.get(id).filter(|known| known.rates() == bandwidth.total);
            let new = || Arc::new(Buckets::new(bandwidth.total, Instant::now()));
            same.map_or_else(new, Arc::clone)
        });
        Arc::clone(total)
    }

    /// What metrics say of them.
    pub(super) fn shown(&self) -> Vec<Limited> {
        let shown = |(id, (_, kind)): (&Id, &(_, Kind))| {
            // Those of each key would be a series for each client.
            let Kind::Shared(limiter) = kind else { return None };
            Some(match id {
                Id::Policy(name) => Limited::new("policy", Arc::clone(name), limiter),
                Id::Route(name, 0) => Limited::new("route", Arc::clone(name), limiter),
                // Several of one route must not be one series.
                Id::Route(name, number) => {
                    Limited::new("route", format!("{name}:{number}").into(), limiter)
                }
            })
        };
        self.made.lock().iter().filter_map(shown).collect()
    }
}
