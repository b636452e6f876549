//! Policies with a name: what is different of them is told once, whatever routes use them. One that is used
//! in one of the configurations only is told by the routes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Change, limits,
    pairs::Paired,
    route, schemes,
    subject::{Side, Subject},
};
use crate::config::model::{Config, Name, Origin, Place, Route};

/// Policies of one kind by name, each with a route that uses it.
type Named<'c, P> = BTreeMap<&'c str, (&'c Route, &'c P)>;

pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    let mut both = Both { old, new, out };
    both.kind(
        "auth",
        |it| list(it.auth.as_ref().map(|it| &*it.policies)),
        |s, a, b| {
            schemes::details(s, "", a, b);
        },
    );
    both.kind(
        "authorize",
        |it| list(it.authorize.as_ref().map(|it| &*it.policies)),
        |s, a, b| {
            schemes::rules(s, "", a, b);
        },
    );
    both.kind(
        "rate_limit",
        |it| list(Some(&*it.rate_limit)),
        |s, a, b| {
            limits::rate_limit(s, "", a, b);
        },
    );
    both.kind(
        "concurrency",
        |it| list(Some(&*it.concurrency)),
        |s, a, b| {
            limits::concurrency(s, "", a, b);
        },
    );
    both.kind("ip", |it| it.ip.iter().collect(), |s, a, b| route::ip(s, "", Some(a), Some(b)));
    both.kind(
        "bandwidth",
        |it| it.bandwidth.iter().collect(),
        |s, a, b| {
            limits::bandwidth(s, "", Some(a), Some(b));
        },
    );
}

fn list<P>(policies: Option<&[Arc<P>]>) -> Vec<&P> {
    policies.into_iter().flatten().map(|it| &**it).collect()
}

/// Both configurations.
struct Both<'c, 'o> {
    old: &'c Config,
    new: &'c Config,
    out: &'o mut Vec<Change>,
}

// === impl Both ===

impl<'c> Both<'c, '_> {
    fn kind<P: Paired + 'c>(
        &mut self,
        kind: &'static str,
        of: impl Fn(&'c Route) -> Vec<&'c P>,
        compare: impl Fn(&mut Subject<'_, '_>, &P, &P),
    ) {
        let before = named(&self.old.routes, &of);
        for (name, (route, new)) in named(&self.new.routes, &of) {
            let Some((old_route, old)) = before.get(name) else { continue };
            let key = format!("{kind}.{name}");
            let side = |config, route: &Route| Side::at(config, place(route, kind, &key));
            let mut s = Subject {
                kind: "policy",
                name: key.clone(),
                old: side(self.old, old_route),
                new: side(self.new, route),
                out: self.out,
            };
            compare(&mut s, old, new);
        }
    }
}

fn named<'c, P: Paired>(
    routes: &'c BTreeMap<Name, Route>,
    of: impl Fn(&'c Route) -> Vec<&'c P>,
) -> Named<'c, P> {
    let mut all = BTreeMap::new();
    for route in routes.values() {
        for policy in of(route) {
            if let Some(name) = policy.named() {
                all.entry(name).or_insert((route, policy));
            }
        }
    }
    all
}

/// Where a policy is written, as a route that uses it knows.
fn place(route: &Route, kind: &str, key: &str) -> Place {
    let origins = &route.origins;
    let found = origins.at(key).or_else(|| origins.at(kind));
    found.map_or(route.place, |origin: &Origin| origin.place)
}
