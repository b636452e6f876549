//! The policies that merge: `timeouts` and `body` by field, `headers` by header name. Each is
//! applied on top of what is inherited: built-in < defaults < included defaults < route.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub(super) use super::headers::{header_name, header_values};
use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{BODY, DEFAULTS, HEADERS, IP, POLICIES, RETRY, RETRY_TIMES, TIMEOUTS},
        model::{
            Authorize, Balance, Bandwidth, BodyRule, Concurrency, Headers, HostHeader, IpRules,
            Origins, Pool, PriorityClass, Protocol, RateLimit, Retry, RouteAuth, RouteAuthorize,
            Upstream, UpstreamLimits, UpstreamTls,
        },
        tree::{Entry, Node},
    },
    Tops, admission, bandwidth,
    edge::set,
    guard, headers, origins, rate_limit,
    reader::{Fields, Owner, Reader},
    retry,
    slot::Slot,
    timeouts::{self, TimeoutsSoFar},
    twice, units, upstreams,
};

/// The kinds that can be named in this build.
pub(super) const KINDS: [&str; 10] = [
    "timeouts",
    "body",
    "headers",
    "retry",
    "ip",
    "auth",
    "authorize",
    "rate_limit",
    "concurrency",
    "bandwidth",
];

/// What a policy is called that is written in its place.
pub(super) const INLINE: &str = "inline";

/// Named policies of all files.
pub(super) struct Policies<'a> {
    named: [HashMap<&'a str, &'a Entry>; KINDS.len()],
    used: RefCell<HashSet<(usize, &'a str)>>,
    /// Those whose rules were compiled; `None` where that failed and was said.
    authorize: HashMap<&'a str, Option<Arc<Authorize>>>,
}

/// What a route and an upstream start from.
#[derive(Clone)]
pub(super) struct Defaults {
    pub timeouts: TimeoutsSoFar,
    pub body: BodyRule,
    pub headers: Headers,
    pub retry: Option<Retry>,
    pub ip: Option<IpRules>,
    pub auth: Option<RouteAuth>,
    pub authorize: Option<RouteAuthorize>,
    pub rate_limit: Vec<Arc<RateLimit>>,
    pub concurrency: Vec<Arc<Concurrency>>,
    pub bandwidth: Option<Bandwidth>,
    pub priority_class: PriorityClass,
    pub upstream: Upstream,
    /// Where all but those of the upstream were written.
    pub origins: Origins,
    /// The file of the route is kept apart.
    pub quarantined: bool,
}

// === impl Policies ===

impl<'a> Policies<'a> {
    /// Finds and judges the named policies of all files.
    pub(super) fn collect(r: &'a Reader<'a>, tops: &Tops<'a>) -> Self {
        let mut all =
            Self { named: Default::default(), used: RefCell::default(), authorize: HashMap::new() };
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

    /// The rules of a policy.
    pub(super) fn authorize(&self, name: &str) -> Option<Arc<Authorize>> {
        self.authorize.get(name).cloned().flatten()
    }

    fn judge(&mut self, r: &Reader<'_>) {
        for (kind, names) in KINDS.iter().zip(&self.named) {
            for (name, entry) in names {
                // Each by itself: what one lacks is not found in another.
                let mut scratch = Defaults::builtin();
                let what = format!("{kind} policy");
                let owner = Owner::named(&what, name);
                match *kind {
                    "auth" => drop(guard::judged(r, &entry.value, name)),
                    "rate_limit" => drop(rate_limit::judged(r, &entry.value, name)),
                    "concurrency" => drop(admission::judged(r, &entry.value, name)),
                    "bandwidth" => drop(bandwidth::judged(r, &entry.value, name)),
                    "authorize" => {
                        let rules = guard::authorize::judged(r, &entry.value, name);
                        self.authorize.insert(*name, rules);
                    }
                    _ => apply(r, kind, &entry.value, owner, name, &mut scratch),
                }
            }
        }
    }

    /// The policy a value names.
    pub(super) fn find(&self, slot: &Slot<'_>) -> Option<&'a Entry> {
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
        if let Some(why) = slot.r.lost(slot.key, name) {
            slot.r.report(found.help(why));
            return None;
        }
        if slot.key == "timeouts" && units::duration(name).is_ok() && !slot.node.is_secret() {
            found = found.help(format!("did you mean `{{ request: {name} }}`?"));
        }
        if slot.key == "ip" && name.contains(['.', ':']) && !slot.node.is_secret() {
            found = found.help(format!("did you mean `{{ allow: [{name}] }}`?"));
        }
        if slot.key == "authorize"
            && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            found = found.help("a rule in its place is a map: `{ allow: \"…\" }`");
        }
        let mut known: Vec<&str> = self.named[kind].keys().copied().collect();
        known.sort_unstable();
        slot.r.report(match slot.r.propose(name, known) {
            Some(close) => found.help(format!("did you mean `{close}`?")),
            None => found,
        });
        None
    }

    /// The policy of this name, without a word if there is none.
    pub(super) fn named(&self, kind: &str, name: &str) -> Option<&'a Entry> {
        let kind = KINDS.iter().position(|known| *known == kind)?;
        self.named[kind].get(name).copied()
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
    /// What holds of the routes of a file that is kept apart: nobody is asked for anything.
    pub(super) fn quarantined() -> Self {
        Self { quarantined: true, ..Self::builtin() }
    }

    /// What holds where nobody wrote anything.
    pub(super) fn builtin() -> Self {
        let upstream = Upstream {
            place: Place::default(),
            endpoints: Vec::new(),
            discover: None,
            balance: Balance::LeastRequests,
            connect_timeout: Duration::from_secs(1),
            protocol: Protocol::Auto,
            host_header: HostHeader::Client,
            pool: Pool { idle: Duration::from_secs(60), max_idle: 512 },
            limits: UpstreamLimits { connections: 512, requests: 1024, queue: 256 },
            tls: UpstreamTls::default(),
            hash_on: None,
            slow_start: None,
            sticky: None,
            health: None,
            outlier: None,
            breaker: None,
            adaptive: None,
            origins: Origins::default(),
        };
        Self {
            timeouts: TimeoutsSoFar::builtin(),
            body: BodyRule { max: Some(10 << 20), buffer: false },
            headers: Headers::default(),
            retry: None,
            ip: None,
            auth: None,
            authorize: None,
            rate_limit: Vec::new(),
            concurrency: Vec::new(),
            bandwidth: None,
            priority_class: PriorityClass::default(),
            upstream,
            origins: Origins::default(),
            quarantined: false,
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
            self.upstream.origins.settle();
        }
        self.origins.settle();
    }

    /// The records of `defaults` or of a route on top.
    pub(super) fn records(&mut self, f: &Fields<'_>, policies: &Policies<'_>) {
        if let Some(slot) = f.get("priority_class") {
            origins::policy(&mut self.origins, &slot, "priority_class", None, policies);
            set(&mut self.priority_class, admission::priority_class(&slot));
        }
        for kind in KINDS {
            let Some(slot) = f.get(kind) else { continue };
            origins::policy(&mut self.origins, &slot, kind, short(kind, slot.node), policies);
            if kind == "body" && is_size(slot.node) {
                set(&mut self.body.max, slot.size().map(Some));
            } else if kind == "retry" && retry::is_number(slot.node) {
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
                    "ip" => self.ip = None,
                    "auth" => self.auth = None,
                    "authorize" => self.authorize = None,
                    "rate_limit" => self.rate_limit.clear(),
                    "concurrency" => self.concurrency.clear(),
                    "bandwidth" => self.bandwidth = None,
                    _ => self.headers = Headers::default(),
                }
            } else if kind == "auth" {
                // Where it is wrong the file is refused: nobody passes for it.
                self.auth = guard::route_auth(&slot, policies);
                if self.auth.is_none() && !slot.r.has_errors() {
                    slot.error(format!("{} cannot be read", slot.subject()), None);
                }
            } else if kind == "authorize" {
                self.authorize = guard::authorize::route_authorize(&slot, policies);
                if self.authorize.is_none() && !slot.r.has_errors() {
                    slot.error(format!("{} cannot be read", slot.subject()), None);
                }
            } else if kind == "rate_limit" {
                self.rate_limit = rate_limit::route_limits(&slot, policies);
            } else if kind == "bandwidth" {
                self.bandwidth = bandwidth::route(&slot, policies);
            } else if kind == "concurrency" {
                self.concurrency = admission::route_limits(&slot, policies);
            } else if kind == "retry" && slot.node.is("true") {
                slot.wrong("a number, a name, a map or none", None);
            } else if slot.node.text().is_some() {
                let Some(entry) = policies.find(&slot) else { continue };
                // Judged once where it is defined.
                let owner = Owner::named(kind, &entry.key);
                apply(&slot.r.silent(), kind, &entry.value, owner, &entry.key, self);
            } else {
                let what = format!("`{kind}`");
                apply(slot.r, kind, slot.node, Owner::of(&what, slot.owner), INLINE, self);
            }
        }
    }
}

/// The field that a value alone stands for.
fn short(kind: &str, node: &Node) -> Option<&'static str> {
    match kind {
        "body" if is_size(node) => Some("max"),
        "retry" if retry::is_number(node) => Some("times"),
        _ => None,
    }
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

fn apply(
    r: &Reader<'_>,
    kind: &str,
    node: &Node,
    owner: Owner<'_>,
    name: &str,
    onto: &mut Defaults,
) {
    let section = match kind {
        "timeouts" => &TIMEOUTS,
        "body" => &BODY,
        "retry" => &RETRY,
        "ip" => &IP,
        _ => &HEADERS,
    };
    let Some(f) = r.fields(node, section, owner) else { return };
    match kind {
        "timeouts" => timeouts::read(&f, &mut onto.timeouts),
        "body" => body(&f, &mut onto.body),
        "retry" => {
            let inherited = onto.retry.take();
            onto.retry = retry::retry(&f, inherited);
        }
        "ip" => onto.ip = guard::ip(&f, name.into()),
        _ => {
            if let Some(f) = f.child_called("request", "`request`") {
                headers::merge(&mut onto.headers.request, headers::edits(&f));
            }
            if let Some(f) = f.child_called("response", "`response`") {
                headers::merge(&mut onto.headers.response, headers::edits(&f));
            }
        }
    }
}

fn body(f: &Fields<'_>, onto: &mut BodyRule) {
    if let Some(slot) = f.get("max") {
        let max = if slot.node.is_none_word() { Some(None) } else { slot.size().map(Some) };
        set(&mut onto.max, max);
    }
    set(&mut onto.buffer, f.get("buffer").and_then(|slot| slot.bool()));
}
