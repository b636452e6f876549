//! `upstream` blocks and the addresses of `proxy_pass` as upstreams. One of nginx becomes several where
//! locations ask different things of it: the language has these settings with the upstream.

use std::collections::HashMap;

use super::{
    super::{
        report::{At, Report},
        write::{Entry, Value},
    },
    Import,
    guard::is_readable,
    model::Scope,
    parse::Directive,
    units,
};

/// Where a location sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    /// `host:port`, the name of an `upstream`, or `unix:/path`.
    pub(super) authority: String,
    /// What replaces the location's text.
    pub(super) uri: Option<String>,
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
    Grpc,
    Grpcs,
}

/// Upstreams made so far, by all that shapes them.
#[derive(Debug, Default)]
pub(super) struct Made {
    names: HashMap<Vec<String>, String>,
}

// === impl Target ===

impl Target {
    /// The argument of `proxy_pass` or `grpc_pass`; nothing where a variable says it.
    pub(super) fn parse(text: &str, grpc: bool) -> Option<Self> {
        if text.contains('$') {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) if !grpc => (Scheme::Http, rest),
            Some(("https", rest)) if !grpc => (Scheme::Https, rest),
            Some(("grpc", rest)) if grpc => (Scheme::Grpc, rest),
            Some(("grpcs", rest)) if grpc => (Scheme::Grpcs, rest),
            None if grpc => (Scheme::Grpc, text),
            _ => return None,
        };
        if let Some(path) = rest.strip_prefix("unix:") {
            let (path, uri) = match path.split_once(':') {
                Some((path, uri)) => (path, Some(uri.to_owned())),
                None => (path, None),
            };
            return Some(Self { scheme, authority: format!("unix:{path}"), uri });
        }
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, uri) = rest.split_at(slash);
        let uri = Some(uri.to_owned()).filter(|uri| !uri.is_empty());
        let good = !authority.is_empty() && !authority.contains(['?', '@', '#', ' ']);
        good.then(|| Self { scheme, authority: authority.to_owned(), uri })
    }

    fn url(&self, authority: &str) -> String {
        if authority.starts_with("unix:") {
            return authority.to_owned();
        }
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https | Scheme::Grpcs => "https",
            Scheme::Grpc => "h2c",
        };
        format!("{scheme}://{authority}")
    }

    fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Grpcs)
    }
}

/// The name of the upstream for a target in a scope, and how many servers it has.
pub(super) fn upstream(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    target: &Target,
) -> (String, usize) {
    let block = import.upstream_blocks.iter().find(|it| it.arg(0) == target.authority).copied();
    let mut entry = Entry::default();
    let servers = match block {
        Some(it) => block_of(&mut entry, it, target, &mut import.report),
        None => {
            entry.key("endpoints", target.url(&target.authority));
            1
        }
    };
    host_header(&mut entry, import, scope, target, block.is_some());
    if let Some(it) =
        ["proxy_connect_timeout", "grpc_connect_timeout"].iter().find_map(|name| scope.one(name))
        && let Some(time) = units::duration(it.arg(0))
    {
        entry.key("connect_timeout", time);
    }
    if target.scheme == Scheme::Grpcs {
        entry.key("protocol", "h2");
    }
    if target.is_tls() {
        tls(&mut entry, import, scope);
    }
    let mut key = vec![target.url(&target.authority)];
    key.push(format!("{:?}", entry.lines));
    if let Some(name) = import.made.names.get(&key) {
        return (name.clone(), servers);
    }
    let name = import.upstream_names.unique(target.authority.trim_start_matches("unix:"));
    import.made.names.insert(key, name.clone());
    entry.name.clone_from(&name);
    if let Some(it) = block {
        entry.above.push(format!("{}: upstream {}", import.report.place(it.at), it.arg(0)));
    }
    import.doc.upstreams.push(entry);
    (name, servers)
}

fn host_header(
    entry: &mut Entry,
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    target: &Target,
    named: bool,
) {
    let set = scope.nearest(&["proxy_set_header", "grpc_set_header"]);
    let host = set.into_iter().rfind(|it| it.arg(0).eq_ignore_ascii_case("host"));
    match host.map_or("$proxy_host", |it| it.arg(1)) {
        "$host" | "$http_host" | "$host:$server_port" | "$server_name" => {}
        "$proxy_host" if target.authority.starts_with("unix:") => {
            entry.key("host_header", "localhost");
        }
        "$proxy_host" if named => {
            entry.key("host_header", target.authority.as_str());
        }
        "$proxy_host" => {
            entry.key("host_header", "upstream");
        }
        text if !text.contains('$') && !text.is_empty() => {
            entry.key("host_header", text);
        }
        _ => {
            if let Some(it) = host {
                let todo = "here the client's Host is sent";
                entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
            }
        }
    }
}

fn tls(entry: &mut Entry, import: &mut Import<'_>, scope: &Scope<'_>) {
    let mut map: Vec<(&str, Value)> = Vec::new();
    for (directive, key) in [
        ("proxy_ssl_trusted_certificate", "ca"),
        ("proxy_ssl_certificate", "cert"),
        ("proxy_ssl_certificate_key", "key"),
    ] {
        let Some(it) = scope.one(directive) else { continue };
        let path = import.directory.join(it.arg(0));
        if is_readable(&path) {
            map.push((key, path.display().to_string().into()));
        } else {
            let todo = format!("the file cannot be read: write it as `{key}` of `tls`");
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
        }
    }
    let has = |map: &[(&str, Value)], key: &str| map.iter().any(|(known, _)| *known == key);
    if has(&map, "cert") != has(&map, "key") {
        map.retain(|(key, _)| *key == "ca");
    }
    if let Some(it) = scope.one("proxy_ssl_name").filter(|it| !it.arg(0).contains('$')) {
        map.push(("server_name", it.arg(0).into()));
    }
    if scope.one("proxy_ssl_verify").is_none_or(|it| it.arg(0) != "on") {
        let at =
            scope.nearest(&["proxy_pass", "grpc_pass"]).first().map(|it| it.at).unwrap_or_default();
        let todo = "here it must be right; `tls: { verify: false }` takes any";
        entry.comment(import.report.todo(
            at,
            "nginx did not verify the certificate of this service",
            todo,
        ));
    }
    if !map.is_empty() {
        entry.key("tls", Value::map(map));
    }
}

// === upstream blocks ===

fn block_of(entry: &mut Entry, block: &Directive, target: &Target, report: &mut Report) -> usize {
    let inner = block.block.as_deref().unwrap_or_default();
    let servers: Vec<&Directive> = inner.iter().filter(|it| it.name == "server").collect();
    let mut endpoints = Vec::new();
    let mut passive: Vec<(Option<String>, Option<String>)> = Vec::new();
    for it in &servers {
        endpoints.push(endpoint(entry, it, target, report));
        let find =
            |name: &str| it.args.iter().find_map(|arg| arg.strip_prefix(name)).map(str::to_owned);
        passive.push((find("max_fails="), find("fail_timeout=")));
    }
    if endpoints.is_empty() {
        entry.comment(report.todo(block.at, "an upstream without a server", "write its endpoints"));
        endpoints.push("http://127.0.0.1:9".into());
    }
    entry.key("endpoints", Value::List(endpoints));
    balance(entry, inner, report);
    outlier(entry, &passive, block.at, report);
    servers.len()
}

fn endpoint(entry: &mut Entry, it: &Directive, target: &Target, report: &mut Report) -> Value {
    let mut authority = it.arg(0).to_owned();
    if target.is_tls() && !authority.starts_with("unix:") && port(&authority).is_none() {
        // The servers of an upstream are at 80, whatever is spoken to them.
        authority.push_str(":80");
    }
    let mut map = vec![("url", Value::from(target.url(&authority)))];
    for arg in &it.args[1.min(it.args.len())..] {
        match arg.split_once('=').unwrap_or((arg, "")) {
            ("weight", number)
                if number.parse::<u32>().is_ok_and(|it| (1..=1000).contains(&it)) =>
            {
                map.push(("weight", number.into()));
            }
            ("backup", _) => map.push(("backup", "true".into())),
            ("down", _) => {
                map.retain(|(key, _)| *key != "weight");
                map.push(("weight", "0".into()));
            }
            ("max_fails" | "fail_timeout" | "resolve", _) => {}
            _ => {
                let todo = "see `upstreams`; left out";
                entry.comment(report.todo(
                    it.at,
                    format!("`{arg}` of `server {}`", it.arg(0)),
                    todo,
                ));
            }
        }
    }
    // Taken out is taken out, whatever its weight.
    if let [(_, url)] = map.as_slice() { url.clone() } else { Value::map(map) }
}

fn port(authority: &str) -> Option<&str> {
    let after = authority.rfind(']').map_or(authority, |at| &authority[at..]);
    after.rsplit_once(':').map(|(_, port)| port)
}

fn balance(entry: &mut Entry, inner: &[Directive], report: &mut Report) {
    let mut lb = "round_robin";
    let mut hash_on = None;
    for it in inner {
        match it.name.as_str() {
            "server" | "zone" | "keepalive_requests" | "keepalive_time" | "keepalive_timeout"
            | "resolver" => {}
            "least_conn" => lb = "least_requests",
            "random" => lb = if it.arg(0) == "two" { "least_requests" } else { "random" },
            "ip_hash" => hash_on = Some("client_ip".to_owned()),
            "hash" => match hashed(it.arg(0)) {
                Some(key) => hash_on = Some(key),
                None => {
                    let todo = "`hash_on` knows client_ip, path, header:, cookie: and query:";
                    entry.comment(report.todo(it.at, format!("`{}`", it.shown()), todo));
                }
            },
            "keepalive" if it.arg(0).parse::<u32>().is_ok_and(|it| it <= 100_000) => {
                entry.key("pool", Value::map([("max_idle", it.arg(0).into())]));
            }
            _ => {
                let todo = "see `upstreams` in docs/language.md";
                entry.comment(report.todo(it.at, format!("`{}`", it.shown()), todo));
            }
        }
    }
    match hash_on {
        Some(key) => {
            entry.key("lb", "hash");
            entry.key("hash_on", key);
        }
        None => {
            entry.key("lb", lb);
        }
    }
}

fn hashed(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    match name {
        "remote_addr" | "binary_remote_addr" => Some("client_ip".to_owned()),
        "uri" | "request_uri" | "document_uri" => Some("path".to_owned()),
        _ => by_name(name),
    }
}

/// `http_x_user` is `header:x-user`.
pub(super) fn by_name(name: &str) -> Option<String> {
    let plain = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(name) = name.strip_prefix("http_").filter(plain) {
        return Some(format!("header:{}", name.replace('_', "-")));
    }
    let cookie = name.strip_prefix("cookie_").filter(plain).map(|name| format!("cookie:{name}"));
    cookie.or_else(|| name.strip_prefix("arg_").filter(plain).map(|name| format!("query:{name}")))
}

fn outlier(
    entry: &mut Entry,
    passive: &[(Option<String>, Option<String>)],
    at: At,
    report: &mut Report,
) {
    let Some(first) = passive.iter().find(|it| it.0.is_some() || it.1.is_some()) else { return };
    if passive.iter().any(|it| it != first) {
        let what = "`max_fails` and `fail_timeout` differ between servers";
        entry.comment(report.todo(at, what, "here they hold for all of them"));
    }
    let after = first.0.as_deref().unwrap_or("1");
    if after == "0" {
        return;
    }
    let mut map = vec![("after", Value::from(after))];
    if let Some(time) = first.1.as_deref().and_then(units::duration) {
        map.push(("eject_for", time.into()));
    }
    entry.key("outlier", Value::map(map));
}
