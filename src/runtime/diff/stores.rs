//! Stores: where several gateways count together. Another place counts from nothing, which lets more pass.

use super::{
    Change, Effect, Sign,
    subject::{Both, Side, Subject, named},
};
use crate::config::model::{Config, RedisStore, Store, StoreKind};

/// Compares all of them.
pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    for (name, both) in named(&old.stores, &new.stores) {
        let places = match &both {
            Both::Added(it) | Both::Removed(it) => (it.place, it.place),
            Both::Stayed(old, new) => (old.place, new.place),
        };
        let mut subject = Subject {
            kind: "store",
            name: name.to_string(),
            old: Side::at(old, places.0),
            new: Side::at(new, places.1),
            out,
        };
        match both {
            Both::Added(it) => subject.whole(Sign::Added, Effect::Other, nodes(it), None),
            Both::Removed(it) => subject.whole(Sign::Removed, Effect::Other, nodes(it), None),
            Both::Stayed(old, new) => store(&mut subject, old, new),
        }
    }
}

/// Where it is.
fn nodes(store: &Store) -> String {
    match &store.kind {
        StoreKind::Redis(redis) => {
            let nodes: Vec<String> = redis.nodes.iter().map(ToString::to_string).collect();
            nodes.join(", ")
        }
        StoreKind::Rls(rls) => format!("asks {}", rls.to.value),
    }
}

fn store(s: &mut Subject<'_, '_>, old: &Store, new: &Store) {
    match (&old.kind, &new.kind) {
        (StoreKind::Redis(before), StoreKind::Redis(after)) => redis(s, before, after),
        (StoreKind::Rls(before), StoreKind::Rls(after)) => {
            if (&before.to.value, &before.endpoint) != (&after.to.value, &after.endpoint) {
                s.key("rls", Effect::Widens, nodes(old), nodes(new));
            }
            if before.domain != after.domain {
                let (old, new) = (before.domain.clone(), after.domain.clone());
                s.key("domain", Effect::Widens, old, new);
            }
        }
        _ => anew(s, "kind", nodes(old), nodes(new)),
    }
    s.other("timeout", &old.timeout, &new.timeout, |it| crate::explain::words::span(*it));
    if old.gateways != new.gateways {
        // The share of each while the store is away.
        let effect = Effect::of(new.gateways < old.gateways, new.gateways > old.gateways);
        s.key("gateways", effect, old.gateways.to_string(), new.gateways.to_string());
    }
}

fn anew(s: &mut Subject<'_, '_>, key: &str, old: String, new: String) {
    s.noted(key, Effect::Widens, (old, new), Some("counts from nothing".to_owned()));
}

fn redis(s: &mut Subject<'_, '_>, old: &RedisStore, new: &RedisStore) {
    if (&old.nodes, old.cluster) != (&new.nodes, new.cluster) {
        let shown = |it: &RedisStore| {
            it.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        anew(s, "redis", shown(old), shown(new));
    }
    if old.database != new.database {
        anew(s, "database", old.database.to_string(), new.database.to_string());
    }
    if old.prefix != new.prefix {
        anew(s, "prefix", old.prefix.clone(), new.prefix.clone());
    }
    if old.tls != new.tls {
        let verified = |it: &RedisStore| it.tls.as_ref().is_some_and(|it| it.verify);
        let effect = Effect::of(verified(old) && !verified(new), !verified(old));
        s.key("tls", effect, String::new(), String::new());
    }
    if old.user != new.user || old.password != new.password {
        // Never shown.
        s.key("user or password", Effect::Other, String::new(), String::new());
    }
}
