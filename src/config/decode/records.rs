//! The policies that merge: `timeouts` and `body` by field, `headers` by header name. Each is
//! applied on top of what is inherited: built-in < defaults < included defaults < route.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{BODY, DEFAULTS, HEADERS, POLICIES, RETRY, RETRY_TIMES, TIMEOUTS},
        model::{
            Balance, BodyRule, HeaderEdits, Headers, HostHeader, Pool, Protocol, Retry, Timeouts,
            Upstream, UpstreamLimits, UpstreamTls,
        },
        tree::{Entry, Kind, Node},
    },
    Tops,
    edge::set,
    reader::{Fields, Owner, Reader},
    retry,
    slot::Slot,
    twice, units, upstreams,
};

/// The kinds that can be named in this build.
const KINDS: [&str; 4] = ["timeouts", "body", "headers", "retry"];

/// Named policies of all files.
pub(super) struct Policies<'a> {
    named: [HashMap<&'a str, &'a Entry>; KINDS.len()],
    used: RefCell<HashSet<(usize, &'a str)>>,
}

/// Timeouts, and where the two that must agree were written.
#[derive(Clone, Copy)]
pub(super) struct TimeoutsSoFar {
    pub value: Timeouts,
    pub request_at: Option<Place>,
    pub per_try_at: Option<Place>,
}

/// What a route and an upstream start from.
#[derive(Clone)]
pub(super) struct Defaults {
    pub timeouts: TimeoutsSoFar,
    pub body: BodyRule,
    pub headers: Headers,
    pub retry: Option<Retry>,
    pub upstream: Upstream,
}

// === impl Policies ===

impl<'a> Policies<'a> {
    /// Finds and judges the named policies of all files.
    pub(super) fn collect(r: &'a Reader<'a>, tops: &Tops<'a>) -> Self {
        let mut all = Self { named: Default::default(), used: RefCell::default() };
        for entry in tops.iter().filter_map(|(_, top)| top.entry("policies")) {
            let owner = Owner::of(POLICIES.name, &Owner::TOP);
            let Some(f) = r.fields(&entry.value, &POLICIES, owner) else { continue };
            for (kind, names) in KINDS.iter().zip(&mut all.named) {
                let Some(list) = f.entry(kind) else { continue };
                for entry in r.named(&list.value, kind) {
                    match names.get(entry.key.as_str()) {
                        Some(first) => {
                            twice(r, "policy", &entry.key, entry.key_place, first.key_place);
                        }
                        None => {
                            names.insert(&entry.key, entry);
                        }
                    }
                }
            }
        }
        all.judge(r);
        all
    }

    fn judge(&self, r: &Reader<'_>) {
        for (kind, names) in KINDS.iter().zip(&self.named) {
            for (name, entry) in names {
                // Each by itself: what one lacks is not found in another.
                let mut scratch = Defaults::builtin();
                let what = format!("{kind} policy");
                let owner = Owner::named(&what, name);
                apply(r, kind, &entry.value, owner, &mut scratch);
            }
        }
    }

    /// The policy a value names.
    fn find(&self, slot: &Slot<'_>) -> Option<&'a Entry> {
        let name = slot.text()?;
        let kind = KINDS.iter().position(|kind| *kind == slot.key)?;
        if let Some((known, entry)) = self.named[kind].get_key_value(name) {
            self.used.borrow_mut().insert((kind, known));
            return Some(entry);
        }
        let shown = slot.node.shown();
        let message = format!("{} names an unknown policy {shown}", slot.subject());
        let found = Diagnostic::error(slot.place(), message);
        let place = format!("not defined under `policies.{}`", slot.key);
        let mut found = found.label(place);
        if slot.key == "timeouts" && units::duration(name).is_ok() && !slot.node.is_secret() {
            found = found.help(format!("did you mean `{{ request: {name} }}`?"));
        }
        let mut known: Vec<&str> = self.named[kind].keys().copied().collect();
        known.sort_unstable();
        slot.r.report(match slot.r.propose(name, known) {
            Some(close) => found.help(format!("did you mean `{close}`?")),
            None => found,
        });
        None
    }

    /// Policies nothing refers to.
    pub(super) fn unused(&self) -> Vec<&'a Entry> {
        let used = self.used.borrow();
        let mut unused = Vec::new();
        for (kind, names) in self.named.iter().enumerate() {
            unused.extend(
                names.iter().filter(|(name, _)| !used.contains(&(kind, **name))).map(|(_, e)| *e),
            );
        }
        unused.sort_by_key(|entry| entry.key_place);
        unused
    }
}

// === impl Defaults ===

impl Defaults {
    /// What holds where nobody wrote anything.
    pub(super) fn builtin() -> Self {
        let upstream = Upstream {
            place: Place::default(),
            endpoints: Vec::new(),
            balance: Balance::LeastRequests,
            connect_timeout: Duration::from_secs(1),
            protocol: Protocol::Auto,
            host_header: HostHeader::Client,
            pool: Pool { idle: Duration::from_secs(60), max_idle: 512 },
            limits: UpstreamLimits { connections: 512, requests: 1024, queue: 256 },
            tls: UpstreamTls { ca: None, client: None, server_name: None, verify: true },
            hash_on: None,
            slow_start: None,
            sticky: None,
            health: None,
            outlier: None,
            breaker: None,
        };
        let value = Timeouts {
            request: None,
            per_try: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_secs(60)),
            idle_written: false,
        };
        Self {
            timeouts: TimeoutsSoFar { value, request_at: None, per_try_at: None },
            body: BodyRule { max: Some(10 << 20), buffer: false },
            headers: Headers::default(),
            retry: None,
            upstream,
        }
    }

    /// A `defaults` section on top.
    pub(super) fn apply(&mut self, r: &Reader<'_>, node: &Node, policies: &Policies<'_>) {
        let owner = Owner::of(DEFAULTS.name, &Owner::TOP);
        let Some(f) = r.fields(node, &DEFAULTS, owner) else { return };
        self.records(&f, policies);
        if let Some(upstream) = f.child("upstream") {
            for key in ["endpoints", "discover"] {
                if let Some(entry) = upstream.entries().iter().find(|entry| entry.key == key) {
                    let message = format!("`{key}` cannot be inherited");
                    r.report(Diagnostic::error(entry.key_place, message));
                }
            }
            upstreams::settings(&upstream, &mut self.upstream);
        }
    }

    /// The records of `defaults` or of a route on top.
    pub(super) fn records(&mut self, f: &Fields<'_>, policies: &Policies<'_>) {
        for kind in KINDS {
            let Some(slot) = f.get(kind) else { continue };
            if kind == "body" && is_size(slot.node) {
                set(&mut self.body.max, slot.size().map(Some));
            } else if kind == "retry" && is_number(slot.node) {
                let ty = &RETRY_TIMES;
                if let Some(times) = (Slot { ty, ..slot }).count() {
                    let times = u32::try_from(times).unwrap_or(0);
                    let inherited = self.retry.take();
                    let rest = inherited.unwrap_or_else(|| retry::retry_builtin(times));
                    self.retry = Some(Retry { times, ..rest });
                }
            } else if kind != "timeouts" && slot.node.is_none_word() {
                match kind {
                    "body" => self.body = BodyRule { max: None, buffer: false },
                    "retry" => self.retry = None,
                    _ => self.headers = Headers::default(),
                }
            } else if kind == "retry" && slot.node.is("true") {
                slot.wrong("a number, a name, a map or none", None);
            } else if slot.node.text().is_some() {
                let Some(entry) = policies.find(&slot) else { continue };
                // Judged once where it is defined.
                let owner = Owner::named(kind, &entry.key);
                apply(&slot.r.silent(), kind, &entry.value, owner, self);
            } else {
                let what = format!("`{kind}`");
                apply(slot.r, kind, slot.node, Owner::of(&what, slot.owner), self);
            }
        }
    }
}

/// A number, or what was meant as one: `1-2` can be a name.
fn is_number(node: &Node) -> bool {
    node.text().is_some_and(|text| {
        text.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte))
            && text.parse::<f64>().is_ok()
    })
}

/// A size, or what was meant as one: names have no capital letters.
fn is_size(node: &Node) -> bool {
    node.text().is_some_and(|text| {
        units::size(text).is_ok()
            || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            || (text.starts_with(|c: char| c.is_ascii_digit())
                && text.contains(|c: char| c.is_ascii_uppercase()))
    })
}

fn apply(r: &Reader<'_>, kind: &str, node: &Node, owner: Owner<'_>, onto: &mut Defaults) {
    let section = match kind {
        "timeouts" => &TIMEOUTS,
        "body" => &BODY,
        "retry" => &RETRY,
        _ => &HEADERS,
    };
    let Some(f) = r.fields(node, section, owner) else { return };
    match kind {
        "timeouts" => timeouts(&f, &mut onto.timeouts),
        "body" => body(&f, &mut onto.body),
        "retry" => {
            let inherited = onto.retry.take();
            onto.retry = retry::retry(&f, inherited);
        }
        _ => {
            if let Some(f) = f.child("request") {
                merge(&mut onto.headers.request, edits(&f));
            }
            if let Some(f) = f.child("response") {
                merge(&mut onto.headers.response, edits(&f));
            }
        }
    }
}

fn timeouts(f: &Fields<'_>, onto: &mut TimeoutsSoFar) {
    if let Some(slot) = f.get("request") {
        set(&mut onto.value.request, slot.duration_or_none());
        onto.request_at = Some(slot.place());
    }
    if let Some(slot) = f.get("per_try") {
        set(&mut onto.value.per_try, slot.duration_or_none());
        onto.per_try_at = Some(slot.place());
    }
    if let Some(slot) = f.get("idle") {
        set(&mut onto.value.idle, slot.duration_or_none());
        onto.value.idle_written = true;
    }
}

fn body(f: &Fields<'_>, onto: &mut BodyRule) {
    if let Some(slot) = f.get("max") {
        let max = if slot.node.is_none_word() { Some(None) } else { slot.size().map(Some) };
        set(&mut onto.max, max);
    }
    set(&mut onto.buffer, f.get("buffer").and_then(|slot| slot.bool()));
}

fn edits(f: &Fields<'_>) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    if let Some(slot) = f.get("set") {
        edits.set = header_values(&slot, false);
    }
    if let Some(slot) = f.get("add") {
        edits.add = header_values(&slot, true);
    }
    for item in f.get("remove").and_then(|slot| slot.items()).unwrap_or_default() {
        let Some(text) = item.text() else { continue };
        edits.remove.extend(header_name(&item, text, item.place()));
    }
    edits
}

/// What a level says about a header replaces what weaker levels said about it.
fn merge(onto: &mut HeaderEdits, level: HeaderEdits) {
    let names: HashSet<HeaderName> = level
        .set
        .iter()
        .chain(&level.add)
        .map(|(name, _)| name)
        .chain(&level.remove)
        .cloned()
        .collect();
    onto.set.retain(|(name, _)| !names.contains(name));
    onto.add.retain(|(name, _)| !names.contains(name));
    onto.remove.retain(|name| !names.contains(name));
    onto.set.extend(level.set);
    onto.add.extend(level.add);
    onto.remove.extend(level.remove);
}

/// A map from header to value, or to a list of values where `many`.
pub(super) fn header_values(slot: &Slot<'_>, many: bool) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of headers", None);
        return found;
    };
    for entry in entries {
        let here = Slot { node: &entry.value, ..*slot };
        let Some(name) = header_name(&here, &entry.key, entry.key_place) else { continue };
        if found.iter().any(|(known, _)| *known == name) {
            let message = format!("the header `{name}` is written twice, names ignore case");
            slot.r.report(Diagnostic::error(entry.key_place, message));
            continue;
        }
        let values = match &entry.value.kind {
            Kind::Seq(items) if many => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for node in values {
            let item = Slot { node, ..*slot };
            let Some(scalar) = node.scalar() else {
                item.wrong("text for each header", None);
                continue;
            };
            match HeaderValue::from_str(&scalar.text) {
                Ok(mut value) => {
                    value.set_sensitive(scalar.secret);
                    found.push((name.clone(), value));
                }
                Err(_) => {
                    item.error(format!("the value of `{name}` cannot be sent in a header"), None)
                }
            }
        }
    }
    found
}

/// A header the operator may change.
pub(super) fn header_name(slot: &Slot<'_>, text: &str, place: Place) -> Option<HeaderName> {
    const FRAMING: [&str; 9] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    ];
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        // A value may come from a variable, a key never does.
        let secret = slot.node.is_secret() && slot.node.place == place;
        let shown = if secret { "…" } else { text };
        let message =
            format!("`{}` is not the name of a header", super::super::tree::shorten(shown));
        slot.r.report(Diagnostic::error(place, message));
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        let message = format!("`{name}` cannot be changed here: it belongs to the message itself");
        let found = Diagnostic::error(place, message);
        slot.r.report(match name.as_str() {
            "host" => found.help("`host_header` of the upstream says which Host it sees"),
            _ => found,
        });
        return None;
    }
    Some(name)
}
