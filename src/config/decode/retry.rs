//! `retry`: what a route says about further tries, and whether they can happen at all.

use std::time::Duration;

use http::Method;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::{Action, Causes, Methods, Retry, Statuses},
        tree::Node,
    },
    Context,
    edge::set,
    matches,
    reader::{Fields, list},
    records::Defaults,
    resilience::{count, range},
    slot::Slot,
};

/// Words for ways in which a try fails.
const CAUSES: [&str; 4] = ["connect", "reset", "timeout", "5xx"];

/// `connect`, `reset`, `timeout`, `5xx`, a status, a range of statuses.
pub(super) fn causes(slot: &Slot<'_>) -> Causes {
    let mut it = Causes::default();
    for item in slot.one_or_many().unwrap_or_default() {
        match item.text() {
            Some("connect") => it.connect = true,
            Some("reset") => it.reset = true,
            Some("timeout") => it.timeout = true,
            Some("5xx") => it.statuses.0.push((500, 599)),
            Some(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                it.statuses.0.extend(range(&item));
            }
            Some(text) => {
                let close = item.r.propose(text, CAUSES);
                let help = close.map(|word| format!("did you mean `{word}`?"));
                item.wrong(&format!("one of {} or a status", list(CAUSES)), help);
            }
            None => {}
        }
    }
    it
}

/// What a route starts from that says only how often.
pub(super) fn retry_builtin(times: u32) -> Retry {
    Retry {
        times,
        when: Causes {
            connect: true,
            reset: true,
            timeout: false,
            statuses: Statuses(vec![(502, 504)]),
        },
        methods: Methods::Idempotent,
        backoff: Duration::from_millis(25),
        max_backoff: Duration::from_secs(1),
        budget: 0.2,
        body_limit: 64 * 1024,
        hedge: None,
    }
}

/// `retry` as a map on top of what is inherited.
pub(super) fn retry(f: &Fields<'_>, inherited: Option<Retry>) -> Option<Retry> {
    let times = f.get("times");
    if times.is_none() && inherited.is_none() && f.get("hedge").is_none() {
        f.missing("times");
        return None;
    }
    let mut it = inherited.unwrap_or_else(|| retry_builtin(0));
    set(&mut it.times, times.and_then(|slot| count(&slot)));
    if let Some(slot) = f.get("when") {
        it.when = causes(&slot);
    }
    set(&mut it.methods, f.get("methods").and_then(|slot| methods(&slot)));
    set(&mut it.backoff, f.get("backoff").and_then(|slot| slot.duration()));
    set(&mut it.max_backoff, f.get("max_backoff").and_then(|slot| slot.duration()));
    set(&mut it.budget, f.get("budget").and_then(|slot| slot.percent()));
    set(&mut it.body_limit, f.get("body_limit").and_then(|slot| slot.size()));
    if let Some(slot) = f.get("hedge") {
        it.hedge = match slot.word() {
            Some("p50") => Some(0.5),
            Some("p90") => Some(0.9),
            Some("p95") => Some(0.95),
            Some("p99") => Some(0.99),
            _ => None,
        };
    }
    if it.max_backoff < it.backoff
        && let Some(slot) = f.get("max_backoff").or_else(|| f.get("backoff"))
    {
        let within = slot.owner.within();
        let message = format!("`max_backoff` is shorter than `backoff` {within}");
        let (least, most) = (it.backoff.as_millis(), it.max_backoff.as_millis());
        let help = format!("`backoff` is {least}ms here, `max_backoff` {most}ms");
        slot.error(message, Some(help));
    }
    Some(it)
}

/// Which requests may be sent again.
fn methods(slot: &Slot<'_>) -> Option<Methods> {
    match slot.node.text() {
        Some("idempotent") => return Some(Methods::Idempotent),
        Some("any") => return Some(Methods::Any),
        Some(text) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            if let Some(close) = slot.r.propose(text, ["idempotent", "any"]) {
                let help = format!("did you mean `{close}`?");
                slot.wrong("`idempotent`, `any` or methods", Some(help));
                return None;
            }
        }
        _ => {}
    }
    let each =
        |item: &Slot<'_>| -> Option<Method> { matches::method(item, item.text()?, item.place()) };
    let methods: Vec<Option<Method>> = slot.one_or_many()?.iter().map(each).collect();
    methods.into_iter().collect::<Option<_>>().map(Methods::List)
}

/// A number, or what was meant as one: `1-2` can be a name.
pub(super) fn is_number(node: &Node) -> bool {
    node.text().is_some_and(|text| {
        text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
            && text.parse::<f64>().is_ok()
    })
}

// === the whole route ===

/// Says where further tries can never happen. What all routes inherit is not held against one that
/// cannot use it.
pub(super) fn fits(context: &Context<'_>, f: &Fields<'_>, own: &Defaults, action: Option<&Action>) {
    let Some(retry) = &own.retry else { return };
    let warn = |place: Place, message: String| Diagnostic::warning(place, message);
    let written = f.get("retry").filter(|slot| !slot.node.is_none_word());
    if let (Some(slot), Some(Action::Redirect { .. } | Action::Respond { .. })) = (&written, action)
    {
        let message = format!("{} has no effect: the route forwards nothing", slot.subject());
        return f.r.report(warn(slot.place(), message));
    }
    let Some(Action::Forward(targets)) = action else { return };
    in_time(f, own, retry);
    if let (Some(slot), Some(_)) = (written, retry.hedge) {
        let upstreams = context.upstreams.borrow();
        for (target, _) in targets {
            let Some(upstream) = upstreams.get(&target.value) else { continue };
            if upstream.endpoints.len() > 1 || upstream.discover.is_some() {
                continue;
            }
            let shown = f.r.sources.shown(target.place, &target.value);
            let message = format!("{} hedges, but {shown} has one endpoint", f.owner);
            let found = warn(slot.place(), message);
            f.r.report(found.help("a second try is made at another endpoint, never at the same"));
        }
    }
}

/// All tries, each as long as it may be, take longer than the request may.
fn in_time(f: &Fields<'_>, own: &Defaults, retry: &Retry) {
    let timeouts = &own.timeouts;
    let (Some(request), Some(request_at)) = (timeouts.value.request, timeouts.request_at) else {
        return;
    };
    let Some((key, limit, at)) = timeouts.of_a_try().next() else { return };
    let tries = retry.times.saturating_add(1);
    // One alone that is longer is an error of its own.
    if limit > request || limit.saturating_mul(tries) <= request {
        return;
    }
    let keys = ["retry", "timeouts"].map(|key| f.entry(key).is_some());
    let within =
        if keys == [false; 2] { "in what routes inherit".to_owned() } else { f.owner.within() };
    let message = format!("{tries} tries of `{key}` are longer than `request` {within}");
    f.r.report(
        Diagnostic::warning(at, message)
            .label("each try may take this long…")
            .and(request_at, "…and all of them only this long")
            .help("a slow try may leave no time for the next"),
    );
}
