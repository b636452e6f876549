//! `stores`: where several gateways count together.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::STORE,
        model::{
            Config, Located, Name, RedisNode, RedisStore, RlsStore, Store, StoreKind, StoreSync,
            UpstreamTls,
        },
        tree::{Entry, Node},
    },
    Context, address,
    endpoints::endpoint,
    reader::{Fields, Owner, Reader},
    records::Defaults,
    slot::Slot,
    upstreams::{self, tls_settings},
};

/// The word for counting in this process; no store has this name.
pub(super) const LOCAL: &str = "local";

/// No request waits longer for a store.
const LONGEST: Duration = Duration::from_secs(1);
const URLS: &str =
    "like `redis://10.0.0.5:6379`, `rediss://redis.internal:6380` or `unix:/run/redis.sock`";

/// The `stores` section.
pub(super) fn stores(r: &Reader<'_>, node: Option<&Node>) -> BTreeMap<Name, Store> {
    let entries = node.map(|node| r.named(node, "stores")).unwrap_or_default();
    let named = |entry: &&Entry| Some((entry.key.as_str().into(), store(r, entry)?));
    entries.iter().filter_map(named).collect()
}

fn store(r: &Reader<'_>, entry: &Entry) -> Option<Store> {
    if entry.key == LOCAL {
        let message = format!("`{LOCAL}` cannot be the name of a store");
        let found = Diagnostic::error(entry.key_place, message);
        r.report(found.help("`store: local` of a limit means this process"));
        return None;
    }
    let f = r.fields(&entry.value, &STORE, Owner::named(STORE.name, &entry.key))?;
    let kind = match (f.get("redis"), f.get("rls")) {
        (Some(_), None) => StoreKind::Redis(redis(&f)?),
        (None, Some(slot)) => StoreKind::Rls(rls(&f, &slot)?),
        (Some(_), Some(slot)) => {
            slot.error(format!("{} has both `redis` and `rls`", f.owner), None);
            return None;
        }
        (None, None) => {
            f.r.report(Diagnostic::error(
                f.place,
                format!("{} has neither `redis` nor `rls`", f.owner),
            ));
            return None;
        }
    };
    let timeout = match f.get("timeout") {
        None if matches!(kind, StoreKind::Rls(_)) => Duration::from_millis(20),
        None => Duration::from_millis(5),
        Some(slot) => {
            let time = slot.duration()?;
            if time > LONGEST {
                let message = format!("{} is more than 1s", slot.subject());
                let help = "every request that is counted waits so long when the store hangs";
                slot.error(message, Some(help.to_owned()));
                return None;
            }
            time
        }
    };
    let gateways = match f.get("gateways") {
        None => NonZeroU32::MIN,
        Some(slot) => u32::try_from(slot.int()?).ok().and_then(NonZeroU32::new)?,
    };
    Some(Store { place: entry.key_place, kind, timeout, gateways })
}

fn redis(f: &Fields<'_>) -> Option<RedisStore> {
    if let Some(slot) = f.get("domain") {
        slot.error(format!("{} has no effect without `rls`", slot.subject()), None);
        return None;
    }
    let slot = f.get("redis")?;
    let cluster = matches!(slot.node.kind, super::super::tree::Kind::Seq(_));
    let items = slot.one_or_many()?;
    let urls: Vec<_> = items.iter().map(url).collect();
    let urls = urls.into_iter().collect::<Option<Vec<_>>>()?;
    let Some(first) = urls.first() else {
        slot.error(format!("{} is empty", slot.subject()), None);
        return None;
    };
    let mut it = RedisStore {
        nodes: urls.iter().map(|url| url.node.clone()).collect(),
        cluster,
        tls: first.tls.then(UpstreamTls::default),
        user: None,
        password: None,
        database: first.database,
        prefix: "tidegate".to_owned(),
    };
    if urls.iter().any(|url| url.tls != first.tls) {
        slot.error(format!("{} has nodes with TLS and others without", slot.subject()), None);
        return None;
    }
    credentials(f, &slot, &urls, &mut it)?;
    if let Some(slot) = f.get("database") {
        if it.database != 0 {
            let message = format!("{} is in the URL, too", slot.subject());
            slot.error(message, Some("say it in one of them".to_owned()));
            return None;
        }
        it.database = u32::try_from(slot.int()?).ok()?;
    }
    if cluster && it.database != 0 {
        let message = format!("{} is a cluster, which has only database 0", f.owner);
        f.r.report(Diagnostic::error(slot.place(), message));
        return None;
    }
    if let Some(slot) = f.get("prefix") {
        it.prefix = prefix(&slot)?;
    }
    tls(f, &mut it)?;
    Some(it)
}

/// A service is asked through an upstream, which has all that there is to say of connecting.
fn rls(f: &Fields<'_>, slot: &Slot<'_>) -> Option<RlsStore> {
    for key in ["user", "password", "database", "prefix", "tls"] {
        if let Some(slot) = f.get(key) {
            let message = format!("{} has no effect with `rls`", slot.subject());
            let help = "an upstream with `tls`, named in `rls`, says how it is reached";
            slot.error(message, (key == "tls").then(|| help.to_owned()));
            return None;
        }
    }
    let text = slot.text()?;
    let (to, endpoint) = if address::is_url(text) {
        let endpoint = endpoint(f.r, slot.node, text, slot.place())?;
        if !endpoint.tls && !endpoint.h2c {
            slot.wrong("h2c://, https:// or an upstream", Some("gRPC is HTTP/2".to_owned()));
            return None;
        }
        (endpoint.url.clone(), Some(endpoint))
    } else {
        (Located { value: Name::from(text), place: slot.place() }, None)
    };
    let domain = match f.get("domain") {
        None => "tidegate".to_owned(),
        Some(slot) => slot.text()?.to_owned(),
    };
    Some(RlsStore { to, endpoint, domain })
}

/// What one URL says.
struct Url {
    node: RedisNode,
    tls: bool,
    database: u32,
    user: Option<String>,
    password: Option<String>,
}

fn url(slot: &Slot<'_>) -> Option<Url> {
    let text = slot.text()?;
    if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
        let node = RedisNode::Unix(path.into());
        return Some(Url { node, tls: false, database: 0, user: None, password: None });
    }
    let scheme = ["redis://", "rediss://"].into_iter().find(|scheme| text.starts_with(scheme));
    let plain = !text.contains(['?', '#']);
    let read = scheme.filter(|_| plain).and_then(|_| text.into_connection_info().ok());
    let Some(url) = read.as_ref().and_then(of_url) else {
        slot.wrong("a URL of Redis", Some(URLS.to_owned()));
        return None;
    };
    Some(url)
}

fn of_url(info: &ConnectionInfo) -> Option<Url> {
    let (node, tls) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (RedisNode::Tcp(host.clone(), *port), false),
        ConnectionAddr::TcpTls { host, port, .. } => (RedisNode::Tcp(host.clone(), *port), true),
        _ => return None,
    };
    let settings = info.redis_settings();
    Some(Url {
        node,
        tls,
        database: u32::try_from(settings.db()).ok().filter(|number| *number <= 65_535)?,
        user: settings.username().map(str::to_owned),
        password: settings.password().map(str::to_owned),
    })
}

/// Who we say we are: in the URL, or beside it.
fn credentials(f: &Fields<'_>, slot: &Slot<'_>, urls: &[Url], it: &mut RedisStore) -> Option<()> {
    let first = urls.first()?;
    if urls.iter().any(|url| (&url.user, &url.password) != (&first.user, &first.password)) {
        let message = format!("{} has several users or passwords", slot.subject());
        slot.error(message, Some("write `user` and `password` beside it, once".to_owned()));
        return None;
    }
    (it.user, it.password) = (first.user.clone(), first.password.clone());
    for key in ["user", "password"] {
        if let Some(slot) = f.get(key).filter(|_| it.user.is_some() || it.password.is_some()) {
            let message = format!("{} is in the URL, too", slot.subject());
            slot.error(message, Some("say it in one of them".to_owned()));
            return None;
        }
    }
    if let Some(slot) = f.get("password") {
        it.password = Some(slot.text()?.to_owned());
    }
    if let Some(slot) = f.get("user") {
        it.user = Some(slot.text()?.to_owned());
    }
    if it.user.is_some() && it.password.is_none() {
        let place = f.get("user").map_or(slot.place(), |slot| slot.place());
        let message = format!("{} has a user and no `password`", f.owner);
        f.r.report(Diagnostic::error(place, message));
        return None;
    }
    Some(())
}

/// It stands in front of `:{…}`, by which a cluster finds the node of a key.
fn prefix(slot: &Slot<'_>) -> Option<String> {
    let text = slot.text()?;
    let good = |byte: u8| byte.is_ascii_graphic() && !b"{}".contains(&byte);
    if text.len() <= 64 && text.bytes().all(good) {
        return Some(text.to_owned());
    }
    slot.wrong("at most 64 letters, digits and signs, without `{` and `}`", None);
    None
}

fn tls(f: &Fields<'_>, it: &mut RedisStore) -> Option<()> {
    let Some(slot) = f.get("tls") else { return Some(()) };
    let Some(tls) = &mut it.tls else {
        let message = format!("{} has no effect without TLS", slot.subject());
        slot.error(message, Some("write `rediss://`".to_owned()));
        return None;
    };
    let child = f.child("tls")?;
    tls_settings(&child, tls);
    for key in ["server_name", "verify"] {
        if let Some(slot) = child.get(key).filter(|_| it.cluster) {
            let message = format!("{} has no effect with a cluster", slot.subject());
            let help = "its nodes are verified by the names they are known by";
            slot.error(message, Some(help.to_owned()));
            return None;
        }
    }
    Some(())
}

// === the whole file ===

/// Makes upstreams of the services that stores ask, as `to` of a route does.
pub(super) fn services(context: &Context<'_>, stores: &BTreeMap<Name, Store>, defaults: &Defaults) {
    for (name, rls) in stores.iter().filter_map(|(name, store)| Some((name, store.upstream()?))) {
        let Located { value: wanted, place } = &rls.to;
        if let Some(endpoint) = &rls.endpoint {
            upstreams::implicit(context, endpoint.clone(), *place, defaults);
        } else if !context.declared.contains_key(&**wanted) && context.whole {
            let shown = context.r.sources.shown(*place, wanted);
            let message = format!("store `{name}` asks an unknown upstream {shown}");
            let found = Diagnostic::error(*place, message).label("not defined in any file");
            let mut known: Vec<&str> = context.declared.keys().copied().collect();
            known.sort_unstable();
            let close = context.r.propose(wanted, known);
            let close = close.map(|close| format!("did you mean `{close}`?"));
            context.r.report(match context.r.lost("upstreams", wanted).or(close) {
                Some(help) => found.help(help),
                None => found,
            });
        }
    }
}

/// What limits say of stores must fit what there is.
pub(super) fn fit(context: &Context<'_>, config: &Config, section: Option<&Node>) {
    let entries = section.and_then(Node::entries).unwrap_or_default();
    let mut used = Vec::new();
    for (name, route) in &config.routes {
        for stored in route.rate_limit.iter().filter_map(|limit| limit.stored.as_ref()) {
            let (wanted, place) = (&stored.store.value, stored.store.place);
            let Some(store) = config.stores.get(wanted) else {
                // A broken one is not an unknown one.
                if !entries.iter().any(|entry| *entry.key == **wanted) {
                    unknown(context, config, wanted, place);
                }
                continue;
            };
            used.push(wanted);
            if store.upstream().is_some() && matches!(stored.sync, StoreSync::Leased(_)) {
                let message =
                    format!("`sync: leased` is not for store `{wanted}`, which is asked by `rls`");
                let found = Diagnostic::error(place, message);
                context.r.report(found.help("it gives all that is asked for, or none"));
            }
            if let Some(request) = route.timeouts.request.filter(|time| *time <= store.timeout) {
                let message = format!(
                    "route `{name}` ends after {}ms, and `timeout` of store `{wanted}` is {}ms",
                    request.as_millis(),
                    store.timeout.as_millis()
                );
                let found = Diagnostic::error(route.place, message).and(store.place, "this store");
                context.r.report(found.help("a store that hangs would take all of its time"));
            }
        }
    }
    if context.r.has_errors() {
        return;
    }
    for (name, store) in config.stores.iter().filter(|(name, _)| !used.contains(name)) {
        let message = format!("nothing uses the store `{name}`");
        context.r.report(Diagnostic::warning(store.place, message));
    }
}

fn unknown(context: &Context<'_>, config: &Config, wanted: &Name, place: Place) {
    let shown = context.r.sources.shown(place, wanted);
    let message = format!("`store` names an unknown store {shown}");
    let found = Diagnostic::error(place, message).label("not defined under `stores`");
    let bare = wanted.strip_prefix("redis:").unwrap_or(wanted);
    let known = config.stores.keys().map(|name| &**name).chain([LOCAL]);
    context.r.report(match context.r.propose(bare, known) {
        Some(close) => found.help(format!("did you mean `{close}`?")),
        None => found,
    });
}
