//! `timeouts`: how long things may take.

use super::{super::words::span, Step, Walk};
use crate::config::model::Action;

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let limits = walk.route.timeouts;
    let forwards = matches!(walk.route.action, Action::Forward(_));
    let all = [
        ("request", limits.request, true),
        ("per_try", limits.per_try, forwards),
        ("first_byte", limits.first_byte, forwards),
        ("connect", limits.connect, forwards),
        ("idle", limits.idle, true),
    ];
    let here = all.into_iter().filter(|(_, _, here)| *here);
    let written = here.filter_map(|(key, limit, _)| Some(format!("{key} {}", span(limit?))));
    let what = written.collect::<Vec<_>>().join(" · ");
    let what = if what.is_empty() { "none".to_owned() } else { what };
    vec![Step::of("timeouts", what, walk.written("timeouts"))]
}
