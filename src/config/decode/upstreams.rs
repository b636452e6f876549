//! `upstreams`, and upstreams written inline as a URL.

use http::HeaderValue;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::UPSTREAM,
        model::{
            Balance, Discover, Endpoint, HostHeader, Name, Protocol, Scheme, Upstream, UpstreamTls,
        },
        tree::{Entry, Kind, Node},
    },
    Context, admission, discovery,
    edge::set,
    endpoints::{endpoint, endpoints},
    origins,
    reader::{Fields, Owner, Reader},
    records::Defaults,
    resilience,
    slot::Slot,
    twice,
};

/// The upstreams of one file.
pub(super) fn section(context: &Context<'_>, top: &Fields<'_>, defaults: &Defaults) {
    let r = context.r;
    let Some(entry) = top.entry("upstreams") else { return };
    for entry in r.named(&entry.value, "upstreams") {
        let first = context.declared.get(entry.key.as_str());
        if let Some(first) = first.filter(|first| **first != entry.key_place) {
            twice(r, "upstream", &entry.key, entry.key_place, *first);
            continue;
        }
        if let Some(upstream) = upstream(r, entry, &defaults.upstream) {
            context.upstreams.borrow_mut().insert(entry.key.as_str().into(), upstream);
        }
    }
}

/// An upstream made of a URL in a route. Its name is the URL.
pub(super) fn inline(
    context: &Context<'_>,
    node: &Node,
    text: &str,
    place: Place,
    defaults: &Defaults,
) -> Option<Name> {
    let endpoint = endpoint(context.r, node, text, place)?;
    Some(implicit(context, endpoint, place, defaults))
}

/// The upstream of one endpoint that was written in its place.
pub(super) fn implicit(
    context: &Context<'_>,
    endpoint: Endpoint,
    place: Place,
    defaults: &Defaults,
) -> Name {
    let name = endpoint.url.value.clone();
    let mut new = Upstream { place, endpoints: vec![endpoint], ..defaults.upstream.clone() };
    let mut all = context.upstreams.borrow_mut();
    match all.get(&name) {
        None => {
            all.insert(name.clone(), new);
        }
        Some(known) => {
            new.place = known.place;
            if *known != new {
                let shown = context.r.sources.shown(place, &name);
                let message = format!("{shown} is used with two different `defaults.upstream`");
                let found = Diagnostic::error(place, message).and(known.place, "also here");
                context.r.report(found.help("give it a name in `upstreams`"));
            }
        }
    }
    name
}

fn upstream(r: &Reader<'_>, entry: &Entry, defaults: &Upstream) -> Option<Upstream> {
    let owner = Owner::named(UPSTREAM.name, &entry.key);
    let mut it = Upstream { place: entry.key_place, ..defaults.clone() };
    match &entry.value.kind {
        Kind::Scalar(scalar) => {
            it.endpoints = vec![endpoint(r, &entry.value, &scalar.text, entry.value.place)?];
        }
        Kind::Seq(items) => it.endpoints = endpoints(r, &entry.value, items, &owner)?,
        Kind::Map(_) | Kind::Null => {
            let f = r.fields(&entry.value, &UPSTREAM, owner)?;
            settings(&f, &mut it);
            match (f.entry("endpoints").map(|entry| &entry.value), f.get("discover")) {
                (Some(list), None) => it.endpoints = written(&f, list)?,
                (None, Some(slot)) => it.discover = Some(discovery::source(&slot)?),
                (Some(_), Some(slot)) => {
                    let message = format!("{} has both `endpoints` and `discover`", f.owner);
                    slot.error(message, Some("one of them says where it answers".to_owned()));
                    return None;
                }
                (None, None) => {
                    let message = format!("{} has no `endpoints`", f.owner);
                    let found = Diagnostic::error(f.place, message);
                    r.report(found.help("or `discover`, where they are found elsewhere"));
                    return None;
                }
            }
            fit(&f, &it);
        }
    }
    Some(it)
}

/// `endpoints`: a list, or one URL.
fn written(f: &Fields<'_>, node: &Node) -> Option<Vec<Endpoint>> {
    match &node.kind {
        Kind::Seq(items) => endpoints(f.r, node, items, &f.owner),
        Kind::Scalar(scalar) => endpoint(f.r, node, &scalar.text, node.place).map(|one| vec![one]),
        Kind::Map(_) | Kind::Null => {
            f.get("endpoints")?.wrong("a list of URLs", None);
            None
        }
    }
}

/// Everything but the endpoints, on top of what is inherited.
pub(super) fn settings(f: &Fields<'_>, it: &mut Upstream) {
    origins::keys(&mut it.origins, f, &[]);
    let balance = f.get("lb").and_then(|slot| slot.word()).map(|word| match word {
        "round_robin" => Balance::RoundRobin,
        "random" => Balance::Random,
        "peak_ewma" => Balance::PeakEwma,
        "hash" => Balance::Hash,
        _ => Balance::LeastRequests,
    });
    set(&mut it.balance, balance);
    set(&mut it.connect_timeout, f.get("connect_timeout").and_then(|slot| slot.duration()));
    let protocol = f.get("protocol").and_then(|slot| slot.word()).map(|word| match word {
        "h1" => Protocol::H1,
        "h2" => Protocol::H2,
        _ => Protocol::Auto,
    });
    set(&mut it.protocol, protocol);
    set(&mut it.host_header, f.get("host_header").and_then(|slot| host_header(&slot)));
    if let Some(pool) = f.child("pool") {
        set(&mut it.pool.idle, pool.get("idle").and_then(|slot| slot.duration()));
        set(&mut it.pool.max_idle, pool.get("max_idle").and_then(|slot| slot.count()));
    }
    if let Some(limits) = f.child("limits") {
        set(&mut it.limits.connections, limits.get("connections").and_then(|slot| slot.count()));
        set(&mut it.limits.requests, limits.get("requests").and_then(|slot| slot.count()));
        set(&mut it.limits.queue, limits.get("queue").and_then(|slot| slot.count()));
        set(&mut it.adaptive, limits.get("adaptive").and_then(|slot| admission::adaptive(&slot)));
    }
    if let Some(tls) = f.child("tls") {
        tls_settings(&tls, &mut it.tls);
    }
    resilience::upstream(f, it);
}

/// `tls`, on top of what is inherited.
pub(super) fn tls_settings(f: &Fields<'_>, it: &mut UpstreamTls) {
    if let Some(slot) = f.get("ca") {
        it.ca = if slot.node.is("system") { None } else { slot.path() };
    }
    match (f.get("cert"), f.get("key")) {
        (Some(cert), Some(key)) => {
            if let (Some(cert), Some(key)) = (cert.path(), key.path()) {
                it.client = Some((cert, key));
            }
        }
        (Some(one), None) | (None, Some(one)) => {
            let other = if one.key == "cert" { "key" } else { "cert" };
            one.error(format!("{} needs `{other}` beside it", one.subject()), None);
        }
        (None, None) => {}
    }
    if let Some(slot) = f.get("server_name") {
        it.server_name = slot.text().map(str::to_ascii_lowercase);
    }
    if let Some(slot) = f.get("verify") {
        set(&mut it.verify, slot.bool());
        if slot.node.is("false") {
            let message = format!("{}: any certificate is accepted", slot.subject());
            let found = Diagnostic::warning(slot.place(), message);
            f.r.report(found.help("`ca` names the authority to trust instead"));
        }
    }
}

fn host_header(slot: &Slot<'_>) -> Option<HostHeader> {
    match slot.text()? {
        "client" => Some(HostHeader::Client),
        "upstream" => Some(HostHeader::Upstream),
        text => match host(text) {
            Some(value) => Some(HostHeader::Literal(value)),
            None => {
                slot.wrong("client, upstream or a host", None);
                None
            }
        },
    }
}

/// What can be sent as a Host.
pub(super) fn host(text: &str) -> Option<HeaderValue> {
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    HeaderValue::from_str(text).ok().filter(|_| good)
}

/// Settings of one upstream that contradict its endpoints.
fn fit(f: &Fields<'_>, it: &Upstream) {
    let in_clear = match &it.discover {
        None => it.endpoints.iter().all(|one| !one.tls),
        Some(Discover::Dns(dns)) => dns.scheme != Scheme::Https,
        // They say it with each endpoint.
        Some(Discover::File(_) | Discover::Etcd(_)) => false,
    };
    if let Some(entry) = f.entry("tls").filter(|_| in_clear) {
        let message = format!("{} has `tls`, but no endpoint with `https://`", f.owner);
        f.r.report(Diagnostic::warning(entry.key_place, message));
    }
    if let Some(one) = it.endpoints.iter().find(|one| one.h2c && it.protocol == Protocol::H1) {
        let message = format!("{} speaks HTTP/1 only, `h2c` is HTTP/2", f.owner);
        let found = Diagnostic::error(one.url.place, message);
        f.r.report(found.help("did you mean `http://`?"));
    }
}
