//! What an nginx.conf describes: servers with addresses, names and locations, and the blocks each of them
//! inherits from.

use super::{
    super::report::{At, Report},
    parse::Directive,
};

/// The blocks a directive is looked for in, the outermost first.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    pub(super) levels: Vec<&'a [Directive]>,
}

/// One `server`.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) at: At,
    pub(super) scope: Scope<'a>,
    pub(super) listens: Vec<Listen>,
    pub(super) names: Vec<(String, At)>,
    pub(super) locations: Vec<Location<'a>>,
}

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// `:80`, `0.0.0.0:80`, `[::]:80`, `127.0.0.1:80`, `unix:/path`.
    pub(super) address: String,
    pub(super) tls: bool,
    pub(super) h2: bool,
    pub(super) default: bool,
    pub(super) proxy_protocol: bool,
    pub(super) at: At,
}

/// How a location matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exact,
    /// With `^~` no expression is asked after it.
    Prefix {
        final_: bool,
    },
    Regex {
        any_case: bool,
    },
    Named,
}

/// One `location`.
#[derive(Debug)]
pub(super) struct Location<'a> {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) at: At,
    pub(super) scope: Scope<'a>,
    pub(super) parent: Option<usize>,
}

// === impl Scope ===

impl<'a> Scope<'a> {
    pub(super) fn inside(&self, block: &'a [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The innermost block.
    pub(super) fn own(&self) -> &'a [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }

    /// The directives of these names in the nearest block that has any: what nginx inherits.
    pub(super) fn nearest(&self, names: &[&str]) -> Vec<&'a Directive> {
        let of = |level: &&'a [Directive]| -> Vec<&'a Directive> {
            level.iter().filter(|it| names.contains(&it.name.as_str())).collect()
        };
        self.levels.iter().rev().map(of).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The one that holds.
    pub(super) fn one(&self, name: &str) -> Option<&'a Directive> {
        self.nearest(&[name]).last().copied()
    }

    /// The last of these in the innermost block.
    pub(super) fn here(&self, name: &str) -> Option<&'a Directive> {
        self.own().iter().rfind(|it| it.name == name)
    }
}

// === reading ===

/// The servers of a file, in order.
pub(super) fn servers<'a>(
    scope: &Scope<'a>,
    all: &'a [Directive],
    report: &mut Report,
) -> Vec<Server<'a>> {
    let blocks = all.iter().filter(|it| it.name == "server" && it.args.is_empty());
    blocks.filter_map(|it| Some(server(scope, it.at, it.block.as_ref()?, report))).collect()
}

fn server<'a>(
    outer: &Scope<'a>,
    at: At,
    block: &'a [Directive],
    report: &mut Report,
) -> Server<'a> {
    let scope = outer.inside(block);
    let http2 = scope.one("http2").is_some_and(|it| it.arg(0) == "on");
    let all_tls = scope.one("ssl").is_some_and(|it| it.arg(0) == "on");
    let mut listens: Vec<Listen> = Vec::new();
    for it in block.iter().filter(|it| it.name == "listen") {
        let Some(mut listen) = listen(it, report) else { continue };
        listen.tls |= all_tls;
        listen.h2 |= http2;
        listens.push(listen);
    }
    if listens.is_empty() {
        let address = "0.0.0.0:80".to_owned();
        let (tls, h2, default, proxy_protocol) = (all_tls, http2, false, false);
        listens.push(Listen { address, tls, h2, default, proxy_protocol, at });
    }
    let mut names = Vec::new();
    for it in block.iter().filter(|it| it.name == "server_name") {
        names.extend(it.args.iter().map(|name| (name.to_ascii_lowercase(), it.at)));
    }
    let mut found = Server { at, scope, listens, names, locations: Vec::new() };
    let scope = found.scope.clone();
    locations(&mut found.locations, &scope, block, None);
    found
}

fn listen(it: &Directive, report: &mut Report) -> Option<Listen> {
    let word = it.arg(0);
    let address = if word.starts_with("unix:") {
        word.to_owned()
    } else if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        format!("0.0.0.0:{word}")
    } else {
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (word, "80"),
        };
        let host = match host {
            "*" => "0.0.0.0",
            "localhost" => "127.0.0.1",
            host => host,
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let known = inner.map_or_else(
            || host.parse::<std::net::Ipv4Addr>().is_ok(),
            |inner| inner.parse::<std::net::Ipv6Addr>().is_ok(),
        );
        if !known || port.parse::<u16>().is_err() {
            report.todo(it.at, format!("`{}`", it.shown()), "write its address under `listeners`");
            return None;
        }
        format!("{host}:{port}")
    };
    let has = |name: &str| it.args.iter().skip(1).any(|arg| arg == name);
    Some(Listen {
        address,
        tls: has("ssl"),
        h2: has("http2"),
        default: has("default_server") || has("default"),
        proxy_protocol: has("proxy_protocol"),
        at: it.at,
    })
}

fn locations<'a>(
    all: &mut Vec<Location<'a>>,
    outer: &Scope<'a>,
    block: &'a [Directive],
    parent: Option<usize>,
) {
    for it in block.iter().filter(|it| it.name == "location") {
        let Some(inner) = it.block.as_ref() else { continue };
        let (kind, text) = kind(&it.args);
        let scope = outer.inside(inner);
        all.push(Location { kind, text, at: it.at, scope: scope.clone(), parent });
        locations(all, &scope, inner, Some(all.len() - 1));
    }
}

fn kind(args: &[String]) -> (Kind, String) {
    let word = args.first().map_or("", String::as_str);
    let rest = || args.get(1).cloned().unwrap_or_default();
    // The modifier and the text may be one word.
    let glued = |modifier: &str| word.strip_prefix(modifier).unwrap_or_default().to_owned();
    match (word, args.len()) {
        ("=", 2..) => (Kind::Exact, rest()),
        ("^~", 2..) => (Kind::Prefix { final_: true }, rest()),
        ("~", 2..) => (Kind::Regex { any_case: false }, rest()),
        ("~*", 2..) => (Kind::Regex { any_case: true }, rest()),
        _ if word.starts_with("~*") => (Kind::Regex { any_case: true }, glued("~*")),
        _ if word.starts_with('~') => (Kind::Regex { any_case: false }, glued("~")),
        _ if word.starts_with("^~") => (Kind::Prefix { final_: true }, glued("^~")),
        _ if word.starts_with('=') => (Kind::Exact, glued("=")),
        _ if word.starts_with('@') => (Kind::Named, word.to_owned()),
        _ => (Kind::Prefix { final_: false }, word.to_owned()),
    }
}

/// A location that takes the same paths as one before it; nginx refuses that, too.
pub(super) fn duplicate<'s, 'a>(server: &'s Server<'a>) -> Option<&'s Location<'a>> {
    let mut known = std::collections::HashSet::new();
    server.locations.iter().find(|it| {
        let fixed = matches!(it.kind, Kind::Exact | Kind::Prefix { .. });
        fixed && !known.insert((it.kind == Kind::Exact, it.text.as_str()))
    })
}

// === impl Location ===

/// What hands a request to something else, and so has nginx add a missing slash at the end.
pub(super) const PASSES: [&str; 6] =
    ["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"];

impl Location<'_> {
    /// Whether nginx sends who leaves the slash at the end out to the right path.
    pub(super) fn adds_slash(&self) -> bool {
        self.text.ends_with('/') && PASSES.iter().any(|name| self.scope.here(name).is_some())
    }

    /// As it is written.
    pub(super) fn shown(&self) -> String {
        let modifier = match self.kind {
            Kind::Exact => "= ",
            Kind::Prefix { final_: true } => "^~ ",
            Kind::Prefix { final_: false } | Kind::Named => "",
            Kind::Regex { any_case: true } => "~* ",
            Kind::Regex { any_case: false } => "~ ",
        };
        format!("location {modifier}{}", self.text)
    }
}
