//! Limits: `rate_limit`, `concurrency`, `bandwidth` and `body`. Less of a limit widens. Buckets that mean
//! something else now count from nothing, which is said.

use super::{
    Effect,
    nets::Addresses,
    pairs::{Paired, pair},
    subject::Subject,
};
use crate::{
    config::model::{
        Bandwidth, BodyRule, Bound, Concurrency, Cost, Mode, OnStoreError, RateLimit, Rates, Route,
        StoreSync, Stored, Window,
    },
    explain::{
        parts, windows,
        words::{few, size},
    },
};

// === rate_limit ===

/// Compares `rate_limit` of a route: all of them must let a request pass.
pub(super) fn rates(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    let pairs = pair(&old.rate_limit, &new.rate_limit);
    let counts = |it: &&&RateLimit| it.mode == Mode::Enforce;
    let gone = pairs.gone.iter().any(|it| counts(&it));
    let came = pairs.came.iter().any(|it| counts(&it));
    if !pairs.gone.is_empty() || !pairs.came.is_empty() {
        let shown = |route: &Route| few_or_none(route.rate_limit.iter().map(|it| rate(it)));
        s.key("rate_limit", Effect::of(gone, came), shown(old), shown(new));
    }
    for (old, new) in pairs.written_here() {
        rate_limit(s, "rate_limit.", old, new);
    }
}

/// Compares one of them.
pub(super) fn rate_limit(s: &mut Subject<'_, '_>, at: &str, old: &RateLimit, new: &RateLimit) {
    mode(s, at, old.mode, new.mode);
    // What it counts means something else: said once, with whatever changed first.
    let mut anew = (!old.counts_like(new)).then(|| "counts from nothing".to_owned());
    if old.windows != new.windows {
        let effect = windows_effect(&old.windows, &new.windows);
        let shown = match windows(old) == windows(new) {
            true => (with_bursts(old), with_bursts(new)),
            false => (windows(old), windows(new)),
        };
        s.noted(&format!("{at}limit"), effect, shown, anew.take());
    }
    if old.key != new.key {
        let values = (parts(&old.key), parts(&new.key));
        s.noted(&format!("{at}key"), Effect::Widens, values, anew.take());
    }
    if old.ipv6_prefix != new.ipv6_prefix {
        let effect = Effect::limit(Some(old.ipv6_prefix), Some(new.ipv6_prefix));
        let values = (old.ipv6_prefix.to_string(), new.ipv6_prefix.to_string());
        s.noted(&format!("{at}ipv6_prefix"), effect, values, anew.take());
    }
    if old.keys != new.keys {
        let values = (old.keys.to_string(), new.keys.to_string());
        s.noted(&format!("{at}keys"), Effect::Other, values, anew.take());
    }
    if old.exempt != new.exempt {
        let (was, is) = (Addresses::of(&old.exempt), Addresses::of(&new.exempt));
        let effect = Effect::of(!is.without(&was).is_empty(), !was.without(&is).is_empty());
        let shown = |it: &RateLimit| few_or_none(it.exempt.iter().map(ToString::to_string));
        s.key(&format!("{at}exempt"), effect, shown(old), shown(new));
    }
    if old.cost != new.cost {
        let effect = match (&old.cost, &new.cost) {
            (Cost::Fixed(old), Cost::Fixed(new)) => Effect::of(new < old, new > old),
            _ => Effect::Widens,
        };
        s.key(&format!("{at}cost"), effect, cost(&old.cost), cost(&new.cost));
    }
    stored(s, at, old.stored.as_ref(), new.stored.as_ref(), anew);
    s.other(&format!("{at}headers"), &old.headers, &new.headers, |it| {
        format!("{it:?}").to_lowercase()
    });
}

/// Where it is counted. Another place knows nothing of what was used.
fn stored(
    s: &mut Subject<'_, '_>,
    at: &str,
    old: Option<&Stored>,
    new: Option<&Stored>,
    anew: Option<String>,
) {
    let name = |it: Option<&Stored>| {
        it.map_or_else(|| "local".to_owned(), |it| it.store.value.to_string())
    };
    if name(old) != name(new) {
        // One bucket for all gateways in the place of one for each lets fewer pass.
        let effect = Effect::of(old.is_some(), old.is_none());
        s.noted(&format!("{at}store"), effect, (name(old), name(new)), anew);
    }
    let (Some(old), Some(new)) = (old, new) else { return };
    if old.sync != new.sync {
        let batch = |it: &Stored| match it.sync {
            StoreSync::Exact => 0,
            StoreSync::Leased(batch) => batch.get(),
        };
        let shown = |it: &Stored| match it.sync {
            StoreSync::Exact => "exact".to_owned(),
            StoreSync::Leased(batch) => format!("leased, {batch} at once"),
        };
        let effect = Effect::limit(Some(batch(old)), Some(batch(new)));
        s.key(&format!("{at}sync"), effect, shown(old), shown(new));
    }
    if old.on_error != new.on_error {
        let lets_pass = |it: &Stored| match it.on_error {
            OnStoreError::Deny => 0,
            OnStoreError::Local => 1,
            OnStoreError::Allow => 2,
        };
        let effect = Effect::limit(Some(lets_pass(old)), Some(lets_pass(new)));
        let shown = |it: &Stored| format!("{:?}", it.on_error).to_lowercase();
        s.key(&format!("{at}on_store_error"), effect, shown(old), shown(new));
    }
}

pub(super) fn rate(it: &RateLimit) -> String {
    let mode = if it.mode == Mode::Shadow { ", shadow" } else { "" };
    match it.named {
        true => format!("{} ({}{mode})", it.policy, windows(it)),
        false => format!("{}{mode}", windows(it)),
    }
}

fn with_bursts(it: &RateLimit) -> String {
    let bursts: Vec<String> = it.windows.iter().map(|window| window.burst.to_string()).collect();
    format!("{} with a burst of {}", windows(it), bursts.join(" and "))
}

/// Windows of the same length are compared; one that is gone widens.
fn windows_effect(old: &[Window], new: &[Window]) -> Effect {
    let of =
        |all: &[Window], like: &Window| all.iter().find(|it| it.period == like.period).copied();
    let more = |one: &[Window], other: &[Window]| {
        one.iter().any(|it| match of(other, it) {
            None => true,
            Some(other) => other.limit > it.limit || other.burst > it.burst,
        })
    };
    Effect::of(more(old, new), more(new, old))
}

fn cost(it: &Cost) -> String {
    match it {
        Cost::Fixed(cost) => cost.to_string(),
        Cost::Methods(all) => {
            few(&all.iter().map(|(method, cost)| format!("{method} {cost}")).collect::<Vec<_>>())
        }
        Cost::Answer(name) => format!("what {name} says"),
    }
}

// === concurrency ===

/// Compares `concurrency` of a route.
pub(super) fn at_once(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    let pairs = pair(&old.concurrency, &new.concurrency);
    let counts = |it: &&&Concurrency| it.mode == Mode::Enforce;
    let gone = pairs.gone.iter().any(|it| counts(&it));
    let came = pairs.came.iter().any(|it| counts(&it));
    if !pairs.gone.is_empty() || !pairs.came.is_empty() {
        let shown = |route: &Route| few_or_none(route.concurrency.iter().map(|it| bound(it)));
        s.key("concurrency", Effect::of(gone, came), shown(old), shown(new));
    }
    for (old, new) in pairs.written_here() {
        concurrency(s, "concurrency.", old, new);
    }
}

/// Compares one of them.
pub(super) fn concurrency(s: &mut Subject<'_, '_>, at: &str, old: &Concurrency, new: &Concurrency) {
    mode(s, at, old.mode, new.mode);
    if old.bound != new.bound {
        let effect = Effect::limit(Some(most(old)), Some(most(new)));
        s.key(&format!("{at}limit"), effect, bound(old), bound(new));
    }
    if old.key != new.key {
        let shown = |it: &Concurrency| few_or_none([parts(&it.key)].into_iter());
        s.key(&format!("{at}key"), Effect::Widens, shown(old), shown(new));
    }
    if old.queue != new.queue {
        let shown = |it: &Concurrency| {
            it.queue.map_or_else(|| format!("as many ({})", most(it)), |it| it.to_string())
        };
        s.key(&format!("{at}queue"), Effect::Other, shown(old), shown(new));
    }
    let span = |it: &std::time::Duration| crate::explain::words::span(*it);
    s.other(&format!("{at}queue_timeout"), &old.patience, &new.patience, span);
}

fn most(it: &Concurrency) -> usize {
    match it.bound {
        Bound::Fixed(most) => most,
        Bound::Adaptive(adaptive) => adaptive.max,
    }
}

pub(super) fn bound(it: &Concurrency) -> String {
    match it.bound {
        Bound::Fixed(most) => format!("{most} at once"),
        Bound::Adaptive(adaptive) => format!("{} to {} at once", adaptive.min, adaptive.max),
    }
}

// === bandwidth and body ===

/// Of one connection, or of all.
type Part = fn(&Bandwidth) -> Rates;

/// Compares one `bandwidth`, of a route or of a policy.
pub(super) fn bandwidth(
    s: &mut Subject<'_, '_>,
    at: &str,
    old: Option<&Bandwidth>,
    new: Option<&Bandwidth>,
) {
    let rates = |it: Option<&Bandwidth>, of: Part| it.map(of).unwrap_or_default();
    let all: [(&str, Part); 2] = [("connection", |it| it.connection), ("total", |it| it.total)];
    for (key, of) in all {
        let (old, new) = (rates(old, of), rates(new, of));
        for (part, old, new) in
            [("request", old.request, new.request), ("response", old.response, new.response)]
        {
            if old != new {
                let shown = |it: Option<u64>| it.map_or_else(none, |it| format!("{}/s", size(it)));
                let key = format!("{at}{key}.{part}");
                s.key(&key, Effect::limit(old, new), shown(old), shown(new));
            }
        }
    }
}

/// Compares `body` of a route.
pub(super) fn body(s: &mut Subject<'_, '_>, old: BodyRule, new: BodyRule) {
    if old.max != new.max {
        let shown = |it: Option<u64>| it.map_or_else(none, size);
        s.key("body.max", Effect::limit(old.max, new.max), shown(old.max), shown(new.max));
    }
    s.other("body.buffer", &old.buffer, &new.buffer, ToString::to_string);
}

// === all of them ===

/// Whether the limits of the new route let no more pass than those of the old one.
pub(super) fn at_least(old: &Route, new: &Route) -> bool {
    let strict_rate = |was: &RateLimit, is: &RateLimit| {
        let counts = was.key == is.key && was.exempt == is.exempt && was.cost == is.cost;
        by_name(was, is)
            || was.same(is)
            || counts
                && was.ipv6_prefix == is.ipv6_prefix
                && was.stored == is.stored
                && windows_effect(&was.windows, &is.windows) != Effect::Widens
    };
    let strict_at_once = |was: &Concurrency, is: &Concurrency| {
        by_name(was, is) || was.same(is) || was.key == is.key && most(is) <= most(was)
    };
    let rates = old.rate_limit.iter().filter(|it| it.mode == Mode::Enforce).all(|was| {
        new.rate_limit.iter().any(|is| is.mode == Mode::Enforce && strict_rate(was, is))
    });
    let at_once = old.concurrency.iter().filter(|it| it.mode == Mode::Enforce).all(|was| {
        new.concurrency.iter().any(|is| is.mode == Mode::Enforce && strict_at_once(was, is))
    });
    rates && at_once && Effect::limit(old.body.max, new.body.max) != Effect::Widens
}

fn by_name<P: Paired>(one: &P, other: &P) -> bool {
    one.named().is_some() && one.named() == other.named()
}

fn mode(s: &mut Subject<'_, '_>, at: &str, old: Mode, new: Mode) {
    let word = |mode| if mode == Mode::Enforce { "enforce" } else { "shadow" }.to_owned();
    if old != new {
        let effect = Effect::of(new == Mode::Shadow, old == Mode::Shadow);
        s.key(&format!("{at}mode"), effect, word(old), word(new));
    }
}

fn few_or_none(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.filter(|item| !item.is_empty()).collect();
    if items.is_empty() { none() } else { few(&items) }
}

fn none() -> String {
    "none".to_owned()
}

impl Paired for RateLimit {
    fn named(&self) -> Option<&str> {
        self.named.then_some(&*self.policy)
    }

    fn same(&self, other: &Self) -> bool {
        let renamed = Self { policy: other.policy.clone(), named: other.named, ..self.clone() };
        renamed == *other
    }
}

impl Paired for Concurrency {
    fn named(&self) -> Option<&str> {
        self.named.then_some(&*self.policy)
    }

    fn same(&self, other: &Self) -> bool {
        let renamed = Self { policy: other.policy.clone(), named: other.named, ..self.clone() };
        renamed == *other
    }
}
