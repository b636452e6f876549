//! `concurrency`, `priority_class` and `bandwidth`: how much at once, and who goes first.

use super::{
    super::words::{few, size, span},
    Step, Walk, rate_limit,
};
use crate::{
    config::model::{Bound, ClassBy, Concurrency, Mode, PriorityClass, Rates},
    layers::concurrency::Places,
};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let classes = class(&walk.route.priority_class);
    let classes =
        classes.map(|what| Step::of("priority_class", what, walk.written("priority_class")));
    let limits = walk.route.concurrency.iter().enumerate();
    let limits = limits.map(|(number, limit)| {
        let named = format!("concurrency.{}", limit.policy);
        let named = if walk.written(&named).is_empty() { "concurrency" } else { &named };
        let step = Step::of("concurrency", limited(limit), walk.written(named));
        match walk.runtime.places.of(limit, &walk.name, number) {
            Places::Shared(now) if walk.live => {
                let (taken, most, waiting) = (now.in_flight(), now.limit(), now.waiting());
                step.say(format!("now: {taken} of {most} under way, {waiting} waiting"))
            }
            // Nobody looks for the places of one key without taking one.
            _ => step,
        }
    });
    classes.into_iter().chain(limits).collect()
}

pub(super) fn bandwidth(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(bandwidth) = &walk.route.bandwidth else { return Vec::new() };
    let rates = |of: &str, rates: Rates| {
        let each = [("requests", rates.request), ("answers", rates.response)];
        each.into_iter()
            .filter_map(|(what, rate)| Some(format!("{what} {}/s {of}", size(rate?))))
            .collect::<Vec<_>>()
    };
    let mut parts = rates("each connection", bandwidth.connection);
    parts.extend(rates("in all", bandwidth.total));
    let what = format!("{}: {}", bandwidth.policy, parts.join(" · "));
    vec![Step::of("bandwidth", what, walk.written("bandwidth"))]
}

/// Nothing where nobody said anything.
pub(crate) fn class(it: &PriorityClass) -> Option<String> {
    match it {
        fixed if *fixed == PriorityClass::default() => None,
        PriorityClass::Fixed(class) => Some(class.word().to_owned()),
        PriorityClass::By { by, classes, default } => {
            let by = match by {
                ClassBy::Consumer => "consumer".to_owned(),
                ClassBy::Claim(name) => format!("claim {name}"),
                ClassBy::Header(name) => format!("header {name}, of trusted proxies"),
            };
            let classes: Vec<String> =
                classes.iter().map(|(value, class)| format!("{value} {}", class.word())).collect();
            Some(format!("by {by}: {}, others {}", few(&classes), default.word()))
        }
    }
}

fn limited(limit: &Concurrency) -> String {
    let bound = match limit.bound {
        Bound::Fixed(most) => format!("{most} at once"),
        Bound::Adaptive(adaptive) => {
            format!("{} to {} at once, as the service can take", adaptive.min, adaptive.max)
        }
    };
    let key = if limit.key.is_empty() {
        String::new()
    } else {
        format!(" by {}", rate_limit::parts(&limit.key))
    };
    let queue = limit.queue.map_or_else(|| "as many".to_owned(), |queue| queue.to_string());
    let patience = span(limit.patience);
    let mode = if limit.mode == Mode::Shadow { " (mode: shadow)" } else { "" };
    format!("{}: {bound}{key}, {queue} waiting up to {patience}{mode}", limit.policy)
}
