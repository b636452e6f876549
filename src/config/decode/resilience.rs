//! What an upstream and a route say about endpoints that fail: `health`, `outlier`, `breaker`,
//! `sticky`, `hash_on`, `retry`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::{
    super::{
        fields::HEALTH,
        model::{
            Breaker, Causes, HashOn, Health, Initial, Methods, NoneHealthy, Outlier, Probe, Retry,
            Statuses, Sticky, Upstream,
        },
    },
    edge::set,
    reader::{Fields, Owner, list},
    slot::Slot,
};

/// All of them that an upstream has, on top of what it inherits.
pub(super) fn upstream(f: &Fields<'_>, it: &mut Upstream) {
    if let Some(slot) = f.get("hash_on") {
        it.hash_on = hash_on(&slot);
    }
    set(&mut it.slow_start, f.get("slow_start").and_then(|slot| slot.duration_or_none()));
    on_top(f, "sticky", &mut it.sticky, sticky);
    on_top(f, "outlier", &mut it.outlier, outlier);
    on_top(f, "breaker", &mut it.breaker, breaker);
    let Some(slot) = f.get("health") else { return };
    if slot.node.is_none_word() {
        it.health = None;
    } else if slot.node.scalar().is_some() {
        if let Some(probe) = http_probe(&slot) {
            it.health = Some(Health { probe, ..health_builtin(it.health.take()) });
        }
    } else if let Some(f) = slot.r.fields(slot.node, &HEALTH, Owner::of(HEALTH.name, slot.owner)) {
        it.health = health(&f, it.health.take());
    }
}

/// A map on top of what is inherited, or `none`.
fn on_top<T>(
    f: &Fields<'_>,
    key: &'static str,
    onto: &mut Option<T>,
    read: fn(&Fields<'_>, Option<T>) -> Option<T>,
) {
    let Some(slot) = f.get(key) else { return };
    if slot.node.is_none_word() {
        *onto = None;
    } else if let Some(f) = f.child(key) {
        let inherited = onto.take();
        *onto = read(&f, inherited);
    }
}

fn hash_on(slot: &Slot<'_>) -> Option<HashOn> {
    let text = slot.text()?;
    let found = match text.split_once(':') {
        None if text == "client_ip" => Some(HashOn::ClientIp),
        None if text == "path" => Some(HashOn::Path),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(HashOn::Header),
        Some(("cookie", name)) if is_token(name) => Some(HashOn::Cookie(name.to_owned())),
        Some(("query", name)) if !name.is_empty() => Some(HashOn::Query(name.to_owned())),
        _ => None,
    };
    if found.is_none() {
        slot.wrong("client_ip, path, header:NAME, cookie:NAME or query:NAME", None);
    }
    found
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn sticky(f: &Fields<'_>, inherited: Option<Sticky>) -> Option<Sticky> {
    let mut it = match (f.get("cookie"), inherited) {
        (Some(slot), inherited) => {
            let cookie = slot.text()?.to_owned();
            if !is_token(&cookie) {
                slot.wrong("a name a cookie can have", None);
                return None;
            }
            let (ttl, secret) = inherited.map(|it| (it.ttl, it.secret)).unwrap_or_default();
            Sticky { cookie, ttl, secret }
        }
        (None, Some(inherited)) => inherited,
        (None, None) => {
            f.missing("cookie");
            return None;
        }
    };
    if let Some(slot) = f.get("ttl") {
        it.ttl = slot.duration_or_none()?;
    }
    if let Some(slot) = f.get("secret") {
        let secret = slot.text()?;
        if secret.len() < 16 {
            slot.error(format!("{} must have at least 16 characters", slot.subject()), None);
        }
        it.secret = Some(secret.to_owned());
    }
    Some(it)
}

fn outlier(f: &Fields<'_>, inherited: Option<Outlier>) -> Option<Outlier> {
    let mut it = inherited.unwrap_or(Outlier {
        after: 5,
        eject_for: Duration::from_secs(30),
        max_ejected: 0.5,
    });
    set(&mut it.after, f.get("after").and_then(|slot| count(&slot)));
    set(&mut it.eject_for, f.get("eject_for").and_then(|slot| slot.duration()));
    set(&mut it.max_ejected, f.get("max_ejected").and_then(|slot| slot.percent()));
    Some(it)
}

fn breaker(f: &Fields<'_>, inherited: Option<Breaker>) -> Option<Breaker> {
    let mut it = inherited.unwrap_or_else(|| Breaker {
        errors: 0.5,
        count: Causes {
            connect: true,
            reset: false,
            timeout: true,
            statuses: Statuses(vec![(500, 599)]),
        },
        min_requests: 20,
        window: Duration::from_secs(10),
        open_for: Duration::from_secs(30),
        probes: 3,
    });
    if let Some(slot) = f.get("errors") {
        let share = slot.percent();
        if share.is_some_and(|share| share < 0.01) {
            slot.wrong("1% to 100%", None);
        }
        set(&mut it.errors, share);
    }
    if let Some(slot) = f.get("count") {
        it.count = causes(&slot);
    }
    set(&mut it.min_requests, f.get("min_requests").and_then(|slot| count(&slot)));
    set(&mut it.window, f.get("window").and_then(|slot| slot.duration()));
    set(&mut it.open_for, f.get("open_for").and_then(|slot| slot.duration()));
    set(&mut it.probes, f.get("probes").and_then(|slot| count(&slot)));
    Some(it)
}

fn count(slot: &Slot<'_>) -> Option<u32> {
    slot.int().and_then(|number| u32::try_from(number).ok())
}

// === health ===

fn health_builtin(inherited: Option<Health>) -> Health {
    inherited.unwrap_or_else(|| Health {
        probe: Probe::Http("/".to_owned()),
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        expect: Statuses(vec![(200, 299)]),
        healthy_after: 2,
        unhealthy_after: 3,
        host: None,
        initial: Initial::Healthy,
        on_none_healthy: NoneHealthy::Fail,
    })
}

fn http_probe(slot: &Slot<'_>) -> Option<Probe> {
    let path = slot.text()?;
    let good = path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok();
    if !good {
        let help = (!slot.node.is_secret() && !path.starts_with('/'))
            .then(|| format!("did you mean `/{path}`?"));
        slot.wrong("a path that starts with `/`", help);
    }
    good.then(|| Probe::Http(path.to_owned()))
}

fn health(f: &Fields<'_>, inherited: Option<Health>) -> Option<Health> {
    let has_probe = inherited.is_some();
    let mut it = health_builtin(inherited);
    match (f.get("path"), f.get("grpc")) {
        (Some(path), None) => it.probe = http_probe(&path)?,
        (None, Some(slot)) => it.probe = grpc_probe(&slot)?,
        (Some(_), Some(slot)) => {
            slot.error(format!("{} has both `path` and `grpc`", f.owner), None);
            return None;
        }
        (None, None) if has_probe => {}
        (None, None) => {
            f.missing("path");
            return None;
        }
    }
    set(&mut it.every, f.get("every").and_then(|slot| slot.duration()));
    set(&mut it.timeout, f.get("timeout").and_then(|slot| slot.duration()));
    if let Some(slot) = f.get("expect") {
        let items = slot.one_or_many().unwrap_or_default();
        it.expect = Statuses(items.iter().filter_map(range).collect());
    }
    set(&mut it.healthy_after, f.get("healthy_after").and_then(|slot| count(&slot)));
    set(&mut it.unhealthy_after, f.get("unhealthy_after").and_then(|slot| count(&slot)));
    if let Some(slot) = f.get("host") {
        match slot.text().map(HeaderValue::from_str) {
            Some(Ok(host)) => it.host = Some(host),
            Some(Err(_)) => slot.wrong("a host", None),
            None => {}
        }
    }
    let initial = f.get("initial").and_then(|slot| slot.word());
    set(
        &mut it.initial,
        initial.map(|word| match word {
            "unhealthy" => Initial::Unhealthy,
            _ => Initial::Healthy,
        }),
    );
    let none = f.get("on_none_healthy").and_then(|slot| slot.word());
    set(
        &mut it.on_none_healthy,
        none.map(|word| match word {
            "use_all" => NoneHealthy::UseAll,
            _ => NoneHealthy::Fail,
        }),
    );
    if it.timeout > it.every {
        let at = f.get("timeout").or_else(|| f.get("every"));
        if let Some(slot) = at {
            slot.error(format!("`timeout` is longer than `every` {}", slot.owner.within()), None);
        }
    }
    Some(it)
}

/// A service of the gRPC health protocol; the empty name asks for the whole server.
fn grpc_probe(slot: &Slot<'_>) -> Option<Probe> {
    match slot.node.scalar() {
        Some(scalar) if scalar.text.len() <= 1000 => Some(Probe::Grpc(scalar.text.clone())),
        _ => {
            slot.wrong("the name of a service", None);
            None
        }
    }
}

/// `404` or `400-599`.
pub(super) fn range(slot: &Slot<'_>) -> Option<(u16, u16)> {
    let text = slot.text()?;
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse().ok().filter(|status| (100..=599).contains(status));
    match (status(from), status(to)) {
        (Some(from), Some(to)) if from <= to => Some((from, to)),
        _ => {
            slot.wrong("a status or a range of them", Some("like `404` or `400-599`".to_owned()));
            None
        }
    }
}

// === causes ===

const CAUSES: [&str; 4] = ["connect", "reset", "timeout", "5xx"];

/// `connect`, `reset`, `timeout`, `5xx`, a status, a range of statuses.
fn causes(slot: &Slot<'_>) -> Causes {
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

// === retry ===

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
        slot.error(format!("`max_backoff` is shorter than `backoff` {within}"), None);
    }
    Some(it)
}

fn methods(slot: &Slot<'_>) -> Option<Methods> {
    match slot.node.text() {
        Some("idempotent") => return Some(Methods::Idempotent),
        Some("any") => return Some(Methods::Any),
        _ => {}
    }
    let mut methods = Vec::new();
    for item in slot.one_or_many()? {
        let text = item.text()?;
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                methods.push(method)
            }
            _ => {
                item.wrong("`idempotent`, `any` or methods in capital letters", None);
                return None;
            }
        }
    }
    Some(Methods::List(methods))
}
