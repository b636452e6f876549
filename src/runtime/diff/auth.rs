//! `auth` and `authorize` of a route: who may pass. Policies are taken as statements of which nothing is
//! known but whether they are the same, so that it is exact whether one list lets in whom another does not.

use std::collections::BTreeSet;

use super::{
    Effect,
    pairs::{Paired, Pairs, alike, pair},
    schemes,
    subject::Subject,
};
use crate::config::model::{
    Action, AuthPolicy, Authorize, Mode, Require, Route, RouteAuth, RouteAuthorize,
};

/// What a policy is called that has no name.
pub(super) const INLINE: &str = "inline";

/// Who must say yes: of the statements, all or one.
struct Asked {
    require: Require,
    statements: BTreeSet<usize>,
}

/// Compares `auth` of a route.
pub(super) fn auth(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    let (old, new) = (old.auth.as_ref(), new.auth.as_ref());
    let (before, after) = asked((old, new), &pair(list(old), list(new)));
    let (is, was) = (words(new), words(old));
    let effect = Effect::of(!after.implies(&before), !before.implies(&after));
    if effect != Effect::Other || is != was {
        let opened = after.statements.is_empty() && effect == Effect::Widens;
        let note = opened.then(|| "anybody may use it".to_owned());
        s.noted("auth", effect, (was, is), note);
    }
    for (old, new) in pair(list(old), list(new)).written_here() {
        schemes::details(s, "auth.", old, new);
    }
}

/// Compares `authorize` of a route: all of its policies must say yes.
pub(super) fn authorize(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    let (old, new) = (old.authorize.as_ref(), new.authorize.as_ref());
    let pairs = pair(rules(old), rules(new));
    let enforced = |it: &&&Authorize| it.mode == Mode::Enforce;
    let softer = |(a, b): &(&Authorize, &Authorize)| a.mode == Mode::Enforce && b.mode != a.mode;
    let harder = |(a, b): &(&Authorize, &Authorize)| b.mode == Mode::Enforce && b.mode != a.mode;
    let widens = pairs.gone.iter().any(|it| enforced(&it)) || pairs.both.iter().any(softer);
    let narrows = pairs.came.iter().any(|it| enforced(&it)) || pairs.both.iter().any(harder);
    let (was, is) = (all_of(old), all_of(new));
    if widens || narrows || was != is {
        s.key("authorize", Effect::of(widens, narrows), was, is);
    }
    for (old, new) in pairs.written_here() {
        schemes::rules(s, "authorize.", old, new);
    }
}

/// Whether whoever passes the new list would have passed the old one.
pub(super) fn at_least(old: &Route, new: &Route) -> bool {
    if new.action == Action::Quarantined {
        return true;
    }
    let (was, is) = (old.auth.as_ref(), new.auth.as_ref());
    let (before, after) = asked((was, is), &alike(list(was), list(is)));
    let pairs = alike(rules(old.authorize.as_ref()), rules(new.authorize.as_ref()));
    let lost = pairs.gone.iter().any(|it| it.mode == Mode::Enforce);
    let softer = pairs.both.iter().any(|(a, b)| a.mode == Mode::Enforce && b.mode != a.mode);
    after.implies(&before) && !lost && !softer
}

/// `any of partners (api_key), staff (basic)`.
pub(super) fn words(auth: Option<&RouteAuth>) -> String {
    let named = |it: &AuthPolicy| {
        let mode = if it.mode == Mode::Shadow { ", shadow" } else { "" };
        format!("{} ({}{mode})", it.policy, it.scheme.word())
    };
    let names: Vec<String> = list(auth).iter().map(|it| named(it)).collect();
    match (auth.map(|auth| auth.require), names.as_slice()) {
        (_, []) | (None, _) => "none".to_owned(),
        (_, [one]) => one.clone(),
        (Some(Require::Any), several) => format!("any of {}", several.join(", ")),
        (Some(Require::All), several) => format!("all of {}", several.join(", ")),
    }
}

fn all_of(it: Option<&RouteAuthorize>) -> String {
    let shadow = |it: &Authorize| if it.mode == Mode::Shadow { " (shadow)" } else { "" };
    let names: Vec<String> =
        rules(it).iter().map(|it| format!("{}{}", it.policy, shadow(it))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn list(auth: Option<&RouteAuth>) -> &[std::sync::Arc<AuthPolicy>] {
    auth.map(|auth| &*auth.policies).unwrap_or_default()
}

fn rules(it: Option<&RouteAuthorize>) -> &[std::sync::Arc<Authorize>] {
    it.map(|it| &*it.policies).unwrap_or_default()
}

/// Both lists as statements. Those that only watch are none.
fn asked(
    (old, new): (Option<&RouteAuth>, Option<&RouteAuth>),
    pairs: &Pairs<'_, AuthPolicy>,
) -> (Asked, Asked) {
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    let mut number = 0..;
    let mut put = |old: Option<&AuthPolicy>, new: Option<&AuthPolicy>| {
        let number: usize = number.next().unwrap_or_default();
        let enforced = |it: &&AuthPolicy| it.mode == Mode::Enforce;
        before.extend(old.filter(enforced).map(|_| number));
        after.extend(new.filter(enforced).map(|_| number));
    };
    pairs.both.iter().for_each(|(old, new)| put(Some(old), Some(new)));
    pairs.gone.iter().for_each(|old| put(Some(old), None));
    pairs.came.iter().for_each(|new| put(None, Some(new)));
    let require = |it: Option<&RouteAuth>| it.map_or(Require::Any, |it| it.require);
    let asked = |it, statements| Asked { require: require(it), statements };
    (asked(old, before), asked(new, after))
}

// === impl Asked ===

impl Asked {
    /// Whether whoever passes this passes the other.
    fn implies(&self, other: &Self) -> bool {
        let (these, those) = (&self.statements, &other.statements);
        match (these.is_empty(), those.is_empty()) {
            (_, true) => return true,
            (true, false) => return false,
            (false, false) => {}
        }
        match (self.require, other.require) {
            (Require::Any, Require::Any) => these.is_subset(those),
            (Require::All, Require::All) => those.is_subset(these),
            // One of many says nothing about all of some, unless there is only that one.
            (Require::Any, Require::All) => {
                those.len() == 1 && these.is_subset(those) || these.len() == 1 && these == those
            }
            (Require::All, Require::Any) => !these.is_disjoint(those),
        }
    }
}

// === impl Paired ===

impl Paired for AuthPolicy {
    fn named(&self) -> Option<&str> {
        Some(&*self.policy).filter(|name| *name != INLINE)
    }

    fn same(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.pass_consumer == other.pass_consumer
    }
}

impl Paired for Authorize {
    fn named(&self) -> Option<&str> {
        Some(&*self.policy).filter(|name| *name != INLINE)
    }

    fn same(&self, other: &Self) -> bool {
        self.rules == other.rules && self.message == other.message
    }
}
