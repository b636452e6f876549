//! From trees to [`Config`]: defaults and inheritance applied, every error collected, nothing
//! guessed. One file per section of the language; `checks` looks at the whole at the end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    diagnostic::{Diagnostic, Place},
    fields::{INCLUDED, TOP},
    load::{Role, Unit},
    model::{self, Action, Config, Lines, Name, Upstream},
    quarantine,
    tree::{Entry, Kind, Node},
};

pub(super) use self::{reader::Reader, units::show_size};
use self::{
    reader::{Fields, Owner},
    records::{Defaults, Policies},
};

mod actions;
pub(super) mod address;
mod admission;
mod bandwidth;
mod checks;
mod client_auth;
mod discovery;
mod edge;
pub(super) mod endpoints;
mod guard;
mod headers;
mod logs;
mod matches;
mod mirror;
mod origins;
mod plain_http;
mod process;
mod rate_limit;
mod reader;
mod records;
mod resilience;
mod retry;
mod routes;
mod slot;
mod stores;
mod suite;
mod timeouts;
mod units;
mod upstreams;

/// What decoding routes needs to know.
struct Context<'a> {
    r: &'a Reader<'a>,
    policies: Policies<'a>,
    upstreams: RefCell<BTreeMap<Name, Upstream>>,
    /// Every upstream a file names, also those that could not be read: they are not unknown.
    declared: HashMap<&'a str, Place>,
    /// The same of listeners.
    listeners: HashSet<&'a str>,
    /// Every file could be read, so what nobody defines does not exist.
    whole: bool,
    /// Some file has a route, maybe a broken one.
    has_routes: bool,
}

/// The files, each with its part.
type Tops<'a> = Vec<(Role, Fields<'a>)>;

/// Decodes all files. `whole` is false when one of them could not be read: what it would have
/// defined is then not missed. Gives nothing where even the main file says nothing usable.
pub(super) fn config(r: &Reader<'_>, units: &[Unit], whole: bool) -> Option<Config> {
    let tops = tops(r, units);
    let (_, main) = tops.first()?;
    version(&tops);
    let policies = Policies::collect(r, &tops);
    let mut defaults = Defaults::builtin();
    if let Some(node) = once(r, &tops, "defaults") {
        defaults.apply(r, node, &policies);
    }
    let declared = declared(r, &tops);
    let has_routes = tops
        .iter()
        .filter_map(|(_, top)| top.entry("routes"))
        .any(|entry| !entry.value.entries().is_some_and(<[_]>::is_empty));
    let upstreams = RefCell::default();
    let listeners =
        declared_in(r, &tops, "listeners").into_iter().map(|entry| entry.key.as_str()).collect();
    let mut context = Context { r, policies, upstreams, declared, listeners, whole, has_routes };
    let of_unit = |context: &Context<'_>, unit: &(Role, Fields<'_>)| {
        inherited(context, units, &defaults, unit)
    };
    for unit in &tops {
        let own = of_unit(&context, unit);
        upstreams::section(&context, &unit.1, &own);
    }
    let mut routes = BTreeMap::new();
    for unit in &tops {
        let own = of_unit(&context, unit);
        routes::section(&context, &unit.1, &own, &mut routes);
    }
    let mut tests = Vec::new();
    tops.iter().for_each(|(_, top)| suite::section(top, &mut tests));
    let (tls, asked) = edge::tls(r, once(r, &tops, "tls"));
    let listeners = once(r, &tops, "listeners");
    let section = once(r, &tops, "stores");
    let stores = stores::stores(r, section);
    stores::services(&context, &stores, &defaults);
    let quarantined = quarantined(r, units, &routes);
    let config = Config {
        listeners: edge::listeners(r, listeners, &tops, asked.as_ref()),
        tls,
        upstreams: std::mem::take(context.upstreams.get_mut()),
        stores,
        routes,
        logs: logs::logs(r, once(r, &tops, "logs")),
        metrics: process::metrics(r, once(r, &tops, "metrics")),
        admin: process::admin(r, once(r, &tops, "admin")),
        server: process::server(r, once(r, &tops, "server")),
        tests,
        quarantined,
        lines: Lines::of(r.sources),
    };
    if whole {
        stores::fit(&context, &config, section);
        checks::all(&context, &config, main.place);
        suite::names_exist(&context, &tops, &config);
    }
    Some(config)
}

/// What the routes and upstreams of a file inherit.
fn inherited(
    context: &Context<'_>,
    units: &[Unit],
    defaults: &Defaults,
    (role, top): &(Role, Fields<'_>),
) -> Defaults {
    // Whatever its routes inherit, they only say what is wrong.
    let apart = units.iter().any(|it| it.quarantined && it.root.place.file == top.place.file);
    let mut own = if apart { Defaults::quarantined() } else { defaults.clone() };
    if let Some(entry) = top.entry("defaults").filter(|_| *role == Role::Included) {
        own.apply(context.r, &entry.value, &context.policies);
    }
    own
}

/// The broken files that are kept apart, with their routes.
fn quarantined(
    r: &Reader<'_>,
    units: &[Unit],
    routes: &BTreeMap<Name, model::Route>,
) -> Vec<model::Quarantined> {
    let apart = routes.iter().filter(|(_, it)| it.action == Action::Quarantined);
    let apart = apart.map(|(name, it)| (Arc::clone(name), it.place.file));
    let with_path = units.iter().filter_map(|unit| {
        Some((unit, r.sources.files.get(unit.root.place.file as usize)?.0.clone()))
    });
    quarantine::listed(with_path, apart)
}

fn tops<'a>(r: &'a Reader<'a>, units: &'a [Unit]) -> Tops<'a> {
    let mut tops = Vec::new();
    for unit in units {
        match &unit.root.kind {
            Kind::Null if unit.role == Role::Main => {
                let found = Diagnostic::error(unit.root.place, "the file is empty");
                r.report(found.help("the least is `version: 1` and one entry in `routes`"));
            }
            Kind::Null => {}
            Kind::Seq(_) | Kind::Scalar(_) | Kind::Map(_) => {
                let Some(top) = r.fields(&unit.root, &TOP, Owner::TOP) else { continue };
                if unit.role == Role::Included {
                    forbidden(r, &top);
                }
                tops.push((unit.role, top));
            }
        }
    }
    tops
}

/// Included files may not open ports, set TLS, admin or server.
fn forbidden(r: &Reader<'_>, top: &Fields<'_>) {
    for entry in top.entries() {
        if TOP.field(&entry.key).is_some() && !INCLUDED.contains(&entry.key.as_str()) {
            let message = format!("an included file cannot have `{}`", entry.key);
            let help = format!("it may hold {}", reader::list(INCLUDED.iter().copied()));
            r.report(Diagnostic::error(entry.key_place, message).help(help));
        }
    }
}

fn version(tops: &Tops<'_>) {
    for (role, top) in tops {
        let Some(slot) = top.get("version") else {
            if *role == Role::Main {
                let place = Place { end: top.place.start, ..top.place };
                let found = Diagnostic::error(place, "the file has no `version`");
                top.r.report(found.help("write `version: 1` at its top"));
            }
            continue;
        };
        match slot.node.text().map(str::parse::<u64>) {
            Some(Ok(1)) => {}
            Some(Ok(newer)) if newer > 1 && !slot.node.is_secret() => slot.error(
                format!("`version: {newer}` needs a newer Tidegate"),
                Some("this one reads `version: 1`".to_owned()),
            ),
            _ => slot.wrong("1", None),
        }
    }
}

/// The value of a section that may be written once, in one of the `-c` files.
fn once<'a>(r: &Reader<'_>, tops: &Tops<'a>, key: &str) -> Option<&'a Node> {
    let mut first = None;
    for (role, top) in tops {
        let Some(entry) = top.entry(key).filter(|_| *role != Role::Included) else { continue };
        match first {
            None => first = Some(entry),
            // Listeners are named; those of several files are merged by `edge::listeners`.
            Some(_) if key == "listeners" => {}
            Some(one) => {
                let message = format!("`{key}` is written in two files");
                let found = Diagnostic::error(entry.key_place, message).label("again here");
                r.report(found.and(one.key_place, "first here"));
            }
        }
    }
    first.map(|entry| &entry.value)
}

fn declared<'a>(r: &Reader<'_>, tops: &Tops<'a>) -> HashMap<&'a str, Place> {
    let mut declared = HashMap::new();
    for upstream in declared_in(r, tops, "upstreams") {
        declared.entry(upstream.key.as_str()).or_insert(upstream.key_place);
    }
    declared
}

/// The entries of a map of names in all files, good or not.
fn declared_in<'a>(r: &Reader<'_>, tops: &Tops<'a>, key: &'static str) -> Vec<&'a Entry> {
    let maps = tops.iter().filter_map(|(_, top)| top.entry(key));
    maps.flat_map(|map| r.silent().named(&map.value, key)).collect()
}

/// Reports a name that two files define.
fn twice(r: &Reader<'_>, what: &str, name: &str, second: Place, first: Place) {
    let message = format!("the {what} `{name}` is defined twice");
    let found = Diagnostic::error(second, message).label("again here");
    r.report(found.and(first, "first here").help("give one of them another name"));
}
