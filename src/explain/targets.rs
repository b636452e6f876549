//! Where a request may go once the policies have let it pass: the upstreams of its route with their
//! endpoints, and on a running gateway what is known of them now; or the answer of the route itself.

mod settings;

pub(crate) use self::settings::of as settings;

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Answer, Candidate, EndpointNow, Target, UpstreamNow, place,
    steps::Walk,
    words::{percent, size},
};
use crate::{
    config::model::{self, Action, Config, Route},
    layers::{self, template::Template},
    runtime::Runtime,
    upstream::{Current, Upstream, breaker::State, choice, endpoint::Endpoint, trial::Trial},
};

/// So many endpoints are told of each upstream.
const SHOWN: usize = 20;

/// What a client gets that all policies let pass.
pub(super) struct End {
    pub(super) answer: Answer,
}

/// The upstreams of a route, those without weight included.
pub(super) fn all(runtime: &Runtime, route: &Route, live: bool) -> Vec<Target> {
    let Action::Forward(targets) = &route.action else { return Vec::new() };
    let sum: u32 = targets.iter().map(|(_, weight)| weight).sum();
    let one = |(name, weight): &(model::Located<model::Name>, u32)| {
        let current = runtime.upstreams.get(&name.value)?;
        let settings = runtime.config.upstreams.get(&name.value)?;
        let share = f64::from(*weight) / f64::from(sum.max(1));
        Some(target(&runtime.config, settings, current, (*weight, share), live))
    };
    targets.iter().filter_map(one).collect()
}

fn target(
    config: &Config,
    settings: &model::Upstream,
    current: &Current,
    (weight, share): (u32, f64),
    live: bool,
) -> Target {
    let upstream = current.get();
    let endpoints = match current {
        Current::Fixed(_) => Some(settings.endpoints.clone()),
        Current::Found(found) => found.known.lock().clone(),
    };
    let known = endpoints.is_some();
    let endpoints = endpoints.unwrap_or_default();
    let in_use = |endpoint: &Arc<Endpoint>| endpoint.vitals.is_in();
    let usable = upstream.endpoints.iter().zip(&upstream.weights);
    let usable = usable.filter(|(endpoint, weight)| **weight > 0 && in_use(endpoint)).count();
    Target {
        upstream: upstream.name.to_string(),
        at: place(config, settings.place),
        weight,
        share,
        endpoints: known.then_some(endpoints.len()),
        usable: (known && live).then_some(usable),
        candidates: endpoints
            .iter()
            .take(SHOWN)
            .map(|endpoint| Candidate {
                endpoint: endpoint.url.value.to_string(),
                weight: endpoint.weight,
                priority: endpoint.priority,
                backup: endpoint.backup,
                now: live.then(|| endpoint_now(&upstream, &endpoint.url.value)).flatten(),
            })
            .collect(),
        settings: self::settings::of(config, settings),
        refuses: if known { refuses(&upstream) } else { None },
        now: live.then(|| now(&upstream)),
    }
}

/// What the upstream answers instead of its service.
fn refuses(upstream: &Upstream) -> Option<Answer> {
    let asked = Trial::check(upstream, Instant::now());
    asked.and_then(|()| choice::possible(upstream)).err().map(|error| Answer::of(&error))
}

// === now ===

fn now(upstream: &Upstream) -> UpstreamNow {
    let now = Instant::now();
    let breaker = upstream.care.breaker.as_ref().map(|(breaker, _)| breaker);
    let micros = |share| {
        let known = upstream.care.learned.known(share, now)?;
        u64::try_from(known.as_micros()).ok()
    };
    UpstreamNow {
        breaker: breaker.map(|breaker| {
            let word = match breaker.state() {
                State::Closed => "closed",
                State::HalfOpen => "half_open",
                State::Open => "open",
            };
            word.to_owned()
        }),
        open_ms: breaker.and_then(|breaker| breaker.refuses(now)).map(millis),
        in_flight: upstream.admission.in_flight(),
        in_flight_most: upstream.admission.limit(),
        p50_us: micros(0.5),
        p95_us: micros(0.95),
    }
}

fn endpoint_now(upstream: &Upstream, name: &str) -> Option<EndpointNow> {
    let endpoint = upstream.endpoints.iter().find(|endpoint| *endpoint.name == *name)?;
    let (vitals, now) = (&endpoint.vitals, Instant::now());
    let health = match &upstream.care.health {
        None => "unchecked",
        Some(_) if !vitals.is_well() => "unhealthy",
        Some(_) if vitals.health.is_unknown() => "unknown",
        Some(_) => "healthy",
    };
    Some(EndpointNow {
        usable: vitals.is_in(),
        health: health.to_owned(),
        ejected_ms: vitals.outlier.ejected_for(now).map(millis),
        in_flight: endpoint.load(),
        latency_us: upstream.care.by_latency.then(|| vitals.cost(0, now)).filter(|it| *it > 0),
    })
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

// === the end ===

/// What comes behind all policies.
pub(super) fn end(walk: &mut Walk<'_>, targets: &[Target]) -> End {
    let answer = match &walk.route.action {
        Action::Forward(_) => forwarded(targets),
        Action::Quarantined => Answer::of(&layers::answer::quarantined()),
        Action::Respond { status, body, .. } => {
            let status = status.as_u16();
            let body = match body.len() {
                0 => "without a body".to_owned(),
                length => format!("with a body of {}", size(length as u64)),
            };
            Answer::plain(status, format!("{status} from the gateway, {body}"))
        }
        Action::Redirect { to, status, keep_query } => {
            let template = Template::parse(&to.value);
            redirected(walk, template.ok(), *status, *keep_query)
        }
    };
    End { answer }
}

fn forwarded(targets: &[Target]) -> Answer {
    let used: Vec<&Target> = targets.iter().filter(|target| target.weight > 0).collect();
    let to = |target: &&Target| {
        let refused = target.refuses.as_ref();
        let refused = refused.map_or_else(String::new, |it| format!(" ({})", it.text));
        match used.len() {
            1 => format!("{}{refused}", target.upstream),
            _ => format!("{} {}{refused}", target.upstream, percent(target.share)),
        }
    };
    if let [only] = used.as_slice()
        && let Some(answer) = &only.refuses
    {
        return answer.clone();
    }
    let text = used.iter().map(to).collect::<Vec<_>>().join(", ");
    let text = format!("forwarded to {text}");
    Answer { status: None, reason: None, headers: Vec::new(), text }
}

fn redirected(
    walk: &mut Walk<'_>,
    template: Option<Template>,
    status: http::StatusCode,
    keep_query: bool,
) -> Answer {
    let hides = walk.hides_query();
    // Its layer reads what came from the exchange, which goes along.
    let mut request = layers::Request::new(crate::Body::empty());
    request.extensions_mut().insert(Arc::clone(&walk.exchange));
    let Some(template) = template else {
        return Answer::plain(status.as_u16(), status.as_u16().to_string());
    };
    match layers::answer::Answer::redirect(template, status, keep_query).answer(request) {
        Err(error) => Answer::of(&error),
        Ok(response) => {
            let to = response.headers().get(http::header::LOCATION);
            let mut to = to.and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
            if hides && let Some(at) = to.find('?') {
                to.replace_range(at.., "?…");
            }
            let mut answer = Answer::plain(status.as_u16(), format!("{} to {to}", status.as_u16()));
            answer.headers.push(("location".to_owned(), to));
            answer
        }
    }
}
