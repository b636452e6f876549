//! `upgrade`: other protocols. Only told of a request that asks for one.

use super::{Answer, Step, Walk};
use crate::{config::model::Action, upstream::tunnel};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(wanted) = &walk.exchange.hop.upgrade else { return Vec::new() };
    if !matches!(walk.route.action, Action::Forward(_)) {
        return Vec::new();
    }
    let allowed = &walk.route.upgrade;
    let what = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    let step = Step::of("upgrade", what, walk.written("upgrade"));
    let name = wanted.to_str().unwrap_or_default();
    vec![match tunnel::permits(name, false, allowed) {
        Ok(true) => step.say(format!("this request: {name} is passed on")),
        Ok(false) => step.say(format!("this request: the offer of {name} is ignored")),
        Err(error) => step.refuse(Answer::of(&error)),
    }]
}
