//! Upstreams: where services are and how they are reached.

use super::{
    Change, Effect, Sign,
    subject::{Both, Side, Subject, named},
};
use crate::{
    config::model::{Config, Discover, Endpoint, Name, Protocol, Upstream, UpstreamTls},
    explain::{
        settings,
        words::{count, span},
    },
};

/// Settings that are told as `explain` tells them.
const TOLD: [&str; 11] = [
    "discover",
    "lb",
    "sticky",
    "slow_start",
    "connect_timeout",
    "limits",
    "limits.adaptive",
    "host_header",
    "health",
    "outlier",
    "breaker",
];

/// Compares the upstreams.
pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    for (name, both) in named(&old.upstreams, &new.upstreams) {
        let (was, is) = match both {
            Both::Added(it) | Both::Removed(it) => (it, it),
            Both::Stayed(old, new) => (old, new),
        };
        let mut s = Subject {
            kind: "upstream",
            name: name.to_string(),
            old: Side { config: old, place: was.place, origins: Some(&was.origins) },
            new: Side { config: new, place: is.place, origins: Some(&is.origins) },
            out,
        };
        match both {
            Both::Added(new) => {
                let effect = Effect::of(!new.tls.verify, false);
                let note = (!new.tls.verify).then(|| "certificates are not verified".to_owned());
                s.whole(Sign::Added, effect, endpoints_of(new), note);
            }
            Both::Removed(old) => s.whole(Sign::Removed, Effect::Other, endpoints_of(old), None),
            Both::Stayed(old, new) if same(old, new) => {}
            Both::Stayed(old_it, new_it) => stayed(&mut s, (old, old_it), (new, new_it)),
        }
    }
}

/// Whether nothing is different but where it was written.
pub(super) fn same(old: &Upstream, new: &Upstream) -> bool {
    let moved = Upstream { place: new.place, ..old.clone() };
    moved == *new
}

fn stayed(s: &mut Subject<'_, '_>, old: (&Config, &Upstream), new: (&Config, &Upstream)) {
    let before = s.out.len();
    endpoints(s, old.1, new.1);
    let (was, is) = (settings(old.0, old.1), settings(new.0, new.1));
    let differs = |key: &str| match key {
        "discover" => old.1.discover != new.1.discover,
        "lb" => old.1.balance != new.1.balance || old.1.hash_on != new.1.hash_on,
        "sticky" => old.1.sticky != new.1.sticky,
        "slow_start" => old.1.slow_start != new.1.slow_start,
        "connect_timeout" => old.1.connect_timeout != new.1.connect_timeout,
        "limits" => old.1.limits != new.1.limits,
        "limits.adaptive" => old.1.adaptive != new.1.adaptive,
        "host_header" => old.1.host_header != new.1.host_header,
        "health" => old.1.health != new.1.health,
        "outlier" => old.1.outlier != new.1.outlier,
        _ => old.1.breaker != new.1.breaker,
    };
    for key in TOLD.into_iter().filter(|key| differs(key)) {
        let told = |all: &[crate::explain::Setting]| {
            let found = all.iter().find(|it| it.key == key);
            found.map_or_else(|| "none".to_owned(), |it| it.what.clone())
        };
        s.key(key, Effect::Other, told(&was), told(&is));
    }
    let word = |it: &Protocol| format!("{it:?}").to_lowercase();
    s.other("protocol", &old.1.protocol, &new.1.protocol, word);
    let pool = |it: &crate::config::model::Pool| format!("{} for {}", it.max_idle, span(it.idle));
    s.other("pool", &old.1.pool, &new.1.pool, pool);
    tls(s, &old.1.tls, &new.1.tls);
    if s.out.len() == before {
        s.noted("", Effect::Other, (String::new(), String::new()), Some("changed".to_owned()));
    }
}

/// TLS towards a service: who may say that he is that service.
fn tls(s: &mut Subject<'_, '_>, old: &UpstreamTls, new: &UpstreamTls) {
    if old.verify != new.verify {
        let effect = Effect::of(!new.verify, new.verify);
        let note = (!new.verify).then(|| "any certificate is accepted".to_owned());
        s.noted("tls.verify", effect, (old.verify.to_string(), new.verify.to_string()), note);
    }
    if old.ca != new.ca {
        // The authorities of a file are not known here.
        let effect = Effect::of(!(old.ca.is_none() && new.ca.is_some()), true);
        let shown = |it: &UpstreamTls| {
            it.ca.as_ref().map_or_else(|| "system".to_owned(), |it| it.value.display().to_string())
        };
        s.key("tls.ca", effect, shown(old), shown(new));
    }
    s.other("tls.server_name", &old.server_name, &new.server_name, |it| {
        it.clone().unwrap_or_else(|| "of the endpoint".to_owned())
    });
    s.other("tls.cert", &old.client, &new.client, |it| {
        it.as_ref().map_or_else(|| "none".to_owned(), |(cert, _)| cert.value.display().to_string())
    });
}

// === endpoints ===

fn endpoints_of(upstream: &Upstream) -> String {
    match &upstream.discover {
        None => {}
        Some(Discover::Dns(dns)) => return format!("found in DNS: {}", dns.name),
        Some(Discover::File(path)) => return format!("found in {}", path.value.display()),
        Some(Discover::Etcd(etcd)) => return format!("found in etcd: {}", etcd.prefix),
    }
    let urls: Vec<&str> = upstream.endpoints.iter().map(|e| &*e.url.value).collect();
    if urls.is_empty() { count(0, "endpoint") } else { urls.join(", ") }
}

fn endpoints(s: &mut Subject<'_, '_>, old: &Upstream, new: &Upstream) {
    let urls = |it: &Upstream| -> Vec<String> {
        it.endpoints.iter().map(|e| e.url.value.to_string()).collect()
    };
    let (was, is) = (urls(old), urls(new));
    let known = |url: &Name, all: &Upstream| all.endpoints.iter().any(|e| e.url.value == *url);
    let moved = old.endpoints.iter().any(|e| !known(&e.url.value, new))
        || new.endpoints.iter().any(|e| !known(&e.url.value, old));
    if moved {
        // Everything went in TLS, and now something does not.
        let open =
            |e: &Endpoint| !e.tls && matches!(e.target, crate::config::model::Target::Tcp { .. });
        let plain = !old.endpoints.is_empty()
            && !old.endpoints.iter().any(open)
            && old.endpoints.iter().any(|e| e.tls)
            && new.endpoints.iter().any(open);
        s.part("endpoints", Effect::of(plain, false), &was, &is);
    }
    for endpoint in &new.endpoints {
        let before = old.endpoints.iter().find(|it| it.url.value == endpoint.url.value);
        if let Some(before) = before {
            let url = &endpoint.url.value;
            let key = |what: &str| format!("endpoints {url} {what}");
            s.other(&key("weight"), &before.weight, &endpoint.weight, ToString::to_string);
            s.other(&key("backup"), &before.backup, &endpoint.backup, ToString::to_string);
            s.other(&key("priority"), &before.priority, &endpoint.priority, ToString::to_string);
        }
    }
    if !moved && old.endpoints != new.endpoints && urls(old) != urls(new) {
        let note = Some("in another order".to_owned());
        s.noted("endpoints", Effect::Other, (String::new(), String::new()), note);
    }
}
