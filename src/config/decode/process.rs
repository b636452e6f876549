//! `metrics`, `admin` and `server`.

use std::{net::Ipv4Addr, time::Duration};

use http::HeaderName;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{ADMIN, METRICS, OVERLOAD, SERVER},
        model::{Address, Admin, Located, Metrics, Overload, RequestIdFrom, Server},
        tree::Node,
    },
    edge::{bind, set},
    reader::{Owner, Reader},
    slot::Slot,
};
use crate::server::gate::{is_claim, may_pass};

/// The `metrics` section.
pub(super) fn metrics(r: &Reader<'_>, node: Option<&Node>) -> Metrics {
    let buckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let mut metrics = Metrics { path: "/metrics".to_owned(), buckets: buckets.to_vec() };
    let owner = Owner::of(METRICS.name, &Owner::TOP);
    let Some(f) = node.and_then(|node| r.fields(node, &METRICS, owner)) else { return metrics };
    if let Some(slot) = f.get("path") {
        match slot.text() {
            Some(path) if path.starts_with('/') => path.clone_into(&mut metrics.path),
            Some(_) => slot.wrong("a path that starts with `/`", None),
            None => {}
        }
    }
    if let Some(bounds) = f.get("buckets").and_then(|slot| self::buckets(&slot)) {
        metrics.buckets = bounds;
    }
    metrics
}

fn buckets(slot: &Slot<'_>) -> Option<Vec<f64>> {
    let items = slot.items()?;
    if items.is_empty() || items.len() > 64 {
        slot.error(format!("{} must have 1 to 64 durations", slot.subject()), None);
        return None;
    }
    let mut last = Duration::ZERO;
    let mut bounds = Vec::with_capacity(items.len());
    for item in items {
        let bound = item.duration()?;
        if bound <= last {
            item.error(format!("{} must rise", item.subject()), None);
            return None;
        }
        last = bound;
        bounds.push(bound.as_secs_f64());
    }
    Some(bounds)
}

/// The `admin` section.
pub(super) fn admin(r: &Reader<'_>, node: Option<&Node>) -> Admin {
    let value = Address::Tcp { host: Some(Ipv4Addr::LOCALHOST.into()), port: 9900 };
    let place =
        node.map_or_else(Place::default, |node| Place { end: node.place.start, ..node.place });
    let mut admin = Admin { address: Some(Located { value, place }), socket: None };
    let owner = Owner::of(ADMIN.name, &Owner::TOP);
    let Some(f) = node.and_then(|node| r.fields(node, &ADMIN, owner)) else { return admin };
    if let Some(slot) = f.get("address") {
        if slot.node.is_none_word() {
            admin.address = None;
        } else if let Some(address) = slot.text().and_then(|text| bind(r, slot.node, text)) {
            admin.address = Some(address);
        }
    }
    admin.socket = f.get("socket").and_then(|slot| slot.path()).map(|path| path.value);
    admin
}

/// The `server` section.
pub(super) fn server(r: &Reader<'_>, node: Option<&Node>) -> Server {
    let mut server = Server {
        name: host_name(),
        drain_delay: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(30),
        request_id_header: HeaderName::from_static("x-request-id"),
        request_id_from: RequestIdFrom::Trusted,
        via: true,
        pass_headers: Vec::new(),
        merge_slashes: true,
        keep_encoded_slash: false,
        overload: None,
        workers: 0,
    };
    let owner = Owner::of(SERVER.name, &Owner::TOP);
    let Some(f) = node.and_then(|node| r.fields(node, &SERVER, owner)) else { return server };
    set(&mut server.name, f.get("name").and_then(|slot| name(&slot)));
    if let Some(drain) = f.child("drain") {
        set(&mut server.drain_delay, drain.get("delay").and_then(|slot| slot.duration()));
        set(&mut server.drain_timeout, drain.get("timeout").and_then(|slot| slot.duration()));
    }
    if let Some(id) = f.child("request_id") {
        if let Some(slot) = id.get("header") {
            match slot.text().map(|text| HeaderName::from_bytes(text.as_bytes())) {
                Some(Ok(name)) => server.request_id_header = name,
                Some(Err(_)) => slot.wrong("the name of a header", None),
                None => {}
            }
        }
        let from = id.get("accept_from").and_then(|slot| slot.word()).map(|word| match word {
            "any" => RequestIdFrom::Any,
            "none" => RequestIdFrom::None,
            _ => RequestIdFrom::Trusted,
        });
        set(&mut server.request_id_from, from);
    }
    set(&mut server.via, f.get("via").and_then(|slot| slot.bool()));
    set(&mut server.pass_headers, f.get("pass_headers").and_then(|slot| pass_headers(&slot)));
    if let Some(normalize) = f.child("normalize") {
        let merge = normalize.get("merge_slashes").and_then(|slot| slot.bool());
        set(&mut server.merge_slashes, merge);
        let word = normalize.get("encoded_slash").and_then(|slot| slot.word());
        set(&mut server.keep_encoded_slash, word.map(|word| word == "keep"));
    }
    if let Some(slot) = f.get("overload") {
        server.overload = overload(&slot);
    }
    set(&mut server.workers, f.get("workers").and_then(|slot| slot.count()));
    server
}

/// `overload`: `none`, or a map.
fn overload(slot: &Slot<'_>) -> Option<Overload> {
    if slot.node.is_none_word() {
        return None;
    }
    let f = slot.r.fields(slot.node, &OVERLOAD, Owner::of(OVERLOAD.name, slot.owner))?;
    let memory = f.get("memory").and_then(|slot| slot.size());
    let mut it = Overload { memory, ..Overload::default() };
    set(&mut it.delay, f.get("delay").and_then(|slot| slot.duration()));
    let steps = &mut it.steps;
    let mut last = ("", 0.0);
    for (key, onto) in [
        ("shrink", &mut steps.shrink),
        ("shed_low", &mut steps.shed_low),
        ("shed_normal", &mut steps.shed_normal),
        ("refuse", &mut steps.refuse),
    ] {
        let written = f.get(key);
        set(onto, written.as_ref().and_then(|slot| slot.percent()));
        if *onto <= last.1 {
            let place = written.map_or(f.place, |slot| slot.place());
            let message = match last.0 {
                "" => format!("`{key}` {} must be more than 0%", f.owner.within()),
                before => format!("`{key}` {} must be more than `{before}`", f.owner.within()),
            };
            slot.r.report(Diagnostic::error(place, message));
            return None;
        }
        last = (key, *onto);
    }
    Some(it)
}

/// Only what would be taken out: a name that has no effect is a mistake.
fn pass_headers(slot: &Slot<'_>) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for item in slot.items()? {
        match item.text().map(|text| HeaderName::from_bytes(text.as_bytes())) {
            Some(Ok(name)) if may_pass(name.as_str()) => names.push(name),
            Some(Ok(name)) if is_claim(name.as_str()) => {
                let message = format!("`{name}` is not for {} to decide", item.subject());
                let help = "`trusted_proxies` of a listener says who is believed in it";
                item.error(message, Some(help.to_owned()));
            }
            Some(Ok(name)) => {
                let message = format!("`{name}` in {} passes anyway", item.subject());
                item.error(message, Some("leave it out".to_owned()));
            }
            Some(Err(_)) => item.wrong("names of headers", None),
            None => {}
        }
    }
    Some(names)
}

/// It stands in `Via` and `Proxy-Status`, so it must be a token.
fn name(slot: &Slot<'_>) -> Option<String> {
    let text = slot.text()?;
    if is_token(text) {
        return Some(text.to_owned());
    }
    slot.wrong("made of letters, digits, `-`, `.` and `_`", None);
    None
}

fn is_token(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !text.is_empty() && text.len() <= 253 && text.chars().all(inner)
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    if is_token(&name) { name.into_owned() } else { "tidegate".to_owned() }
}
