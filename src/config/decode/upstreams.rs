//! `upstreams`, and upstreams written inline as a URL.

use http::HeaderValue;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{ENDPOINT, UPSTREAM},
        model::{Balance, Endpoint, HostHeader, Located, Name, Protocol, Upstream},
        tree::{Entry, Kind, Node},
    },
    Context, address,
    edge::{set, wrong_scalar},
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
    Some(name)
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
            let discover = f.entries().iter().any(|entry| entry.key == "discover");
            let list = match f.entry("endpoints").map(|entry| &entry.value) {
                None if discover => return None, // reported as not built
                None => {
                    f.missing("endpoints");
                    return None;
                }
                Some(node) => match &node.kind {
                    Kind::Seq(items) => endpoints(r, node, items, &f.owner),
                    Kind::Scalar(scalar) => {
                        endpoint(r, node, &scalar.text, node.place).map(|one| vec![one])
                    }
                    Kind::Map(_) | Kind::Null => {
                        f.get("endpoints")?.wrong("a list of URLs", None);
                        None
                    }
                },
            };
            it.endpoints = list?;
            fit(&f, &it);
        }
    }
    Some(it)
}

fn endpoints(
    r: &Reader<'_>,
    list: &Node,
    items: &[Node],
    owner: &Owner<'_>,
) -> Option<Vec<Endpoint>> {
    if items.is_empty() {
        r.report(Diagnostic::error(list.place, format!("{owner} has no endpoint")));
        return None;
    }
    let mut all: Vec<Endpoint> = Vec::with_capacity(items.len());
    let mut good = true;
    for item in items {
        let made = match &item.kind {
            Kind::Scalar(scalar) => endpoint(r, item, &scalar.text, item.place),
            _ => r
                .fields(item, &ENDPOINT, Owner::of(ENDPOINT.name, owner))
                .and_then(|f| endpoint_map(r, &f)),
        };
        let Some(made) = made else {
            good = false;
            continue;
        };
        if let Some(first) = all.iter().find(|known| known.url == made.url) {
            let shown = if item.is_secret() { "«redacted»" } else { &made.url.value };
            let message = format!("{owner} has the endpoint `{shown}` twice");
            let found =
                Diagnostic::error(made.url.place, message).and(first.url.place, "first here");
            r.report(found.help("`{ url: …, weight: 2 }` gives it a larger share"));
        }
        all.push(made);
    }
    good.then_some(all)
}

fn endpoint_map(r: &Reader<'_>, f: &Fields<'_>) -> Option<Endpoint> {
    let Some(slot) = f.get("url") else {
        f.missing("url");
        return None;
    };
    let mut made = endpoint(r, slot.node, slot.text()?, slot.place())?;
    let weight = f.get("weight").and_then(|slot| slot.int());
    set(&mut made.weight, weight.and_then(|weight| u32::try_from(weight).ok()));
    set(&mut made.backup, f.get("backup").and_then(|slot| slot.bool()));
    let priority = f.get("priority").and_then(|slot| slot.int());
    set(&mut made.priority, priority.and_then(|number| u32::try_from(number).ok()));
    if let (Some(backup), true) = (f.get("backup"), made.backup && made.priority > 0) {
        backup.error(format!("{} is both backup and has a priority", f.owner), None);
    }
    Some(made)
}

fn endpoint(r: &Reader<'_>, node: &Node, text: &str, place: Place) -> Option<Endpoint> {
    match address::endpoint(text) {
        Ok(address::EndpointUrl { name, tls, h2c, target }) => {
            let url = Located { value: name, place };
            Some(Endpoint { url, tls, h2c, target, weight: 1, backup: false, priority: 0 })
        }
        Err(wrong) => {
            wrong_scalar(r, node, place, wrong, "a URL of an endpoint");
            None
        }
    }
}

/// Everything but the endpoints, on top of what is inherited.
pub(super) fn settings(f: &Fields<'_>, it: &mut Upstream) {
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
    }
    if let Some(tls) = f.child("tls") {
        tls_settings(&tls, it);
    }
    resilience::upstream(f, it);
}

fn tls_settings(f: &Fields<'_>, it: &mut Upstream) {
    if let Some(slot) = f.get("ca") {
        it.tls.ca = slot.path().filter(|path| path.value.as_os_str() != "system");
    }
    match (f.get("cert"), f.get("key")) {
        (Some(cert), Some(key)) => {
            if let (Some(cert), Some(key)) = (cert.path(), key.path()) {
                it.tls.client = Some((cert, key));
            }
        }
        (Some(one), None) | (None, Some(one)) => {
            let other = if one.key == "cert" { "key" } else { "cert" };
            one.error(format!("{} needs `{other}` beside it", one.subject()), None);
        }
        (None, None) => {}
    }
    if let Some(slot) = f.get("server_name") {
        it.tls.server_name = slot.text().map(str::to_ascii_lowercase);
    }
    if let Some(slot) = f.get("verify") {
        set(&mut it.tls.verify, slot.bool());
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
    if let Some(entry) = f.entry("tls").filter(|_| it.endpoints.iter().all(|one| !one.tls)) {
        let message = format!("{} has `tls`, but no endpoint with `https://`", f.owner);
        f.r.report(Diagnostic::warning(entry.key_place, message));
    }
    if let Some(one) = it.endpoints.iter().find(|one| one.h2c && it.protocol == Protocol::H1) {
        let message = format!("{} speaks HTTP/1 only, `h2c` is HTTP/2", f.owner);
        let found = Diagnostic::error(one.url.place, message);
        f.r.report(found.help("did you mean `http://`?"));
    }
}
