//! Routes: what each takes, who may use it, and where it goes.

use super::{
    Change, Effect, Sign, auth, guard, headers, limits,
    nets::Addresses,
    pairs::Paired,
    subject::{Both, Side, Subject, named},
    texts::{self, texts},
};
use crate::{
    config::model::{
        Action, Config, IpRules, Mirror, Mode, PathRewrite, Retry, Route, StripPrefix, Timeouts,
    },
    explain::{
        causes, class,
        exposure::{is_public, matched},
        words::{few, percent, size, span},
    },
};

/// Compares the routes. One that is switched off takes nothing, as one that is not there.
pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    for (name, both) in named(&old.routes, &new.routes) {
        let sides = match both {
            Both::Added(route) | Both::Removed(route) => (route, route),
            Both::Stayed(old, new) => (old, new),
        };
        let side = |config, route: &'_ Route| (config, route.place);
        let ((old_config, was), (new_config, is)) = (side(old, sides.0), side(new, sides.1));
        let mut s = Subject {
            kind: "route",
            name: name.to_string(),
            old: Side { config: old_config, place: was, origins: Some(&sides.0.origins) },
            new: Side { config: new_config, place: is, origins: Some(&sides.1.origins) },
            out,
        };
        match both {
            Both::Added(new) if new.enabled => came(&mut s, new, Sign::Added, ""),
            Both::Added(new) => {
                s.whole(
                    Sign::Added,
                    Effect::Other,
                    target_of(&new.action),
                    Some("disabled".into()),
                );
            }
            Both::Removed(old) => {
                let effect = Effect::of(false, old.enabled);
                s.whole(Sign::Removed, effect, format!("to: {}", target_of(&old.action)), None);
            }
            Both::Stayed(old, new) => {
                match (old.enabled, new.enabled) {
                    (false, true) => came(&mut s, new, Sign::Changed, "enabled, "),
                    (true, false) => {
                        s.whole(Sign::Changed, Effect::Narrows, "disabled".to_owned(), None);
                    }
                    _ => {}
                }
                let apart = |it: &Route| it.action == Action::Quarantined;
                match (apart(old), apart(new)) {
                    (true, true) => continue,
                    (false, true) => {
                        let note = Some("its file is broken, it answers 503".to_owned());
                        s.whole(Sign::Changed, Effect::Narrows, "quarantined".to_owned(), note);
                        continue;
                    }
                    (true, false) => {
                        came(&mut s, new, Sign::Changed, "no longer quarantined, ");
                        continue;
                    }
                    (false, false) => {}
                }
                stayed(&mut s, old, new);
            }
        }
    }
}

/// A route that was not there.
fn came(s: &mut Subject<'_, '_>, new: &Route, sign: Sign, how: &str) {
    let what = format!("{how}to: {}", target_of(&new.action));
    let takes = matched(&new.matches);
    let mut notes = vec![format!("takes {takes}")];
    let public = is_public(new);
    if public {
        notes.push("anybody may use it".to_owned());
    } else {
        notes.push(format!("auth: {}", auth::words(new.auth.as_ref())));
    }
    if !new.rate_limit.iter().any(|it| it.mode == Mode::Enforce) {
        notes.push("no rate limit".to_owned());
    }
    s.whole(sign, Effect::of(public, false), what, Some(notes.join(", ")));
}

fn stayed(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    branches(s, old, new);
    auth::auth(s, old, new);
    auth::authorize(s, old, new);
    match (&old.ip, &new.ip) {
        // Told once.
        (Some(a), Some(b)) if a.named().is_some() && a.named() == b.named() => {}
        (a, b) => ip(s, "ip", a.as_ref(), b.as_ref()),
    }
    limits::rates(s, old, new);
    limits::at_once(s, old, new);
    match (&old.bandwidth, &new.bandwidth) {
        (Some(a), Some(b)) if a.named().is_some() && a.named() == b.named() => {}
        (a, b) => limits::bandwidth(s, "bandwidth.", a.as_ref(), b.as_ref()),
    }
    limits::body(s, old.body, new.body);
    headers::compare(s, &old.headers, &new.headers);
    upgrades(s, old, new);
    layers(s, old, new);
    action(s, old, new);
    s.other("path rewriting", &old.path_rewrite, &new.path_rewrite, rewriting);
    timeouts(s, old.timeouts, new.timeouts);
    s.other("retry", &old.retry, &new.retry, |it| it.as_ref().map_or_else(none, retry));
    s.other("mirror", &old.mirror, &new.mirror, |it| it.as_ref().map_or_else(none, mirror));
    s.other("priority", &old.priority, &new.priority, ToString::to_string);
    s.other("priority_class", &old.priority_class, &new.priority_class, |it| {
        class(it).unwrap_or_else(|| "normal".to_owned())
    });
    s.other("errors", &old.errors, &new.errors, |it| format!("{it:?}").to_lowercase());
    s.other("access_log", &old.access_log, &new.access_log, ToString::to_string);
    s.other("labels", &old.labels, &new.labels, |it| {
        few_or_none(&it.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>())
    });
}

// === what it takes ===

/// Branches that came let in requests, as far as nobody else took them.
fn branches(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    let all = |route: &Route| -> Vec<_> { route.matches.iter().flat_map(texts).collect() };
    let (was, is) = (all(old), all(new));
    let without = |these: &[texts::Text], those: &[texts::Text]| -> Vec<String> {
        these.iter().filter(|it| !those.contains(it)).map(|it| it.shown.clone()).collect()
    };
    let (came, gone) = (without(&is, &was), without(&was, &is));
    if !came.is_empty() || !gone.is_empty() {
        // Who must say who he is does not get in by another door.
        let effect = Effect::of(!came.is_empty() && is_public(new), came.is_empty());
        s.moved("match", effect, came, gone);
    }
}

// === who may use it ===

/// Compares one `ip`, of a route or of a policy.
pub(super) fn ip(s: &mut Subject<'_, '_>, key: &str, old: Option<&IpRules>, new: Option<&IpRules>) {
    let (widens, narrows) = (!ip_at_least(old, new), !ip_at_least(new, old));
    let shown = |it: Option<&IpRules>| it.map_or_else(none, networks);
    if widens || narrows || shown(old) != shown(new) {
        s.key(key, Effect::of(widens, narrows), shown(old), shown(new));
    }
}

/// Whether everybody the new rules let in was let in by the old ones.
pub(super) fn ip_at_least(old: Option<&IpRules>, new: Option<&IpRules>) -> bool {
    let allowed = |it: Option<&IpRules>| match it.filter(|it| it.mode == Mode::Enforce) {
        None => Addresses::all(),
        Some(rules) => {
            let allow = match rules.allow.is_empty() {
                true => Addresses::all(),
                false => Addresses::of(&rules.allow),
            };
            allow.without(&Addresses::of(&rules.deny))
        }
    };
    allowed(new).without(&allowed(old)).is_empty()
}

fn networks(it: &IpRules) -> String {
    let mut parts = vec![];
    if it.mode == Mode::Shadow {
        parts.push("shadow".to_owned());
    }
    if !it.allow.is_empty() {
        parts.push(format!("allow {}", few(&it.allow)));
    }
    if !it.deny.is_empty() {
        parts.push(format!("deny {}", few(&it.deny)));
    }
    parts.join(" · ")
}

fn upgrades(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    if old.upgrade != new.upgrade {
        let came = new.upgrade.iter().any(|it| !old.upgrade.contains(it));
        let gone = old.upgrade.iter().any(|it| !new.upgrade.contains(it));
        s.part("upgrade", Effect::of(came, gone), &old.upgrade, &new.upgrade);
    }
}

/// What a layer of somebody else does is not known here: it may be what keeps people out.
fn layers(s: &mut Subject<'_, '_>, old: &Route, new: &Route) {
    if old.layers == new.layers {
        return;
    }
    let names =
        |route: &Route| route.layers.iter().map(|it| it.name.value.clone()).collect::<Vec<_>>();
    let (was, is) = (names(old), names(new));
    let stays = |layer| new.layers.contains(layer);
    if old.layers.iter().all(stays) {
        return s.part("layers", Effect::Other, &was, &is);
    }
    match was == is {
        true => s.noted(
            "layers",
            Effect::Widens,
            (String::new(), String::new()),
            Some(format!("settings of {} changed, cannot be judged here", few(&was))),
        ),
        false => s.part("layers", Effect::Widens, &was, &is),
    }
}

// === where it goes ===

/// `orders 90, canary 10`, `redirect 308`, `respond 204`.
pub(crate) fn target_of(action: &Action) -> String {
    match action {
        Action::Forward(targets) => match targets.as_slice() {
            [(only, _)] => only.value.to_string(),
            several => {
                let mut all: Vec<String> = several
                    .iter()
                    .map(|(name, weight)| format!("{} {weight}", name.value))
                    .collect();
                all.sort_unstable();
                all.join(", ")
            }
        },
        Action::Redirect { status, .. } => format!("redirect {}", status.as_u16()),
        Action::Respond { status, .. } => format!("respond {}", status.as_u16()),
        Action::Quarantined => "quarantined".to_owned(),
    }
}

fn action(s: &mut Subject<'_, '_>, from: &Route, to: &Route) {
    let (old, new) = (&from.action, &to.action);
    let sorted = |action: &Action| {
        let mut action = action.clone();
        if let Action::Forward(targets) = &mut action {
            targets.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
            if let [(_, weight)] = targets.as_mut_slice() {
                *weight = 1;
            }
        }
        action
    };
    if sorted(old) == sorted(new) {
        return;
    }
    let (was, is) = (target_of(old), target_of(new));
    match was == is {
        true => {
            let note = Some(format!("{is} (changed)"));
            s.noted("to", Effect::Other, (String::new(), String::new()), note);
        }
        // What the gateway answered itself reaches a service.
        false if guard::opens(from, to) => {
            let note = Some("anybody gets there".to_owned());
            s.noted("to", Effect::Widens, (was, is), note);
        }
        false => s.key("to", Effect::Other, was, is),
    }
}

fn rewriting(it: &PathRewrite) -> String {
    match it {
        PathRewrite::Keep => none(),
        PathRewrite::StripPrefix(prefix) => match &prefix.value {
            StripPrefix::Path(path) => format!("strip {path}"),
            StripPrefix::Literal => "strip the literal part".to_owned(),
        },
        PathRewrite::Template(template) => template.value.clone(),
    }
}

fn timeouts(s: &mut Subject<'_, '_>, old: Timeouts, new: Timeouts) {
    for (key, old, new) in [
        ("request", old.request, new.request),
        ("first_byte", old.first_byte, new.first_byte),
        ("per_try", old.per_try, new.per_try),
        ("connect", old.connect, new.connect),
        ("idle", old.idle, new.idle),
    ] {
        s.other(&format!("timeouts.{key}"), &old, &new, |it| it.map_or_else(none, span));
    }
    if old.idle == new.idle {
        s.other("timeouts.idle", &old.idle_written, &new.idle_written, |written| {
            if *written { "of everything" } else { "not of streams" }.to_owned()
        });
    }
}

fn retry(it: &Retry) -> String {
    let mut parts = vec![format!("{} after {}", it.times, causes(&it.when))];
    if let Some(share) = it.hedge {
        parts.push(format!("hedge p{}", percent(share).replace(" %", "")));
    }
    parts.push(match &it.methods {
        crate::config::model::Methods::Any => "any method".to_owned(),
        crate::config::model::Methods::Idempotent => "idempotent".to_owned(),
        crate::config::model::Methods::List(methods) => few(methods),
    });
    let pauses = format!("pauses {} to {}", span(it.backoff), span(it.max_backoff));
    parts.push(format!("{pauses}, budget {}, body {}", percent(it.budget), size(it.body_limit)));
    parts.join(", ")
}

fn mirror(it: &Mirror) -> String {
    format!("{} to {}", percent(it.share), it.to.value)
}

fn few_or_none(items: &[String]) -> String {
    if items.is_empty() { none() } else { few(items) }
}

fn none() -> String {
    "none".to_owned()
}

impl Paired for IpRules {
    fn named(&self) -> Option<&str> {
        Some(&*self.policy).filter(|name| *name != auth::INLINE)
    }

    fn same(&self, other: &Self) -> bool {
        (&self.allow, &self.deny, self.mode) == (&other.allow, &other.deny, other.mode)
    }
}

impl Paired for crate::config::model::Bandwidth {
    fn named(&self) -> Option<&str> {
        self.named.then_some(&*self.policy)
    }

    fn same(&self, other: &Self) -> bool {
        (self.connection, self.total) == (other.connection, other.total)
    }
}
