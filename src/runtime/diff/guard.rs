//! Whether one route asks for at least as much as another: who may pass, from where, how often, and whether
//! anything is served at all.

use super::{
    auth, limits,
    route::{self, target_of},
};
use crate::{
    config::model::{Action, Mode, Route},
    explain::exposure::is_public,
};

/// Whether whoever gets something of the new route would have got it of the old one.
pub(super) fn at_least(old: &Route, new: &Route) -> bool {
    new.action == Action::Quarantined
        || auth::at_least(old, new)
            && route::ip_at_least(old.ip.as_ref(), new.ip.as_ref())
            && limits::at_least(old, new)
            && old.layers.iter().all(|layer| new.layers.contains(layer))
            && !opens(old, new)
}

/// Whether requests reach a service that were answered by the gateway, and nobody is asked who he is.
pub(super) fn opens(old: &Route, new: &Route) -> bool {
    let serves = |it: &Route| matches!(it.action, Action::Forward(_));
    !serves(old) && serves(new) && is_public(new)
}

/// What the one asked for, and what the other asks for.
pub(super) fn words(old: &Route, new: &Route) -> (String, String) {
    match opens(old, new) && auth::at_least(old, new) {
        true => (
            format!("it was {}", target_of(&old.action)),
            format!("this goes to {}", target_of(&new.action)),
        ),
        false => (format!("it asked for {}", asks(old)), format!("this for {}", asks(new))),
    }
}

fn asks(route: &Route) -> String {
    let mut parts = vec![auth::words(route.auth.as_ref())];
    parts.extend(route.authorize.iter().map(|_| "authorize".to_owned()));
    parts.extend(route.ip.as_ref().map(|ip| format!("ip {}", ip.policy)));
    let limits = route.rate_limit.iter().filter(|it| it.mode == Mode::Enforce);
    parts.extend(limits.map(|it| format!("rate_limit {}", limits::rate(it))));
    let at_once = route.concurrency.iter().filter(|it| it.mode == Mode::Enforce);
    parts.extend(at_once.map(|it| format!("concurrency {}", limits::bound(it))));
    parts.extend(route.layers.iter().map(|it| format!("layer {}", it.name.value)));
    if parts.len() > 1 && parts[0] == "none" {
        parts.remove(0);
    }
    parts.join(", ")
}
