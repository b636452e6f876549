//! `authorize`: what those who are known may do. The layer itself is asked.

use std::sync::Arc;

use super::{super::words::count, Answer, Step, Verdict, Walk};
use crate::{
    authorize::Facts,
    config::model::{Authorize, Mode},
    layers::authorize::AuthorizeLayer,
    telemetry::metrics::Metrics,
};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(authorize) = &walk.route.authorize else { return Vec::new() };
    let policies = &authorize.policies;
    let names: Vec<&str> = policies.iter().map(|policy| &*policy.policy).collect();
    let what = match names.as_slice() {
        [one] => (*one).to_owned(),
        several => format!("all of {}", several.join(", ")),
    };
    let mut step = Step::of("authorize", what, walk.written("authorize"));
    let ask_who = policies.iter().any(|policy| policy.rules.ask_who());
    if !walk.known && ask_who {
        step.says = policies.iter().map(|policy| describe(policy)).collect();
        walk.not_judged.push("authorize: nobody knows who the request is from".to_owned());
        return vec![Step { verdict: Verdict::Unknown, ..step }];
    }
    let facts = Facts::new(&walk.request, &walk.exchange, ask_who);
    for policy in policies {
        let said = policy.rules.judge(&facts);
        let said = said.map_or_else(|refused| refused.to_string(), |()| "it may pass".to_owned());
        step.says.push(format!("{} · this request: {said}", describe(policy)));
    }
    let metrics = Metrics::new(&[]).route(&walk.name);
    let counted = |policy: &Arc<Authorize>| {
        (Arc::clone(policy), metrics.decisions("authorize", &policy.policy))
    };
    let layer = AuthorizeLayer::new(policies.iter().map(counted).collect());
    vec![match layer.judge(&walk.request) {
        Ok(()) => step,
        Err(error) => step.refuse(Answer::of(&error)),
    }]
}

fn describe(policy: &Authorize) -> String {
    let rules = &policy.rules;
    let mode = if policy.mode == Mode::Shadow { " (mode: shadow)" } else { "" };
    let mut parts = Vec::new();
    for (verb, rules) in [("allow", &rules.allow), ("deny", &rules.deny)] {
        if !rules.is_empty() {
            parts.push(format!("{} to {verb}", count(rules.len(), "rule")));
        }
    }
    format!("{}: {}{mode}", policy.policy, parts.join(", "))
}
