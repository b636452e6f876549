//! What a reload changed, in the operator's own names: a pure function of two configurations. Names
//! are compared, never positions, so a route that moved down in its file has not changed.

use std::{collections::BTreeMap, fmt, mem};

use crate::config::{
    diagnostic::Place,
    model::{Action, Address, Config, Endpoint, Listener, Name, Route, Server, Upstream},
};

/// The difference between two configurations. Empty if nothing an operator wrote has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// One line for each thing that came, went or changed; the sign is its first character.
    pub lines: Vec<String>,
}

/// What became of the things of one kind.
struct Section<'a, T> {
    kind: &'static str,
    old: &'a BTreeMap<Name, T>,
    new: &'a BTreeMap<Name, T>,
}

// === impl Diff ===

impl Diff {
    /// What is different in `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut diff = Self::default();
        let listeners = Section { kind: "listener", old: &old.listeners, new: &new.listeners };
        listeners.write(&mut diff, address_of, listener_changes);
        if old.tls != new.tls {
            diff.push('~', "tls");
        }
        let upstreams = Section { kind: "upstream", old: &old.upstreams, new: &new.upstreams };
        upstreams.write(&mut diff, endpoints_of, upstream_changes);
        let routes = Section { kind: "route", old: &old.routes, new: &new.routes };
        let describe = |route: &Route| format!("to: {}", target_of(&without_places(route).action));
        routes.write(&mut diff, describe, route_changes);
        diff.sections(old, new);
        diff.server(&old.server, &new.server);
        if !diff.lines.is_empty() {
            diff.kept(&upstreams);
        }
        diff
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn push(&mut self, sign: char, text: impl fmt::Display) {
        self.lines.push(format!("{sign} {text}"));
    }

    /// The sections that are not maps.
    fn sections(&mut self, old: &Config, new: &Config) {
        if old.logs != new.logs {
            self.push(
                '~',
                fields(
                    "logs",
                    &[
                        ("level", old.logs.level != new.logs.level),
                        ("format", old.logs.format != new.logs.format),
                        ("access", old.logs.access != new.logs.access),
                    ],
                ),
            );
        }
        if old.metrics != new.metrics {
            self.push(
                '~',
                fields(
                    "metrics",
                    &[
                        ("path", old.metrics.path != new.metrics.path),
                        ("buckets", old.metrics.buckets != new.metrics.buckets),
                    ],
                ),
            );
        }
        if old.admin != new.admin {
            self.push(
                '~',
                fields(
                    "admin",
                    &[
                        ("address", old.admin.address != new.admin.address),
                        ("socket", old.admin.socket != new.admin.socket),
                    ],
                ),
            );
        }
    }

    fn server(&mut self, old: &Server, new: &Server) {
        let (mut before, after) = (old.clone(), new);
        if mem::replace(&mut before.workers, after.workers) != after.workers {
            self.push('!', "server.workers changed: needs a restart");
        }
        if before != *after {
            self.push(
                '~',
                fields(
                    "server",
                    &[
                        ("name", before.name != after.name),
                        (
                            "drain",
                            before.drain_delay != after.drain_delay
                                || before.drain_timeout != after.drain_timeout,
                        ),
                        (
                            "request_id",
                            before.request_id_header != after.request_id_header
                                || before.request_id_from != after.request_id_from,
                        ),
                        ("via", before.via != after.via),
                        (
                            "normalize",
                            before.merge_slashes != after.merge_slashes
                                || before.keep_encoded_slash != after.keep_encoded_slash,
                        ),
                    ],
                ),
            );
        }
    }

    /// Says what an operator fears to have lost.
    fn kept(&mut self, upstreams: &Section<'_, Upstream>) {
        let same = upstreams
            .new
            .iter()
            .filter(|(name, new)| {
                upstreams.old.get(*name).is_some_and(|old| upstream_changes(old, new).is_none())
            })
            .count();
        match same {
            0 => {}
            1 => self.push('=', "1 upstream unchanged: pools kept"),
            _ => self.push('=', format_args!("{same} upstreams unchanged: pools kept")),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

// === impl Section ===

impl<T> Section<'_, T> {
    /// Writes what came and what changed in the order of names, then what went.
    fn write(
        &self,
        diff: &mut Diff,
        describe: impl Fn(&T) -> String,
        changes: impl Fn(&T, &T) -> Option<String>,
    ) {
        let kind = self.kind;
        for (name, new) in self.new {
            match self.old.get(name) {
                None => diff.push('+', format_args!("{kind} {name}  {}", describe(new))),
                Some(old) => {
                    if let Some(what) = changes(old, new) {
                        diff.push('~', format_args!("{kind} {name}  {what}"));
                    }
                }
            }
        }
        for name in self.old.keys().filter(|name| !self.new.contains_key(*name)) {
            diff.push('-', format_args!("{kind} {name}"));
        }
    }
}

// === listeners ===

fn address_of(listener: &Listener) -> String {
    show_address(&listener.address.value)
}

/// An address as the operator writes it.
pub fn show_address(address: &Address) -> String {
    match address {
        Address::Tcp { host: None, port } => format!(":{port}"),
        Address::Tcp { host: Some(host), port } => {
            std::net::SocketAddr::new(*host, *port).to_string()
        }
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Fd(name) => format!("fd:{name}"),
    }
}

fn listener_changes(old: &Listener, new: &Listener) -> Option<String> {
    let mut old = old.clone();
    old.place = new.place;
    if old == *new {
        return None;
    }
    let mut parts = Vec::new();
    if old.address != new.address {
        parts.push(format!("address: {} → {}", address_of(&old), address_of(new)));
    }
    parts.extend(names(&[
        ("tls", old.tls != new.tls),
        ("https_redirect", old.https_redirect != new.https_redirect),
        ("protocols", old.protocols != new.protocols),
        ("trusted_proxies", old.trusted_proxies != new.trusted_proxies),
        ("client_ip_from", old.client_ip_from != new.client_ip_from),
        ("max_connections", old.max_connections != new.max_connections),
        ("timeouts", old.timeouts != new.timeouts),
        ("limits", old.limits != new.limits || old.shares != new.shares),
    ]));
    Some(parts.join(", "))
}

// === upstreams ===

fn endpoints_of(upstream: &Upstream) -> String {
    let urls: Vec<&str> = upstream.endpoints.iter().map(|e| &*e.url.value).collect();
    urls.join(", ")
}

fn upstream_changes(old: &Upstream, new: &Upstream) -> Option<String> {
    let mut old = old.clone();
    old.place = new.place;
    if old == *new {
        return None;
    }
    let mut parts = Vec::new();
    let has = |all: &Upstream, url: &Name| all.endpoints.iter().any(|e| e.url.value == *url);
    for endpoint in &new.endpoints {
        if !has(&old, &endpoint.url.value) {
            parts.push(format!("+{}", endpoint.url.value));
        }
    }
    for endpoint in &old.endpoints {
        if !has(new, &endpoint.url.value) {
            parts.push(format!("-{}", endpoint.url.value));
        }
    }
    for endpoint in &new.endpoints {
        let known = old.endpoints.iter().find(|known| known.url.value == endpoint.url.value);
        parts.extend(known.and_then(|known| endpoint_changes(known, endpoint)));
    }
    if parts.is_empty() && old.endpoints != new.endpoints {
        parts.push("order of endpoints".to_owned());
    }
    parts.extend(names(&[
        ("lb", old.balance != new.balance),
        ("hash_on", old.hash_on != new.hash_on),
        ("slow_start", old.slow_start != new.slow_start),
        ("sticky", old.sticky != new.sticky),
        ("connect_timeout", old.connect_timeout != new.connect_timeout),
        ("protocol", old.protocol != new.protocol),
        ("host_header", old.host_header != new.host_header),
        ("health", old.health != new.health),
        ("outlier", old.outlier != new.outlier),
        ("breaker", old.breaker != new.breaker),
        ("pool", old.pool != new.pool),
        ("limits", old.limits != new.limits),
        ("tls", old.tls != new.tls),
    ]));
    Some(parts.join(", "))
}

/// What is different about an endpoint that stays.
fn endpoint_changes(old: &Endpoint, new: &Endpoint) -> Option<String> {
    let mut parts = Vec::new();
    if old.weight != new.weight {
        parts.push(format!("weight {} → {}", old.weight, new.weight));
    }
    if old.backup != new.backup {
        parts.push(if new.backup { "backup" } else { "no backup" }.to_owned());
    }
    if old.priority != new.priority {
        parts.push(format!("priority {} → {}", old.priority, new.priority));
    }
    let parts = parts.join(" ");
    (!parts.is_empty()).then(|| format!("{} {parts}", new.url.value))
}

// === routes ===

fn target_of(action: &Action) -> String {
    match action {
        Action::Forward(targets) => match targets.as_slice() {
            [(only, _)] => only.value.to_string(),
            several => {
                let one = |(name, weight): &(_, u32)| format!("{} {weight}", show_name(name));
                several.iter().map(one).collect::<Vec<_>>().join(", ")
            }
        },
        Action::Redirect { status, .. } => format!("redirect {}", status.as_u16()),
        Action::Respond { status, .. } => format!("respond {}", status.as_u16()),
    }
}

fn show_name(name: &crate::config::model::Located<Name>) -> &str {
    &name.value
}

fn route_changes(old: &Route, new: &Route) -> Option<String> {
    let (old, new) = (without_places(old), without_places(new));
    if old == new {
        return None;
    }
    let mut parts = Vec::new();
    if old.action != new.action {
        let (before, after) = (target_of(&old.action), target_of(&new.action));
        parts.push(if before == after {
            format!("to: {after} (changed)")
        } else {
            format!("to: {before} → {after}")
        });
    }
    if old.enabled != new.enabled {
        parts.push(if new.enabled { "enabled" } else { "disabled" }.to_owned());
    }
    if old.priority != new.priority {
        parts.push(format!("priority: {} → {}", old.priority, new.priority));
    }
    parts.extend(names(&[
        ("match", old.matches != new.matches),
        ("path rewriting", old.path_rewrite != new.path_rewrite),
        ("headers", old.headers != new.headers),
        ("timeouts", old.timeouts != new.timeouts),
        ("retry", old.retry != new.retry),
        ("mirror", old.mirror != new.mirror),
        ("upgrade", old.upgrade != new.upgrade),
        ("body", old.body != new.body),
        ("errors", old.errors != new.errors),
        ("access_log", old.access_log != new.access_log),
        ("layers", old.layers != new.layers),
        ("labels", old.labels != new.labels),
    ]));
    Some(parts.join(", "))
}

/// What is compared of a route: not where it was written, and not the order of its upstreams.
fn without_places(route: &Route) -> Route {
    let mut route = route.clone();
    if let Action::Forward(targets) = &mut route.action {
        targets.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
    }
    route.place = Place::default();
    route.matches.iter_mut().for_each(|branch| branch.place = Place::default());
    route
}

// === words ===

fn names<'a>(changed: &'a [(&'static str, bool)]) -> impl Iterator<Item = String> + 'a {
    changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| (*name).to_owned())
}

fn fields(section: &str, changed: &[(&'static str, bool)]) -> String {
    format!("{section}  {}", names(changed).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
