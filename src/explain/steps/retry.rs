//! `retry`: further tries, and whether this request may have some.

use super::{
    super::words::{count, percent, size, span},
    Step, Walk,
};
use crate::config::model::{Action, Causes, Methods, Retry};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    if !matches!(walk.route.action, Action::Forward(_)) {
        return Vec::new();
    }
    let Some(retry) = &walk.route.retry else { return vec![Step::none("retry")] };
    let mut parts = Vec::new();
    if retry.times > 0 {
        let tries = count(retry.times as usize, "more try").replace("trys", "tries");
        parts.push(format!("{tries} after {}", causes(&retry.when)));
    }
    if let Some(share) = retry.hedge {
        let share = percent(share).replace(" %", "");
        parts.push(format!("a second try once it is slower than p{share}"));
    }
    let step = Step::of("retry", parts.join(" · "), walk.written("retry"));
    vec![step.say(permission(retry, walk.request.method())).say(format!(
        "pauses {} to {} · at most {} of the requests · bodies up to {}",
        span(retry.backoff),
        span(retry.max_backoff),
        percent(retry.budget),
        size(retry.body_limit)
    ))]
}

fn permission(retry: &Retry, method: &http::Method) -> String {
    let why = match &retry.methods {
        Methods::Any => "methods: any",
        Methods::Idempotent if method.is_idempotent() => "it is idempotent",
        Methods::Idempotent => "it is not idempotent",
        Methods::List(_) => "methods: a list",
    };
    let may = if retry.methods.contain(method) { "may" } else { "may not" };
    format!("{method} {may} be sent again ({why})")
}

/// `connect, reset, 502-504`.
pub(crate) fn causes(causes: &Causes) -> String {
    let named = [("connect", causes.connect), ("reset", causes.reset), ("timeout", causes.timeout)];
    let named = named.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned());
    let statuses = causes.statuses.0.iter().map(|(from, to)| match (from, to) {
        (500, 599) => "5xx".to_owned(),
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    });
    named.chain(statuses).collect::<Vec<_>>().join(", ")
}
