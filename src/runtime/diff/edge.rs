//! The edge and the process: listeners, TLS, the admin listener, logs, metrics, `server`.

use std::{borrow::Cow, net::IpAddr};

use super::{
    Change, Effect, Sign,
    nets::Addresses,
    schemes::UNJUDGED,
    subject::{Both, Side, Subject, named},
};
use crate::{
    authorize::Rule,
    config::model::{
        Address, ClientAuth, Config, KeyPart, Listener, ListenerTls, Logs, Mode, Name, Place,
        RequestIdFrom, Route, Server, Tls,
    },
    explain::words::{few, size, span},
};

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

/// Whether others than those on this machine get there.
fn is_open(address: &Address) -> bool {
    match address {
        Address::Tcp { host, .. } => !host.is_some_and(|host: IpAddr| host.is_loopback()),
        // Nobody knows what was passed.
        Address::Fd(_) => true,
        Address::Unix(_) => false,
    }
}

// === listeners ===

/// The old configuration with its listeners under the names of the new one: the same address under another
/// name is the same listener. Port 0 is another one each time.
pub(super) fn renamed<'c>(old: &'c Config, new: &Config, out: &mut Vec<Change>) -> Cow<'c, Config> {
    let mut all = Cow::Borrowed(old);
    for (name, is) in new.listeners.iter().filter(|it| !old.listeners.contains_key(it.0)) {
        let alike = |it: &(&Name, &Listener)| {
            let fixed = !matches!(it.1.address.value, Address::Tcp { port: 0, .. });
            fixed && it.1.address == is.address && !new.listeners.contains_key(it.0)
        };
        let Some((before, was)) = old.listeners.iter().find(alike) else { continue };
        let (asks, note) = match asked_for_by_rules(new) {
            true => {
                (Effect::Widens, Some(format!("rules of `authorize` name listeners: {UNJUDGED}")))
            }
            false => (Effect::Other, None),
        };
        let (old_side, new_side) = (Side::at(old, was.place), Side::at(new, is.place));
        let (kind, shown) = ("listener", name.to_string());
        let mut s = Subject { kind, name: shown, old: old_side, new: new_side, out };
        s.noted("name", asks, (before.to_string(), name.to_string()), note);
        let config = all.to_mut();
        if let Some(listener) = config.listeners.remove(before) {
            config.listeners.insert(Name::clone(name), listener);
        }
        let rules = config.routes.values_mut().flat_map(|route| &mut route.matches);
        for named in rules.flat_map(|rule| &mut rule.listeners).filter(|it| it.value == *before) {
            named.value = Name::clone(name);
        }
    }
    all
}

fn asked_for_by_rules(config: &Config) -> bool {
    rules(config).any(|rule| rule.mentions("listener"))
}

fn rules(config: &Config) -> impl Iterator<Item = &Rule> {
    let all = config.routes.values().filter_map(|route| route.authorize.as_ref());
    let all = all.flat_map(|it| &it.policies).filter(|it| it.mode == Mode::Enforce);
    all.flat_map(|it| it.rules.allow.iter().chain(&it.rules.deny))
}

/// Compares the listeners.
pub(super) fn listeners(old: &Config, new: &Config, out: &mut Vec<Change>) {
    for (name, both) in named(&old.listeners, &new.listeners) {
        let (was, is) = match both {
            Both::Added(it) | Both::Removed(it) => (it, it),
            Both::Stayed(old, new) => (old, new),
        };
        let mut s = Subject {
            kind: "listener",
            name: name.to_string(),
            old: Side::at(old, was.place),
            new: Side::at(new, is.place),
            out,
        };
        match both {
            Both::Added(it) => {
                s.whole(Sign::Added, Effect::Widens, show_address(&it.address.value), None);
            }
            Both::Removed(it) => {
                s.whole(Sign::Removed, Effect::Narrows, show_address(&it.address.value), None);
            }
            Both::Stayed(old, new) => listener(&mut s, old, new),
        }
    }
}

fn listener(s: &mut Subject<'_, '_>, old: &Listener, new: &Listener) {
    if old.address != new.address {
        let (was, is) = (is_open(&old.address.value), is_open(&new.address.value));
        let values = (show_address(&old.address.value), show_address(&new.address.value));
        s.noted("address", Effect::of(is && !was, was && !is), values, None);
    }
    if old.tls != new.tls {
        let plain = |it: &Listener| it.tls == ListenerTls::None;
        let effect = Effect::of(plain(new), plain(old));
        s.key("tls", effect, tls_word(&old.tls), tls_word(&new.tls));
    }
    client_auth(s, old.client_auth.as_ref(), new.client_auth.as_ref());
    if old.https_redirect != new.https_redirect {
        let effect = Effect::of(new.https_redirect.is_none(), old.https_redirect.is_none());
        let shown =
            |it: &Listener| it.https_redirect.map_or_else(none, |it| it.as_str().to_owned());
        s.key("https_redirect", effect, shown(old), shown(new));
    }
    trusted(s, old, new);
    let protocols = |it: &crate::config::model::Protocols| {
        let all = [("h1", it.h1), ("h2", it.h2), ("h2c", it.h2c)];
        few(&all.into_iter().filter(|(_, on)| *on).map(|(word, _)| word).collect::<Vec<_>>())
    };
    s.other("protocols", &old.protocols, &new.protocols, protocols);
    let (a, b) = (old.shares, new.shares);
    let (c, d) = (old.limits, new.limits);
    for (key, old, new) in [
        ("max_connections", old.max_connections, new.max_connections),
        ("limits.connections_per_client", a.connections_per_client, b.connections_per_client),
        ("limits.handshakes", a.handshakes, b.handshakes),
        ("limits.header_count", c.header_count, d.header_count),
        ("limits.h2_streams", c.h2_streams as usize, d.h2_streams as usize),
    ] {
        limit(s, key, old, new, ToString::to_string);
    }
    let bytes = |it: &usize| size(*it as u64);
    limit(s, "limits.header_size", c.header_size, d.header_size, bytes);
    limit(s, "limits.uri_length", c.uri_length, d.uri_length, bytes);
    let (a, b) = (old.timeouts, new.timeouts);
    for (key, old, new) in [
        ("handshake", a.handshake, b.handshake),
        ("header", a.header, b.header),
        ("idle", a.idle, b.idle),
        ("write", a.write, b.write),
    ] {
        s.other(&format!("timeouts.{key}"), &old, &new, |it| span(*it));
    }
}

fn limit(
    s: &mut Subject<'_, '_>,
    key: &str,
    old: usize,
    new: usize,
    show: impl Fn(&usize) -> String,
) {
    if old != new {
        s.key(key, Effect::limit(Some(old), Some(new)), show(&old), show(&new));
    }
}

fn tls_word(it: &ListenerTls) -> String {
    match it {
        ListenerTls::None => "none",
        ListenerTls::Files => "files",
        ListenerTls::Auto => "auto",
        ListenerTls::Dev => "dev",
    }
    .to_owned()
}

fn client_auth(s: &mut Subject<'_, '_>, old: Option<&ClientAuth>, new: Option<&ClientAuth>) {
    let mode = |it: Option<&ClientAuth>| match it {
        None => "none",
        Some(it) if it.required => "require",
        Some(_) => "optional",
    };
    if mode(old) != mode(new) {
        let strict = |it: Option<&ClientAuth>| it.map(|it| it.required);
        let effect = Effect::of(strict(new) < strict(old), strict(new) > strict(old));
        s.key("client_auth", effect, mode(old).to_owned(), mode(new).to_owned());
    }
    let (Some(old), Some(new)) = (old, new) else { return };
    if old.ca != new.ca {
        let shown = |it: &ClientAuth| it.ca.value.display().to_string();
        s.key("client_auth.ca", Effect::Widens, shown(old), shown(new));
    }
    if old.crl != new.crl {
        let shown = |it: &ClientAuth| {
            it.crl.as_ref().map_or_else(none, |it| it.value.display().to_string())
        };
        let effect = Effect::of(old.crl.is_some(), true);
        s.key("client_auth.crl", effect, shown(old), shown(new));
    }
}

/// Whose word counts for who the client is.
fn trusted(s: &mut Subject<'_, '_>, old: &Listener, new: &Listener) {
    if old.trusted_proxies != new.trusted_proxies {
        let (was, is) = (Addresses::of(&old.trusted_proxies), Addresses::of(&new.trusted_proxies));
        let gone = !was.without(&is).is_empty();
        // Whoever comes through such a proxy has its address from now on.
        let note = gone.then(|| looks_at_address(s.new.config)).flatten();
        let effect = Effect::of(!is.without(&was).is_empty() || note.is_some(), gone);
        let note = note.map(|what| format!("{what} looks at the client's address: {UNJUDGED}"));
        let shown = |it: &Listener| match it.trusted_proxies.is_empty() {
            true => none(),
            false => few(&it.trusted_proxies),
        };
        s.noted("trusted_proxies", effect, (shown(old), shown(new)), note);
    }
    if old.client_ip_from != new.client_ip_from {
        // Which header a proxy sets and which it lets through is not known here.
        let effect = Effect::of(!new.trusted_proxies.is_empty(), false);
        let shown = |it: &Listener| match &it.client_ip_from {
            crate::config::model::ClientIpFrom::XForwardedFor => "x-forwarded-for".to_owned(),
            crate::config::model::ClientIpFrom::Forwarded => "forwarded".to_owned(),
            crate::config::model::ClientIpFrom::Header(name) => name.to_string(),
        };
        s.key("client_ip_from", effect, shown(old), shown(new));
    }
}

/// What decides by the address of clients.
fn looks_at_address(config: &Config) -> Option<String> {
    let by = |key: &[KeyPart]| key.contains(&KeyPart::ClientIp);
    let of_route = |route: &Route| {
        let enforced = |mode| mode == Mode::Enforce;
        let all = [
            ("ip", route.ip.as_ref().is_some_and(|it| enforced(it.mode))),
            ("match", route.matches.iter().any(|it| !it.client_ip.is_empty())),
            (
                "rate_limit",
                route
                    .rate_limit
                    .iter()
                    .any(|it| enforced(it.mode) && (by(&it.key) || !it.exempt.is_empty())),
            ),
            ("concurrency", route.concurrency.iter().any(|it| enforced(it.mode) && by(&it.key))),
        ];
        all.into_iter().find(|(_, is)| *is).map(|(key, _)| key)
    };
    let mut routes = config.routes.iter().filter(|(_, route)| route.enabled);
    let first = routes.find_map(|(name, route)| Some(format!("{} of {name}", of_route(route)?)));
    first.or_else(|| {
        rules(config).any(|rule| rule.mentions("client")).then(|| "authorize".to_owned())
    })
}

// === sections ===

/// Compares what there is once.
pub(super) fn sections(old: &Config, new: &Config, out: &mut Vec<Change>) {
    let mut section = |kind, compare: &dyn Fn(&mut Subject<'_, '_>)| {
        let place = Place::default();
        let name = String::new();
        let (was, is) = (Side::at(old, place), Side::at(new, place));
        compare(&mut Subject { kind, name, old: was, new: is, out });
    };
    section("tls", &|s| tls(s, &old.tls, &new.tls));
    section("admin", &|s| admin(s, old, new));
    section("server", &|s| server(s, &old.server, &new.server));
    section("logs", &|s| logs(s, &old.logs, &new.logs));
    section("metrics", &|s| {
        s.other("path", &old.metrics.path, &new.metrics.path, Clone::clone);
        s.other("buckets", &old.metrics.buckets, &new.metrics.buckets, |it| few(it));
    });
}

fn tls(s: &mut Subject<'_, '_>, old: &Tls, new: &Tls) {
    if old.only_tls13 != new.only_tls13 {
        let word = |it: &Tls| if it.only_tls13 { "1.3" } else { "1.2" }.to_owned();
        let effect = Effect::of(!new.only_tls13, new.only_tls13);
        s.key("min_version", effect, word(old), word(new));
    }
    s.other("session_tickets", &old.session_tickets, &new.session_tickets, ToString::to_string);
    let files = |it: &Vec<crate::config::model::Certificate>| {
        let all = it.iter().map(|it| it.cert.value.display().to_string()).collect::<Vec<_>>();
        if all.is_empty() { none() } else { few(&all) }
    };
    s.other("certificates", &old.certificates, &new.certificates, files);
}

fn admin(s: &mut Subject<'_, '_>, old: &Config, new: &Config) {
    let (a, b) = (&old.admin, &new.admin);
    if a.address != b.address {
        let address =
            |it: &crate::config::model::Admin| it.address.as_ref().map(|it| it.value.clone());
        let (was, is) = (address(a), address(b));
        let open = |it: &Option<Address>| it.as_ref().is_some_and(is_open);
        let effect = Effect::of(open(&is) && !open(&was), open(&was) && !open(&is));
        let shown = |it: Option<Address>| it.as_ref().map_or_else(none, show_address);
        let note =
            (effect == Effect::Widens).then(|| "others than this machine get there".to_owned());
        let places = (a.address.as_ref(), b.address.as_ref());
        if let Some(place) = places.0 {
            s.old.place = place.place;
        }
        if let Some(place) = places.1 {
            s.new.place = place.place;
        }
        s.noted("address", effect, (shown(was), shown(is)), note);
        (s.old.place, s.new.place) = (Place::default(), Place::default());
    }
    s.other("socket", &a.socket, &b.socket, |it| {
        it.as_ref().map_or_else(|| "the usual place".to_owned(), |it| it.display().to_string())
    });
}

fn server(s: &mut Subject<'_, '_>, old: &Server, new: &Server) {
    if old.workers != new.workers {
        let note = Some("needs a restart".to_owned());
        s.noted("workers", Effect::Other, (old.workers.to_string(), new.workers.to_string()), note);
        if let Some(change) = s.out.last_mut() {
            change.sign = Sign::Restart;
        }
    }
    if old.pass_headers != new.pass_headers {
        let came = new.pass_headers.iter().any(|it| !old.pass_headers.contains(it));
        let gone = old.pass_headers.iter().any(|it| !new.pass_headers.contains(it));
        let names =
            |it: &Server| it.pass_headers.iter().map(ToString::to_string).collect::<Vec<_>>();
        s.part("pass_headers", Effect::of(came, gone), &names(old), &names(new));
    }
    if old.request_id_from != new.request_id_from {
        let (any, was) = (new.request_id_from == RequestIdFrom::Any, old.request_id_from);
        let effect = Effect::of(any, was == RequestIdFrom::Any);
        let word = |it: RequestIdFrom| format!("{it:?}").to_lowercase();
        s.key("request_id.accept_from", effect, word(was), word(new.request_id_from));
    }
    if old.keep_encoded_slash != new.keep_encoded_slash {
        let word = |it: &Server| if it.keep_encoded_slash { "keep" } else { "reject" }.to_owned();
        let effect = Effect::of(new.keep_encoded_slash, old.keep_encoded_slash);
        s.key("normalize.encoded_slash", effect, word(old), word(new));
    }
    let (a, b) = (old.merge_slashes, new.merge_slashes);
    s.other("normalize.merge_slashes", &a, &b, ToString::to_string);
    s.other("name", &old.name, &new.name, Clone::clone);
    s.other("drain.delay", &old.drain_delay, &new.drain_delay, |it| span(*it));
    s.other("drain.timeout", &old.drain_timeout, &new.drain_timeout, |it| span(*it));
    let (a, b) = (&old.request_id_header, &new.request_id_header);
    s.other("request_id.header", a, b, ToString::to_string);
    s.other("via", &old.via, &new.via, ToString::to_string);
    s.other("overload", &old.overload, &new.overload, |it| {
        if it.is_some() { "on" } else { "none" }.to_owned()
    });
}

fn logs(s: &mut Subject<'_, '_>, old: &Logs, new: &Logs) {
    s.other("level", &old.level, &new.level, |it| it.to_string().to_lowercase());
    let format = |it: &Option<_>| it.map_or_else(none, |it| format!("{it:?}").to_lowercase());
    s.other("format", &old.format, &new.format, format);
    s.other("access", &old.access, &new.access, |it| {
        it.as_ref().map_or_else(none, |it| format!("{:?}", it.format).to_lowercase())
    });
}

fn none() -> String {
    "none".to_owned()
}
