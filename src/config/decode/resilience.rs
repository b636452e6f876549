//! What an upstream says about endpoints that fail and about the choice between them: `health`,
//! `outlier`, `breaker`, `sticky`, `hash_on`, `slow_start`.

use std::time::Duration;

use http::HeaderName;

use super::{
    super::{
        diagnostic::Diagnostic,
        fields::{HEALTH, Type},
        model::{
            Balance, Breaker, Causes, HashOn, Health, Initial, NoneHealthy, Outlier, Probe,
            Protocol, Statuses, Sticky, Upstream,
        },
    },
    edge::set,
    reader::{Fields, Owner},
    retry::causes,
    slot::Slot,
    upstreams::host,
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
    checks(f, it);
    agree(f, it);
}

/// `health`: `none`, a path, or a map.
fn checks(f: &Fields<'_>, it: &mut Upstream) {
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

/// Keys that need or exclude each other. Judged where one of them is written, with what the other
/// is inherited as.
fn agree(f: &Fields<'_>, it: &mut Upstream) {
    let hashes = it.balance == Balance::Hash;
    let misspelt = |lb: &Slot<'_>| match (lb.ty, lb.node.text()) {
        (Type::Word(words, _), Some(text)) => !words.contains(&text),
        _ => true,
    };
    match (f.get("lb"), f.get("hash_on")) {
        (Some(lb), _) if misspelt(&lb) => {}
        (Some(lb), None) if hashes && it.hash_on.is_none() => {
            let message = format!("`lb: hash` {} needs `hash_on`", f.owner.within());
            lb.error(message, Some("like `hash_on: client_ip`".to_owned()));
        }
        (_, Some(slot)) if !hashes => {
            let message = format!("{} needs `lb: hash`", slot.subject());
            slot.error(message, None);
        }
        _ => {}
    }
    if !hashes {
        it.hash_on = None; // what was inherited for another way of balancing
    }
    let written = |key| f.get(key).or_else(|| f.get("lb"));
    if hashes
        && it.sticky.is_some()
        && let Some(slot) = written("sticky")
    {
        let message = format!("`sticky` and `lb: hash` {}: the cookie wins", f.owner.within());
        let found = Diagnostic::warning(slot.place(), message);
        f.r.report(found.help("the hash chooses only for clients without the cookie"));
    }
    if hashes
        && it.slow_start.is_some()
        && let Some(slot) = written("slow_start")
    {
        let within = f.owner.within();
        let message = format!("`slow_start` {within} has no effect with `lb: hash`");
        let found = Diagnostic::warning(slot.place(), message);
        f.r.report(found.help("a key stays with its endpoint, warm or not"));
    }
    let grpc = it.health.as_ref().is_some_and(|it| matches!(it.probe, Probe::Grpc(_)));
    if grpc
        && it.protocol == Protocol::H1
        && let Some(slot) = f.get("health").or_else(|| f.get("protocol"))
    {
        let message = format!("`health` {} speaks gRPC, `protocol: h1` cannot", f.owner.within());
        slot.error(message, Some("gRPC needs HTTP/2".to_owned()));
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
    } else if slot.node.is("true") {
        let help = "`{}` takes all defaults".to_owned();
        slot.wrong("a map or none", Some(help));
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
        let close = slot.r.propose(text, ["client_ip", "path", "header", "cookie", "query"]);
        let help = close.map(|word| match word {
            "client_ip" | "path" => format!("did you mean `{word}`?"),
            _ => format!("did you mean `{word}:NAME`?"),
        });
        slot.wrong("client_ip, path, header:NAME, cookie:NAME or query:NAME", help);
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
            slot.wrong("from 1% to 100%", None);
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

/// A whole number within the limits of the table.
pub(super) fn count(slot: &Slot<'_>) -> Option<u32> {
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
        let other = path.starts_with('/') || path.contains(':') || path == "true";
        let likely = !other && !slot.node.is_secret();
        let help = likely.then(|| format!("did you mean `/{path}`?"));
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
            let message = format!("{} has both `path` and `grpc`", f.owner);
            slot.error(message, Some("take one of them out".to_owned()));
            return None;
        }
        (None, None) if has_probe => {}
        (None, None) => {
            let message = format!("{} has no `path` or `grpc`", f.owner);
            f.r.report(Diagnostic::error(f.place, message));
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
        it.host = slot.text().and_then(|text| {
            let value = host(text);
            if value.is_none() {
                slot.wrong("a host", None);
            }
            value
        });
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
            let message = format!("`timeout` is longer than `every` {}", slot.owner.within());
            let (limit, every) = (it.timeout.as_millis(), it.every.as_millis());
            let help = format!("`timeout` is {limit}ms here, `every` {every}ms");
            slot.error(message, Some(help));
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
