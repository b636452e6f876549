//! `auth`: who may pass. The layer itself is asked, with counters of nobody's. Where one of its schemes
//! would have to ask somebody else, the request is not judged.

mod caller;
pub(super) mod schemes;

use std::sync::Arc;

use self::{
    caller::as_if,
    schemes::{asks, describe},
};
use super::{super::Caller, Answer, Step, Verdict, Walk};
use crate::{
    auth::Identity,
    config::{
        diagnostic::Diagnostics,
        model::{AuthPolicy, Require, RouteAuth},
    },
    layers::{
        Request,
        auth::{AuthLayer, Policy, Refusal, Settings},
    },
    telemetry::metrics::Metrics,
};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(auth) = &walk.route.auth else {
        walk.known = true;
        return vec![Step::none("auth")];
    };
    let names: Vec<&str> = auth.policies.iter().map(|policy| &*policy.policy).collect();
    let what = match (auth.require, names.as_slice()) {
        (_, [one]) => (*one).to_owned(),
        (Require::Any, several) => format!("any of {}", several.join(", ")),
        (Require::All, several) => format!("all of {}", several.join(", ")),
    };
    let mut step = Step::of("auth", what, walk.written("auth"));
    step.says = auth.policies.iter().map(|policy| describe(policy)).collect();
    let Some(settings) = settings(walk, auth) else { return vec![step] };
    let path = walk.exchange.uri.path();
    let private = settings.policies.iter().any(|policy| policy.scheme.is_in_query(path));
    let layer = AuthLayer::new(settings);
    // First the one that leaves no trace in the request.
    let bare = walk.bare();
    if asked(walk, auth, &bare).is_none() {
        let mut bare = bare;
        walk.without = judge(walk, &layer, &mut bare);
    }
    walk.exchange.take_outcome();
    walk.exchange.note(|outcome| outcome.private_query = private);
    if let Some(caller) = walk.caller.take() {
        return vec![taken_for(walk, step, auth, caller)];
    }
    if let Some(why) = asked(walk, auth, &walk.request) {
        walk.not_judged.push(format!("auth: {why}"));
        return vec![Step { verdict: Verdict::Unknown, ..step }];
    }
    vec![judged(walk, step, &layer)]
}

/// Why nobody but somebody else can say, if that is so.
fn asked(walk: &Walk<'_>, auth: &RouteAuth, request: &Request) -> Option<String> {
    let one = |policy: &Arc<AuthPolicy>| asks(policy, request, &walk.exchange, walk.live);
    auth.policies.iter().find_map(one)
}

/// Somebody says who it is from.
fn taken_for(walk: &mut Walk<'_>, step: Step, auth: &RouteAuth, caller: Caller) -> Step {
    let said = (!caller.claims.is_empty()).then(|| Arc::new(caller.claims.clone()));
    let who = Identity { consumer: caller.consumer.clone(), claims: said, ..Identity::default() };
    if let Some(settings) = settings(walk, auth) {
        let layer = AuthLayer::new(as_if(settings, auth, &Arc::new(who)));
        let mut bare = walk.bare();
        if let Some(answer) = judge(walk, &layer, &mut bare) {
            return step.refuse(answer);
        }
    }
    walk.known = true;
    let who = caller.consumer.as_deref().map_or_else(String::new, |name| format!(" from `{name}`"));
    walk.exchange.note(|outcome| {
        outcome.consumer = caller.consumer;
        outcome.claims = Some(Arc::new(caller.claims));
    });
    step.say(format!("this request: let in{who} without credentials"))
}

fn judged(walk: &mut Walk<'_>, step: Step, layer: &AuthLayer) -> Step {
    let mut request = std::mem::replace(&mut walk.request, Request::new(crate::Body::empty()));
    let refused = judge(walk, layer, &mut request);
    walk.request = request;
    walk.known = refused.is_none();
    let mut consumer = None;
    walk.exchange.note(|outcome| consumer.clone_from(&outcome.consumer));
    match (refused, consumer) {
        (Some(answer), _) => step.refuse(answer),
        (None, Some(consumer)) => step.say(format!("this request: it is from `{consumer}`")),
        (None, None) if walk.without.is_none() => {
            // Only those that watch have an opinion.
            let step = step.say("this request: it passes whoever it is from (mode: shadow)");
            Step { verdict: Verdict::WouldRefuse, ..step }
        }
        (None, None) => step.say("this request: it may pass"),
    }
}

/// What the layer runs with, but for the counters.
fn settings(walk: &Walk<'_>, auth: &RouteAuth) -> Option<Settings> {
    let metrics = Metrics::new(&[]).route(&walk.name);
    let one = |policy: &Arc<AuthPolicy>| {
        Some(Policy {
            name: Arc::clone(&policy.policy),
            scheme: walk.runtime.schemes.of(policy, &mut Diagnostics::default())?,
            pass_consumer: policy.pass_consumer.clone(),
            mode: policy.mode,
            decisions: metrics.decisions("auth", &policy.policy),
        })
    };
    let policies = auth.policies.iter().map(one).collect::<Option<Vec<_>>>()?;
    Some(Settings { require: auth.require, policies })
}

/// How a request ends here, if it does.
fn judge(walk: &Walk<'_>, layer: &AuthLayer, request: &mut Request) -> Option<Answer> {
    match walk.handle.block_on(layer.judge(request)).err()? {
        Refusal::Error(error) => Some(Answer::of(&error)),
        Refusal::Answer(response) => {
            let status = response.status().as_u16();
            let location = response.headers().get(http::header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            Some(Answer::plain(
                status,
                location.map_or_else(|| status.to_string(), |to| format!("{status} to {to}")),
            ))
        }
    }
}
