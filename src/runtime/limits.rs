//! Makes of `rate_limit` what can be asked, and keeps what was counted over reloads: by the name of the
//! policy, or where it was written in its place by route and place. Buckets that mean something else now
//! begin anew; `diff/limits` says so.

use std::{collections::HashMap, fmt, num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;

use super::stores::share;
use crate::{
    config::model::{Name, RateLimit},
    limit::Limiter,
};

/// The buckets of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Limiters {
    made: Mutex<Made>,
    /// Those of the configuration before.
    before: Made,
}

/// Of each limit the rule, how many gateways share it, and its buckets.
type Made = HashMap<Id, (Arc<RateLimit>, NonZeroU32, Arc<Limiter>)>;

/// Whose buckets they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    /// Those of a policy.
    Policy(Name),
    /// Those of the limit with this number that is written in a route.
    Route(Name, usize),
}

// === impl Id ===

/// What it is called where several gateways count. No policy has a slash in its name.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => f.write_str(name),
            Self::Route(name, number) => write!(f, "route/{name}/{number}"),
        }
    }
}

impl Id {
    pub(super) fn of(limit: &RateLimit, route: &Name, number: usize) -> Self {
        match limit.named {
            true => Self::Policy(Arc::clone(&limit.policy)),
            false => Self::Route(Arc::clone(route), number),
        }
    }
}

// === impl Limiters ===

impl Limiters {
    /// None yet. Those of `before` are taken over where they still mean the same.
    pub(super) fn new(before: Option<&Self>) -> Self {
        let before = before.map(|before| before.made.lock().clone()).unwrap_or_default();
        Self { made: Mutex::default(), before }
    }

    /// Forgets those nobody has taken over.
    pub(super) fn made(self) -> Self {
        Self { before: Made::default(), ..self }
    }

    /// The buckets of the limit with this number that a route has.
    pub(crate) fn of_route(
        &self,
        route: &Name,
        number: usize,
        limit: &Arc<RateLimit>,
        gateways: NonZeroU32,
    ) -> Arc<Limiter> {
        self.of(Id::of(limit, route, number), limit, gateways)
    }

    /// The buckets of a limit that so many gateways share; with a share of it, if it is counted elsewhere.
    pub(super) fn of(&self, id: Id, limit: &Arc<RateLimit>, gateways: NonZeroU32) -> Arc<Limiter> {
        let mut made = self.made.lock();
        let (_, _, limiter) = made.entry(id).or_insert_with_key(|id| {
            let same = self.before.get(id).filter(|(known, shared, _)| {
                let alike = known.on_store_error() == limit.on_store_error();
                known.counts_like(limit) && *shared == gateways && alike
            });
            let limiter = match same {
                Some((_, _, limiter)) => Arc::clone(limiter),
                None => Arc::new(Limiter::new(&share(limit, gateways))),
            };
            (Arc::clone(limit), gateways, limiter)
        });
        Arc::clone(limiter)
    }
}
