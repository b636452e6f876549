//! nginx.conf as a `routes.yaml`: text → `lex` → `parse` (includes read in) → `model` → `routes`, with
//! `paths` for nginx's order of locations, `guard` for who may pass, and `suite` for tests by nginx's rules.

mod actions;
mod ahead;
mod directives;
mod expressions;
mod guard;
mod lex;
mod listeners;
mod matching;
mod model;
mod parse;
mod paths;
mod pieces;
mod routes;
mod settings;
mod slashes;
mod suite;
mod units;
mod upstreams;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use self::{
    actions::Schemes,
    guard::scan,
    listeners::Listeners,
    model::{Scope, Server},
    parse::{Directive, Parser},
    routes::{Condition, Context},
    suite::Suite,
};
use super::{
    Imported, Source,
    names::{Names, slug},
    report::{At, Report},
    write::{Document, Entry, Line, Value},
};
use crate::routing::HostPattern;

/// An import under way.
struct Import<'a> {
    report: Report,
    doc: Document,
    directory: PathBuf,
    /// All `http` blocks, or what stands for one.
    blocks: Vec<&'a Directive>,
    upstream_blocks: Vec<&'a Directive>,
    made: upstreams::Made,
    upstream_names: Names,
    route_names: Names,
    limit_names: Names,
    /// Policies made so far, by what they are made of.
    policies: HashMap<String, String>,
    /// Client certificates can be asked for.
    client_auth: bool,
    /// What a body may have unless a route says otherwise.
    body: String,
}

/// Translates an nginx.conf.
///
/// # Errors
/// It is not one, for people.
pub(super) fn import(source: Source<'_>) -> Result<Imported, String> {
    let mut report = Report::new(source.name);
    let directory =
        std::path::absolute(source.directory).unwrap_or_else(|_| source.directory.to_owned());
    let all = Parser::new(&directory, &mut report).parse(source.text, 0)?;
    let root = Scope { levels: vec![&all] };
    let http: Vec<&Directive> = all.iter().filter(|it| it.name == "http").collect();
    // A file of sites-available has its servers outside.
    let blocks: Vec<&Directive> =
        all.iter().chain(http.iter().flat_map(|it| it.block.iter().flatten())).collect();
    let mut import = Import {
        report,
        doc: Document::default(),
        directory,
        upstream_blocks: blocks.iter().copied().filter(|it| it.name == "upstream").collect(),
        blocks,
        made: upstreams::Made::default(),
        upstream_names: Names::default(),
        route_names: Names::default(),
        limit_names: Names::default(),
        policies: HashMap::new(),
        client_auth: false,
        body: settings::BODY.to_owned(),
    };
    let mut servers = model::servers(&root, &all, &mut import.report);
    let mut closed = import.outside(&all);
    for it in &http {
        let Some(inner) = it.block.as_deref() else { continue };
        closed |= import.outside(inner);
        servers.extend(model::servers(&root.inside(inner), inner, &mut import.report));
    }
    if servers.is_empty() {
        return Err(format!("{}: there is no `server` in it", source.name));
    }
    if let Some(twice) = servers.iter().find_map(model::duplicate) {
        let file = import.report.files.get(twice.at.file).map_or("", String::as_str);
        return Err(format!("{file}:{}: `{}` is there twice", twice.at.line, twice.shown()));
    }
    import.all(&servers, closed, source.name);
    let text = import.doc.text()?;
    import.report.findings.sort_by_key(|it| it.line);
    Ok(Imported { text, findings: import.report.findings })
}

// === impl Import ===

impl<'a> Import<'a> {
    /// What stands outside of servers and is not translated; whether it may protect something.
    fn outside(&mut self, block: &[Directive]) -> bool {
        let (comments, closes) = scan(block, &mut self.report);
        self.doc.head.extend(comments);
        for it in block {
            let todo = match it.name.as_str() {
                "stream" | "mail" => "Tidegate is for HTTP",
                "map" if it.arg(0) == "$http_upgrade" => continue,
                "map" => "Tidegate has no variables: write a route for each case",
                _ => continue,
            };
            let comment = self.report.todo(it.at, format!("`{}`", it.shown()), todo);
            self.doc.head.push(comment);
        }
        closes
    }

    fn all(&mut self, servers: &[Server<'a>], closed: bool, name: &str) {
        let head =
            format!("Made from {name} by `tidegate import`. `tidegate test` runs the tests below.");
        self.doc.head.insert(0, head);
        self.client_auth = listeners::client_auth(self, servers);
        let listeners = Listeners::of(servers);
        listeners::write(self, &listeners, servers);
        self.defaults();
        let mut suite = Suite::default();
        for (server, conditions) in servers.iter().zip(self.conditions(&listeners, servers)) {
            let mine = listeners.of_server(server);
            let schemes = match (mine.iter().any(|it| it.tls), mine.iter().all(|it| it.tls)) {
                (_, true) => Schemes::Https,
                (true, false) => Schemes::Both,
                (false, false) => Schemes::Http,
            };
            let place = self.report.place(server.at);
            let names: Vec<&str> = server.names.iter().map(|(name, _)| name.as_str()).collect();
            if conditions.is_empty() {
                self.doc
                    .below
                    .push(format!("{place}: server {}: no request gets there", names.join(" ")));
                continue;
            }
            let prefix = match servers.len() {
                1 => String::new(),
                _ => slug(
                    names
                        .iter()
                        .find(|it| it.contains('.'))
                        .or(names.first())
                        .copied()
                        .unwrap_or("server"),
                ),
            };
            let listeners = mine.into_iter().cloned().collect();
            let above = vec![format!("{place}: server {}", names.join(" ")).trim_end().to_owned()];
            let context = Context { server, prefix, conditions, listeners, schemes, closed, above };
            routes::write(self, context, &mut suite);
        }
        if self.doc.routes.is_empty() {
            let mut entry = Entry::new("nothing");
            entry.key("respond", "404");
            self.doc.routes.push(entry);
        }
        self.doc.tests = suite.tests;
    }

    /// What nginx does where nothing is written, and what is written for all servers.
    fn defaults(&mut self) {
        let comment = "What nginx does where nothing else is written.".to_owned();
        let body = self.blocks.iter().rfind(|it| it.name == "client_max_body_size");
        if let Some(body) = body.and_then(|it| units::size(it.arg(0))) {
            self.body = body;
        }
        let timeouts = Value::map([("first_byte", Value::from("60s")), ("idle", "60s".into())]);
        let upstream = Value::map([("connect_timeout", Value::from("60s"))]);
        self.doc.defaults = vec![
            Line::Comment(comment),
            Line::Key("timeouts".to_owned(), timeouts),
            Line::Key("body".to_owned(), self.body.as_str().into()),
            Line::Key("upstream".to_owned(), upstream),
        ];
    }

    /// For each server which requests it gets.
    fn conditions(&mut self, listeners: &Listeners, servers: &[Server<'_>]) -> Vec<Vec<Condition>> {
        let defaults = listeners::defaults(listeners, servers);
        // Of servers with one name on one listener the first has it.
        let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut all = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            let mine: Vec<String> =
                listeners.of_server(server).iter().map(|it| it.name.clone()).collect();
            let of_all = |some: &[String]| {
                if some.len() == listeners.len() { Vec::new() } else { some.to_vec() }
            };
            let default_on: Vec<String> =
                mine.iter().filter(|it| defaults.get(*it) == Some(&number)).cloned().collect();
            let alone = mine.iter().all(|name| {
                let others = servers
                    .iter()
                    .filter(|it| listeners.of_server(it).iter().any(|it| it.name == *name));
                others.count() == 1
            });
            let mut found = Vec::new();
            if !alone {
                let hosts = self.hosts(server, &mine, number, &mut taken);
                if !hosts.is_empty() {
                    found.push(Condition { hosts, listeners: of_all(&mine) });
                }
            }
            if !default_on.is_empty() {
                found.push(Condition { hosts: Vec::new(), listeners: of_all(&default_on) });
            }
            all.push(found);
        }
        all
    }

    fn hosts(
        &mut self,
        server: &Server<'_>,
        listeners: &[String],
        number: usize,
        taken: &mut BTreeMap<(String, String), usize>,
    ) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for (name, at) in &server.names {
            let written = match name.strip_prefix('.') {
                Some(rest) => vec![rest.to_owned(), format!("**.{rest}")],
                None => {
                    vec![name.strip_prefix("*.").map_or(name.clone(), |rest| format!("**.{rest}"))]
                }
            };
            for host in written {
                if host == "_" || hosts.contains(&host) {
                    continue;
                }
                if HostPattern::parse(&host).is_err() || host.starts_with('~') {
                    self.strange_host(name, *at);
                    continue;
                }
                let first = listeners.iter().all(|listener| {
                    *taken.entry((listener.clone(), host.clone())).or_insert(number) == number
                });
                if first {
                    hosts.push(host);
                } else {
                    let todo =
                        "another server has it on the same listener, and nginx takes the first";
                    let comment = self.report.todo(*at, format!("`server_name {name}`"), todo);
                    self.doc.below.push(comment);
                }
            }
        }
        hosts
    }

    fn strange_host(&mut self, name: &str, at: At) {
        let todo = "no pattern of hosts says this: add those it stands for to `match`";
        let comment = self.report.todo(at, format!("`server_name {name}`"), todo);
        self.doc.below.push(comment);
    }

    fn route_name(&mut self, prefix: &str, wanted: &str) -> String {
        let wanted = match prefix {
            "" => wanted.to_owned(),
            prefix => format!("{prefix}-{wanted}"),
        };
        self.route_names.unique(&wanted)
    }

    fn zone(&self, directive: &str, zone: &str) -> Option<&'a Directive> {
        let named = format!("zone={zone}:");
        self.blocks
            .iter()
            .copied()
            .find(|it| it.name == directive && it.args.iter().any(|arg| arg.starts_with(&named)))
    }

    /// A limit, once for each way it is written.
    fn limit_policy(&mut self, kind: &str, zone: &str, mut made: Entry) -> String {
        let key = format!("{kind} {zone} {:?}", made.lines);
        if let Some(name) = self.policies.get(&key) {
            return name.clone();
        }
        let name = self.limit_names.unique(zone);
        let defined = self.zone(
            &kind.replace("rate_limit", "limit_req_zone").replace("concurrency", "limit_conn_zone"),
            zone,
        );
        let again = self.policies.keys().any(|it| it.starts_with(&format!("{kind} {zone} ")));
        if let Some(it) = defined.filter(|_| again) {
            let todo = "nginx counts all of them together, here each counts by itself";
            made.comment(self.report.todo(
                it.at,
                format!("zone `{zone}` is used in several ways"),
                todo,
            ));
        }
        made.name.clone_from(&name);
        self.policies.insert(key, name.clone());
        match kind {
            "rate_limit" => self.doc.rate_limit.push(made),
            _ => self.doc.concurrency.push(made),
        }
        name
    }

    fn auth_policy(&mut self, key: String, wanted: &str, mut made: Entry) -> String {
        if let Some(name) = self.policies.get(&key) {
            return name.clone();
        }
        let name = self.limit_names.unique(wanted);
        made.name.clone_from(&name);
        self.policies.insert(key, name.clone());
        self.doc.auth.push(made);
        name
    }

    fn basic_policy(&mut self, file: &str, realm: &str, at: At) -> String {
        let mut made = Entry::default();
        made.above.push(format!("{}: auth_basic", self.report.place(at)));
        let basic = [("users_file", file), ("realm", realm), ("pass_credentials", "true")];
        made.key("basic", Value::map(basic.map(|(key, value)| (key, Value::from(value)))));
        self.auth_policy(format!("basic {file} {realm}"), realm, made)
    }

    fn certificate_policy(&mut self, at: At) -> String {
        let mut made = Entry::default();
        made.above.push(format!("{}: ssl_verify_client", self.report.place(at)));
        made.key("client_cert", Value::Map(Vec::new()));
        self.auth_policy("client_cert".to_owned(), "client-cert", made)
    }
}
