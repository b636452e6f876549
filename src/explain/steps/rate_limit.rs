//! `rate_limit`: how often. A running gateway knows what is left of the bucket this request belongs to;
//! nothing is taken out of it.

use std::sync::Arc;

use http::{HeaderValue, header::RETRY_AFTER};
use tokio::time::Instant;

use super::{
    super::words::{count, few, span},
    Answer, Step, Verdict, Walk,
};
use crate::{
    auth::api_key::carrier::Carrier,
    config::model::{
        Cost, KeyPart, Mode, OnStoreError, Period, RateLimit, StoreSync, Stored, Window,
    },
    error::{Error, Reason},
    layers::rate_limit::{cost, is_exempt, stored::unavailable},
    limit::{Limiter, Standing, shown_name, stored::Amount},
    runtime::Silence,
    telemetry::clock::unix_micros,
};

/// Those that need not know who a request is from. Where there is none at all, that is said.
pub(super) fn before_auth(walk: &mut Walk<'_>) -> Vec<Step> {
    if walk.route.rate_limit.is_empty() {
        return vec![Step::none("rate_limit")];
    }
    here(walk, false)
}

/// Those that do.
pub(super) fn after_auth(walk: &mut Walk<'_>) -> Vec<Step> {
    here(walk, true)
}

fn here(walk: &mut Walk<'_>, needs_identity: bool) -> Vec<Step> {
    let limits = walk.route.rate_limit.iter().enumerate();
    let here = limits.filter(|(_, limit)| limit.needs_identity() == needs_identity);
    here.map(|(number, limit)| one(walk, number, limit)).collect()
}

fn one(walk: &mut Walk<'_>, number: usize, limit: &Arc<RateLimit>) -> Step {
    let flows = limit.windows.iter().find(|it| matches!(it.period, Period::Every(_)));
    let burst = flows.map_or_else(String::new, |it| format!(", {} at once", it.burst));
    let key = parts(&limit.key);
    let called = shown_name(limit, &walk.name, number);
    let what = format!("{called}: {}{burst} by {key}", windows(limit));
    // Where several stand in a list, each is told by its own line.
    let named = format!("rate_limit.{}", limit.policy);
    let named = if walk.written(&named).is_empty() { "rate_limit" } else { &named };
    let mut step = Step::of("rate_limit", what, walk.written(named));
    if limit.mode == Mode::Shadow {
        step = step.say("mode: shadow");
    }
    if let Some(stored) = &limit.stored {
        let gateways = walk.runtime.stores.gateways(limit).get();
        step = step.say(counted(stored, gateways)).say(meanwhile(stored, gateways));
    }
    if is_exempt(limit, &walk.exchange) {
        return step.say("this request: its address is exempt");
    }
    let cost = cost(limit, &walk.exchange);
    if let Cost::Answer(name) = &limit.cost {
        step = step.say(format!("it costs what the field {name} of the answer says"));
    } else if cost != 1 {
        step = step.say(format!("this request: it costs {cost}"));
    }
    // Of what costs nothing nobody is asked.
    if !walk.live || cost == 0 {
        return step;
    }
    if limit.needs_identity() && !walk.known {
        walk.not_judged.push("rate_limit: nobody knows who the request is from".to_owned());
        return Step { verdict: Verdict::Unknown, ..step };
    }
    let gateways = walk.runtime.stores.gateways(limit);
    let limiter = &walk.runtime.limiters.of_route(&walk.name, number, limit, gateways);
    let asked = Asked { number, limit, limiter, called: &called, cost };
    match &limit.stored {
        Some(stored) => shared(walk, step, &asked, stored),
        None => standing(walk, step, &asked),
    }
}

/// A limit a running gateway is asked about.
struct Asked<'a> {
    number: usize,
    limit: &'a Arc<RateLimit>,
    limiter: &'a Limiter,
    called: &'a str,
    cost: u32,
}

fn standing(walk: &Walk<'_>, step: Step, asked: &Asked<'_>) -> Step {
    let (now, limiter) = (Instant::now(), asked.limiter);
    let now = limiter.at(now, unix_micros(now));
    let standings = limiter.take(limiter.key(&walk.request, &walk.exchange), 0, now);
    judged(step, asked, &standings)
}

/// What the store says of it, if it answers; it is not told that this is a request. While it is away, what
/// requests get then.
fn shared(walk: &mut Walk<'_>, step: Step, asked: &Asked<'_>, stored: &Stored) -> Step {
    let Asked { number, limit, .. } = *asked;
    let stores = &walk.runtime.stores;
    let entries = asked.limiter.entries(&walk.request, &walk.exchange);
    let looking = Amount { least: 0, most: 0 };
    let said = stores.remote(&walk.name, number, limit).and_then(|remote| {
        walk.handle.block_on(async { remote.take(&entries, looking, None).await }).ok()
    });
    match said {
        Some(taken) => judged(step, asked, &taken.standings),
        None => {
            let why = match stores.silence(limit) {
                Silence::Away => return alone(walk, step, asked, stored),
                Silence::NoAnswer => "does not answer",
                Silence::NotAsked => "was not asked, as it would count that",
            };
            walk.not_judged.push(format!("rate_limit: store {} {why}", stored.store.value));
            Step { verdict: Verdict::Unknown, ..step }
        }
    }
}

/// What requests get while the store is away.
fn alone(walk: &Walk<'_>, step: Step, asked: &Asked<'_>, stored: &Stored) -> Step {
    let step = step.say(format!("store {} is away now", stored.store.value));
    match stored.on_error {
        OnStoreError::Allow => step.say("this request: it passes, and nobody counts it"),
        OnStoreError::Local => standing(walk, step, asked),
        OnStoreError::Deny if asked.limit.mode == Mode::Shadow => {
            Step { verdict: Verdict::WouldRefuse, ..step }
        }
        OnStoreError::Deny => step.refuse(Answer::of(&unavailable(asked.limit, asked.called))),
    }
}

fn judged(step: Step, asked: &Asked<'_>, standings: &[Standing]) -> Step {
    let Asked { limit, called, cost, .. } = *asked;
    let left: Vec<String> = standings.iter().map(|it| it.left.to_string()).collect();
    let step = step.say(format!("this request: {} left at once", left.join(", ")));
    let short = standings.iter().filter(|it| it.left < cost);
    let Some(wait) = short.map(|it| it.reset).max() else { return step };
    if limit.mode == Mode::Shadow {
        return Step { verdict: Verdict::WouldRefuse, ..step };
    }
    let detail = format!("more than `{called}` allows");
    let error = Error::new(Reason::RateLimited, detail);
    step.refuse(Answer::of(&error.header(RETRY_AFTER, HeaderValue::from(wait.max(1)))))
}

/// Where, and how much more than the limit may pass.
fn counted(stored: &Stored, gateways: u32) -> String {
    let store = &stored.store.value;
    match stored.sync {
        StoreSync::Exact => format!("counted in store {store}, exact: none more than that passes"),
        StoreSync::Leased(batch) => {
            let more = u64::from(batch.get()) * u64::from(gateways);
            let gateways = count(gateways as usize, "gateway");
            format!(
                "counted in store {store}, leased up to {batch} at once: at most {more} more pass, with {gateways}"
            )
        }
    }
}

fn meanwhile(stored: &Stored, gateways: u32) -> String {
    let what = match stored.on_error {
        OnStoreError::Allow => "all pass".to_owned(),
        OnStoreError::Deny => format!("503 {}", Reason::LimitUnavailable.word()),
        OnStoreError::Local if gateways == 1 => "this gateway counts".to_owned(),
        OnStoreError::Local => format!("each gateway counts 1/{gateways} of it"),
    };
    format!("while that is away: {what}")
}

/// `100/min and 1000/day`.
pub(crate) fn windows(limit: &RateLimit) -> String {
    let all: Vec<String> = limit.windows.iter().map(window).collect();
    all.join(" and ")
}

fn window(it: &Window) -> String {
    let period = match it.period {
        Period::Day => "day".to_owned(),
        Period::Month => "month".to_owned(),
        Period::Every(time) => match time.as_secs() {
            1 => "s".to_owned(),
            60 => "min".to_owned(),
            3600 => "h".to_owned(),
            _ => span(time),
        },
    };
    format!("{}/{period}", it.limit)
}

/// What requests have in common that count together.
pub(crate) fn parts(key: &[KeyPart]) -> String {
    let one = |part: &KeyPart| match part {
        KeyPart::ClientIp => "client_ip".to_owned(),
        KeyPart::Consumer => "consumer".to_owned(),
        KeyPart::Claim(name) => format!("claim {name}"),
        KeyPart::Request(Carrier::Header(name)) => format!("header {name}"),
        KeyPart::Request(Carrier::Cookie(name)) => format!("cookie {name}"),
        KeyPart::Request(Carrier::Query(name)) => format!("query parameter {name}"),
        KeyPart::Route => "route".to_owned(),
    };
    few(&key.iter().map(one).collect::<Vec<_>>())
}
