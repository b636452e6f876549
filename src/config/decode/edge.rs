//! `listeners` and `tls`.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use http::{HeaderName, StatusCode};
use ipnet::IpNet;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::{LISTENER, TLS},
        model::{
            Address, Certificate, ClientAuth, ClientIpFrom, Listener, ListenerLimits,
            ListenerShares, ListenerTimeouts, ListenerTls, Located, Name, Protocols, Tls,
        },
        tree::{Entry, Kind, Node},
    },
    Tops,
    address::{self, Wrong},
    client_auth::{client_auth, listener_tls},
    reader::{Fields, Owner, Reader, cannot_yet},
    slot::Slot,
    twice,
};

/// Connections of a listener where nothing is written.
const MAX_CONNECTIONS: usize = 20_000;

/// All listeners; `:8080` where no file has any. Those with TLS ask for certificates as `asked` says,
/// where they do not say otherwise.
pub(super) fn listeners(
    r: &Reader<'_>,
    first: Option<&Node>,
    tops: &Tops<'_>,
    asked: Option<&ClientAuth>,
) -> BTreeMap<Name, Listener> {
    let mut all: BTreeMap<Name, Listener> = BTreeMap::new();
    let Some(first) = first else {
        let (_, main) = &tops[0];
        let place = Place { end: main.place.start, ..main.place };
        let default = Address::Tcp { host: None, port: 8080 };
        all.insert("http".into(), plain(place, Located { value: default, place }));
        return all;
    };
    let nodes = tops.iter().filter_map(|(_, top)| top.entry("listeners")).map(|entry| &entry.value);
    for entry in nodes.flat_map(|node| r.named(node, "listeners")) {
        if let Some(known) = all.get(entry.key.as_str()) {
            twice(r, "listener", &entry.key, entry.key_place, known.place);
        } else if let Some(listener) = listener(r, entry, asked) {
            same_address(r, entry, &listener, &all);
            all.insert(entry.key.as_str().into(), listener);
        }
    }
    if first.entries().is_some_and(<[Entry]>::is_empty) {
        let found = Diagnostic::error(first.place, "`listeners` is empty");
        r.report(found.help("leave it out to listen on `:8080`"));
    }
    all
}

fn same_address(r: &Reader<'_>, entry: &Entry, new: &Listener, all: &BTreeMap<Name, Listener>) {
    for (name, other) in all {
        let (new, other) = (&new.address, &other.address);
        if !address::overlap(&new.value, &other.value) {
            continue;
        }
        let found = match new.value == other.value {
            true => {
                let what = format!("listeners `{}` and `{name}` have the same address", entry.key);
                Diagnostic::error(new.place, what)
            }
            false => {
                let what = format!("listeners `{}` and `{name}` overlap", entry.key);
                Diagnostic::error(new.place, what).label("an address of this one…").help(
                    "only one of them can be bound; leave out the other, or give it another port",
                )
            }
        };
        let second = if new.value == other.value { "" } else { "…is one of this one" };
        r.report(found.and(other.place, second));
    }
}

fn plain(place: Place, address: Located<Address>) -> Listener {
    Listener {
        place,
        address,
        tls: ListenerTls::None,
        client_auth: None,
        https_redirect: None,
        protocols: Protocols { h1: true, h2: true, h2c: false },
        trusted_proxies: Vec::new(),
        client_ip_from: ClientIpFrom::XForwardedFor,
        max_connections: MAX_CONNECTIONS,
        timeouts: ListenerTimeouts {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(60),
        },
        limits: ListenerLimits {
            header_size: 32 << 10,
            header_count: 100,
            uri_length: 8 << 10,
            h2_streams: 128,
        },
        shares: ListenerShares {
            connections_per_client: MAX_CONNECTIONS.div_ceil(2),
            handshakes: 1000,
        },
    }
}

fn listener(r: &Reader<'_>, entry: &Entry, asked: Option<&ClientAuth>) -> Option<Listener> {
    let owner = Owner::named(LISTENER.name, &entry.key);
    if let Some(text) = entry.value.text() {
        let address = bind(r, &entry.value, text)?;
        return Some(plain(entry.key_place, address));
    }
    let f = r.fields(&entry.value, &LISTENER, owner)?;
    let address = match f.get("address") {
        Some(slot) => slot.text().and_then(|text| bind(r, slot.node, text)),
        None => {
            f.missing("address");
            None
        }
    };
    let mut it = plain(entry.key_place, address?);
    if let Some(slot) = f.get("tls") {
        let mut asked = asked.cloned();
        it.tls = tls_mode(&slot, &mut asked).unwrap_or_default();
        it.client_auth = asked.filter(|_| it.tls != ListenerTls::None);
    }
    it.https_redirect = f.get("https_redirect").and_then(|slot| https_redirect(&slot));
    if let Some(protocols) = f.get("protocols").and_then(|slot| protocols(&slot)) {
        it.protocols = protocols;
        fit_protocols(&f, &it);
    }
    if let Some(slot) = f.get("trusted_proxies") {
        it.trusted_proxies = networks(slot.items());
    }
    if let Some(slot) = f.get("client_ip_from") {
        it.client_ip_from = client_ip_from(&slot).unwrap_or(ClientIpFrom::XForwardedFor);
    }
    set(&mut it.max_connections, f.get("max_connections").and_then(|slot| slot.count()));
    // One address alone must not have all of them.
    it.shares.connections_per_client = it.max_connections.div_ceil(2);
    if let Some(t) = f.child("timeouts") {
        set(&mut it.timeouts.handshake, t.get("handshake").and_then(|slot| slot.duration()));
        set(&mut it.timeouts.header, t.get("header").and_then(|slot| slot.duration()));
        set(&mut it.timeouts.idle, t.get("idle").and_then(|slot| slot.duration()));
        set(&mut it.timeouts.write, t.get("write").and_then(|slot| slot.duration()));
    }
    if let Some(l) = f.child("limits") {
        let size = |slot: Slot<'_>| slot.size().and_then(|bytes| usize::try_from(bytes).ok());
        set(&mut it.limits.header_size, l.get("header_size").and_then(size));
        set(&mut it.limits.header_count, l.get("header_count").and_then(|slot| slot.count()));
        set(&mut it.limits.uri_length, l.get("uri_length").and_then(size));
        let streams = l.get("h2_streams").and_then(|slot| slot.int());
        set(&mut it.limits.h2_streams, streams.and_then(|streams| u32::try_from(streams).ok()));
        let count = |key| l.get(key).and_then(|slot| slot.count());
        set(&mut it.shares.connections_per_client, count("connections_per_client"));
        set(&mut it.shares.handshakes, count("handshakes"));
    }
    Some(it)
}

/// Overwrites where something was written.
pub(super) fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// An address to bind, or an error at its place.
pub(super) fn bind(r: &Reader<'_>, node: &Node, text: &str) -> Option<Located<Address>> {
    match address::listen(text) {
        Ok(value) => Some(Located { value, place: node.place }),
        Err((message, help)) => {
            wrong_scalar(r, node, node.place, (message, help), "an address");
            None
        }
    }
}

/// Reports what is wrong with a text; of one from a variable only that it is not `what`.
pub(super) fn wrong_scalar(
    r: &Reader<'_>,
    node: &Node,
    place: Place,
    (message, help): Wrong,
    what: &str,
) {
    if node.place == place && node.is_secret() {
        return r.report(Diagnostic::error(place, format!("«redacted» is not {what}")));
    }
    let found = Diagnostic::error(place, message);
    r.report(match help {
        Some(help) => found.help(help),
        None => found,
    });
}

fn tls_mode(slot: &Slot<'_>, asked: &mut Option<ClientAuth>) -> Option<ListenerTls> {
    if let Kind::Map(_) = &slot.node.kind {
        return listener_tls(slot, asked);
    }
    match slot.text()? {
        "true" => Some(ListenerTls::Files),
        "auto" => Some(ListenerTls::Auto),
        "dev" => Some(ListenerTls::Dev),
        "false" | "none" => Some(ListenerTls::None),
        other => {
            let close = slot.r.propose(other, ["true", "auto", "false"]);
            let help = close.map(|word| format!("did you mean `{word}`?"));
            slot.wrong("true, auto, dev or false", help);
            None
        }
    }
}

fn https_redirect(slot: &Slot<'_>) -> Option<StatusCode> {
    match slot.text()? {
        "true" | "308" => Some(StatusCode::PERMANENT_REDIRECT),
        "301" => Some(StatusCode::MOVED_PERMANENTLY),
        "302" => Some(StatusCode::FOUND),
        "307" => Some(StatusCode::TEMPORARY_REDIRECT),
        "false" | "none" => None,
        _ => {
            slot.wrong("true, false, 301, 302, 307 or 308", None);
            None
        }
    }
}

fn protocols(slot: &Slot<'_>) -> Option<Protocols> {
    let mut found = Protocols { h1: false, h2: false, h2c: false };
    let items = slot.items()?;
    let mut good = true;
    for item in &items {
        match item.text() {
            Some("h1") => found.h1 = true,
            Some("h2") => found.h2 = true,
            Some("h2c") => found.h2c = true,
            Some("h3") => {
                slot.r.report(cannot_yet(item.place(), "h3"));
                good = false;
            }
            Some(_) => {
                item.wrong("made of `h1`, `h2`, `h2c`", None);
                good = false;
            }
            None => good = false,
        }
    }
    if items.is_empty() {
        slot.error(format!("{} is an empty list", slot.subject()), None);
    }
    (good && !items.is_empty()).then_some(found)
}

/// h2 is chosen in the TLS handshake, h2c is plain text: what cannot happen was not meant.
fn fit_protocols(f: &Fields<'_>, listener: &Listener) {
    let Some(slot) = f.get("protocols") else { return };
    let Protocols { h1, h2, h2c } = listener.protocols;
    if listener.tls == ListenerTls::None {
        if h2 && !h1 && !h2c {
            let message = format!("`h2` without TLS {} can never be spoken", f.owner.within());
            slot.error(message, Some("did you mean `h2c`?".to_owned()));
        }
    } else if h2c {
        let message = format!("`h2c` is for listeners without TLS, {} has TLS", f.owner);
        slot.error(message, Some("did you mean `h2`?".to_owned()));
    }
}

fn client_ip_from(slot: &Slot<'_>) -> Option<ClientIpFrom> {
    match slot.text()? {
        "x-forwarded-for" => Some(ClientIpFrom::XForwardedFor),
        "forwarded" => Some(ClientIpFrom::Forwarded),
        name => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if name == "x-forwarded-for" => Some(ClientIpFrom::XForwardedFor),
            Ok(name) if name == "forwarded" => Some(ClientIpFrom::Forwarded),
            Ok(name) => Some(ClientIpFrom::Header(name)),
            Err(_) => {
                slot.wrong("the name of a header", None);
                None
            }
        },
    }
}

/// Networks of a list; a bare address is a network of one.
pub(super) fn networks(items: Option<Vec<Slot<'_>>>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(text) = item.text() else { continue };
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => item.wrong("made of networks", Some("like `10.0.0.0/8`".to_owned())),
        }
    }
    networks
}

/// The `tls` section, and whose certificates its listeners ask for.
pub(super) fn tls(r: &Reader<'_>, node: Option<&Node>) -> (Tls, Option<ClientAuth>) {
    let mut tls = Tls { only_tls13: false, session_tickets: true, certificates: Vec::new() };
    let Some(f) = node.and_then(|node| r.fields(node, &TLS, Owner::of(TLS.name, &Owner::TOP)))
    else {
        return (tls, None);
    };
    tls.only_tls13 = f.get("min_version").and_then(|slot| slot.word()) == Some("1.3");
    set(&mut tls.session_tickets, f.get("session_tickets").and_then(|slot| slot.bool()));
    if let Some(slot) = f.get("certificates") {
        for item in slot.items().unwrap_or_default() {
            tls.certificates.extend(certificate(r, item.node, &f.owner));
        }
    }
    let asked = f.get("client_auth").and_then(|slot| client_auth(&slot)).flatten();
    (tls, asked)
}

fn certificate(r: &Reader<'_>, node: &Node, parent: &Owner<'_>) -> Option<Certificate> {
    let section = &super::super::fields::CERTIFICATE;
    let f = r.fields(node, section, Owner::of(section.name, parent))?;
    if f.entries().iter().any(|entry| matches!(entry.key.as_str(), "acme" | "self_signed")) {
        return None; // reported as not built
    }
    let path = |key| match f.get(key) {
        Some(slot) => slot.path(),
        None => {
            f.missing(key);
            None
        }
    };
    let (cert, key) = (path("cert"), path("key"));
    let mut hosts = Vec::new();
    for item in f.get("hosts").and_then(|slot| slot.items()).unwrap_or_default() {
        hosts.extend(item.text().map(str::to_ascii_lowercase));
    }
    Some(Certificate { cert: cert?, key: key?, hosts })
}
